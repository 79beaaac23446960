"""Push a nightly file of contacts to Ometria: an example of OmetriaPushOperator in anybody's own DAG.

The file is Parquet or JSON Lines, one contact a row: `id` (text, required), Ometria's other fields by name, and custom
fields in `properties`. Only contacts that differ from what Ometria acknowledged last are sent.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime

from airflow.sdk import DAG
from ometria_provider.operators.ometria import OmetriaPushOperator

with DAG(
    "push_shop_contacts",
    schedule="30 4 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
    tags={"ometria"},
    default_args={"owner": "shop", "retries": 3},
) as dag:
    OmetriaPushOperator(
        task_id="push",
        records=os.environ.get("SHOP_CONTACTS", "s3://shop/contacts/{{ ds }}.parquet"),
        collection="shop",
        list_id=4821,
        ometria_conn_id="ometria_default",
    )
