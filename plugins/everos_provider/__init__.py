"""What Airflow needs to run the import: hook, operators, retry policy, parameters, links, provider info."""
