"""
Compares texts of one Slack message, which may have the same words in several forms, so that each is given once.

Apps repeat the same words in ``text``, ``blocks`` and ``attachments``, with other marks. Two texts are compared
by their words in order, case included. Not compared: marks of emphasis, code and quotes, bullets, numbering, tones of
emoji, the address behind a label, HTML entities, punctuation, white space. Signs that change a meaning (``<``, ``-5``,
``%``) count as words. A part of up to two words repeats only a whole line, since so few words also occur by chance.
A part that ends in an ellipsis, as notifications that are cut do, repeats a text that continues from there.
"""

import html
import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

_SHORT = 2
"""Up to so many words a part must equal a line."""

_RUN = 500
"""Words up to which lines are compared together: bounds the work for a hostile message."""

_LINE_START = re.compile(r"^[ \t]*(?:>[ \t]?)*[ \t]*(?:[*+•◦▪‣●○■□·–-][ \t]+)?")  # noqa: RUF001
_NUMBERING = re.compile(r"^(?:\d{1,4}|[a-z]|[ivx]{1,5})[.)][ \t]+")
_ADDRESS = r"(?:[a-z][a-z0-9+.-]*://|mailto:|tel:)[^\s()]*(?:\([^\s()]*\)[^\s()]*)*"
_LABEL, _LABELS = r"\S+(?: \S+){0,11}", 3
"""Words of a label, and labels in a line: bounds the work for a hostile message."""
_IN_PARENTHESES = re.compile(r"(?<=\S) \(([a-z]+://[^\s()]+)\)")
_LABELLED = re.compile(rf"(?<=\S) \({_ADDRESS}\)")
_MARKDOWN_LINK = re.compile(rf"\[([^\[\]\n]{{1,300}})\]\({_ADDRESS}\)")

_NO_WORDS = "*_~`.,:;!()[]{}\"'“”‘’„«»|@#-–—…•◦▪‣●○■□·\u200b\u200c\u200d\ufe0f\u2060\ufeff"  # noqa: RUF001
_TOKEN = re.compile(
    r"(?<!\w):[\w+'-]+:(?::skin-tone-\d:)?"  # name of an emoji
    r"|[\U0001F1E6-\U0001F1FF]{2}"
    r"|[\u231A-\u23FF\u2600-\u27BF\u2B00-\u2BFF\U0001F000-\U0001FAFF](?:\uFE0F|[\U0001F3FB-\U0001F3FF]|\u200D.)*"
    r"|https?://[^\s<>|()]+"
    r"|[^\W_]+(?:(?<=\d)[.,:](?=\d)[^\W_]+)*"  # word, number
    r"|(?<!\w)-(?=\d)"
    rf"|[^\w\s{re.escape(_NO_WORDS)}]"
)
_NAME, _SIGN, _ANY = "\ue000", "\ue001", "\ue002"
"""First characters of an emoji's name and of an emoji, and what stands for either."""
_EMOJI = (_NAME, _SIGN)
_NAMES, _SIGNS = re.compile(rf"{_NAME}\S+"), re.compile(rf"{_SIGN}\S+")

_ELLIPSIS = ("…", "...")

_FOR_OTHER_CLIENTS = frozenset(
    {
        # ``fallback`` of an attachment that has only blocks (exports of 2019 to 2026)
        "no preview available",
        "no preview",
        # ``text`` of a message that has only blocks (https://docs.slack.dev/reference/methods/chat.postMessage)
        "this content can't be displayed",
        "this message contains interactive elements",
        "this message can't be displayed",
        "you have a new message",
        # in place of a deleted message, in copies of it too
        "this message was deleted",
        # root of a conversation with an app (https://docs.slack.dev/reference/events/message/assistant_app_thread)
        "new assistant thread",
    }
)
_CANNOT_SHOW = re.compile(
    r"(?:please )?(?:upgrade|update) your (?:slack )?(?:client|app)\b.*"
    r"|(?:sorry, )?(?:your|this) (?:slack )?(?:client|device|app) (?:can(?:'|no)t|does(?:n't| not)) "
    r"(?:show|display|support)\b.*"
    r"|required plain-?text summary(?: of the attachment)?\.?"
)
"""``fallback`` of attachments with buttons, as samples in Slack's documentation have it and apps copied it."""

_PICTURE_SIZE = re.compile(r"\d+x\d+px image")
"""``fallback`` of a link to a picture."""


