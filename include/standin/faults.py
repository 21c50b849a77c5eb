"""The faults that a stand-in can produce, and the rules that select calls for them."""

import random
import time
from collections.abc import Sequence
from typing import Literal

import msgspec

CallKind = Literal["add", "flush", "task", "search", "get", "register", "settings"]

Does = Literal[
    "status",
    "status_after",
    "reset_before",
    "reset_after",
    "hang_before",
    "hang_after",
    "slow",
    "slow_task",
    "partial",
    "refuse",
    "no_task_id",
    "rate_limit",
    "trickle_headers",
    "trickle_body",
    "endless",
    "gzip_bomb",
    "echo",
    "task_failed",
    "task_failed_stored",
    "task_stuck",
    "task_stuck_stored",
    "task_404_failed",
    "task_404_stored",
]


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """
    One rule: the calls that it matches and the fault that they get. The first rule that matches a call applies.

    ======================= ================================================================================
    ``status``              answer ``status`` (with ``retry_after``, ``code``) instead of doing anything
    ``status_after``        do it, then answer ``status``
    ``reset_before/_after`` cut the connection with a TCP reset, before or after doing it
    ``hang_before/_after``  never answer (for ``delay_s``, then cut), before or after doing it
    ``slow``                answer ``delay_s`` later
    ``slow_task``           the batch is stored ``delay_s`` later
    ``partial``             store the first ``keep`` messages only (default half), then answer ``status``
    ``refuse``              422 "message refused"
    ``no_task_id``          202 without a task id; the batch is stored
    ``rate_limit``          429 above ``rate_per_s`` calls in a second
    ``trickle_headers``     do it, then answer one byte every ``delay_s``, from the status line on
    ``trickle_body``        do it, then answer one byte of the body every ``delay_s``
    ``endless``             do it, then answer with a body that does not end
    ``gzip_bomb``           do it, then answer with a compressed body that unpacks to 4 GiB
    ``echo``                answer ``status`` with what was submitted in every field of the error, in many forms
    ``task_failed``         the task ends as ``failed``, nothing is stored
    ``task_failed_stored``  the task ends as ``failed``, the batch is stored
    ``task_stuck``          the task says ``processing`` for ever, nothing is stored
    ``task_stuck_stored``   the task says ``processing`` for ever, the batch is stored
    ``task_404_failed``     the task answers 404, nothing is stored
    ``task_404_stored``     the task answers 404, the batch is stored
    ======================= ================================================================================
    """

    does: Does
    kind: CallKind | Literal["any"] = "any"
    conversation: str | None = None
    """Exact conversation (see :func:`include.standin.journal.conversation_key`); ``None`` matches all."""

    count: int | None = None
    """Number of calls that get it; ``None`` is without limit."""

    after: int = 0
    """Number of matching calls that pass first."""

    probability: float = 1.0
    seed: int = 0
    status: int = 500
    retry_after: str | None = None
    """``Retry-After`` header, as it stands: seconds or an HTTP date."""

    code: str | None = None
    """Error code in the body, such as ``quota_exceeded``."""

    delay_s: float = 3600.0
    keep: int | None = None
    message_ids: tuple[str, ...] = ()
    """Only batches with one of these messages, and questions about the tasks of such batches; empty matches all."""

    rate_per_s: float = 5.0


class _Armed:
    """A rule and the calls that it has counted."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self._seen = 0
        self._done = 0
        self._random = random.Random(fault.seed)  # noqa: S311
        self._recent: list[float] = []

    def strikes(self, kind: str, conversation: str | None, message_ids: Sequence[str]) -> bool:
        fault = self.fault
        if fault.kind not in ("any", kind) or fault.conversation not in (None, conversation):
            return False
        if fault.message_ids and not set(fault.message_ids) & set(message_ids):
            return False
        self._seen += 1
        if self._seen <= fault.after or (fault.count is not None and self._done >= fault.count):
            return False
        if fault.does == "rate_limit" and not self._over_rate():
            return False
        if fault.probability < 1 and self._random.random() >= fault.probability:
            return False
        self._done += 1
        return True

    def _over_rate(self) -> bool:
        now = time.monotonic()
        self._recent = [at for at in self._recent if at > now - 1.0]
        if len(self._recent) < self.fault.rate_per_s:
            self._recent.append(now)
            return False
        return True


class Faults:
    """The active rules. Every :meth:`arm` resets counts and random numbers."""

    def __init__(self, faults: Sequence[Fault] = ()) -> None:
        self._armed: list[_Armed] = []
        self.arm(faults)

    def arm(self, faults: Sequence[Fault]) -> None:
        """Replace all rules."""
        self._armed = [_Armed(fault) for fault in faults]

    def strike(self, kind: str, conversation: str | None, message_ids: Sequence[str] = ()) -> Fault | None:
        """Return the fault of this call and count it, or ``None``."""
        return next((a.fault for a in self._armed if a.strikes(kind, conversation, message_ids)), None)
