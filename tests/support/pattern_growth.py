"""
Finds patterns whose time grows faster than the text: ``python -m tests.support.pattern_growth`` prints them.

Patterns are found in the sources: those of modules, also inside of tables, and those written where they are used. Each
is tried the way it is used, on texts made of its own pieces: what it begins with, once or over and over, and then one
of its characters many times, and something it does not expect. Time is the processor's. Of
a pattern in linear time, a text eight times as long takes some eight times as long; of a quadratic one 64 times.
"""

import ast
import gc
import importlib
import re
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from re import _constants as ops  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
FOLDERS = (ROOT / "include", ROOT / "plugins" / "everos_provider")
METHODS = ("search", "match", "fullmatch", "sub", "subn", "split", "findall", "finditer")
SMALL, MIDDLE, LARGE = 300, 4_000, 100_000
"""Characters: of a first look, of the one that chooses the slowest texts, and of the largest text."""

MOST = 4
"""So many texts of a pattern, the slowest ones, are tried further."""

TIMES, FACTOR = 8, 2.5
"""A text so many times as long may take that many times as long, and this factor more: a square would be 8."""

MANY_TIMES, MANY_FACTOR = 16, 6
"""
A pattern that seems to grow too fast is tried once more on a text so many times as long, with a higher limit: a square
would be 16 times as much, and the memory of a long text alone makes a pattern in linear time twice as slow.
"""

LEAST_S = 0.001
"""Shorter times are not compared."""

CPU_S = 240


class Used(NamedTuple):
    """A pattern and how it is used."""

    where: str
    pattern: re.Pattern[Any]
    method: str


