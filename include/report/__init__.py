"""The report of a run: figures, the check of their sum, pages and CSV files."""
