"""
Makes Slack exports of any size from a seed, with every known peculiarity, and returns the expected messages.

The truth is noted while an entry is made and never read back from the files, so a parser cannot agree with itself.
Run it to make an export by hand: ``python -m tests.support.slack_generator out.zip --messages 100000``.
"""

import argparse
import random
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from tests.support.builders import UnflaggedName, content_of, rich_text, slack_channel, slack_message, slack_user

FIRST_DAY = datetime(2024, 1, 1, 8, tzinfo=UTC)
PEOPLE = ("Ann Lee", "Bob Ray", "Cleo Dunn", "Dmitri Volkov", "Émile Roux", "Fatima Noor", "Gus Hart", "Hana 佐藤")
VOCABULARY = (
    "the release plan moved again because customer asked for export before friday and nobody had looked at migration "
    "script yet so we should pair on it after lunch maybe with numbers from last week thanks deploy failed on staging "
    "größer façade naïve 会議 résumé budget invoice review merged rollback latency dashboard ticket owner hello"
)
WORDS = VOCABULARY.split()


class Expected(NamedTuple):
    """A message that must be delivered."""

    message_id: str
    sender_id: str
    sender_name: str
    role: str
    text: str
    thread_id: str | None


@dataclass
class Truth:
    """What must come out of an export."""

    delivered: dict[str, list[Expected]] = field(default_factory=dict)
    """By conversation id, in order, duplicates merged; empty if the generator was told not to keep it."""

    entries: Counter[str] = field(default_factory=Counter)
    """Entries in the files, by conversation id."""

    messages: int = 0
    """Entries that are messages, duplicates included."""

    duplicates: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    rejected: int = 0


class Made(NamedTuple):
    """An entry and what must become of it: a message, a reason to skip it, or nothing (rejected)."""

    entry: Any
    outcome: Expected | str | None


