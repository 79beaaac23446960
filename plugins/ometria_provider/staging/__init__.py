"""Parquet between tasks, on Airflow's object storage."""
