"""
A memory server as a model: honest about what it holds, hostile in how it answers. Time is an argument.

What it may do is bounded as EverOS is: whatever it took is stored within :data:`LAG_S`, or never.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from include.errors import ChatImportError, NotSent, OutcomeUnknown, QuotaExhausted, Refused, Throttled
from include.memory_api.contract import Evidence, Receipt, TaskState

LAG_S = 50.0

TAKES = ("task", "at once")
DENIES = ("throttled", "not sent", "quota")
LOSES = ("lost before", "lost after", "lost, stored late", "no task id", "partial")
FATES = (
    "success",
    "failed",
    "forgotten",
    "forgotten though failed",
    "stuck",
    "stuck though failed",
    "broken",
    "broken though failed",
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
    :param blind: Reading back shows nothing, so that no evidence ever settles a doubt.
    """

    choose: Callable[[Sequence[str]], str]
    poison: frozenset[str] = frozenset()
    blind: bool = False
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
        if task.fate.startswith("broken"):
            return TaskState.BROKEN
        return TaskState.FAILED if "failed" in task.fate else TaskState.SUCCESS

    def find(self, message_ids: Sequence[str], now_s: float) -> Evidence | ChatImportError:
        """Show what is stored at this moment, and nothing of what is still to come."""
        self.settle(now_s)
        self.calls += 1
        match "answer" if self.healthy else self.choose(("answer", "answer", "not sent", "throttled")):
            case "not sent":
                return NotSent("refused connection")
            case "throttled":
                return self._throttled()
        held = set(self.stored)
        if self.blind:
            return Evidence.UNPROVABLE
        if all(message_id in held for message_id in message_ids):
            return Evidence.PRESENT
        return Evidence.UNPROVABLE if any(message_id in held for message_id in message_ids) else Evidence.ABSENT

    def _throttled(self) -> Throttled:
        retry_after_s = {"-": None, "soon": 3, "in an hour": 3600}[self.choose(("-", "soon", "in an hour"))]
        return Throttled("slow down", retry_after_s=retry_after_s)

    def _accept(self, message_ids: Sequence[str], now_s: float) -> str:
        fate = "success" if self.healthy else self.choose(FATES)
        lands_at_s = now_s + (1.0 if self.healthy else {"soon": 1.0, "late": LAG_S}[self.choose(("soon", "late"))])
        task_id = f"t{len(self.tasks)}"
        self.tasks[task_id] = Task(fate=fate, lands_at_s=lands_at_s)
        if "failed" not in fate:
            self._coming.append((lands_at_s, message_ids))
        return task_id
