"""The product without Airflow: exports in, ordered batches out, every message accounted for."""
