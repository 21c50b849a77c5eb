"""
Builds the wheel: the provider with the pipeline of ``include/`` and the DAG of ``dags/`` in it.

Other Airflow projects have a folder ``include`` on ``sys.path`` (Astronomer's layout). It would hide a package of that
name in ``site-packages``, or be hidden by it. Therefore the pipeline is ``everos_provider._pipeline`` in the wheel,
with rewritten imports. An editable install has no copy: there Airflow runs the files of the project.
"""

import re
import shutil
from pathlib import Path

from setuptools.command.build_py import build_py

PROJECT = Path(__file__).resolve().parents[1]
PROVIDER, PIPELINE = "everos_provider", "_pipeline"

ONLY_HERE = ("local", "samples", "standin", "standin_model", "__pycache__")
"""Parts of ``include/`` for the commands of the Makefile."""

_IMPORT = re.compile(r"^(\s*from )include(?=[. ])", re.MULTILINE)
_OTHER_IMPORT = re.compile(r"^\s*import include\b", re.MULTILINE)


class BuildPy(build_py):
    """Adds the pipeline and the DAG to the built package."""

    def run(self) -> None:
        """Build the package."""
        super().run()
        if not self.editable_mode:
            add_pipeline(Path(self.build_lib) / PROVIDER)


def add_pipeline(package: Path) -> None:
    """Copy the pipeline and the DAG into the folder of the provider, and rewrite the imports of all modules there."""
    shutil.rmtree(package / PIPELINE, ignore_errors=True)  # of an earlier build
    shutil.copytree(PROJECT / "include", package / PIPELINE, ignore=shutil.ignore_patterns(*ONLY_HERE))
    shutil.copyfile(PROJECT / "dags" / "chat_history_to_everos.py", package / "dag.py")
    for module in package.rglob("*.py"):
        module.write_text(rewritten(module.read_text(encoding="utf-8")), encoding="utf-8")


def rewritten(source: str) -> str:
    """
    Return a module with the imports that the wheel needs.

    :raises ValueError: it has ``import include…``, which binds the name ``include``.

    >>> rewritten("from include import plan"), rewritten("    from include.errors import A  # include")
    ('from everos_provider._pipeline import plan', '    from everos_provider._pipeline.errors import A  # include')
    """
    if _OTHER_IMPORT.search(source):
        raise ValueError("`import include…` cannot be rewritten: write `from include… import …`")
    return _IMPORT.sub(rf"\1{PROVIDER}.{PIPELINE}", source)
