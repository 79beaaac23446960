"""What Airflow's triggerer watches for us."""
