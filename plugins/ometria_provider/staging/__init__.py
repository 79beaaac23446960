"""Parquet between tasks, on Airflow's object storage."""

import os

# pyarrow's own allocator asks the system for huge pages: clearing them takes several times as long as reading a chunk.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
