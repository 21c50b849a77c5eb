"""Start the stand-in: ``python -m include.standin --port 8100 --data DIR``."""

import argparse
import asyncio
import sys
from pathlib import Path

from include.standin.server import serve
from include.standin.settings import EPISODE_MESSAGES, Latency, Settings


def main() -> None:
    """Read the command line and serve until interrupted. The one line on stdout says what runs and where."""
    parser = argparse.ArgumentParser(
        prog="python -m include.standin",
        description="A STAND-IN for the EverOS v1 API, for tests and demos. Not EverOS.",
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one and prints it (default)")
    parser.add_argument("--data", type=Path, required=True, help="folder that keeps everything between starts")
    parser.add_argument("--key", help="the one API key to accept; without it any key will do")
    parser.add_argument("--latency-s", type=float, default=0.0, help="work for each batch")
    parser.add_argument("--latency-per-message-s", type=float, default=0.0, help="work for each message of a batch")
    parser.add_argument("--flush-s", type=float, default=0.0, help="work for each flush")
    parser.add_argument("--task-kept-s", type=float, default=3600.0, help="after this a task answers 404")
    parser.add_argument("--episode-messages", type=int, default=EPISODE_MESSAGES, help="longest episode")
    given = parser.parse_args()
    latency = Latency(base_s=given.latency_s, per_message_s=given.latency_per_message_s, flush_s=given.flush_s)
    settings = Settings(
        latency=latency, key=given.key, task_kept_s=given.task_kept_s, episode_messages=given.episode_messages
    )

    def ready(base_url: str) -> None:
        print(f"STAND-IN for EverOS v1 (not EverOS) at {base_url}, data in {given.data}", flush=True)

    try:
        asyncio.run(serve(given.host, given.port, given.data, settings, ready))
    except KeyboardInterrupt:  # uvicorn raises it again after it has stopped in good order
        pass
    except OSError as error:
        sys.exit(f"The stand-in cannot serve {given.host}:{given.port} from {given.data}: {error}")


if __name__ == "__main__":
    main()
