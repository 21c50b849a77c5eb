"""Rules of the locks, whose errors only show on another machine."""

import re

import pytest

from include.run_folder import PROJECT

LOCKS = {path.name: path.read_text() for path in PROJECT.glob("requirements*.txt")}


def pins(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==(\S+)", LOCKS[lock], re.MULTILINE))


@pytest.mark.parametrize("lock", LOCKS)
def test_locks_name_exact_versions_with_their_digests_and_no_machine(lock: str) -> None:
    text = re.sub(r" *\\\n\s+", " ", LOCKS[lock])  # a pin and its digests in one line
    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    pin = re.compile(r"[\w.-]+==\S+( ; [^\\]+?)?( --hash=sha256:[0-9a-f]{64})+$")
    assert lines
    assert [line for line in lines if not pin.match(line)] == []


def test_everything_that_installs_a_lock_asks_for_the_digests() -> None:
    for name in ("Makefile", "Dockerfile", "scripts/environment"):
        text = re.sub(r"\\\n\s+", "", (PROJECT / name).read_text())
        installs = [
            line for line in text.splitlines() if re.search(r"pip install .*(--requirement|requirements)", line)
        ]
        assert installs, name
        assert [line for line in installs if "--require-hashes" not in line] == []


def test_the_image_has_what_the_tests_ran_with() -> None:
    here, image = pins("requirements.txt"), pins("requirements-distributed.txt")
    assert {name: version for name, version in here.items() if image.get(name) != version} == {}


def test_the_server_and_the_sdk_of_the_same_name_stay_apart() -> None:
    assert pins("requirements.txt")["everos"].startswith("0.")
    assert pins("requirements-selfhosted.txt")["everos"].startswith("1.")
