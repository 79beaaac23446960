"""One Airflow DAG `contact_sync__<mapping>` for each file in the mappings folder."""

from ometria_provider.factory import contact_sync_dags

globals().update(contact_sync_dags())