def used_patterns() -> Iterator[Used]:
    """Yield all patterns of the product, with each method that they are used with."""
    for folder in FOLDERS:
        for path in sorted(folder.rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            where = path.relative_to(ROOT).as_posix()
            methods = _methods(tree)
            for node, pattern in _written(tree):
                name = f"{where}:{node.lineno}"
                if (method := node.func.attr) != "compile":  # type: ignore[attr-defined]
                    yield Used(name, pattern, method)
            module = ".".join(path.relative_to(ROOT / "plugins" if "plugins" in where else ROOT).with_suffix("").parts)
            if path.name == "__main__.py" or "re.compile" not in path.read_text(encoding="utf-8"):
                continue
            found = vars(importlib.import_module(module.removesuffix(".__init__")))
            for attribute, value in found.items():
                for pattern in _patterns_in(value):
                    for method in methods.get(attribute) or ("sub",):
                        yield Used(f"{where} {attribute}", pattern, method)
            outside = {node.lineno for node in tree.body}
            for node, pattern in _written(tree):
                if node.func.attr == "compile" and node.lineno not in outside:  # type: ignore[attr-defined]
                    yield Used(f"{where}:{node.lineno}", pattern, "sub")


def _written(tree: ast.AST) -> Iterator[tuple[ast.Call, re.Pattern[Any]]]:
    """Yield the calls of ``re`` whose pattern is a constant."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "re"
            and node.func.attr in (*METHODS, "compile")
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            yield node, re.compile(node.args[0].value)


def _methods(tree: ast.AST) -> dict[str, set[str]]:
    """Return which methods are used of which name."""
    found: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.attr in METHODS:
            found.setdefault(node.value.id, set()).add(node.attr)
    return found


def _patterns_in(value: Any) -> Iterator[re.Pattern[Any]]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, tuple | list | set | frozenset):
        yield from _all_in(value)
    elif isinstance(value, dict):
        yield from _all_in(value.values())


def _all_in(values: Iterable[Any]) -> Iterator[re.Pattern[Any]]:
    for value in values:
        yield from _patterns_in(value)


def texts_of(pattern: re.Pattern[Any]) -> Iterator[Callable[[int], str]]:
    """Yield what makes a text of so many characters that the pattern may be slow on."""
    source = pattern.pattern.decode("latin-1") if isinstance(pattern.pattern, bytes) else pattern.pattern
    # of bytes, what stands for any text is not wanted
    parsed = _parser.parse(source, pattern.flags & ~re.UNICODE if isinstance(pattern.pattern, bytes) else pattern.flags)
    starts = sorted(set(_starts(parsed)), key=len)[:12]
    chars = sorted({*_chars(parsed), "a", " "})[:10]
    yield from (lambda n, c=char: c * n for char in chars)
    for start in starts:
        for char in chars:
            yield lambda n, s=start, c=char: s + c * (n - len(s)) + "\x00"
            yield lambda n, s=start, c=char: (s + c) * (n // (len(s) + 1)) + "\x00"
            yield lambda n, s=start, c=char: (c * 20 + s) * (n // (len(s) + 20)) + "\x00"


def _starts(parsed: Any) -> Iterator[str]:
    """Yield what the pattern matches up to each of its pieces."""
    so_far = [""]
    for op, argument in parsed:
        pieces = list(_shortest(op, argument))[:3] or [""]
        so_far = [f"{start}{piece}" for start in so_far for piece in pieces][:6]
        yield from (start for start in so_far if start)


def _shortest(op: Any, argument: Any) -> Iterator[str]:
    """Yield short texts that one piece matches."""
    if op in (ops.LITERAL, ops.NOT_LITERAL, ops.IN, ops.ANY, ops.RANGE, ops.CATEGORY):
        yield from list(_chars([(op, argument)]))[:2]
    elif op in (ops.MAX_REPEAT, ops.MIN_REPEAT, ops.POSSESSIVE_REPEAT):
        least, _, inside = argument
        yield from (text * max(1, min(least, 40)) for text in _path(inside))
    elif op is ops.SUBPATTERN:
        yield from _path(argument[3])
    elif op is ops.ATOMIC_GROUP:
        yield from _path(argument)
    elif op is ops.BRANCH:
        for branch in argument[1]:
            yield from _path(branch)


def _path(parsed: Any) -> list[str]:
    paths = [""]
    for op, argument in parsed:
        pieces = list(_shortest(op, argument))[:2] or [""]
        paths = [f"{path}{piece}" for path in paths for piece in pieces][:3]
    return paths


def _chars(parsed: Any) -> Iterator[str]:
    """Yield a character for each that a pattern names, and one of each class."""
    for op, argument in parsed:
        if op is ops.LITERAL:
            yield chr(argument)
        elif op in (ops.NOT_LITERAL, ops.ANY):
            yield "b"
        elif op is ops.RANGE:
            yield chr(argument[0])
        elif op is ops.CATEGORY:
            yield _OF_CATEGORY.get(argument, "-")
        elif op is ops.IN and argument[0][0] is ops.NEGATE:
            left_out = set(_chars(argument[1:]))
            yield next(char for char in "b1 -/=" if char not in left_out)
        elif op is ops.IN:
            yield from list(_chars(argument))[:4]
        else:
            for inside in _INSIDE.get(op, lambda _: ())(argument):
                yield from _chars(inside)


_OF_CATEGORY = {ops.CATEGORY_DIGIT: "1", ops.CATEGORY_SPACE: " ", ops.CATEGORY_WORD: "a"}

_INSIDE: Mapping[Any, Callable[[Any], Any]] = {
    **dict.fromkeys((ops.MAX_REPEAT, ops.MIN_REPEAT, ops.POSSESSIVE_REPEAT), lambda argument: argument[2:]),
    **dict.fromkeys((ops.ASSERT, ops.ASSERT_NOT), lambda argument: argument[1:]),
    ops.SUBPATTERN: lambda argument: argument[3:],
    ops.ATOMIC_GROUP: lambda argument: (argument,),
    ops.BRANCH: lambda argument: argument[1],
}
"""The patterns inside of a piece."""


def seconds(used: Used, text: str, times: int = 1) -> float:
    """Return the processor's time for one use, the shortest of a few."""
    subject: Any = text.encode("latin-1", "replace") if isinstance(used.pattern.pattern, bytes) else text
    method = getattr(used.pattern, used.method)
    act: Callable[[], object] = {
        "sub": lambda: method(subject[:0], subject),
        "subn": lambda: method(subject[:0], subject),
        "finditer": lambda: sum(1 for _ in method(subject)),
    }.get(used.method, lambda: method(subject))
    taken = []
    for _ in range(times):
        began = time.process_time()
        act()
        taken.append(time.process_time() - began)
    return min(taken)


def slow_text(used: Used) -> str | None:
    """
    Return a text that a pattern takes too long for, shortened; ``None`` if there is none.

    Other work on the machine makes a time longer, never shorter: a long time counts if it is the shortest of several.
    """
    by_time = []
    for text in texts_of(used.pattern):
        if seconds(used, text(SMALL)) > LEAST_S * 20 and seconds(used, text(SMALL), 3) > LEAST_S * 20:
            return repr(text(60))
        middle_s = seconds(used, text(MIDDLE))
        if middle_s > LEAST_S * 20 and _grows_too_fast(used, text):
            return repr(text(60))
        by_time.append((middle_s, text))
    by_time.sort(key=lambda pair: -pair[0])
    return next((repr(text(60)) for _, text in by_time[:MOST] if _grows_too_fast(used, text)), None)


def _grows_too_fast(used: Used, text: Callable[[int], str]) -> bool:
    size = SMALL
    while (short_s := seconds(used, text(size))) < LEAST_S:
        size *= 2
        if size > LARGE:
            return False
    if seconds(used, text(size * TIMES)) <= short_s * TIMES * FACTOR:
        return False
    text_s, long_s = seconds(used, text(size), 9), seconds(used, text(size * MANY_TIMES), 3)
    return long_s > text_s * MANY_TIMES * MANY_FACTOR


def main() -> int:
    """Print each pattern that grows too fast, with a text that shows it."""
    gc.disable()
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    sys.path[:0] = [str(ROOT), str(ROOT / "plugins")]
    count = 0
    for used in {(used.pattern, used.method): used for used in used_patterns()}.values():
        count += 1
        sys.stderr.write(f"{used.where} {used.method}\n")
        sys.stderr.flush()
        if text := slow_text(used):
            sys.stdout.write(f"{used.where} ({used.method}): {used.pattern.pattern!r} on {text}\n")
    sys.stderr.write(f"{count} uses of patterns tried\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
