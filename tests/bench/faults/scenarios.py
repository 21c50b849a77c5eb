"""The table of scenarios: calls that fail, and processes that are killed or frozen."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from include.delivery.settings import LoadSettings
from include.standin.faults import CallKind, Does, Fault
from tests.bench.chats import Chats, write_chats

_LONG = (300, 300, 300, 300, 300, 300, 300, 180)
"""Of three people each writes 100, of the two in the last one each 90."""


@dataclass(frozen=True, kw_only=True)
class Times:
    """
    Times of the matrix. Real ones are those of ``LoadSettings`` with a scale of 1.

    :param scale: Factor of the duration of a storm (20 s) and of an outage (30 s).
    """

    scale: float = 0.1
    settle_s: float = 1.5
    read_timeout_s: float = 1.0

    @property
    def task_deadline_s(self) -> float:
        """Longer than a storm or an outage."""
        return max(6.0, 60 * self.scale)

    @property
    def task_kept_s(self) -> float:
        """Longer than any wait of a load; EverOS keeps tasks for an hour."""
        return self.task_deadline_s + 4

    @property
    def load(self) -> LoadSettings:
        """The settings of the load."""
        return LoadSettings(
            give_up_after_s=max(20.0, 300 * self.scale),
            backoff_base_s=0.5 * self.scale,
            backoff_cap_s=60 * self.scale,
            poll_min_s=0.02,
            poll_max_s=0.5,
            task_deadline_s=self.task_deadline_s,
            settle_s=self.settle_s,
            lock_wait_s=5,
        )


@dataclass(frozen=True, kw_only=True)
class Event:
    """Happens when the target has stored the share ``at`` of all messages."""

    at: float


@dataclass(frozen=True, kw_only=True)
class KillImport(Event):
    """SIGKILL of the import; ``resumed``: started again with the same run id, as Airflow does."""

    resumed: bool = False


@dataclass(frozen=True, kw_only=True)
class KillTarget(Event):
    """SIGKILL of the stand-in, which is restarted with the same data."""

    down_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Freeze(Event):
    """The stand-in is suspended with open connections."""

    for_s: float


@dataclass(frozen=True, kw_only=True)
class Storm(Event):
    """Other faults for a time."""

    for_s: float
    faults: tuple[Fault, ...]


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One row of the matrix."""

    name: str
    faults: tuple[Fault, ...] = ()
    events: tuple[Event, ...] = ()
    batch_s: float = 0.06
    """Seconds of work of the target per batch: enough to interrupt a run in the middle."""

    rest_s: float = 0.0
    """Seconds between the two runs."""

    all_waits: bool = False
    """The target extracts nothing before the flush: more messages are pending than a search shows."""

    blind: bool = False
    """
    As ``all_waits``, and all messages have one sender, so that there may be no evidence: only here the second run may
    leave messages ``unknown``.
    """

    @property
    def target_options(self) -> tuple[str, ...]:
        """What the stand-in is started with, besides the times."""
        return ("--episode-messages", "500") if self.all_waits or self.blind else ()

    def write_chats(self, path: Path, sizes: Sequence[int]) -> Chats:
        """
        Write the export to import.

        :param sizes: Of its conversations, unless the scenario needs others.
        """
        if not self.all_waits and not self.blind:
            return write_chats(path, sizes)
        # no silence: one episode, pending for long; a search shows 100 messages of one sender
        return write_chats(path, _LONG if self.all_waits else sizes, silence_every=None, people=1 if self.blind else 3)


def scenarios(times: Times) -> list[Scenario]:
    """Return all rows, in the order in which they are printed."""
    return [
        Scenario(name="none"),
        *_slowness(times),
        *_lost_answers(),
        *_answers_without_end(times),
        *_much_waiting(),
        *_tasks(times),
        *_flushes(),
        *_outages(times),
        *_crashes(times),
        *_combinations(),
    ]


def _fault(does: Does, kind: CallKind = "add", share: float = 0.1, **more: object) -> Fault:
    return Fault(does=does, kind=kind, probability=share, seed=7, **more)  # type: ignore[arg-type]


