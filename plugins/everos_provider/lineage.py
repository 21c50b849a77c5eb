"""
What Airflow's OpenLineage provider sends about an import: source, EverOS as the output, and counts.

Only that provider calls it (``get_openlineage_facets_on_complete``), so only then ``openlineage`` is imported.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from airflow.providers.openlineage.extractors import OperatorLineage
from openlineage.client.event_v2 import InputDataset, OutputDataset
from openlineage.client.facet_v2 import RunFacet, output_statistics_output_dataset

FACET = "everosImport"
"""Key of the counts among the facets of a run."""


def lineage_of(counts: Mapping[str, int], *, target: str, store: str, source: str = "") -> OperatorLineage:
    """
    Return the lineage of a task.

    :param counts: Of :func:`everos_provider.figures.counts_of_report` or of a load task; ``sent`` is among them.
    :param target: Base URL of EverOS.
    :param store: Its account or, on v2, app and project.
    :param source: Path or address of the exports; empty for a task that does not read them.
    """
    written = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rowCount=counts["sent"])
    return OperatorLineage(
        inputs=[InputDataset(*_namespace_and_name(source))] if source else [],
        outputs=[OutputDataset(target, store, outputFacets={"outputStatistics": written})],
        run_facets={FACET: RunFacet().with_additional_properties(**counts)},
    )


def _namespace_and_name(source: str) -> tuple[str, Any]:
    """Return how OpenLineage names a file: ``s3://bucket`` and its key, or ``file`` and its path."""
    parts = urlsplit(source)
    if "://" not in source:
        return "file", source
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}", parts.path.strip("/") or "/"
