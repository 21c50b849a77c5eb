"""
Prints the settings of EverOS as JSON, **with the key**, for a process that cannot import Airflow to read from a pipe.

``python -m everos_provider.print_settings [--from-database]``. The last line of standard output has them, or, with
status 1, an error. ``--from-database`` also reads connections that were made in the UI.
"""

import sys

import msgspec

from everos_provider.airflow_internals import read_connections_of_database
from everos_provider.hooks import EverOSHook
from include.errors import ChatImportError


def main() -> int:
    """Print them and return the exit status."""
    if "--from-database" in sys.argv:
        read_connections_of_database()
    try:
        line = msgspec.json.encode(EverOSHook().settings()).decode()
    except ChatImportError as error:
        sys.stdout.write(f"\n{error}\n")
        return 1
    sys.stdout.write(f"\n{line}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