def _slowness(times: Times) -> Sequence[Scenario]:
    tails = (_fault("slow_task", delay_s=0.7), _fault("slow", delay_s=0.7 * times.read_timeout_s))
    too_many = Fault(does="status", status=429)
    wait = Fault(does="status", status=429, retry_after=str(max(1, round(5 * times.scale))))
    storm_s = 20 * times.scale
    quota = Fault(does="status", kind="add", status=429, code="quota_exceeded", after=30)
    return [
        Scenario(name="latency tails", faults=tails),
        Scenario(name="slow answers", faults=(_fault("slow", share=0.5, delay_s=0.4 * times.read_timeout_s),)),
        Scenario(name="429 on 10 % of all calls", faults=(Fault(does="status", status=429, probability=0.1, seed=7),)),
        Scenario(name=f"429 storm of {storm_s:g} s", events=(Storm(at=0.3, for_s=storm_s, faults=(too_many,)),)),
        Scenario(name="429 storm, Retry-After", events=(Storm(at=0.3, for_s=storm_s, faults=(wait,)),)),
        Scenario(name="429 on half of all names", faults=(_fault("status", kind="register", share=0.5, status=429),)),
        Scenario(name="limit of 5 batches/s", faults=(Fault(does="rate_limit", kind="add", rate_per_s=5),)),
        Scenario(name="limit of 20 calls/s", faults=(Fault(does="rate_limit", rate_per_s=20),)),
        Scenario(name="quota exhausted", faults=(quota,)),
    ]


def _lost_answers() -> Sequence[Scenario]:
    unseen = Fault(does="status_after", kind="add", conversation="chat-00", after=8, count=1)
    return [
        Scenario(name="500 before storing", faults=(_fault("status"),)),
        Scenario(name="500 after storing", faults=(_fault("status_after"),)),
        Scenario(name="502 after storing", faults=(_fault("status_after", status=502),)),
        Scenario(name="500 after storing, half of all", faults=(_fault("status_after", share=0.5),)),
        Scenario(name="reset before storing", faults=(_fault("reset_before"),)),
        Scenario(name="reset after storing", faults=(_fault("reset_after"),)),
        Scenario(name="hang before storing", faults=(_fault("hang_before"),)),
        Scenario(name="hang after storing", faults=(_fault("hang_after"),)),
        Scenario(name="half stored, then 500", faults=(_fault("partial"),)),
        Scenario(name="one message stored, then 500", faults=(_fault("partial", keep=1),)),
        Scenario(name="a message refused", faults=(Fault(does="refuse", kind="add", message_ids=("chat-01.00033",)),)),
        Scenario(
            name="500 after, searching fails too",
            faults=(_fault("status_after"), _fault("status", kind="search", share=0.3)),
        ),
        Scenario(name="500 after, nothing to be seen", faults=(unseen,), blind=True),
    ]


def _answers_without_end(times: Times) -> Sequence[Scenario]:
    pause_s = 0.3 * times.read_timeout_s
    return [
        Scenario(name="headers trickle", faults=(_fault("trickle_headers", share=0.05, delay_s=pause_s),)),
        Scenario(name="body trickles", faults=(_fault("trickle_body", share=0.05, delay_s=pause_s),)),
        Scenario(
            name="answers to questions trickle",
            faults=(
                _fault("trickle_body", kind="task", share=0.03, delay_s=pause_s),
                _fault("trickle_headers", kind="search", share=0.3, delay_s=pause_s),
                _fault("trickle_body", kind="flush", share=0.2, delay_s=pause_s),
                _fault("status_after", share=0.05),
            ),
        ),
        Scenario(name="answers without end", faults=(_fault("endless"),)),
        Scenario(name="answers that unpack to 4 GiB", faults=(_fault("gzip_bomb"),)),
        Scenario(name="errors that repeat the messages", faults=(_fault("echo"), _fault("echo", kind="task"))),
    ]


def _much_waiting() -> Sequence[Scenario]:
    """More than a search shows waits in each conversation when it happens."""
    thrice = Fault(does="status", kind="add", after=60, count=3)
    one = Fault(does="status", kind="add", conversation="chat-00", after=9, count=3)
    after = _fault("status_after")
    return [
        Scenario(name="much waits: 500 after", faults=(after,), all_waits=True),
        Scenario(name="much waits: three 500 before", faults=(thrice,), all_waits=True),
        Scenario(name="much waits: three 500 in one", faults=(one,), all_waits=True),
        Scenario(name="much waits: half stored", faults=(_fault("partial"),), all_waits=True),
        Scenario(name="much waits: task failed", faults=(_fault("task_failed"),), all_waits=True),
        Scenario(name="much waits: failed, stored", faults=(_fault("task_failed_stored"),), all_waits=True),
        Scenario(name="much waits: SIGKILL", events=(KillImport(at=0.45),), all_waits=True),
        Scenario(name="much waits: SIGKILL, 500 after", faults=(after,), events=(KillImport(at=0.45),), all_waits=True),
    ]


