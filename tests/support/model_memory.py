"""
A memory server as a model: honest about what it holds, hostile in how it answers. Time is an argument.

What it may do is bounded as EverOS is: whatever it took is stored within :data:`LAG_S`, or never.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from include.delivery.actions import Look
from include.errors import ChatImportError, NotSent, OutcomeUnknown, QuotaExhausted, Refused, Throttled
from include.memory_api.contract import Evidence, Receipt, TaskState
from include.memory_api.readback import Episodes, Pending, Seen, Sought, conclude

LAG_S = 50.0

TAKES = ("task", "at once")
DENIES = ("throttled", "not sent", "quota")
LOSES = ("lost before", "lost after", "lost, stored late", "no task id", "partial")
FATES = (
    "success",
    "forgotten",
    "forgotten, not stored",
    "stuck",
    "stuck, not stored",
    "failed",
    "failed though stored",
    "failed, stored in part",
)


@dataclass
class Task:
    """What became of a batch that was accepted."""

    fate: str
    lands_at_s: float


@dataclass
class ModelMemory:
    """
    One conversation's memory.

    :param choose: Picks one of the given possibilities: the adversary.
    :param poison: Message ids that it refuses for good.
    :param blind: Reading back shows nothing, so that no evidence ever settles an unknown outcome.
    :param window: So many messages one answer shows, the oldest ones of all or of one person; none is ever extracted.
    :param turns: Who writes, over and over.
    """

    choose: Callable[[Sequence[str]], str]
    poison: frozenset[str] = frozenset()
    blind: bool = False
    window: int = 1_000
    turns: Sequence[int] = (0,)
    healthy: bool = False
    """From now on nothing goes wrong any more."""

    stored: list[str] = field(default_factory=list)
    tasks: dict[str, Task] = field(default_factory=dict)
    calls: int = 0
    _coming: list[tuple[float, Sequence[str]]] = field(default_factory=list)

    def settle(self, now_s: float) -> None:
        """Store what is due."""
        due = [ids for at_s, ids in self._coming if at_s <= now_s]
        self._coming = [(at_s, ids) for at_s, ids in self._coming if at_s > now_s]
        for ids in due:
            self.stored.extend(ids)

    def add(self, message_ids: Sequence[str], now_s: float) -> Receipt | ChatImportError:  # noqa: PLR0911 - a table
        """Take a batch, or not, and answer, or not."""
        self.settle(now_s)
        self.calls += 1
        if self.poison & set(message_ids):
            return Refused("refused", status=422, reason="content")
        how = "task" if self.healthy else self.choose((*TAKES, *DENIES, *LOSES))
        match how:
            case "task":
                return Receipt(task_id=self._accept(message_ids, now_s), landed=False)
            case "at once":
                self.stored.extend(message_ids)
                return Receipt(task_id=None, landed=True)
            case "throttled":
                return self._throttled()
            case "not sent":
                return NotSent("refused connection")
            case "quota":
                return QuotaExhausted("no quota left")
            case "lost after":
                self.stored.extend(message_ids)
            case "lost, stored late":
                self._coming.append((now_s + LAG_S, message_ids))
            case "partial":
                self.stored.extend(message_ids[: len(message_ids) // 2])
            case "no task id":
                self._accept(message_ids, now_s)
                return Receipt(task_id=None, landed=False)
        return OutcomeUnknown("no answer")

    def task_state(self, task_id: str, now_s: float) -> TaskState | ChatImportError:
        """Say what became of a task, or fail to."""
        self.settle(now_s)
        self.calls += 1
        match "answer" if self.healthy else self.choose(("answer", "answer", "500", "throttled")):
            case "500":
                return OutcomeUnknown("HTTP 500")
            case "throttled":
                return self._throttled()
        task = self.tasks[task_id]
        if now_s < task.lands_at_s or (task.fate.startswith("stuck") and not self.healthy):
            return TaskState.PROCESSING
        if task.fate.startswith("forgotten"):
            return TaskState.MISSING
        return TaskState.SUCCESS if task.fate in ("success", "stuck") else TaskState.FAILED

    def find(self, look: Look, now_s: float) -> Evidence | ChatImportError:
        """Show what is stored at this moment, and nothing of what is still to come."""
        self.settle(now_s)
        self.calls += 1
        match "answer" if self.healthy else self.choose(("answer", "answer", "not sent", "throttled")):
            case "not sent":
                return NotSent("refused connection")
            case "throttled":
                return self._throttled()
        if self.blind:
            return Evidence.UNPROVABLE
        by_writer = {
            writer: [message_id for message_id in self.stored if self.writer_of(message_id) == writer]
            for writer in look.writers
        }
        shown = {message_id for ids in (self.stored, *by_writer.values()) for message_id in ids[: self.window]}
        seen = Seen(
            pending=[Pending(message_id=message_id, timestamp_ms=self.time_of(message_id)) for message_id in shown],
            pending_complete=len(self.stored) < self.window,
            episodes=Episodes(times_ms=(), complete=True),
            complete_of=frozenset(writer for writer, ids in by_writer.items() if len(ids) < self.window),
        )
        return conclude(Sought(look.message_ids, look.timestamps_ms, look.writers, look.part), seen)

    @staticmethod
    def time_of(message_id: str) -> int:
        """Messages are named by their number, ``m007``."""
        return 1_000 + int(message_id[1:])

    def writer_of(self, message_id: str) -> str:
        return f"U{self.turns[int(message_id[1:]) % len(self.turns)]}"

    def _throttled(self) -> Throttled:
        retry_after_s = {"-": None, "soon": 3, "in an hour": 3600}[self.choose(("-", "soon", "in an hour"))]
        return Throttled("slow down", retry_after_s=retry_after_s)

    def _accept(self, message_ids: Sequence[str], now_s: float) -> str:
        fate = "success" if self.healthy else self.choose(FATES)
        lands_at_s = now_s + (1.0 if self.healthy else {"soon": 1.0, "late": LAG_S}[self.choose(("soon", "late"))])
        task_id = f"t{len(self.tasks)}"
        self.tasks[task_id] = Task(fate=fate, lands_at_s=lands_at_s)
        if fate == "failed, stored in part":
            message_ids = message_ids[: (len(message_ids) + 1) // 2]
        if fate not in ("failed", "forgotten, not stored", "stuck, not stored"):
            self._coming.append((lands_at_s, message_ids))
        return task_id
