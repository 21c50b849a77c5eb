"""Addresses of the pages, and of Airflow's own pages that they link to."""

from dataclasses import dataclass
from urllib.parse import quote

from include.parameters import DAG_ID

PREFIX = "/everos"
"""Path of the pages below Airflow's."""

IMPORTS = "imports"
"""Path of the list of imports below :data:`PREFIX`, and of its view in Airflow's navigation."""


@dataclass(frozen=True)
class Addresses:
    """Addresses as a browser needs them."""

    root: str
    """Path that Airflow is served below; usually empty."""

    @property
    def pages(self) -> str:
        """Path of all pages about imports."""
        return f"{self.root}{PREFIX}/{IMPORTS}"

    @property
    def all_imports(self) -> str:
        """The list of imports, inside Airflow's frame."""
        return f"{self.root}/plugin/{IMPORTS}"

    @property
    def dag(self) -> str:
        """Airflow's page of the DAG."""
        return f"{self.root}/dags/{DAG_ID}"

    def dag_run(self, run_id: str) -> str:
        """Return Airflow's page of a run."""
        return f"{self.dag}/runs/{_quoted(run_id)}"

    def run(self, run_id: str) -> str:
        """Return the page of an import: its report or its progress."""
        return f"{self.pages}/runs/{_quoted(run_id)}"

    def progress(self, run_id: str) -> str:
        """Return the part of that page that changes while the import runs."""
        return f"{self.pages}/progress/{_quoted(run_id)}"

    def file(self, name: str, run_id: str) -> str:
        """Return the download of a file of a run's report."""
        return f"{self.pages}/files/{name}/{_quoted(run_id)}"


def _quoted(run_id: str) -> str:
    return quote(run_id, safe="")
