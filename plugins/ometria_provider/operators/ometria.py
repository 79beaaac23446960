"""Push records to Ometria: one slice of a contact sync, or a file of contacts from anybody's own DAG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from ometria_provider.exceptions import Misconfigured
from ometria_provider.operators import lineage
from ometria_provider.operators.base import SyncOperator, Window, Work
from ometria_provider.origin import file_push_id

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import Context
    from airflow.sdk.types import TaskInstanceKey


class OmetriaPushOperator(SyncOperator):
    """Push contacts to Ometria: only those that differ from what Ometria acknowledged last, each batch checkpointed.

    In anybody's own DAG, give it a file::

        OmetriaPushOperator(task_id="push", records="s3://bucket/contacts.parquet", collection="shop", list_id=4821)

    A contact sync's own DAG gives it a mapping and a slice instead. Clearing it is safe in both: what Ometria
    acknowledged is not sent again.

    :param records: (templated) URI of a Parquet or JSON Lines file, one contact a row: `id` (text, required), Ometria's
        other fields by name, and custom fields in `properties`; empty values are left out.
    :param collection: (templated) Ometria's `@collection`.
    :param list_id: (templated) the Ometria list to put the contacts on; None: no list.
    :param ometria_conn_id: connection of type `ometria`.
    :param verify: `suspects`: find out which of the file's records Ometria rejects later; `off`: do without. A mapping
        says it itself.
    :param mapping: name of a mapping file, with `window`, in place of `records`.
    :param window: (templated) the slice to push, as plan lists it.
    :raises Retryable: when Ometria or the ledger stays out of reach; a retry goes on at the batch.
    :raises Misconfigured: for wrong arguments, a wrong key or a file that cannot be read.
    :raises Halted: when Ometria refuses every record alone, so that the fault is not in the records.
    """

    step = "push"
    template_fields: Sequence[str] = ("window", "records", "collection", "list_id")

    def __init__(
        self,
        *,
        records: str | None = None,
        collection: str | None = None,
        list_id: int | str | None = None,
        ometria_conn_id: str = "ometria_default",
        verify: Literal["suspects", "off"] = "suspects",
        mapping: str | None = None,
        window: Window | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(mapping=mapping or "", window=window, **kwargs)
        self.records = records
        self.collection = collection
        self.list_id = list_id
        self.ometria_conn_id = ometria_conn_id
        self.verify = verify

    def execute(self, context: Context) -> Any:
        """Push a slice, or a file as a run of its own; return the run's books for a file."""
        if self.mapping:
            return super().execute(context)
        if not (self.records and self.collection):
            raise Misconfigured(f"Task {self.task_id}: give `records` and `collection` (or a mapping and its slice).")
        if self.verify not in ("suspects", "off"):
            raise Misconfigured(f"Task {self.task_id}: `verify` is {self.verify!r}; write suspects or off.")
        from ometria_provider.operators.contact_file import ContactFile, push_file

        file = ContactFile(
            uri=self.records,
            collection=self.collection,
            list_id=None if self.list_id in (None, "") else int(self.list_id),
            account=self.ometria_conn_id,
            verify=self.verify == "suspects",
        )
        dag_id = file_push_id(self.dag_id, self.task_id, getattr(context.get("ti"), "map_index", None))
        return push_file(file, dag_id=dag_id, run_id=str(context["run_id"]))

    def ledger_dag_id(self, ti_key: TaskInstanceKey) -> str:
        """Return the id of the DAG as the ledger knows it: a push of a file has one of its own."""
        if self.mapping:
            return super().ledger_dag_id(ti_key)
        return file_push_id(ti_key.dag_id, ti_key.task_id, ti_key.map_index)

    def get_openlineage_facets_on_start(self) -> OperatorLineage[Any, Any]:
        """Return what is about to be written, by the file as it is."""
        if self.mapping:
            return lineage.of_push(self.as_it_stands())
        return lineage.of_file(str(self.records), self.ometria_conn_id, str(self.collection))

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any]:
        """Return what was written, by the mapping as planned."""
        if not self.mapping:
            return self.get_openlineage_facets_on_start()
        mapping, facts = self.as_planned(task_instance)
        return lineage.of_push(mapping, facts.get("accepted"))

    def work(self, work: Work, facts: dict[str, Any], context: Context) -> None:  # noqa: ARG002 (the base's signature)
        """Push the slice; a dry run ends here."""
        work.files.read_manifest("validate")
        if work.run.dry_run:
            self.log.info("A dry run: nothing is sent")
            return
        if not any(chunk["mapped"] for chunk in work.files.read_manifest("map")["chunks"]):
            self.log.info("Nothing differs: nothing is sent")
            return
        # The HTTP client comes with it: only a push that has something to push pays for that.
        from ometria_provider.operators.slice_push import push_slice

        push_slice(work, facts)
