"""Rules of a whole import, for every target."""

import asyncio
import dataclasses
from pathlib import Path

from include.delivery.verification import Checked, verify
from include.memory_api.contract import FlushStatus, Readback
from include.plan import plan
from include.records import Chunk, Conversation
from include.run_folder import RunFolder
from include.transform import transform
from tests.support.delivery_runs import QUICK, World
from tests.support.make_tables import a_conversation, a_message, extracted

NOON_US = 1_767_225_600_000_000
PATIENT = dataclasses.replace(QUICK, give_up_after_s=60, task_deadline_s=60)


def planned(home: Path, conversation_id: str, offsets_us: list[int]) -> tuple[RunFolder, list[Chunk]]:
    """Return a run of one conversation with a message at each of these times, each in a separate batch."""
    messages = [
        a_message(f"{n}", conversation_id=conversation_id, sent_at_us=NOON_US + offset, text=f"The harbour at {n}")
        for n, offset in enumerate(offsets_us)
    ]
    run = RunFolder.of("run 1", home)
    export = extracted(run.extracted("export"), messages, conversations=[a_conversation(conversation_id)])
    transform([export], run)
    return run, plan(run, batch_size=1)


def test_all_messages_of_one_millisecond_are_stored_however_they_are_batched(target, tmp_path) -> None:
    """A server that derives ids from time and position in the batch would keep one message of each millisecond."""
    conversation: Conversation = target.conversation()
    run, [chunk] = planned(tmp_path, conversation.conversation_id, [0, 0, 300, 1000, 1000, 999])
    world = World(tmp_path, target.settings)

    async def read_back() -> Readback:
        async with target.client() as api:
            return await api.readback(conversation, ["U1"], since_ms=0, until_ms=NOON_US)

    assert world.load(run, chunk, settings=PATIENT).landed == 6
    assert asyncio.run(read_back()).unprocessed == 6
    assert world.flush(run, settings=PATIENT).flushed == 1
    assert world.outcomes(run)[conversation.conversation_id].flushed == FlushStatus.EXTRACTED

    async def verified() -> Checked:
        async with target.client() as api:
            return (await verify(run, world.ledger, api, "run 1"))[conversation.conversation_id]

    checked = asyncio.run(verified())
    assert checked.verified is True, checked
    assert checked.readback.episodes == 1
