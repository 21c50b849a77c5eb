"""Makes Python environments with the packages of this one and the project's wheel, as ``pip install`` leaves them."""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from include.run_folder import PROJECT

SOURCES = ("dags", "include", "plugins", "scripts", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in")
"""What the wheel is built from."""

OURS = ("__editable__", "airflow_provider_everos")
"""Beginnings of the names in ``site-packages`` that belong to an installation of the project."""


def build_wheel(folder: Path) -> Path:
    """Build the wheel from a copy of the project, and return it."""
    source = folder / "source"
    for name in SOURCES:
        copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
        source.mkdir(parents=True, exist_ok=True)
        copy(PROJECT / name, source / name)
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source)
    [wheel] = folder.glob("*.whl")
    return wheel


def environment_with(wheel: Path, folder: Path) -> Path:
    """
    Return the interpreter of a new environment in which this wheel is installed.

    All other packages are links to those of this environment: installing them would take minutes.
    """
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    python = folder / "bin" / "python"
    here, there = (sysconfig.get_path("purelib", vars={"base": str(base)}) for base in (sys.prefix, folder))
    for package in Path(here).iterdir():
        if not package.name.startswith(OURS):
            (Path(there) / package.name).symlink_to(package)
    run(python, "-m", "pip", "install", "--no-deps", "--no-index", wheel)
    return python


def run(*argv: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Run a command and return its output; the test fails with all of it if the command fails."""
    done = subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv}\n{done.stdout}\n{done.stderr}"
    return done.stdout