def is_for_other_clients(text: str) -> bool:
    """Return whether a text is Slack's sentence for clients that cannot show the message."""
    if len(text) > 80:
        return False
    plain = text.replace("’", "'").strip(" []().!\n").casefold()  # noqa: RUF001
    return plain in _FOR_OTHER_CLIENTS or _PICTURE_SIZE.fullmatch(plain) is not None


def asks_for_another_client(text: str) -> bool:
    """Return whether a ``fallback`` is only a hint that a client cannot show the rest; a ``text`` may mean it."""
    return is_for_other_clients(text) or _CANNOT_SHOW.fullmatch(text.replace("’", "'").casefold()) is not None  # noqa: RUF001


def joined(text: str, more: str, *, summary: bool = False) -> str:
    """
    Append what ``more`` adds to ``text``; lines of ``text`` that a line of ``more`` has with more words are replaced.

    :param summary: Whether ``text`` was made from ``more``: then short parts of ``more`` in it are repeats.
    """
    if not text.strip() or not more.strip():
        return text or more
    if _text(text).shares_nothing(more) and not ("://" in text and "://" in more):
        return f"{text}\n{more}"
    if repeats(text, more):
        return text
    if repeats(more, text):
        return more
    fresh = unsaid(text, more, summary=summary)
    if not fresh:
        return text
    old: list[str | None] = list(text.split("\n"))
    shorter = [
        (number, _needle(line or "", words))
        for number, line in enumerate(old)
        if len(words := _line(line or "").all) > _SHORT or (words and "://" in words[-1])
    ]
    new: list[str] = []
    for line in fresh.split("\n"):
        longer = _spaced(_line(line).all)
        said = [number for number, words in shorter if _contains(longer, words) or _labels(line, longer, words)]
        for number in said:
            old[number] = None
        if said:
            old[said[0]] = line
        else:
            new.append(line)
    return "\n".join(line for line in (*old, *new) if line is not None)


def repeats(text: str, part: str) -> bool:
    """Return whether ``text`` has all words of ``part``, in this order."""
    words = _Words.of(part.split("\n"))
    if not words.all:
        return False
    cut = len(words.all) > _SHORT and part.rstrip().endswith(_ELLIPSIS)
    return _text(text).has(words, _SHORT) or (cut and _text(text).goes_on_from(words))


def unsaid(text: str, more: str, *, summary: bool = False) -> str:
    """
    Return the lines of ``more`` that ``text`` does not have; lines that are together there may be short.

    :param summary: As in :func:`joined`.
    """
    if not text or not more or _text(text).shares_nothing(more):
        return more
    said, short = _text(text), 0 if summary else _SHORT
    lines = more.split("\n")
    kept: list[str] = []
    start = 0
    while start < len(lines):
        end = said.end_of_run(lines, start, short)
        if end == start:
            line = lines[start]
            if _line(line).all or (kept if not line.strip() else not said.has_line(line)):
                kept.append(line)
            end += 1
        start = end
    return "\n".join(kept).strip("\n")


def says_more(summary: str, rest: str) -> bool:
    """Return whether a summary has a word that the rest has not, in any order and case; a cut word does not count."""
    words = [word.casefold() for line in summary.split("\n") for word in _line(line).all if word[0].isalnum()]
    if summary.rstrip().endswith(_ELLIPSIS):
        words = words[:-1]
    return not set(words) <= {word.casefold() for word in _tokens(rest)}


class _Words(NamedTuple):
    """The words of a text that are compared."""

    all: tuple[str, ...]
    bare: tuple[str, ...]
    """Without numbers of lists."""

    @classmethod
    def of(cls, lines: Sequence[str]) -> "_Words":
        """Return the words of lines."""
        found = [_line(line) for line in lines]
        if len(found) == 1:
            return found[0]
        return cls(tuple(chain(*(line.all for line in found))), tuple(chain(*(line.bare for line in found))))


