"""The server's own environment: ``everos`` >= 1 is the server, and the SDK that this project uses has the same name."""

import subprocess
from pathlib import Path

from include.errors import ChatImportError
from include.layout import PROJECT

ENVIRONMENT = PROJECT / ".venv-selfhosted"


class NotInstalled(ChatImportError):
    """The server's environment could not be made; nothing was started."""


def prepared() -> Path:
    """
    Return the environment's folder, made by ``scripts/environment selfhosted`` where it is missing or out of date.

    That takes half a minute to some minutes the first time, and the script says so; afterwards it returns at once.

    :raises NotInstalled: The script has said why.
    """
    made = subprocess.run([PROJECT / "scripts" / "environment", "selfhosted"], check=False)
    if made.returncode != 0:
        raise NotInstalled("the self-hosted EverOS could not be installed; the lines above say why")
    return ENVIRONMENT
