"""A local Airflow for this checkout: its home, its processes, and one run or a whole UI in it."""