def _tasks(times: Times) -> Sequence[Scenario]:
    return [
        Scenario(name="task failed", faults=(_fault("task_failed"),)),
        Scenario(name="task failed though stored", faults=(_fault("task_failed_stored"),)),
        Scenario(
            name="task gave_up",
            faults=(Fault(does="task_stuck", kind="add", after=5, count=2),),
            rest_s=times.task_kept_s,
        ),
        Scenario(
            name="task gave_up though stored",
            faults=(Fault(does="task_stuck_stored", kind="add", after=5, count=2),),
            rest_s=times.task_kept_s,
        ),
        Scenario(name="task 404 though failed", faults=(_fault("task_404_failed"),)),
        Scenario(name="task 404 though stored", faults=(_fault("task_404_stored"),)),
        Scenario(name="polling fails, 30 %", faults=(_fault("status", kind="task", share=0.3),)),
        Scenario(name="polling is reset, 30 %", faults=(_fault("reset_after", kind="task", share=0.3),)),
        Scenario(name="no task id, and slow", faults=(_fault("no_task_id", share=0.2),), batch_s=0.4),
    ]


def _flushes() -> Sequence[Scenario]:
    return [
        Scenario(name="flush: 500 before", faults=(_fault("status", kind="flush", share=0.5),)),
        Scenario(name="flush: 500 after", faults=(_fault("status_after", kind="flush", share=0.5),)),
        Scenario(name="flush: quota exhausted", faults=(Fault(does="status", kind="flush", status=402, after=3),)),
    ]


def _outages(times: Times) -> Sequence[Scenario]:
    down_s = 30 * times.scale
    return [
        Scenario(name=f"server down for {down_s:g} s", events=(KillTarget(at=0.3, down_s=down_s),)),
        Scenario(name="server killed and restarted", events=(KillTarget(at=0.3), KillTarget(at=0.6))),
        Scenario(name=f"server frozen for {down_s:g} s", events=(Freeze(at=0.3, for_s=down_s),)),
    ]


def _crashes(times: Times) -> Sequence[Scenario]:
    thrice = tuple(KillImport(at=at, resumed=at < 0.75) for at in (0.25, 0.5, 0.75))
    once, resumed = KillImport(at=0.45), KillImport(at=0.45, resumed=True)
    return [
        Scenario(name="SIGKILL at 45 %", events=(once,)),
        Scenario(name="SIGKILL at 45 %, then resumed", events=(resumed,)),
        Scenario(name="SIGKILL three times", events=thrice),
        Scenario(name="SIGKILL and 500 after storing", faults=(_fault("status_after", share=0.2),), events=(once,)),
        Scenario(name="SIGKILL and half stored", faults=(_fault("partial", share=0.2),), events=thrice),
        Scenario(name="SIGKILL of everything", events=(KillTarget(at=0.45), KillImport(at=0.45))),
        Scenario(
            name="SIGKILL, late, task forgotten",
            faults=(_fault("slow_task", delay_s=1.0),),
            events=(once,),
            rest_s=times.task_kept_s,
        ),
    ]


def _combinations() -> Sequence[Scenario]:
    everything = (
        _fault("status_after", share=0.04),
        _fault("reset_after", share=0.04),
        _fault("partial", share=0.04),
        _fault("status", share=0.05, status=503),
        _fault("task_failed", share=0.05),
        _fault("task_failed_stored", share=0.05),
        _fault("task_404_stored", share=0.05),
        _fault("no_task_id", share=0.05),
        _fault("status", kind="task", share=0.1),
        Fault(does="status", status=429, probability=0.05, seed=7),
    )
    return [
        Scenario(name="all of it at once", faults=everything),
        Scenario(name="all of it, and SIGKILL", faults=everything, events=(KillImport(at=0.45),)),
    ]