class _Scene:
    """Makes the entries of one channel in the order of time."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.ts = ""
        self.roots: list[str] = []

    def words(self, most: int = 40) -> str:
        return " ".join(self.dice.choices(WORDS, k=self.dice.randint(2, most)))

    def person(self) -> tuple[str, str]:
        number = self.dice.randrange(len(PEOPLE))
        return f"U{number}", PEOPLE[number]

    def said(self, text: str, plain: str | None = None, *, thread: str | None = None, **fields: Any) -> Made:
        user, name = self.person()
        entry = slack_message(self.ts, text, user, thread_ts=thread or ..., **fields)
        return Made(entry, Expected(self.ts, user, name, "user", plain or text, thread))


def _modern(scene: _Scene) -> Made:
    text = scene.words()
    made = scene.said(text, blocks=rich_text(text, scene.ts), client_msg_id=f"{scene.dice.getrandbits(128):032x}")
    name = made.outcome.sender_name if isinstance(made.outcome, Expected) else ""
    profile = {
        "avatar_hash": "g1",
        "image_72": "https://avatars.example/2024/1/72.png",
        "first_name": name.split()[0],
        "real_name": name,
        "display_name": "",
        "team": "T1",
        "is_restricted": False,
        "is_ultra_restricted": False,
    }
    made.entry.update(team="T1", user_team="T1", source_team="T1", user_profile=profile)
    if scene.dice.random() < 0.1:
        scene.roots = [*scene.roots[-20:], scene.ts]
        made.entry.update(thread_ts=scene.ts, reply_count=2, replies=[{"user": "U1", "ts": scene.ts}])
        return made._replace(outcome=made.outcome._replace(thread_id=scene.ts))  # type: ignore[union-attr]
    return made


def _old(scene: _Scene) -> Made:
    return scene.said(scene.words())


def _reply(scene: _Scene) -> Made:
    root = scene.dice.choice(scene.roots or ["1600000000.000100"])  # an orphan if there is no root yet
    subtype = "thread_broadcast" if scene.dice.random() < 0.1 else ...
    return scene.said(scene.words(12), thread=root, parent_user_id="U1", subtype=subtype)


def _marked_up(scene: _Scene) -> Made:
    words = scene.words(10)
    return scene.said(
        f"<@U1> &amp; <!here>: {words} <https://x.example/a|the doc> in <#C0|channel-0> &lt;b&gt; <mailto:a@b.c|a@b.c>",
        f"@Bob Ray & @here: {words} the doc (https://x.example/a) in #channel-0 <b> a@b.c",
    )


def _edited(scene: _Scene) -> Made:
    return scene.said(scene.words(), edited={"user": "U1", "ts": scene.ts})


def _blocks_only(scene: _Scene) -> Made:
    text = scene.words()
    return scene.said("", text, blocks=rich_text(text))


def _with_file(scene: _Scene) -> Made:
    files = [
        {
            "id": "F1",
            "name": "plan.pdf",
            "title": "Plan",
            "mode": "hosted",
            "url_private": "https://f.example/?t=xoxe-1",
        },
        {"id": "F2", "mode": "tombstone"},
    ]
    text = scene.words(8)
    return scene.said(text, f"{text}\n[file: Plan]", files=files)


def _file_only(scene: _Scene) -> Made:
    return scene.said("", "[file: Plan]", files=[{"id": "F1", "name": "plan.pdf", "title": "Plan"}])


def _me(scene: _Scene) -> Made:
    made = scene.said(scene.words(5), subtype="me_message")
    outcome = made.outcome
    return made._replace(outcome=outcome._replace(text=f"{outcome.sender_name} {outcome.text}"))  # type: ignore[union-attr]


def _bot(scene: _Scene) -> Made:
    text = scene.words()
    entry = slack_message(scene.ts, "", ..., subtype="bot_message", bot_id="B1", attachments=[{"fallback": text}])
    return Made(entry, Expected(scene.ts, "B1", "Build Bot", "assistant", text, None))


def _bot_user(scene: _Scene) -> Made:
    text = scene.words(6)
    entry = slack_message(scene.ts, "build done", "UBOT", bot_id="B1", blocks=rich_text(text))
    return Made(entry, Expected(scene.ts, "UBOT", "Build Bot", "assistant", f"build done\n{text}", None))


def _guest(scene: _Scene) -> Made:
    text = scene.words()
    profile = {"real_name": "Eve Extern", "display_name": "", "team": "T9"}
    entry = slack_message(scene.ts, text, "U900", user_team="T9", user_profile=profile)
    return Made(entry, Expected(scene.ts, "U900", "Eve Extern", "user", text, None))


def _huddle(scene: _Scene) -> Made:
    room = {
        "created_by": "U0",
        "date_start": 1_700_000_000,
        "date_end": 1_700_000_290,
        "participant_history": ["U0", "U1"],
    }
    entry = slack_message(scene.ts, "A huddle started", "USLACKBOT", subtype="huddle_thread", room=room)
    return Made(entry, Expected(scene.ts, "U0", PEOPLE[0], "user", "Huddle, 5 min, with Ann Lee, Bob Ray", None))


def _new_subtype(scene: _Scene) -> Made:
    return scene.said(scene.words(), subtype="ai_recap")


def _preview_only(scene: _Scene) -> Made:
    text = scene.words(4)
    return scene.said(
        text, attachments=[{"from_url": "https://x.example", "text": "words of the page", "fallback": "page"}]
    )


def _system(scene: _Scene) -> Made:
    subtype = scene.dice.choice(["channel_join", "channel_topic", "pinned_item", "bot_add"])
    return Made(slack_message(scene.ts, "<@U1> did it", "U1", subtype=subtype), subtype)


def _tombstone(scene: _Scene) -> Made:
    entry = slack_message(scene.ts, "This message was deleted.", "USLACKBOT", subtype="tombstone", hidden=True)
    return Made(entry, "deleted")


def _event(scene: _Scene) -> Made:
    return Made(slack_message(scene.ts, ..., ..., subtype="message_changed", hidden=True), "event")


def _empty(scene: _Scene) -> Made:
    return Made(slack_message(scene.ts, " ", blocks=None, files=[{"mode": "hidden_by_limit"}]), "empty")


def _no_object(scene: _Scene) -> Made:
    return Made(scene.dice.choice([None, "text", 7, [], True]), None)


def _bad_ts(scene: _Scene) -> Made:
    return Made(slack_message(scene.dice.choice([..., None, "", "yesterday", "12", "17e8.1", [], {}])), None)


KINDS: dict[Callable[[_Scene], Made], float] = {
    _modern: 600,
    _old: 200,
    _reply: 80,
    _marked_up: 40,
    _edited: 10,
    _bot: 15,
    _bot_user: 10,
    _with_file: 10,
    _system: 10,
    _blocks_only: 4,
    _guest: 4,
    _file_only: 2,
    _preview_only: 2,
    _me: 2,
    _tombstone: 2,
    _event: 1,
    _huddle: 1,
    _new_subtype: 1,
    _empty: 1,
    _no_object: 1,
    _bad_ts: 1,
}
"""How often each kind of entry is made, in about a thousand."""


def generate(
    path: Path,
    *,
    messages: int,
    channels: int = 40,
    days: int = 365,
    seed: int = 0,
    keep: bool = True,
    awkward: bool = True,
) -> Truth:
    """
    Write an export with about ``messages`` entries and up to ``channels * days`` day files.

    A quarter of the entries is in one channel. ``path`` becomes a zip if it ends so, otherwise a folder.

    :param keep: Whether to keep the truth about each message; the counts are always kept.
    :param awkward: Whether to add private conversations, odd files and names besides the channels.
    """
    dice = random.Random(seed)
    truth = Truth()
    with _writer(path) as write:
        for name, content in _index_files(channels).items():
            write(name, content)
        share = messages * 0.75 / max(channels - 1, 1) / days
        for number in range(channels):
            rate = messages * 0.25 / days if number == 0 else share
            _write_channel(write, truth, dice, f"channel-{number}", days, rate, keep=keep)
        if awkward:
            _write_awkward(write, truth, dice)
    return truth


def _write_channel(
    write: Callable[[str, Any], None],
    truth: Truth,
    dice: random.Random,
    name: str,
    days: int,
    rate: float,
    *,
    keep: bool,
) -> None:
    scene = _Scene(dice)
    conversation_id = f"slack_{name}"
    kept: dict[str, Expected] = {}
    kinds, weights = list(KINDS), list(KINDS.values())
    for day in range(days):
        count = int(rate) + (dice.random() < rate - int(rate))
        moment_us = int((FIRST_DAY + timedelta(days=day)).timestamp()) * 1_000_000
        pace_us = 80_000_000_000 // max(count, 1)
        entries = []
        for make in dice.choices(kinds, weights, k=count):
            moment_us += 1 if dice.random() < 0.02 else dice.randint(1, pace_us)  # often within one millisecond
            scene.ts = f"{moment_us // 1_000_000}.{moment_us % 1_000_000:06d}"
            made = make(scene)
            entries.append(made.entry)
            _note(truth, made, kept, keep=keep)
            if isinstance(made.outcome, Expected) and dice.random() < 0.005:
                entries.append(_copy(made, kept, dice, keep=keep))
                truth.messages += 1
                truth.duplicates += 1
        if dice.random() < 0.05:
            dice.shuffle(entries)
        truth.entries[conversation_id] += len(entries)
        if entries:
            write(f"{name}/{FIRST_DAY + timedelta(days=day):%Y-%m-%d}.json", entries)
    if keep:
        truth.delivered[conversation_id] = [kept[ts] for ts in sorted(kept)]


def _note(truth: Truth, made: Made, kept: dict[str, Expected], *, keep: bool) -> None:
    if isinstance(made.outcome, Expected):
        truth.messages += 1
        if keep:
            kept[made.outcome.message_id] = made.outcome
    elif made.outcome:
        truth.skipped[made.outcome] += 1
    else:
        truth.rejected += 1


def _copy(made: Made, kept: dict[str, Expected], dice: random.Random, *, keep: bool) -> Any:
    """Return the same message once more: from a merged export, or from one made after an edit."""
    copy = made.entry | {"client_msg_id": "again"}
    if dice.random() < 0.5 and made.entry.get("text") == getattr(made.outcome, "text", ""):
        copy |= {"text": "after the edit", "edited": {"user": "U1", "ts": "1900000000.000000"}}
        if "blocks" in copy:
            copy["blocks"] = rich_text("after the edit")
        if keep:
            outcome = kept[made.entry["ts"]]
            kept[made.entry["ts"]] = outcome._replace(text="after the edit")
    return copy


def _index_files(channels: int) -> dict[str, Any]:
    bot = slack_user("UBOT", "Build Bot", is_bot=True, profile={"bot_id": "B1"})
    return {
        "channels.json": [slack_channel(f"C{number}", f"channel-{number}") for number in range(channels)]
        + [slack_channel("CJ", "チャネル"), slack_channel("CX", "without-folder")],
        "groups.json": [slack_channel("G1", "secret-plans")],
        "mpims.json": [slack_channel("G2", "mpdm-ann--bob--cleo-1")],
        "dms.json": [{"id": "D1", "members": ["U0", "U1"]}, {"id": "D2", "members": None}],
        "users.json": [*(slack_user(f"U{number}", name) for number, name in enumerate(PEOPLE)), bot],
        "integration_logs.json": [],
        "canvases.json": [{"id": "F9", "title": "no message"}],
    }


def _write_awkward(write: Callable[[str, Any], None], truth: Truth, dice: random.Random) -> None:
    scene = _Scene(dice)
    _write_channel(write, truth, dice, "チャネル", days=3, rate=2, keep=True)
    for folder in ("secret-plans", "mpdm-ann--bob--cleo-1", "D1", "in-no-index"):
        scene.ts = "1704200000.000100"
        entries = [_old(scene).entry for _ in range(3)]
        write(f"{folder}/2024-01-02.json", entries)
        truth.entries[f"slack_{folder}"] += len(entries)
        truth.skipped["private"] += len(entries)
    write("channel-0/canvas_in_the_conversation.json", [{"id": "F9", "title": "no message"}])
    write("channel-0/attachments/F1-notes.json", {"not": "messages"})
    write("channel-0/2099-01-01.json", b'[{"type": "message", "user": "U1", "text": "cut o')
    truth.entries["slack_channel-0"] += 1
    truth.rejected += 1


@contextmanager
def _writer(path: Path) -> Iterator[Callable[[str, Any], None]]:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:

            def write(name: str, content: Any) -> None:
                entry = UnflaggedName(name, (2026, 1, 1, 0, 0, 0))
                archive.writestr(entry, _encoded(content), zipfile.ZIP_DEFLATED, compresslevel=1)

            yield write
    else:

        def write(name: str, content: Any) -> None:
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(_encoded(content))

        yield write


def _encoded(content: Any) -> bytes:
    """Encode as Slack does, indented; twenty times faster than the standard library."""
    if isinstance(content, bytes):
        return content_of(content)
    return msgspec.json.format(msgspec.json.encode(content), indent=4).replace(b"/", b"\\/")


def main() -> None:
    """Write an export and print what is in it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--channels", type=int, default=40)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    truth = generate(**vars(arguments), keep=False)
    print(f"{truth.entries.total()} entries, {truth.messages} messages, {truth.rejected} broken")  # noqa: T201


if __name__ == "__main__":
    main()
