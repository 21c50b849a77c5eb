"""Rules of a run's parameters: unknown names and invalid values are refused before anything is read or sent."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG, Param
from everos_provider import run
from everos_provider.params import import_params

from include.errors import ConfigurationError, ExportError, PermanentError
from include.parameters import PARAMETERS, refuse_unknown
from include.run_folder import HOME_VARIABLE

SAMPLES = Path(__file__).parents[2] / "include" / "samples"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))


def a_context(conf: Mapping[str, Any], *, merged: bool = True, **more: Any) -> Any:
    """Return the context of the first task: Airflow merges ``conf`` into the parameters, unless this is disabled."""
    params = {name: param.value for name, param in import_params().items()} | {"source": str(SAMPLES)}
    dag_run = SimpleNamespace(run_type="manual", conf=dict(conf))
    return {"run_id": "run", "dag_run": dag_run, "params": params | dict(conf if merged else {}), **more}


def test_the_form_and_the_command_line_know_the_same_parameters() -> None:
    assert tuple(import_params()) == PARAMETERS


@pytest.mark.parametrize("merged", [True, False])
@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        *(("dryrun", "dry_run"), ("dry-run", "dry_run"), ("DRY_RUN", "dry_run"), ("dry run", "dry_run")),
        *(("exlude", "exclude"), ("untill", "until"), ("batchsize", "batch_size")),
        ("include_privat", "include_private"),
    ],
)
def test_a_misspelt_parameter_is_refused_with_the_nearest_name(name: str, nearest: str, *, merged: bool) -> None:
    with pytest.raises(ConfigurationError, match=f"'{name}' .did you mean '{nearest}'") as caught:
        run.discover(a_context({name: True}, merged=merged))
    assert isinstance(caught.value, PermanentError)
    assert "Nothing was read or sent" in str(caught.value)


def test_a_name_without_a_similar_one_is_refused_with_all_known_names() -> None:
    with pytest.raises(ConfigurationError, match=r"'xyzzy', 'dryrun' .* Known: source, dry_run, include"):
        refuse_unknown("parameter", ["xyzzy", "dryrun", "source"], PARAMETERS)


@pytest.mark.parametrize(
    "conf",
    [
        *({"dry_run": value} for value in ("true", "yes", 1, None, [True])),
        *({"concurrency": value} for value in (0, 65, 8.0, "8", True)),
        *({"batch_size": value} for value in (50.0, 0, "50")),
        *({"include": value} for value in ("general", [1], {"a": "b"})),
        *({"bots": "skp"}, {"existing": None}, {"conversation_id": "fixed"}, {"source": ""}, {"since": 5}),
        {"lookback_days": -1},
    ],
    ids=str,
)
def test_a_value_of_a_wrong_type_is_refused(conf: Mapping[str, Any]) -> None:
    [name] = conf
    with pytest.raises(ConfigurationError, match=f"parameter {name}: .* is not allowed"):
        run.discover(a_context(conf))


def test_valid_values_are_accepted() -> None:
    conf = {"dry_run": True, "include": ["general"], "batch_size": 5, "since": "2026-03-01T00:00:00Z", "bots": "skip"}
    assert run.discover(a_context(conf))


def test_a_dag_may_have_further_parameters() -> None:
    dag = DAG("of_somebody_else", params={"ticket": Param("", type="string")}, schedule=None)
    assert run.discover(a_context({"ticket": "ABC-1", "dry_run": True}, dag=dag))
    with pytest.raises(ConfigurationError, match="did you mean 'ticket'"):
        run.discover(a_context({"tiket": "ABC-1"}, dag=dag))


@pytest.mark.parametrize("run_type", ["manual", "scheduled", "backfill"])
def test_only_a_run_of_an_interval_may_find_an_empty_folder(tmp_path: Path, run_type: str) -> None:
    (tmp_path / "drop").mkdir()
    context = a_context({"source": str(tmp_path / "drop")})
    context["dag_run"].run_type = run_type
    context["ti"] = SimpleNamespace(get_previous_dagrun=lambda state: None)
    context["data_interval_start"] = context["data_interval_end"] = datetime(2026, 3, 1, tzinfo=UTC)
    if run_type == "manual":
        with pytest.raises(ExportError, match="drop is empty, so nothing was imported"):
            run.discover(context)
    else:
        assert run.discover(context) == []


@pytest.mark.parametrize(
    ("conf", "remedy"),
    [
        ({"dry_run": "yes"}, "Give true or false."),
        ({"batch_size": 0}, "Give a whole number, at least 1, at most 500 or null."),
        ({"bots": "skp"}, "Give one of assistant, skip."),
        ({"since": 5}, "Give a date or a time such as 2026-03-01T10:00:00Z or null."),
        ({"include": "general"}, "Give a list of texts or null."),
        ({"conversation_id": "fixed"}, "Give a text with {channel} or {channel_id}."),
    ],
    ids=str,
)
def test_a_refused_value_comes_with_what_is_allowed_in_words(conf: Mapping[str, Any], remedy: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        run.discover(a_context(conf))
    assert caught.value.remedy == remedy
