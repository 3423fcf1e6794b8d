"""`softlaunch drift`: a baseline, a check, its page and the next step, from the command line."""

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from softlaunch.cli.exits import Exit
from softlaunch.store.database import Database
from tests.support.builders import APP
from tests.support.commands import Run
from tests.support.drift_scenes import Model, make_app
from tests.support.endpoints import Endpoint, running_endpoint


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """A real endpoint."""
    with running_endpoint() as running:
        yield running


@pytest.fixture
def app(softlaunch: Run, endpoint: Endpoint, tmp_path: Path) -> str:
    """An app on the endpoint; `softlaunch` has made the ledger."""
    endpoint.behaviour = Model().reply
    database = Database(f"sqlite:///{tmp_path / 'ledger.db'}")
    make_app(database, endpoint, tmp_path, drift={"repeats": 2})
    database.close()
    return APP


def test_a_check_needs_a_baseline(softlaunch: Run, app: str) -> None:
    """And says how to freeze one."""
    done = softlaunch("drift", "check", app)
    assert done.code == Exit.USAGE
    assert f"softlaunch drift baseline {app}" in done.err
    assert "no finished drift check" in softlaunch("drift", "report", app).err


@pytest.mark.long
def test_from_the_baseline_to_the_next_step(softlaunch: Run, app: str, endpoint: Endpoint, tmp_path: Path) -> None:
    """All is well, then the model changes: exit code, page, and a step that is chosen."""
    frozen = orjson.loads(softlaunch("drift", "baseline", app, "--json").out)
    assert frozen["id"] == f"{app}-drift-1"
    well = softlaunch("drift", "check", app)
    assert well.code == Exit.OK, well.err
    assert "Nothing has drifted" in well.out
    endpoint.behaviour = Model("gpt-4-0613", right_percent=40).reply
    drifted = softlaunch("drift", "check", app, "--json")
    assert drifted.code == Exit.INCONCLUSIVE
    report = orjson.loads(drifted.out)
    assert (report["cause"], report["step"]) == ("model", "pin")
    page = Path(report["page"]).read_text(encoding="utf-8")
    assert "gpt-4-0314" in page
    assert f"softlaunch drift act {app}" in page
    assert "points to the model" in " ".join(softlaunch("drift", "report", app).out.split())
    unknown = softlaunch("drift", "act", app, "--step", "pray")
    assert unknown.code == Exit.USAGE
    assert "pin, roll_back, new_baseline" in unknown.err
    acted = softlaunch("drift", "act", app, "--step", "new_baseline", "--json")
    assert orjson.loads(acted.out)["step"] == "new_baseline"


@pytest.mark.realdata
def test_recorded_outputs_are_compared(softlaunch: Run, realdata: Path) -> None:
    """GPT-4 on the primes, March to June 2023."""
    file = str(realdata / "llmdrift" / "PRIME_FULL_EVAL.csv")
    done = softlaunch("drift", "compare", "--recorded", file, "--then", "gpt-4-0314", "--now", "gpt-4-0613")
    assert done.code == Exit.INCONCLUSIVE
    assert "Agreement fell from 84.0 % to 50.2 %." in done.out
