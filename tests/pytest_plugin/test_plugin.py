"""The plugin in runs of pytest of a team's own repository: alone, with workers, without keys, and unused."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.endpoints import running_endpoint
from tests.support.paths import ROOT
from tests.support.shop_repository import CASES, Shop

pytestmark = pytest.mark.long  # each test starts pytest, with workers of its own

Pytest = Callable[..., subprocess.CompletedProcess[str]]
_BETTER = "Nothing is wrong."
_WORSE = "Wrong: every 3"
_TWO_VARIANTS = """\
stable: current
variants:
  current: {prompt: support@1.0.0, model: steady}
  next: {prompt: support@1.1.0, model: steady}
"""
_TESTS = """\
import pytest

@pytest.mark.softlaunch(app="shop")
def test_{name}(softlaunch_eval):
    softlaunch_eval(variant="next").assert_no_worse()
"""


@pytest.fixture
def shop(tmp_path: Path, migrated_file: Path) -> Iterator[Shop]:
    """A team's repository with two variants, and a ledger beside it."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "ledger.db").write_bytes(migrated_file.read_bytes())
    with running_endpoint() as endpoint:
        shop = Shop.make(tmp_path / "repo", endpoint)
        shop.write_prompt("1.1.0", _BETTER)
        shop.write("variants.yaml", _TWO_VARIANTS)
        yield shop


@pytest.fixture
def run_pytest(shop: Shop, tmp_path: Path) -> Pytest:
    """Run pytest in that repository."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "SOFTLAUNCH_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *arguments]
        return subprocess.run(command, cwd=shop.path, env=environment, text=True, capture_output=True, check=False)

    return run


def write_tests(shop: Shop, *names: str) -> None:
    """A module with one test of the same eval for each name."""
    for name in names:
        (shop.path / f"test_{name}.py").write_text(_TESTS.format(name=name))


def test_two_workers_pay_once(shop: Shop, run_pytest: Pytest, tmp_path: Path) -> None:
    """Two processes that want the same eval at the same time share its answers, and one report has both tests."""
    write_tests(shop, "one", "two")
    report = tmp_path / "report.json"
    done = run_pytest("-n", "2", f"--softlaunch-report={report}")
    assert (done.returncode, shop.endpoint.asked.total()) == (0, 2 * CASES), done.stdout
    evals = json.loads(report.read_text())["evals"]
    assert sorted(one["test"] for one in evals) == ["test_one.py::test_one", "test_two.py::test_two"]
    assert {one["outcome"] for one in evals} == {"pass"}


def test_a_worse_variant_fails_in_words(shop: Shop, run_pytest: Pytest, tmp_path: Path) -> None:
    """The failure says the verdict, the interval and the cases that lost most; a page has the same."""
    shop.write_prompt("1.1.0", _WORSE)
    shop.write("variants.yaml", _TWO_VARIANTS)
    write_tests(shop, "worse")
    done = run_pytest(f"--softlaunch-report={tmp_path / 'report.html'}")
    assert done.returncode == 1
    assert "shop, next: fail" in done.stdout
    assert re.search(
        r"accuracy 9\d\.\d % -> 6\d\.\d %: -2\d\.\d points \(", done.stdout
    )  # of what was asked until it was shown
    assert "question 102" in done.stdout
    assert re.search(r"accuracy 9\d\.\d % -&gt; 6\d\.\d %", (tmp_path / "report.html").read_text())


def test_a_dry_run_skips(shop: Shop, run_pytest: Pytest, tmp_path: Path) -> None:
    """Without calls nothing is judged, so such a test is skipped and never passed; the report says what it takes."""
    write_tests(shop, "dry")
    done = run_pytest("--softlaunch-dry", f"--softlaunch-report={tmp_path / 'report.md'}", "-rs")
    assert (done.returncode, shop.endpoint.asked.total()) == (0, 0)
    assert "1 skipped" in done.stdout
    assert f"it takes {2 * CASES} calls" in (tmp_path / "report.md").read_text()


def test_compared_with_a_revision_and_within_a_budget(shop: Shop, run_pytest: Pytest) -> None:
    """A variant is compared with what it was; the tests' own cases, bounds and budgets are what they name."""
    shop.write_prompt("1.1.0", _BETTER)
    shop.repo.commit("Better")
    (shop.path / "test_base.py").write_text(
        "import pytest\n"
        "@pytest.mark.softlaunch(app='apps/shop', budget_calls=20)\n"
        "def test_base(softlaunch_eval):\n"
        "    some = [f'c{number}' for number in range(100, 110)]\n"
        "    result = softlaunch_eval(base='HEAD~1', cases=some)\n"
        "    assert (result.verdict, result.calls, result.reused) == ('inconclusive', 20, 0)\n"
        "    low, high = result.interval\n"
        "    assert low < 0 < high\n"
        "    again = softlaunch_eval(base='HEAD~1', cases=[{'id': 'a', 'question': 'question 9', 'expected': 'x'}])\n"
        "    assert 'budget' in again.judged.reason\n"
        "    with pytest.raises(AssertionError, match='inconclusive'):\n"
        "        result.assert_no_worse()\n"
    )
    done = run_pytest()
    assert (done.returncode, shop.endpoint.asked.total()) == (0, 20), done.stdout


def test_who_doesnt_use_it_pays_nothing(tmp_path: Path) -> None:
    """A project that has softlaunch installed loads one module of it, and none that takes time."""
    (tmp_path / "test_plain.py").write_text(
        "import sys\n"
        "def test_plain():\n"
        "    ours = sorted(name for name in sys.modules if name.split('.')[0] == 'softlaunch')\n"
        "    assert ours == ['softlaunch', 'softlaunch.pytest_plugin']\n"
        "    assert not {'numpy', 'pydantic', 'sqlalchemy', 'aiohttp', 'typer'} & set(sys.modules)\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest"]
    done = subprocess.run([*command, str(tmp_path)], cwd=tmp_path, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout
