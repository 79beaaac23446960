"""OpenLineage: what our operators read and write, for whoever has that provider.

Its listener calls an operator's `get_openlineage_facets_on_…`, and nobody else does: all of it is imported there.
A system is named by its connection (one connection stands for one account): `antavo://<connection>` has `customers` and
`events`; `ometria://<connection>` has `contacts/<collection>` and `custom_events/<event type>`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

    from ometria_provider.mapping.model import Mapping
    from ometria_provider.workflows.model import Workflow


def of_extract(mapping: Mapping, read: int | None = None) -> OperatorLineage[Any, Any]:
    """Return what an extract reads: customers, and which fields of them.

    :param read: how many it read.
    """
    from airflow.providers.common.compat.openlineage import facet

    names = sorted({row.loyalty for row in mapping.rows if row.loyalty} | set(mapping.where))
    fields = [facet.SchemaDatasetFacetFields(name=name) for name in names]
    facets: dict[str, Any] = {"schema": facet.SchemaDatasetFacet(fields=fields)}
    customers = facet.InputDataset(*_customers(mapping), facets=facets, inputFacets=_read(read))
    return _lineage([customers], [])


def of_push(mapping: Mapping, accepted: int | None = None) -> OperatorLineage[Any, Any]:
    """Return what a push writes: contacts, and which loyalty field each of their fields comes from.

    :param accepted: how many records Ometria took.
    """
    from airflow.providers.common.compat.openlineage import facet

    source = _customers(mapping)
    columns = {
        row.remote: facet.Fields(inputFields=[facet.InputField(*source, field=row.loyalty)])
        for row in mapping.rows
        if row.loyalty
    }
    fields = [facet.SchemaDatasetFacetFields(name=name) for name in mapping.remotes]
    facets: dict[str, Any] = {
        "schema": facet.SchemaDatasetFacet(fields=fields),
        "columnLineage": facet.ColumnLineageDatasetFacet(fields=columns),
    }
    contacts = _contacts(mapping.connections.ometria, mapping.collection, facets, accepted)
    return _lineage([facet.InputDataset(*source)], [contacts])


def of_file(uri: str, connection: str, collection: str, accepted: int | None = None) -> OperatorLineage[Any, Any]:
    """Return what a push of somebody's own file reads and writes.

    :param uri: of the file, or a path.
    """
    from airflow.providers.common.compat.openlineage import facet

    parts = urlsplit(uri)
    # `s3://aws_default@bucket/key` names a connection as well, which is no part of the data's name.
    host = parts.netloc.rpartition("@")[2]
    namespace = f"{parts.scheme}://{host}" if host else parts.scheme or "file"
    name = parts.path.lstrip("/") if host else parts.path
    return _lineage([facet.InputDataset(namespace, name)], [_contacts(connection, collection, {}, accepted)])


def of_campaigns(connection: str, workflows: Iterable[Workflow]) -> OperatorLineage[Any, Any]:
    """Return what a campaign run reads and writes."""
    from airflow.providers.common.compat.openlineage import facet

    source = _antavo(connection)
    inputs = [facet.InputDataset(source, name) for name in ("events", "customers")]
    targets = sorted({(each.connections.ometria, each.action.event_type) for each in workflows})
    outputs = [facet.OutputDataset(_ometria(account), f"custom_events/{kind}") for account, kind in targets]
    return _lineage(inputs, outputs)


def _customers(mapping: Mapping) -> tuple[str, str]:
    return _antavo(mapping.connections.antavo), "customers"


def _antavo(connection: str) -> str:
    return f"antavo://{connection}"


def _ometria(connection: str) -> str:
    return f"ometria://{connection}"


def _contacts(connection: str, collection: str, facets: dict[str, Any], accepted: int | None) -> Any:
    from airflow.providers.common.compat.openlineage import facet

    counted: dict[str, Any] = {}
    if accepted is not None:
        counted["outputStatistics"] = facet.OutputStatisticsOutputDatasetFacet(rowCount=accepted)
    return facet.OutputDataset(_ometria(connection), f"contacts/{collection}", outputFacets=counted, facets=facets)


def _read(count: int | None) -> dict[str, Any]:
    if count is None:
        return {}
    from openlineage.client.facet_v2 import input_statistics_input_dataset

    return {"inputStatistics": input_statistics_input_dataset.InputStatisticsInputDatasetFacet(rowCount=count)}


def _lineage(inputs: Sequence[Any], outputs: Sequence[Any]) -> OperatorLineage[Any, Any]:
    from airflow.providers.openlineage.extractors import OperatorLineage

    return OperatorLineage(inputs=list(inputs), outputs=list(outputs))
