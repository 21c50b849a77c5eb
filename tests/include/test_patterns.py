"""Rules of regular expressions: all of ours take linear time, whatever text they are used on."""

import os
import re
import subprocess
import sys

import pytest

from include.parsers.slack.authors import _BOT_ADDED
from include.parsers.slack.layout import _TXT
from tests.support import pattern_growth
from tests.support.pattern_growth import Used, slow_text

KEPT_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**30), "MALLOC_TRIM_THRESHOLD_": str(2**32)}
"""Without it, glibc returns the memory of each use to the system, and getting it again takes longer than the use."""


def test_no_pattern_takes_more_than_linear_time() -> None:
    command = [sys.executable, pattern_growth.__file__]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | KEPT_MEMORY)
    assert done.returncode == 0, f"killed at {done.stderr[-300:]}"
    assert done.stdout == ""
    assert int(done.stderr.splitlines()[-1].split()[0]) > 60


@pytest.mark.parametrize(
    ("pattern", "method"),
    [
        (r"[^/]+/$", "sub"),
        (r"/services/(B[0-9A-Z]+)[^|<>]*\|([^<>]+)>", "findall"),
        (r"\s+$", "search"),
        (r"((?:.*/)?)(?:channels|dms)/.+\.txt", "fullmatch"),
        (r"<!--.*?-->", "search"),
    ],
)
def test_a_pattern_in_quadratic_time_is_found(pattern: str, method: str) -> None:
    assert slow_text(Used("here", re.compile(pattern), method))


def test_the_name_of_an_added_bot_is_read_as_before() -> None:
    text = "added an integration: <https://acme.slack.com/services/B024BE7LH|Build bot> and <x/services/B1|Two>"
    assert _BOT_ADDED.findall(text) == [("B024BE7LH", "Build bot"), ("B1", "Two")]
    assert _BOT_ADDED.findall("/services/B1 without a name") == []


@pytest.mark.parametrize(
    ("name", "folder"),
    [("acme/channels/general.txt", "acme/"), ("dms/bo.txt", ""), ("a/channels/b/channels/c.txt", "a/channels/b/")],
)
def test_a_text_export_is_known_by_its_path(name: str, folder: str) -> None:
    found = _TXT.fullmatch(name)
    assert found
    assert found[1] == folder
    assert not _TXT.fullmatch(f"{name}.json")
