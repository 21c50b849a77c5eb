"""The product on one machine: one command starts a real Airflow, and for the demo a stand-in, and ends them again."""
