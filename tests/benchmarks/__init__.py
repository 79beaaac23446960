"""The figures of docs/performance.md. `python -m tests.benchmarks` measures them and writes the table anew."""
