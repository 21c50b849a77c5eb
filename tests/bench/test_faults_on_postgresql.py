"""Every row of the fault matrix with the ledger in PostgreSQL: ``make test-outage``."""

from pathlib import Path

import pytest

from tests.bench.faults.__main__ import SIZES
from tests.bench.faults.scenarios import Scenario, Times, scenarios
from tests.bench.faults.trial import run_trial
from tests.support.databases import Postgres

pytestmark = pytest.mark.outage

TIMES = Times(scale=0.05, settle_s=1.0)


@pytest.mark.parametrize("scenario", scenarios(TIMES), ids=lambda scenario: scenario.name)
def test_nothing_is_lost_doubled_or_out_of_order_whatever_happens_to_the_first_run(
    scenario: Scenario, postgres: Postgres, tmp_path: Path
) -> None:
    chats = scenario.write_chats(tmp_path / "chats.json", SIZES)
    assert run_trial(scenario, chats, tmp_path / "trial", TIMES, postgres.new_database()).broken == []
