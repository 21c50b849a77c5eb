"""A preloaded module runs as it does without preloading."""

import json
import subprocess
import sys

from include.local.preloaded import LIBRARIES
from include.run_folder import PROJECT


def test_a_module_runs_with_its_own_arguments_and_finds_the_libraries_but_no_code_of_ours() -> None:
    probe = "import json, sys; print(json.dumps(list(sys.modules)))"
    argv = [sys.executable, "-m", "include.local.preloaded", "timeit", "-n1", "-r1", probe]
    done = subprocess.run(argv, cwd=PROJECT, capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout.splitlines()[0]))
    assert loaded >= set(LIBRARIES)
    assert not {module for module in loaded if module.startswith("include.parsers")}
