"""
Loads one history into one EverOS in several layouts, asks the same questions of each, and prints what each is worth.

The server is the real self-hosted one in keyword mode, with the extractive stand-in for its language model: the figures
compare layouts, they are not those of a real model. It takes some minutes.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from include.local.everos import SelfHosted
from tests.recall.company import write_company
from tests.recall.locomo import write_locomo
from tests.recall.measuring import ARMS, WORDS, Figures, measure
from tests.recall.model import CountingModel

_COLUMNS = (
    "recall@5",
    *(f"@{words:,}w" for words in WORDS),
    f"1 owner@{WORDS[0]:,}w",
    "reach",
    "speaker",
    "stale",
    "copies",
    "forgotten",
    "owners",
    "calls/1000",
    "estimate",
    "seconds",
)


def main() -> int:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.recall", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--locomo", type=Path, metavar="FILE", help="locomo10.json, laid out as Slack, for the company")
    parser.add_argument("--samples", type=int, metavar="N", help="of LoCoMo, the first so many conversations (even)")
    parser.add_argument("--questions", type=int, metavar="N", help="of LoCoMo, so many questions, evenly from all")
    parser.add_argument("--arms", nargs="+", type=int, metavar="N", help="only these rows of the table, from 0")
    parser.add_argument(
        "--cell", type=int, metavar="N", help="cut episodes after N messages, too; 10 is usual for a model"
    )
    parser.add_argument("--kinds", action="store_true", help="a second table: the kinds of question")
    given = parser.parse_args()
    arms = [ARMS[number] for number in given.arms] if given.arms else ARMS
    with tempfile.TemporaryDirectory(prefix="recall-") as name:
        folder, model = Path(name), CountingModel(most_in_cell=given.cell)
        if given.locomo:
            recall_set = write_locomo(
                folder / "set", given.locomo, samples=given.samples, most_questions=given.questions
            )
        else:
            recall_set = write_company(folder / "set")
        print(f"{len(recall_set.speakers):,} messages in stories, {len(recall_set.questions):,} questions", flush=True)
        with model.running() as url, SelfHosted.running(folder / "server", model_base_url=url) as server:
            print_table(rows := [*_with_progress(measure(recall_set, arms, server, model, folder / "homes"))])
    if given.kinds:
        print_kinds(rows)
    return 0


def _with_progress(figures: Iterable[Figures]) -> Iterable[Figures]:
    for each in figures:
        print(f"{each.arm}:", *_cells(each), file=sys.stderr, flush=True)
        yield each


def print_table(figures: Sequence[Figures]) -> None:
    """Print a line per arm."""
    _print([["arm", *_COLUMNS], *([each.arm, *_cells(each)] for each in figures)])


def print_kinds(figures: Sequence[Figures]) -> None:
    """Print recall at the smaller number of words by kind of question, and calls of the model by kind of call."""
    kinds = list(figures[0].by_kind)
    _print([["arm", *kinds], *([each.arm, *(f"{each.by_kind[kind]:.2f}" for kind in kinds)] for each in figures)])
    calls = sorted({kind for each in figures for kind in each.call_kinds})
    _print([["arm", *calls], *([each.arm, *(str(each.call_kinds.get(kind, 0)) for kind in calls)] for each in figures)])


def _cells(figures: Figures) -> list[str]:
    error = figures.estimate_error
    return [
        f"{figures.at_5:.2f}",
        *(f"{share:.2f}" for share in figures.at_words.values()),
        f"{figures.one_owner:.2f}",
        f"{figures.reach:.0%}",
        f"{figures.right_speaker:.0%}",
        str(figures.stale),
        f"{figures.copies:.2f}",
        f"{figures.forgotten:.0%}",
        str(figures.owners),
        f"{figures.calls:,.0f}",
        "-" if error is None else f"{error:+.0%}",
        f"{figures.seconds:.0f}",
    ]


def _print(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    print()
    for first, *rest in rows:
        print(
            first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)), sep="  "
        )


if __name__ == "__main__":
    sys.exit(main())
