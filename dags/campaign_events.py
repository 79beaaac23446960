"""One Airflow DAG `campaign_events__<connection>` for each Antavo connection that the workflow files name."""

from ometria_provider.campaign_factory import campaign_event_dags

globals().update(campaign_event_dags())
