"""The file that releases are kept in, and the tables made of it."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gates import lines, measure
from benchmarks.gates.contest import Tuning
from benchmarks.gates.model import Levels
from benchmarks.gates.thresholds import naive_argo, naive_flagger

UNTUNED = Tuning(naive_argo(Levels()), naive_flagger(Levels()))


def _task(run: int, judge: str = "yeast") -> lines.Task:
    return lines.Task("latency x5", judge, 1, run, UNTUNED)


def _kept(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.long
def test_a_file_of_releases_is_gone_on_with(tmp_path: Path) -> None:
    """What is there isn't run again, whatever number of processes it came from; time that is up begins nothing."""
    path = tmp_path / "releases.jsonl"
    assert lines.measure([_task(0), _task(1)], 2, path, float("inf")) == 2
    _, there, _ = lines.gathered(lines.lines([path]))
    packed = tmp_path / "figures.jsonl.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert lines.gathered(lines.lines([packed]))[1] == there
    assert {task.run for task in (_task(run) for run in range(4)) if task.key not in there} == {2, 3}
    assert lines.measure([_task(2)], 1, path, 0.0) == 0
    again = {**lines.perform(_task(1)), "cpu_s": 0}
    assert again in [{**line, "cpu_s": 0} for line in _kept(path)]


def test_lines_of_other_code_and_cut_off_ones_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A release counts once, and only if its world, its judge and the simulation are what they were."""
    line = lines.perform(_task(0))
    path = tmp_path / "releases.jsonl"
    stale = {**line, "run": 1, "code": "before"}
    path.write_text("\n".join([json.dumps(line), json.dumps(line), json.dumps(stale), '{"world": "lat']))
    found, keys, others = lines.gathered(lines.lines([path]))
    assert (len(found["latency x5", "yeast"]), len(keys), others) == (1, 1, 1)
    assert "cut off" in capsys.readouterr().err


def _line(world: str, **of: Any) -> dict[str, Any]:
    usual = {
        "end": "rolled back",
        "exposed": 100,
        "harmed": 100,
        "before_full": None,
        "stage": 1,
        "blamed": "errors",
        "harmed_units": 20,
        "harmed_seconds": 50.0,
        "seconds": 60.0,
        "cpu_s": 0.5,
    }
    keys = {"world": world, "judge": "softlaunch", "seed": 1, "code": lines.code(world, "softlaunch")}
    return {**keys, **usual, **of}


def test_tables_tell_catches_from_false_rollbacks_and_what_was_wanted() -> None:
    """A rollback before the harm is none of the caught; rates have bounds, lengths have medians."""
    world = "300 users: latency x3 after 2 min"
    found, _, _ = lines.gathered(
        [_line(world, run=run) for run in range(3)]
        + [_line(world, run=3, harmed=None, harmed_units=None, harmed_seconds=None)]
        + [_line("5 a user: fine", run=0)]
    )
    shown = measure.tables(found)
    assert f"| {world} | softlaunch | 4 | 75 % (24.9-98.7 %) | 25 % (1.27-75.1 %) | 0 % (0-52.7 %) |" in shown
    assert "| 100 / 100 | 20 / 20 | 50 / 50 |" in shown
    assert f"| {world}: at most 60 seconds until rollback (median) | 50 | yes |" in shown
    assert "| 5 a user: fine: rolled back in at most 1 % (95 % bound) | 100 % (1/1) | no |" in shown
    assert "| 5 a user: fine: promoted in at least 85 % | 0 % | no |" in shown


def test_a_world_is_named_whole_or_by_how_it_begins() -> None:
    """A whole name means that world alone, even where others begin so; a strange one ends with what there is."""
    known = ["latency x2", "latency x2 from 50 %", "null"]
    assert measure.chosen(["latency x2"], known, "world") == ["latency x2"]
    assert measure.chosen(["null", "lat"], known, "world") == known
    with pytest.raises(SystemExit, match="no world begins with 'cost'; there are: latency x2;"):
        measure.chosen(["cost"], known, "world")
