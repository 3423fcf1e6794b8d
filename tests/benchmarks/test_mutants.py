"""The mutation run: which changes it makes, which tests it chooses, and that it leaves the work tree alone."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from coverage import CoverageData

from benchmarks.mutants.__main__ import Tried, draw, read_sources, summary_of, try_one
from benchmarks.mutants.changes import Change, changes_of, makes_a_difference
from benchmarks.mutants.covering import Covering, measure
from benchmarks.mutants.tree import Outcome, Tree, copied_tree


def changed(source: str, kind: str) -> list[str]:
    """The source with each change of a kind."""
    return [change.apply(source) for change in changes_of(source) if change.kind == kind]


@pytest.mark.parametrize(
    ("kind", "source", "expected"),
    [
        pytest.param("comparison", "x = a < b <= c", ["x = (a <= b <= c)", "x = (a < b < c)"], id="boundaries"),
        pytest.param("comparison", "x = a is b", ["x = (a is not b)"], id="identity"),
        pytest.param("arithmetic", "x = a + b * c", ["x = (a - b * c)", "x = a + (b / c)"], id="arithmetic"),
        pytest.param("arithmetic", "x += 1", ["x -= 1", "x = 1"], id="in place"),
        pytest.param("boolean", "x = a and b", ["x = (a or b)"], id="and"),
        pytest.param("dropped condition", "x = a or b", ["x = (b)", "x = (a)"], id="one of two conditions"),
        pytest.param("dropped not", "x = not a", ["x = (a)"], id="not"),
        pytest.param("constant", "x = 2", ["x = (3)", "x = (4)"], id="a number"),
        pytest.param("constant", "x = f(on=True)", ["x = f(on=(False))"], id="a flag"),
        pytest.param("swapped branches", "x = a if b else c", ["x = (c if b else a)"], id="branches"),
        pytest.param("negated condition", "if f(x):\n    y = 1", ["if (not f(x)):\n    y = 1"], id="a condition"),
        pytest.param("removed statement", "x.y = 1\nf()", ["pass\nf()", "x.y = 1\npass"], id="statements"),
        pytest.param("returned None", "def f():\n    return x", ["def f():\n    return None"], id="a value returned"),
        pytest.param("comparison", 'x = "ü" + y[a > "é"]', ["x = \"ü\" + y[(a >= 'é')]"], id="behind what isn't ASCII"),
    ],
)
def test_a_change_replaces_just_what_it_names(kind: str, source: str, expected: list[str]) -> None:
    """Everything else in the file stays as it was written."""
    assert sorted(changed(source, kind)) == sorted(expected)


@pytest.mark.parametrize(
    "source",
    [
        pytest.param('"""A docstring."""\nx = "text"', id="text"),
        pytest.param("_LOGGER.warning('%d', 3)", id="the program's log"),
        pytest.param("def f(x: Literal[3]) -> Literal[4]: ...", id="types"),
        pytest.param("@retry(3)\nclass A(B): ...", id="decorators"),
        pytest.param("x = f'{a < 3}'", id="f-strings, whose parts Python 3.11 can't place"),
        pytest.param("def f():\n    return None", id="nothing returned"),
    ],
)
def test_what_no_test_should_have_to_notice_is_left_alone(source: str) -> None:
    """Words, types and what is only told."""
    assert changes_of(source) == []


def test_an_error_may_be_dropped_but_not_reworded() -> None:
    """Whether it is raised is behaviour, what it says is text."""
    assert changed("def f():\n    raise E(1)", "removed statement") == ["def f():\n    pass"]
    assert changed("def f():\n    raise E(1)", "constant") == []


@pytest.mark.long
def test_every_change_of_this_tool_is_valid_python() -> None:
    """On real sources, its own."""
    for path in Path(__file__).parents[2].glob("benchmarks/mutants/*.py"):
        source = path.read_text()
        assert all(makes_a_difference(change, source) for change in changes_of(source))


def test_a_change_that_changes_nothing_is_not_tried() -> None:
    """Nor one that no interpreter would read."""
    assert not makes_a_difference(Change(1, 1, "", "1", "(1)", 4, 5), "x = 1")
    assert not makes_a_difference(Change(1, 1, "", "1", "(", 4, 5), "x = 1")


SOURCES = {f"m{number}.py": "".join(f"x{line} = a < {line}\n" for line in range(20)) for number in range(3)}


def test_the_seed_decides_what_is_drawn() -> None:
    """The same again for the same seed, another order for another, and a line once at most."""
    one, again, other = (list(draw(SOURCES, seed)) for seed in (1, 1, 2))
    assert one == again != other
    places = [(module, change.line) for module, change in one]
    assert len(places) == len(set(places)) == 60
    assert len({module for module, _ in one[:20]}) == 3


FILES = {
    "softlaunch/__init__.py": "",
    "softlaunch/maths.py": """LIMIT = 10


