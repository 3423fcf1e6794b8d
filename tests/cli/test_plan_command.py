"""What `softlaunch plan` foresees, and what it says where it can't."""

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from softlaunch.cli.exits import Exit
from softlaunch.cli.plan import print_outlook
from softlaunch.core.clock import utc_now
from softlaunch.store.database import Database
from softlaunch.store.tables import RouteRow, ScoreRow
from tests.support.builders import request_row
from tests.support.commands import Run
from tests.support.paths import ROOT

pytestmark = pytest.mark.long

STATED = {
    "--requests-per-hour": "20000",
    "--error-rate": "0.01",
    "--latency-ms": "900/2400",
    "--cost-usd": "0.0002/0.0005",
    "--satisfaction": "0.8",
    "--rating-share": "0.1",
    "--quality": "0.85",
    "--hallucination-rate": "0.02",
}
"""Everything that gates want to know."""
WORDS = [word for pair in STATED.items() for word in pair]


@pytest.fixture
def bot(softlaunch: Run) -> str:
    """The example as an app of one's own."""
    assert softlaunch("init", "bot", "--app", "bot").code == Exit.OK
    assert softlaunch("apply", "bot").code == Exit.OK
    return "bot"


def serve(folder: Path, count: int, users: int | None = None) -> None:
    """So many requests of as many users, or of fewer who take turns, in the last hour, all answered by stable."""
    database = Database(f"sqlite:///{folder / 'ledger.db'}")
    rng, now = np.random.default_rng(6), utc_now().timestamp()
    with database.begin() as session:
        digest = session.get_one(RouteRow, "bot").stable_digest
        for number in range(count):
            row = request_row(
                request_id=f"r{number}",
                app="bot",
                unit=number % (users or count),
                variant_digest=digest,
                started_at=now - 3600 * (1 - number / count),
                latency_ms=float(900 * rng.lognormal(0, 0.5)),
                cost_usd=float(2e-4 * rng.lognormal(0, 0.4)),
                outcome="total_timeout" if rng.random() < 0.01 else "answered",
                release_id=None,
                stage=0,
            )
            session.add(row)
    database.close()


def test_without_traffic_the_options_are_named(softlaunch: Run, bot: str) -> None:
    """An app that never served anything can be planned from stated figures only."""
    done = softlaunch("plan", bot)
    assert done.code == Exit.USAGE
    assert "no traffic in the last seven days" in done.err
    assert "--requests-per-hour" in done.err
    assert "--latency-ms" in done.err


def test_stated_figures_are_enough(softlaunch: Run, bot: str, tmp_path: Path) -> None:
    """Every stage has a time, and there is a page with a plot."""
    done = softlaunch("plan", bot, *WORDS)
    assert done.code == Exit.OK
    assert "20,000 requests an hour, from stated figures" in done.out
    assert "canary 50 %" in done.out
    assert "In all: about" in done.out
    page = (tmp_path / "reports" / "bot-plan.html").read_text()
    assert "<svg" in page
    assert "canary 100 %" in page


def test_the_document_has_every_gate_of_every_stage(softlaunch: Run, bot: str) -> None:
    """What never happens is null, never an infinity that JSON doesn't know."""
    said = orjson.loads(softlaunch("plan", bot, *WORDS, "--json").out)
    assert said["requests_per_hour"] == pytest.approx(20_000)
    assert said["seconds_median"] > sum(stage["floor"] for stage in said["stages"]) * 0.99
    for stage in said["stages"]:
        assert stage["bottleneck"]
        for gate in stage["gates"]:
            assert gate["is_known"]
            assert gate["seconds_median"] > 0


def test_answers_that_serve_nobody_are_foreseen(softlaunch: Run, bot: str) -> None:
    """None unless stated: then their gate is through no later than the one on errors; with some it takes longer."""

    def waits(*words: str) -> tuple[float, float]:
        said = orjson.loads(softlaunch("plan", bot, *WORDS, *words, "--json").out)
        seconds = {gate["metric"]: gate["seconds_median"] for gate in said["stages"][-2]["gates"]}
        return seconds["unusable"], seconds["errors"]

    none, errors = waits()
    some, _ = waits("--unusable-rate", "0.03")
    assert none <= errors < some


def test_a_check_is_foreseen_at_the_rate_that_is_stated(softlaunch: Run, bot: str, tmp_path: Path) -> None:
    """A gate on refusals is unknown until somebody says how many there are."""
    file = tmp_path / "refused.yaml"
    gates = "gates:\n  - {metric: refused, margin: 2 points}\n"
    file.write_text((ROOT / "examples/support-bot/softlaunch.yaml").read_text().replace("gates:\n", gates, 1))

    def gate(*words: str) -> dict[str, Any]:
        said = orjson.loads(softlaunch("plan", bot, "--policy", str(file), *WORDS, *words, "--json").out)
        return next(gate for gate in said["stages"][-2]["gates"] if gate["metric"] == "refused")

    assert not gate()["is_known"]
    assert gate("--rate", "refused=0.02")["seconds_median"] > 0
    failed = softlaunch("plan", bot, *WORDS, "--rate", "errors=0.02")
    assert failed.code != 0
    assert "'errors=0.02'; expected NAME=SHARE, NAME one of truncated, refused" in " ".join(failed.err.split())


def test_the_own_traffic_is_measured(softlaunch: Run, bot: str, tmp_path: Path) -> None:
    """A stated figure takes the place of a measured one, the others stay."""
    serve(tmp_path, 1000)
    said = orjson.loads(softlaunch("plan", bot, "--json").out)
    assert said["requests_per_hour"] == pytest.approx(1000, rel=0.02)
    assert "its newest 1,000 requests" in said["note"]
    more = orjson.loads(softlaunch("plan", bot, "--requests-per-hour", "50000", "--json").out)
    assert more["requests_per_hour"] == pytest.approx(50_000)
    known = {gate["metric"] for gate in more["stages"][0]["gates"] if gate["is_known"]}
    assert {"errors", "latency"} <= known


def test_users_who_come_back_are_stated(softlaunch: Run, bot: str) -> None:
    """How many there are, how often each asks, and how alike that is."""
    words = (*WORDS, "--regular-users", "4000", "--requests-per-user", "3", "--user-correlation", "0.4")
    done = softlaunch("plan", bot, *words)
    assert done.code == Exit.OK
    assert "Users come back: about " in done.out
    assert "about 4,000 users in all." in done.out
    assert "1 % of 4,000 regular users are 40: begin at " in done.out
    assert "Harm that shows from the first stage on, over the whole release" in done.out
    said = orjson.loads(softlaunch("plan", bot, *words, "--json").out)
    assert said["users"]["regular_users"] == 4000
    assert said["users"]["correlation"] == 0.4
    assert said["stages"][1]["people"] == pytest.approx(40)
    assert {"metric", "role", "margin", "per", "promoted", "caught"} == set(said["let_through"][0])


def test_users_who_come_back_are_measured(softlaunch: Run, bot: str, tmp_path: Path) -> None:
    """Fifty users who take turns are all that there are."""
    serve(tmp_path, 1000, users=50)
    said = orjson.loads(softlaunch("plan", bot, "--json").out)
    assert said["users"]["comes_back"]
    assert said["users"]["regular_users"] == pytest.approx(50, rel=0.05)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        pytest.param("--latency-ms", "900", "expected median and 95th percentile", id="one figure"),
        pytest.param("--latency-ms", "900/200", "expected 0 < median < 95th percentile", id="the wrong way round"),
        pytest.param("--error-rate", "3", "less than or equal to 1", id="a share above one"),
    ],
)
def test_what_makes_no_sense_is_refused(softlaunch: Run, bot: str, option: str, value: str, said: str) -> None:
    """The message says what was expected."""
    done = softlaunch("plan", bot, "--requests-per-hour", "100", option, value)
    assert done.code == Exit.USAGE
    assert said in done.err


@pytest.mark.parametrize("requests", [pytest.param(0, id="without traffic"), pytest.param(1000, id="with traffic")])
def test_a_release_begins_with_its_outlook(softlaunch: Run, bot: str, tmp_path: Path, requests: int) -> None:
    """Where nothing is known it says so and goes on."""
    serve(tmp_path, requests)
    done = softlaunch("release", "start", bot, "--variant", "no-such-variant", "--without-prefect")
    assert done.code == Exit.USAGE
    assert "no-such-variant" in done.err
    expected = "can't pass within 24 h" if requests else "has had no traffic in the last seven days"
    assert "Outlook: " in done.err
    assert expected in done.err


def test_a_program_that_starts_a_release_is_told_nothing(softlaunch: Run, bot: str) -> None:
    """With --json there is one document and no more."""
    done = softlaunch("release", "start", bot, "--variant", "no-such-variant", "--without-prefect", "--json")
    assert "Outlook" not in done.out + done.err


def test_a_forecast_that_breaks_stops_no_release(
    bot: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever goes wrong in foreseeing, it is said, and the release begins."""

    def broken(*_: object) -> None:
        raise OverflowError("cannot convert float infinity to integer")

    monkeypatch.setattr("softlaunch.cli.plan.foresee", broken)
    print_outlook(bot, None)
    assert (
        "Outlook: missing, it could not be made (OverflowError); the release continues without it"
        in capsys.readouterr().err
    )


def test_a_figure_that_is_none_is_refused_by_name(softlaunch: Run, bot: str) -> None:
    """Infinity passes the option's range and is refused nevertheless."""
    done = softlaunch("plan", bot, "--requests-per-hour", "inf")
    assert done.code == Exit.USAGE
    assert "--requests-per-hour is inf" in done.err


def test_a_named_metric_is_foreseen_from_what_was_reported(softlaunch: Run, bot: str, tmp_path: Path) -> None:
    """By the kind that the policy declares, and for the share of requests that have a value."""
    serve(tmp_path, 3000)
    database = Database(f"sqlite:///{tmp_path / 'ledger.db'}")
    rng = np.random.default_rng(8)
    with database.begin() as session:
        for number in range(0, 3000, 2):
            for name, value in (
                ("solved", float(rng.random() < 0.8)),
                ("handling", float(300 * rng.lognormal(0, 0.4))),
            ):
                request_id, now = f"r{number}", utc_now().timestamp()
                row = ScoreRow(request_id=request_id, app="bot", metric=name, value=value, source="s", received_at=now)
                session.add(row)
    database.close()
    policy = (tmp_path / "bot" / "softlaunch.yaml").read_text()
    (tmp_path / "bot" / "named.yaml").write_text(
        f"{policy.partition('gates:')[0]}\n"
        "metrics: [{name: solved, kind: share, better: up}, {name: handling, kind: duration, better: down}]\n"
        "gates:\n  - {metric: errors, margin: 2 points}\n"
        "  - {metric: solved, margin: 5 points}\n  - {metric: handling, margin: 10 %}\n"
    )
    done = softlaunch("plan", bot, "--policy", str(tmp_path / "bot" / "named.yaml"), "--json")
    assert done.code == Exit.OK, done.err
    gates = {gate["metric"]: gate for gate in orjson.loads(done.out)["stages"][-2]["gates"]}
    assert {"errors", "solved", "handling"} <= set(gates)
