"""Counts of a gateway that is killed: exact, and told apart from those of one that lives."""

import subprocess
import sys
from pathlib import Path

import pytest

from softlaunch.ledger.counters import CounterFile, Owner, left_behind

OWNER = Owner("host-1-ab", "http://127.0.0.1:8800", 1000.0, "ledger-1")
KILLED = """
import os, signal, sys
from pathlib import Path
from softlaunch.ledger.counters import CounterFile, Owner
counts = CounterFile(Path(sys.argv[1]), Owner("host-9-cd", "http://127.0.0.1:8809", 7.0, "ledger-1"))
for number in range(1003):
    counts.begun("bot")
    if number >= 22:
        counts.ended("bot")
counts.begun("shop-2.b")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_counted_is_there_to_the_last_request(tmp_path: Path) -> None:
    """No call to the system comes between a count and the file."""
    assert subprocess.run([sys.executable, "-c", KILLED, tmp_path / "counts"], timeout=60, check=False).returncode == -9
    (found,) = left_behind(tmp_path / "counts")
    assert found.owner == Owner("host-9-cd", "http://127.0.0.1:8809", 7.0, "ledger-1")
    assert found.counts == {"bot": (1003, 981), "shop-2.b": (1, 0)}
    found.remove()
    assert list(left_behind(tmp_path / "counts")) == []


def test_the_file_of_one_that_lives_is_no_death(tmp_path: Path) -> None:
    """Its lock says so, also to this very process; when it has written all, nothing is left."""
    counts = CounterFile(tmp_path, OWNER)
    counts.begun("bot")
    assert list(left_behind(tmp_path)) == []
    assert counts.path.stat().st_mode & 0o777 == 0o600
    counts.remove()
    assert list(tmp_path.iterdir()) == []


def test_where_no_file_can_be_made_it_is_said(tmp_path: Path) -> None:
    """A folder that is a file; the gateway goes on without."""
    (tmp_path / "taken").write_text("")
    with pytest.raises(OSError, match=r"exists|directory"):
        CounterFile(tmp_path / "taken", OWNER)


def test_more_apps_than_there_is_room_for_are_left_out(tmp_path: Path) -> None:
    """The others count on, and nothing overflows."""
    counts = CounterFile(tmp_path, OWNER)
    for number in range(600):
        counts.begun(f"app-{number}")
        counts.ended(f"app-{number}")
    counts.begun("app-0")
    counts.begun("x" * 100)
    counts.path.with_suffix(".left").write_bytes(counts.path.read_bytes())
    counts.path.with_suffix(".left").rename(tmp_path / "other.counts")
    (found,) = left_behind(tmp_path)
    assert len(found.counts) == 512
    assert (found.counts["app-0"], found.counts["app-511"]) == ((2, 1), (1, 1))
    counts.remove()


def test_files_that_are_none_are_left_alone(tmp_path: Path) -> None:
    """Torn, empty or foreign ones."""
    (tmp_path / "a.counts").write_bytes(b"")
    (tmp_path / "b.counts").write_bytes(b"[1, 2]" + b"\0" * 4000)
    (tmp_path / "c.counts").write_bytes(b"{" * 5000)
    assert list(left_behind(tmp_path)) == []
    assert len(list(tmp_path.iterdir())) == 3