class _Text:
    """The words of a text, to look for others in it."""

    def __init__(self, text: str) -> None:
        lines = text.split("\n")
        words = _Words.of(lines)
        self._all = _spaced(words.all)
        self._bare = self._all if words.bare is words.all else _spaced(words.bare)
        self._lines = {_spaced(_line(line).all) for line in lines}
        self._words = frozenset(words.all)
        self._marks = frozenset(line.strip() for line in lines)

    def shares_nothing(self, text: str) -> bool:
        """Return whether a text surely has no word of this one; an emoji may have another name."""
        words = _text(text)._words
        return bool(words) and self._words.isdisjoint(words) and not any(word[0] in _EMOJI for word in words)

    def has_line(self, line: str) -> bool:
        """Return whether the text has this line, marks included."""
        return line.strip() in self._marks

    def has(self, words: _Words, short: int) -> bool:
        """Return whether the text has the words in a row; up to ``short`` words must be a line."""
        if len(words.all) <= short:
            needle = _spaced(words.all)
            return any(_equal(needle, line) for line in (self._all, *self._lines))
        return _contains(self._all, _spaced(words.all)) or (
            len(words.bare) > short and _contains(self._bare, _spaced(words.bare))
        )

    def goes_on_from(self, words: _Words) -> bool:
        """Return whether the text has the words in a row; of the last one, the beginning of a word is enough."""
        return _contains(self._all, _spaced(words.all).rstrip())

    def end_of_run(self, lines: Sequence[str], start: int, short: int) -> int:
        """Return the end of the longest run of lines that the text has; ``start`` if it lacks the first."""
        words, end = _Words((), ()), start
        for number in range(start, len(lines)):
            line = _line(lines[number])
            words = _Words(words.all + line.all, words.bare + line.bare)
            if not words.all:
                continue
            if self.has(words, short):
                end = number + 1
                if len(words.all) > _RUN:
                    break
            elif not (_contains(self._all, _spaced(words.all)) or _contains(self._bare, _spaced(words.bare))):
                break
        return end


_text = lru_cache(maxsize=128)(_Text)


def _contains(text: str, part: str) -> bool:
    """Return whether spaced words are in others; an emoji's name counts as equal to any sign."""
    if part in text:
        return True
    if _SIGN in part or _SIGN in text:
        return _NAMES.sub(_ANY, part) in _SIGNS.sub(_ANY, text) or _SIGNS.sub(_ANY, part) in _NAMES.sub(_ANY, text)
    return False


def _labels(line: str, longer: str, words: str) -> bool:
    """Return whether a line has the spaced words with labels for addresses: ``the plan (https://x.example)``."""
    if "://" not in words or "://" not in line:
        return False
    labelled = {address.rstrip("/") for address in _IN_PARENTHESES.findall(line)}
    parts = [_LABEL if word in labelled else re.escape(word) for word in words.split()]
    return 0 < parts.count(_LABEL) <= _LABELS and re.search(rf"(?<= ){' '.join(parts)}(?= )", longer) is not None


def _equal(one: str, other: str) -> bool:
    return one == other or (len(one.split()) == len(other.split()) and _contains(one, other))


def _spaced(words: Sequence[str]) -> str:
    """Return words between single spaces, so that one such text is in another only as whole words."""
    return f" {' '.join(words)} "


def _needle(line: str, words: Sequence[str]) -> str:
    """Return spaced words; after the last word of a cut line, letters may follow."""
    return _spaced(words).rstrip() if line.rstrip().endswith(_ELLIPSIS) else _spaced(words)


@lru_cache(maxsize=512)  # the lines of one message are compared several times
def _line(line: str) -> _Words:
    if "&" in line:
        line = html.unescape(line)
    line = _LINE_START.sub("", line)
    if "://" in line or "mailto:" in line or "tel:" in line:
        line = _MARKDOWN_LINK.sub(r"\1", _LABELLED.sub("", line))
    words = _tokens(line)
    numbering = _NUMBERING.match(line)
    return _Words(words, _tokens(line[numbering.end() :]) if numbering else words)


def _tokens(text: str) -> tuple[str, ...]:
    words = _TOKEN.findall(text)
    if ":" in text or not text.isascii():
        words = [word for token in words if (word := _normal(token))]
    return tuple(words)


def _normal(token: str) -> str:
    """Return an address without a slash at its end, an emoji without its tone, and any other token as it is."""
    if token[0] == ":":
        name = token[1:].partition(":")[0]
        return "" if name.startswith("skin-tone-") else _NAME + name
    if token.startswith(("http://", "https://")):
        return token.rstrip("/.,;:!?*_~`'\"")
    return _SIGN + token[0] if token[0] >= "\u231a" and not token[0].isalnum() else token
