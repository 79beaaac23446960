"""Pure decisions about delivery: digests, comparison, batches, splitting, limits, the run's colour."""
