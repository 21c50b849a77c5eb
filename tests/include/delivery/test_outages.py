"""Rules of the log of a target that is away."""

import asyncio
from typing import Any

import pytest

from include.delivery.outages import logged_outages
from include.errors import ChatImportError, ConfigurationError, NotSent, OutcomeUnknown


class Scripted:
    """A client whose calls end as they are told to."""

    target = "the target"

    def __init__(self, *ends: ChatImportError | str) -> None:
        self._ends = list(ends)

    async def check(self) -> str:
        end = self._ends.pop(0)
        if isinstance(end, ChatImportError):
            raise end
        return end


def logged(caplog: pytest.LogCaptureFixture, every_s: float, *ends: ChatImportError | str) -> list[str]:
    caplog.set_level("INFO")
    api: Any = logged_outages(Scripted(*ends), every_s)  # type: ignore[arg-type]
    assert api.target == "the target"
    for end in ends:
        if isinstance(end, str):
            assert asyncio.run(api.check()) == end
        else:
            with pytest.raises(type(end)):
                asyncio.run(api.check())
    return [record.getMessage() for record in caplog.records]


def test_an_outage_is_logged_with_its_cause_and_its_end(caplog: pytest.LogCaptureFixture) -> None:
    lines = logged(caplog, 0, "fine", NotSent("no connection"), OutcomeUnknown("no answer"), "fine", "fine")
    assert lines == [
        "Waiting for EverOS for 0 s, and calling it again: no connection",
        "Waiting for EverOS for 0 s, and calling it again: no answer",
        "EverOS answers again, after 0 s",
    ]


def test_a_short_outage_is_one_line_however_many_calls_fail(caplog: pytest.LogCaptureFixture) -> None:
    lines = logged(caplog, 3600, *[NotSent("no connection")] * 5, "fine", NotSent("no connection"))
    assert len(lines) == 1


def test_an_error_that_a_repetition_cannot_help_is_no_outage(caplog: pytest.LogCaptureFixture) -> None:
    assert logged(caplog, 0, ConfigurationError("no key")) == []