def clipped(x):
    return LIMIT if x > LIMIT else x


def forgotten(x):
    return x + 1


def endless(x):
    while x > 0:
        x -= 1
    return x
""",
    "tests/test_maths.py": """import pytest
from softlaunch.maths import clipped, endless


@pytest.mark.parametrize("x", [5, 20])
def test_clipped(x):
    assert clipped(x) == min(x, 10)


def test_endless():
    assert endless(3) == 0


def test_that_fails():
    assert clipped(5) == 7
""",
    ".gitignore": "ignored.py\n",
    "ignored.py": "",
}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a module, its tests, of which one fails, and something that Git doesn't know."""
    here = tmp_path / "repository"
    for name, content in FILES.items():
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(content)
    (here / ".venv").symlink_to(Path(sys.prefix), target_is_directory=True)
    subprocess.run(["git", "init", "-q"], cwd=here, check=True)
    return here


def state_of(folder: Path) -> Mapping[str, bytes]:
    """Every file with its content, without what Git keeps."""
    files = (path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture
def plain_pytest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without what this run of pytest tells those that it starts, and without our plugin, which the tree lacks."""
    for name in [name for name in os.environ if name.startswith("PYTEST_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:softlaunch")


def tried(tree: Tree, covering: Covering, before: str, after: str) -> Outcome:
    """What becomes of a change of the module."""
    module = "softlaunch/maths.py"
    changes = changes_of((tree.root / module).read_text())
    change = next(one for one in changes if (one.before, one.after) == (before, after))
    return try_one(tree, covering, module, change, 60.0).outcome


@pytest.mark.slow
@pytest.mark.usefixtures("plain_pytest")
@pytest.mark.long
def test_changes_are_tried_in_a_copy_against_the_tests_of_their_line(repository: Path, tmp_path: Path) -> None:
    """What a test notices, what none does, what none runs; the repository stays as it is."""
    before = state_of(repository)
    with copied_tree(repository) as tree:
        assert not (tree.root / "ignored.py").exists()
        (tree.root / "benchmarks").symlink_to(Path(__file__).parents[2] / "benchmarks", target_is_directory=True)
        covering = measure(tree, ["tests"], tmp_path / "kept")
        assert set(covering.seconds) == {
            "tests/test_maths.py::test_clipped[5]",
            "tests/test_maths.py::test_clipped[20]",
            "tests/test_maths.py::test_endless",
        }
        assert tried(tree, covering, "LIMIT if x > LIMIT else x", "(x if x > LIMIT else LIMIT)") is Outcome.NOTICED
        assert tried(tree, covering, "x > LIMIT", "(x >= LIMIT)") is Outcome.SURVIVED
        assert tried(tree, covering, "x + 1", "(x - 1)") is Outcome.UNTESTED
        assert tried(tree, covering, "10", "(11)") is Outcome.NOTICED
        assert (tree.root / "softlaunch/maths.py").read_text() == FILES["softlaunch/maths.py"]
        again = measure(tree, ["tests"], tmp_path / "kept")
        assert again.seconds == covering.seconds
        loop = next(one for one in changes_of(FILES["softlaunch/maths.py"]) if one.after == "(x >= 0)")
        endless = Change(loop.line, loop.line, "constant", "x > 0", "(True)", loop.start, loop.end)
        assert tree.try_out("softlaunch/maths.py", endless, ["tests/test_maths.py::test_endless"], 3) is (
            Outcome.TIMED_OUT
        )
    assert state_of(repository) == before
    assert not tree.root.exists()


def test_only_so_much_of_the_tests_is_run() -> None:
    """Those of the module's own file first, then the quickest; one at least; it is said that others were left out."""

    class Lines(Covering):
        def lines(self, module: str) -> Mapping[int, frozenset[str]]:
            return {1: frozenset({""}), 2: frozenset({"slow", "quick"}), 3: frozenset({"slowest"})}

    covering = Lines({"quick": 1.0, "slow": 5.0, "slowest": 9.0}, CoverageData(no_disk=True))
    change = Change(2, 3, "", "", "", 0, 0)
    assert covering.choose("m", change, 60.0).tests == ("quick", "slow", "slowest")
    few = covering.choose("m", change, 6.0)
    assert (few.tests, few.seconds, few.all_of_them) == (("quick", "slow"), 6.0, False)
    assert covering.choose("m", change, 0.1).tests == ("quick",)
    at_import = Change(1, 1, "", "", "", 0, 0)
    assert covering.choose("m", at_import, 60.0).tests == ("quick", "slow", "slowest")
    assert covering.choose("m", change, 60.0, frozenset({"slow"})).tests == ("quick", "slowest")
    nowhere = Change(9, 9, "", "", "", 0, 0)
    assert covering.choose("m", nowhere, 60.0).tests == ()


def test_the_modules_own_tests_come_first_and_then_a_case_of_each() -> None:
    """Twenty cases of one quick test say less than one case of twenty."""
    seconds = {"test_n.py::f[1]": 1.0, "test_n.py::f[2]": 1.5, "test_n.py::g": 2.0, "test_m.py::slow": 5.0}

    class Everything(Covering):
        def lines(self, module: str) -> Mapping[int, frozenset[str]]:
            return {1: frozenset(seconds)}

    covering = Everything(seconds, CoverageData(no_disk=True))
    chosen = covering.choose("softlaunch/m.py", Change(1, 1, "", "", "", 0, 0), 60.0)
    assert chosen.tests == ("test_m.py::slow", "test_n.py::f[1]", "test_n.py::g", "test_n.py::f[2]")


def test_what_survived_is_told_with_its_place_and_the_summary_counts_everything() -> None:
    """A star where not every test was run."""
    change = Change(7, 7, "comparison", "a < b", "(a <= b)", 0, 0)
    survived = Tried("m.py", change, Outcome.SURVIVED, partly=True)
    assert survived.sentence == "m.py:7  survived* (comparison): a < b  ->  (a <= b)"
    noticed, late = Tried("m.py", change, Outcome.NOTICED), Tried("m.py", change, Outcome.TIMED_OUT)
    assert summary_of([survived, noticed, late, noticed]) == (
        "4 changes: 3 noticed (75 %); 1 timed out, 1 survived, 0 no test runs it, 0 the tests could not be run"
    )


def test_modules_are_files_and_folders(tmp_path: Path) -> None:
    """By their path in the repository; what isn't there is said."""
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/c.py").write_text("x = 1")
    (tmp_path / "d.py").write_text("y = 1")
    assert read_sources(tmp_path, ["a", "d.py"]) == {"a/b/c.py": "x = 1", "d.py": "y = 1"}
    with pytest.raises(SystemExit, match="e is neither"):
        read_sources(tmp_path, ["e"])
