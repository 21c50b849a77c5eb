"""Notes the target of a run in its folder, for the page of a run that has sent nothing yet."""

import msgspec

from include.files import write_private
from include.run_folder import RunFolder


def write_target(run: RunFolder, address: str, origin: str) -> None:
    """Write the target's address and the place of its settings."""
    run.make()
    write_private(run.target, msgspec.json.encode({"target": address, "target_from": origin}))


def read_target(run: RunFolder) -> dict[str, str]:
    """Return ``target`` and ``target_from``, nothing for a run that has not begun."""
    return msgspec.json.decode(run.target.read_bytes(), type=dict[str, str]) if run.target.exists() else {}
