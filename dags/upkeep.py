"""The Airflow DAGs `maintain_ledger` and `watch_syncs`, which look after all others."""

from ometria_provider.upkeep_factory import upkeep_dags

globals().update(upkeep_dags())
