"""Preview, stand-in and ledger work for a user who is not root, and whose home cannot be written."""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.run_folder import PROJECT

SCRIPT = """
import os, sys
from pathlib import Path

import httpx

from include import steps
from include.local.commands import preview_source
from include.memory_api.settings import Settings
from include.standin import StandIn

samples, folder, uid = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])


def use(name):
    with StandIn.running(folder / name / "server") as server:
        httpx.get(f"{server.base_url}/standin/stats", trust_env=False).raise_for_status()
        steps.open_ledger(Settings(base_url=server.base_url, api_key="k").target)
    assert preview_source(samples, "", "2") == 0


# The interpreter may be where only root can read: everything is imported by a first use.
os.environ["EVEROS_IMPORT_HOME"] = str(folder / "first")
use("first")
os.environ["EVEROS_IMPORT_HOME"] = str(folder / "second" / "home")
os.setgroups([])
os.setgid(uid)
os.setuid(uid)
print("NOW", os.geteuid())
use("second")
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that other users can enter, unlike pytest's."""
    path = Path(tempfile.mkdtemp(prefix="other-users-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user; all tests run as another one anyway")
def test_a_user_who_is_not_root_can_preview_and_keep_a_ledger(folder: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    samples = folder / "samples"
    shutil.copytree(PROJECT / "include" / "samples", samples)
    for name in ("first", "second", "temporary"):
        (folder / name).mkdir()
        os.chown(folder / name, nobody.pw_uid, nobody.pw_gid)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, samples, folder, str(nobody.pw_uid)],
        env={**os.environ, "TMPDIR": str(folder / "temporary"), "HOME": "/nonexistent"},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.split(f"NOW {nobody.pw_uid}\n")
    assert first == second != ""
    written = [path for path in (folder / "second").rglob("*") if path.is_file()]
    assert written
    assert {path.owner() for path in written} == {"nobody"}
    assert list((folder / "temporary").iterdir()) == []
