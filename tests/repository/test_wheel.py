"""The wheel is the whole product: in an environment with nothing else of the project, three lines make the import."""

import ast
import json
import os
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest
from everos_provider import __version__

from include.local.standin import connection_to
from include.run_folder import PROJECT
from include.standin import StandIn
from scripts import wheel as building
from tests.support.environments import build_wheel, environment_with, run

DAG_FILE = '''\
"""An Airflow DAG: chat history to EverOS."""
from everos_provider.dag import chat_history_to_everos
chat_history_to_everos()
'''

RUN = """\
import json, sys
from pathlib import Path
from airflow.dag_processing.dagbag import DagBag
from airflow.plugins_manager import get_plugin_info
from airflow.providers_manager import ProvidersManager

dag = DagBag(Path(sys.argv[1]), bundle_name="dags-folder").dags["chat_history_to_everos"]
state = dag.test(run_conf={"source": sys.argv[2]}).state
modules = [name for name in sys.modules if name.partition(".")[0] == "include"]
plugins = [(each["name"], each["source"]) for each in get_plugin_info(["source"])]
hook = ProvidersManager().hooks["everos"]
import airflow.api_fastapi.app, everos_provider.pages
pages = sorted(route.path for route in everos_provider.pages.build_app().routes if "runs" in route.path)
found = {"state": state, "modules": modules, "plugins": plugins, "hook": hook.hook_class_name, "pages": pages}
print(json.dumps(found, default=str))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def modules(wheel: Path) -> dict[str, ast.Module]:
    """Return the modules of the wheel by name."""
    with zipfile.ZipFile(wheel) as archive:
        return {
            ".".join(PurePosixPath(name).with_suffix("").parts).removesuffix(".__init__"): ast.parse(archive.read(name))
            for name in archive.namelist()
            if name.endswith(".py")
        }


class Stranger:
    """An Airflow with the wheel, a DAG file of three lines and no folder of the project on its path."""

    def __init__(self, python: Path, home: Path) -> None:
        self.python, self.home = python, home
        (home / "dags").mkdir(parents=True)
        (home / "dags" / "chat_import.py").write_text(DAG_FILE)
        # a project of Astronomer's layout, whose own `include` is on the path
        (home / "include").mkdir()
        (home / "include" / "__init__.py").write_text("THEIRS = True\n")
        ours = ("AIRFLOW", "EVEROS", "PYTHON")
        self.environ = {name: value for name, value in os.environ.items() if not name.startswith(ours)} | {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "PYTHONPATH": str(home),
        }

    def airflow(self, *arguments: str) -> str:
        """Run a command of Airflow and return its last line."""
        output = run(self.python, "-m", "airflow", *arguments, cwd=self.home, env=self.environ)
        return output.splitlines()[-1] if output else ""


@pytest.fixture(scope="module")
def stranger(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Stranger:
    folder = tmp_path_factory.mktemp("stranger")
    stranger = Stranger(environment_with(wheel, folder / "venv"), folder / "airflow")
    stranger.airflow("db", "migrate")
    return stranger


def imports(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_every_import_of_the_wheel_is_in_it_and_none_is_of_include(modules: dict[str, ast.Module]) -> None:
    ours = {name for module in modules.values() for name in imports(module) if name.startswith("everos_provider")}
    assert ours
    assert ours <= modules.keys()
    everything = {name.partition(".")[0] for module in modules.values() for name in imports(module)}
    assert not everything & {"include", "tests", "scripts", "dags"}


def test_the_wheel_has_the_pipeline_and_nothing_that_only_the_commands_need(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    pipeline = {
        f"everos_provider/_pipeline/{path.relative_to(PROJECT / 'include').as_posix()}"
        for path in (PROJECT / "include").rglob("*")
        if path.is_file() and not {*path.relative_to(PROJECT / "include").parts} & {*building.ONLY_HERE}
    }
    assert {name for name in names if "/_pipeline/" in name} == pipeline
    assert any(name.endswith("report/templates/report.html") for name in names)


@pytest.mark.parametrize("source", ["import include", "import include.errors as errors", "    import include.plan\n"])
def test_an_import_that_binds_the_name_include_is_refused(source: str) -> None:
    with pytest.raises(ValueError, match=r"write `from include… import …`"):
        building.rewritten(source)


def test_the_metadata_are_those_of_the_registry(wheel: Path) -> None:
    assert wheel.name.startswith("airflow_provider_everos-")
    with zipfile.ZipFile(wheel) as archive:
        [metadata] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        text = archive.read(metadata).decode()
        points = archive.read(metadata.replace("METADATA", "entry_points.txt")).decode()
    for classifier in ("Framework :: Apache Airflow", "Framework :: Apache Airflow :: Provider"):
        assert f"Classifier: {classifier}\n" in text
    assert not re.search(r"^Requires-Dist: (psutil|uvicorn)[^;]*$", text, re.MULTILINE), "of the commands only"
    assert "[apache_airflow_provider]\nprovider_info = everos_provider.provider_info:get_provider_info" in points
    assert "[airflow.plugins]\neveros = everos_provider.plugin:EverOSPlugin" in points


def test_airflow_lists_the_provider_and_the_dag(stranger: Stranger) -> None:
    providers = json.loads(stranger.airflow("providers", "list", "--output", "json"))
    [ours] = [each for each in providers if each["package_name"] == "airflow-provider-everos"]
    assert ours["version"] == __version__
    [dag] = json.loads(stranger.airflow("dags", "list", "--local", "--output", "json"))
    assert dag["dag_id"] == "chat_history_to_everos"
    assert dag["fileloc"] == str(stranger.home / "dags" / "chat_import.py")


def test_a_run_loads_an_export_with_the_code_of_the_wheel_only(stranger: Stranger, tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(RUN)
    with StandIn.running(tmp_path / "server") as server:
        environ = stranger.environ | {"AIRFLOW_CONN_EVEROS_DEFAULT": connection_to(server.base_url)}
        sample = PROJECT / "include" / "samples" / "slack"
        output = run(stranger.python, script, stranger.home / "dags", sample, cwd=stranger.home, env=environ)
    result = json.loads(output.splitlines()[-1])
    assert result["state"] == "success"
    assert result["modules"] == [], "the pipeline is in the provider, and the folder of that name is another project's"
    assert result["hook"] == "everos_provider.hooks.EverOSHook"
    assert "/dags/{dag_id}/runs/{run_id:path}" in result["pages"]
    [(plugin, source)] = result["plugins"]
    assert plugin == "everos"
    assert f"airflow-provider-everos=={__version__}" in source
    [report] = (stranger.home / "everos" / "runs").glob("*/report.json")
    document = json.loads(report.read_text())
    assert (document["loaded"], document["conserved"]) == (59, True)
