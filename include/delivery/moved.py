"""
Messages that another run has sent in another segment since this run was planned.

A message changes its segment when exports show more than before: one that got replies belongs to their thread, and the
numbers of long segments move. Transform knows what was sent until then. A run whose load is cleared after a later run
has loaded would send such a message again: its calls are those of another segment.
"""

from collections import defaultdict
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from include.ledger import Call, Ledger
from include.plan.chunk_file import planned_messages
from include.records import Chunk

MARGIN_MS = 6 * 3_600_000
"""Between transform's look at the ledger and the plan, and between the clocks of two machines."""


def moved_calls(ledger: Ledger, chunk: Chunk, path: Path, run_id: str) -> dict[str, list[Call]]:
    """
    Return such calls, by the segment that this run has planned their messages in; most often none.

    :param path: The chunk's file.
    """
    since_ms = chunk.planned_ms - MARGIN_MS if chunk.planned_ms else 0
    with ledger.snapshot() as snapshot:
        calls = {
            (call.conversation_id, call.call_id): call for call in snapshot.calls_since(since_ms, without_run=run_id)
        }
    if not calls:
        return {}
    sent = pa.table(
        {
            "conversation_id": [call.conversation_id for call in calls.values() for _ in call.message_ids],
            "message_id": [message_id for call in calls.values() for message_id in call.message_ids],
            "sent_in": [call.segment_id for call in calls.values() for _ in call.message_ids],
            "call_id": [call.call_id for call in calls.values() for _ in call.message_ids],
        }
    )
    planned = planned_messages([path]).read_all()
    met = planned.join(sent, ["conversation_id", "message_id"], join_type="inner", use_threads=False)
    elsewhere = met.filter(pc.not_equal(met["segment_id"], met["sent_in"]))
    moved: dict[str, dict[str, Call]] = defaultdict(dict)
    for row in elsewhere.to_pylist():
        moved[row["segment_id"]][row["call_id"]] = calls[row["conversation_id"], row["call_id"]]
    return {segment_id: list(found.values()) for segment_id, found in moved.items()}
