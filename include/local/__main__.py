"""The commands behind the Makefile: ``python -m include.local demo | up | import | preview | ask``."""

import argparse
import contextlib
import signal
import sys
from types import FrameType

from dotenv import load_dotenv

from include import files
from include.errors import ChatImportError, NotSent, PermanentError
from include.local.commands import ask_memory, demo, import_source, preview_source, up_for_own_target
from include.local.screen import wrapped
from include.local.targets import TARGETS
from include.run_folder import PROJECT

_CANNOT_WORK = 2
"""The command was refused; argparse exits with it, too."""

OWN = "mine"
"""Target of ``make up``: none is started, and no run."""

_INTERRUPTED = 130


def main() -> int:
    """Run one command and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m include.local")
    commands = parser.add_subparsers(dest="command", required=True)
    demo_or_up = [
        commands.add_parser("demo", help="load the sample exports into a self-hosted EverOS, ask it a question, stop"),
        commands.add_parser("up", help="the same, and leave it running until Ctrl-C"),
    ]
    for each, more in zip(demo_or_up, ("", f"; {OWN}: the connection that you make in Airflow"), strict=True):
        each.add_argument("--target", default="", help=f"{' or '.join(TARGETS)}; the first is the default{more}")
    importing = commands.add_parser("import", help="load an export into your EverOS")
    previewing = commands.add_parser("preview", help="show what an import would send: conversations and messages")
    previewing.add_argument("--messages", default="", help="number of messages to show; default: 20")
    for each in (importing, previewing):
        each.add_argument("source", help="export: a file or a folder")
        each.add_argument("--conf", default="", help="more parameters of the run, as a JSON object")
    asking = commands.add_parser("ask", help="ask the memory that imports have made")
    asking.add_argument("question")
    asking.add_argument("--in", dest="place", default="", help="ask this conversation only; its id or name")
    asking.add_argument("--limit", type=int, default=5, help="number of answers")
    asking.add_argument("--private", action="store_true", help="ask private conversations and personal histories, too")
    asking.add_argument("--target", default="", help=f"{' or '.join(TARGETS)}; by default the one of `import`")
    given = parser.parse_args()

    load_dotenv(PROJECT / ".env")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    try:
        return _run(given)
    except (ChatImportError, OSError) as error:
        for line in _lines(error):
            print(line, file=sys.stderr)
        return _CANNOT_WORK if isinstance(error, PermanentError | NotSent) else 1
    except KeyboardInterrupt:
        with contextlib.suppress(OSError):
            print("\nStopped.", flush=True)
        return 0 if given.command == "up" else _INTERRUPTED


def _run(given: argparse.Namespace) -> int:
    """Run the command and return its exit status."""
    if given.command == "import":
        return import_source(given.source, given.conf)
    if given.command == "preview":
        return preview_source(given.source, given.conf, given.messages)
    if given.command == "ask":
        return ask_memory(
            given.question, place=given.place, limit=given.limit, private=given.private, target=given.target
        )
    is_up = given.command == "up"
    if is_up and given.target == OWN:
        up_for_own_target()
    return demo(given.target or next(iter(TARGETS)), stay=is_up)


def _lines(error: ChatImportError | OSError) -> list[str]:
    """Return cause and remedy; messages of several lines, with the end of a log, stay as they are."""
    if isinstance(error, OSError):  # of the state folder: a full disk, missing permissions
        place = error.filename or "a file of the state folder, or the terminal"
        cause, remedy = f"{place}: {error.strerror or error}; the command has stopped.", files.REMEDY
    elif "\n" in str(error):
        return [f"error: {error}"]
    else:
        cause, remedy = error.cause, error.remedy
    return [wrapped(f"error: {cause}"), *([wrapped(remedy, "  ")] if remedy else [])]


def _end(number: int, _: FrameType | None) -> None:
    """Exit through the ``finally`` blocks."""
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
