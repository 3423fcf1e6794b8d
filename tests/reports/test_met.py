"""What users met, wherever a gate's verdict is shown: terminal, JSON, pages, artifacts, incidents."""

import html
import json
import re
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path

import numpy as np
import pytest

from softlaunch.ab.analysis import Analysis
from softlaunch.ab.document import RecordedLook
from softlaunch.ab.document import to_json as to_kept
from softlaunch.ab.views import TrialView
from softlaunch.cli.ab_output import show_trial
from softlaunch.cli.live import render
from softlaunch.cli.output import console
from softlaunch.cli.verdicts import verdict_table
from softlaunch.core.arms import ByArm
from softlaunch.core.formatting import show_pair
from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Interval, Met, Per, Verdict
from softlaunch.gates.observations import Events, Window
from softlaunch.gates.telemetry import HISTORY_ROWS, Reading, Scope
from softlaunch.ledger.incidents import list_incidents
from softlaunch.ledger.stages import StageRecord, StageState, figures, verdict_of
from softlaunch.policy.release import Kind, State
from softlaunch.releases.ending import roll_back
from softlaunch.releases.views import ReleaseView, StageView, read_view, to_json
from softlaunch.releases.wording import show_estimate, show_met, show_met_by, verdict_facts
from softlaunch.reports.ab_page import render_trial
from softlaunch.reports.markdown import stage_table
from softlaunch.reports.release_page import render_release
from softlaunch.store.database import Database
from softlaunch.store.tables import ReleaseRow
from tests.support.builders import ANNA, APP, NOON, Scene, ScriptedTelemetry, make_policy, make_release
from tests.support.release_views import ACCURATE, EVERYBODY, MET, PASSED, SLOW, make_view, rolled_back

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "gates.md"
METRICS = (Metric.ERRORS, Metric.LATENCY, Metric.COST, Metric.UNUSABLE)
POLICY = make_policy(gates=[{"metric": "errors", "margin": "20 points"}, {"metric": "latency", "margin": "50 %"}])


def lines(capsys: pytest.CaptureFixture[str], shown: tuple[Verdict, ...], width: int = 100) -> list[str]:
    """Verdicts as a terminal of this width shows them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(console, "_width", width)
        console.print(verdict_table("canary 50 %", shown, "visits"))
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


def text_of(page: str) -> str:
    """The words of a page."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


def test_a_gate_is_one_line_in_a_hundred_columns(capsys: pytest.CaptureFixture[str]) -> None:
    """What users met, in all and lately, stands beside estimate, interval, margin and evidence. The guide shows it."""
    shown = lines(capsys, (MET[0], MET[1], MET[3], MET[4]))
    assert shown == [
        "canary 50 %: candidate/stable",
        "gate           verdict       all requests  last 5 min   harm (between) of margin          visits",
        "errors         inconclusive  1.6/0.2 %     22.7/0.3 %   -0.1 (-2 to +0.75) of 1.0 points  812/790",
        "latency        fail          4.91/1.00 s   5.02/1.00 s  +391 (+240 to …) of 10 %          812/790",
        "  p95                        9.80/2.01 s",
        "satisfaction   inconclusive  83.0/84.3 %   - / 84.0 %   +1.3 (unknown) of 4.0 points      812/790",
        "hallucination  pass          -             -            - (-2 to +0.75) of 1.0 points     812/790",
        "  errors: looks worse by 22.4 points on average lately, not yet sure",
        "  latency: worse by 391 %, more than the acceptable 10 %",
        "  satisfaction: not yet sure",
    ]
    assert "\n".join(shown) in GUIDE.read_text(encoding="utf-8")


def test_a_narrow_terminal_gets_two_tables(capsys: pytest.CaptureFixture[str]) -> None:
    """Each gate is a line in both, and no figure is cut."""
    shown = lines(capsys, (MET[0], MET[2]), width=80)
    assert shown[1:7] == [
        "gate    verdict       harm (between) of margin          visits",
        "errors  inconclusive  -0.1 (-2 to +0.75) of 1.0 points  812/790",
        "cost    pass          -22 (-40 to -10) of 10 %          812/790",
        "gate    all requests           last 5 min",
        "errors  1.6/0.2 %              22.7/0.3 %",
        "cost    $0.000312 / $0.000398  $0.000315 / $0.000401",
    ]
    squeezed = "".join(lines(capsys, (MET[0], MET[2]), width=40)).replace(" ", "")
    for figure in ("812/790", "+0.75)", "$0.000398", "$0.000401", "22.7/0.3%"):
        assert figure in squeezed


def test_verdicts_of_older_ledgers_show_their_evidence(capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody knows what users met then: the values are those of the evidence, and say so."""
    shown = lines(capsys, PASSED[:2])
    assert shown[1:] == [
        "gate     verdict  measured     harm (between) of margin          visits",
        "errors   pass     0.1/0.2 %    -0.1 (-2 to +0.75) of 1.0 points  812/790",
        "latency  pass     1.02/1.00 s  +1.9 (-10 to +10) of 10 %         812/790",
    ]


@pytest.mark.parametrize(
    ("gate", "pair", "shown"),
    [
        pytest.param("errors", (0.0163, 0.002), "1.6/0.2 %", id="a share"),
        pytest.param("latency", (4912, 1000), "4.91/1.00 s", id="seconds"),
        pytest.param("latency", (812, 790), "812/790 ms", id="milliseconds"),
        pytest.param("latency", (1020, 998), "1.02/1.00 s", id="on both sides of a second"),
        pytest.param("latency", (1020, 4), "1.02 s / 4 ms", id="too far apart for one unit"),
        pytest.param("cost", (0.000312, 0.0004), "$0.000312 / $0.0004", id="money"),
        pytest.param("errors", (None, 0.002), "- / 0.2 %", id="one arm only"),
        pytest.param("cost", (None, None), "-", id="nothing"),
    ],
)
def test_a_pair_has_its_unit(gate: str, pair: tuple[float | None, float | None], shown: str) -> None:
    """Once where both share it."""
    assert show_pair(gate, *pair) == shown


@pytest.mark.parametrize(
    ("met", "shown", "by"),
    [
        pytest.param(None, "-", "-", id="not known"),
        pytest.param(Met(users=3), "-", "-", id="nothing measured"),
        pytest.param(
            Met(31, 20, 830.0, 1200.0), "830 ms (p95 1.20 s, last 5 min -)", "31 requests of 20 users", id="of old"
        ),
        pytest.param(
            Met(31, 0, 8.0, 9.0, 7.0, 3), "8 ms (p95 9 ms, last 5 min 7 ms)", "31 requests", id="users unknown"
        ),
    ],
)
def test_what_was_not_measured_is_a_dash(met: Met | None, shown: str, by: str) -> None:
    """Never zero."""
    assert (show_met("latency", met), show_met_by(met)) == (shown, by)


@pytest.mark.parametrize(
    ("verdict", "shown"),
    [
        pytest.param(SLOW, "+391 (+240 to …) of 10 %", id="open above"),
        pytest.param(replace(SLOW, interval=Interval(-inf, inf)), "+391 (unknown) of 10 %", id="open"),
        pytest.param(replace(SLOW, interval=None), "+391 (unknown) of 10 %", id="no interval"),
        pytest.param(replace(SLOW, interval=None, margin=None), "+391 %", id="no margin"),
        pytest.param(replace(ACCURATE, harm=None), "- (-3.1 to +1.2) of 2.0 points", id="no estimate"),
    ],
)
def test_an_estimate_has_one_unit(verdict: Verdict, shown: str) -> None:
    """Harm, interval and margin of a gate are in the same one."""
    assert show_estimate(verdict) == shown


def test_the_page_of_a_release_shows_what_users_met() -> None:
    """Per gate and arm beside the evidence; the gate that decided says it first. What nobody scored is a dash."""
    text = text_of(render_release(rolled_back(MET)))
    row = text[text.index("latency required ✘ fail") :]
    candidate, stable, estimate = (
        "4.91 s p95 9.80 s last 5 min 5.02 s 1,389 requests of 151 users",
        "1.00 s p95 2.01 s last 5 min 998 ms 12,764 requests of 2,783 users",
        "+391 % margin +10 % 4.91/1.00 s of 812/790 first visits",
    )
    assert row.startswith(f"latency required ✘ fail {candidate} {stable} {estimate}")
    assert "errors required ? inconclusive 1.6 % last 5 min 22.7 %" in text
    assert "hallucination required ✔ pass - - -" in text
    first = text[: text.index("Stages")]
    assert "Users met 1.00 s (p95 2.01 s, last 5 min 998 ms) on stable, 4.91 s (p95 9.80 s, last 5 min 5.02 s)" in first


def make_trial(shown: tuple[Verdict, ...]) -> TrialView:
    """An A/B test under way that nobody has analysed yet."""
    release = make_release(State.TESTING, kind=Kind.AB_TEST)
    record = StageRecord(0, StageState.RUNNING, NOON, None, None, "", {})
    return TrialView(ReleaseView(release, (StageView(release.stages[0], record, shown),), (), EVERYBODY, ()), ())


def test_the_page_of_a_test_shows_what_users_met() -> None:
    """B before A, as its gates are headed; verdicts of older ledgers show the evidence."""
    text = text_of(render_trial(make_trial(MET[:2])))
    assert "errors inconclusive 1.6 % last 5 min 22.7 % 1,412 requests of 151 users 0.2 % last 5 min 0.3 %" in text
    assert "latency fail 4.91 s p95 9.80 s" in text
    assert "errors pass 0.1 % 812 seen 0.2 % 790 seen" in text_of(render_trial(make_trial(PASSED)))


def test_both_status_commands_show_what_users_met(capsys: pytest.CaptureFixture[str]) -> None:
    """The terminal that watches draws the same; of an A/B test B comes first."""
    analysis = to_kept(Analysis(units=(2783, 151), split_p=0.4, metrics=(), savings=(), missing=()))
    trial = replace(make_trial(MET[:1]), looks=(RecordedLook(1, 0, "", "", analysis, NOON),))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(console, "_width", 100)
        console.print(render(make_view(State.CANARY, 3, verdicts=MET[:1])))
        watched = capsys.readouterr().out
        show_trial(trial)
        tested = capsys.readouterr().out
    assert "canary 50 %: candidate/stable" in watched
    assert "guarded by: B/A" in tested
    for shown in (watched, tested):
        assert "errors  inconclusive  1.6/0.2 %     22.7/0.3 %  -0.1 (-2 to +0.75) of 1.0 points  812/790" in shown


def test_artifacts_show_what_users_met() -> None:
    """In the columns of the arms, with the evidence in one of its own."""
    errors, latency, *_, unscored = stage_table(rolled_back(MET).stages[3])
    assert (errors["candidate"], errors["stable"]) == ("1.6 % (last 5 min 22.7 %)", "0.2 % (last 5 min 0.3 %)")
    assert latency["candidate"] == "4.91 s (p95 9.80 s, last 5 min 5.02 s)"
    assert latency["evidence"] == "4.91/1.00 s of 812/790 visits"
    assert (unscored["candidate"], unscored["stable"]) == ("-", "-")


def test_json_gains_what_users_met_and_keeps_the_rest() -> None:
    """Null where it isn't known, and never a figure that isn't one."""
    shown = to_json(make_view(State.CANARY, 3, verdicts=(MET[1], MET[3], PASSED[0])))["stages"][3]["verdicts"]
    json.dumps(shown, allow_nan=False)
    slow, rated, old = shown
    kept = {"gate", "outcome", "role", "reason", "harm", "interval", "margin", "candidate_count", "stable_count"}
    assert set(slow) == {*kept, "candidate_value", "stable_value", "met", "per"}
    assert slow["met"]["candidate"] == {
        "requests": 1389,
        "users": 151,
        "value": 4912.0,
        "slow": 9800.0,
        "lately": 5020.0,
        "lately_requests": 232,
    }
    assert (rated["met"]["candidate"]["lately"], rated["met"]["stable"]["lately"]) == (None, 0.84)
    assert old["met"] is None


def test_what_is_counted_per_session_is_named_so(capsys: pytest.CaptureFixture[str]) -> None:
    """In the terminal, on the page, in artifacts and facts; and it is still known when it was stored."""
    counted = replace(MET[1], per=Per.SESSION)
    shown = lines(capsys, (counted,))
    assert any(line.startswith("latency per session") for line in shown)
    assert any(line.startswith("  latency per session: ") for line in shown)
    assert " sessions of " in dict(verdict_facts(counted))["met on candidate"]
    view = make_view(State.CANARY, 3, verdicts=(counted,))
    page = text_of(render_release(view))
    assert "latency per session" in page
    assert "margin +10 % per session" in page
    assert [row["gate"] for row in stage_table(view.stages[3])] == ["latency per session"]
    kept = json.loads(json.dumps(figures(counted)))
    assert verdict_of(kept, "latency", counted.outcome, counted.reason, counted.role) == counted
    del kept["per"]
    assert verdict_of(kept, "latency", counted.outcome, counted.reason).per is Per.REQUEST


@dataclass
class LoggedTelemetry(ScriptedTelemetry):
    """The same traffic with every request and its time, as the request log has it."""

    def read(self, scope: Scope, after: float, now: float) -> Reading:
        """See ScriptedTelemetry; copies are compared with nothing to be told apart."""
        reading = super().read(scope, after, now)
        windows = tuple(
            replace(window, requests=self._requests(window, after, now), until=now, split=self._split(window))
            for window in reading.windows
        )
        return replace(reading, windows=windows) if scope.stage.weight_percent not in {0, 100} else reading

    def history(self, app: str, stable_digest: str, before: float, rows: int = HISTORY_ROWS) -> Window:
        """See ScriptedTelemetry."""
        window = super().history(app, stable_digest, before, rows)
        return replace(window, requests=self._requests(window, before - 3600, before), until=before)

    def _split(self, window: Window) -> ByArm[int]:
        return ByArm(len(window.candidate[Metric.ERRORS]), len(window.stable[Metric.ERRORS]))

    def _requests(self, window: Window, after: float, now: float) -> Events:
        sides = [window.candidate, window.stable] if window.candidate else [window.stable]
        units = np.concatenate([side[Metric.ERRORS].units for side in sides])
        return Events(
            at=np.sort(self.rng.uniform(after, now, len(units))),
            units=units,
            candidate=np.concatenate([np.full(len(side[Metric.ERRORS]), side is window.candidate) for side in sides]),
            values={metric: np.concatenate([side[metric].values for side in sides]) for metric in METRICS},
        )


def view_of(scene: Scene) -> ReleaseView:
    """The release as it is shown now."""
    with scene.database.read() as session:
        return read_view(session, session.get_one(ReleaseRow, scene.release_id), scene.clock())


def test_stages_that_ended_keep_what_users_met(database: Database) -> None:
    """The final verdicts of a release that its gates ended, and the incident of the one that did."""
    scene = Scene.opened(database, POLICY, telemetry=LoggedTelemetry({3: {"errors": 0.6}}))
    assert scene.drive_to_end().state is State.ROLLED_BACK
    passed, failed = (stage.verdicts[0] for stage in view_of(scene).stages[2:4])
    for verdict, share in ((passed, 0.01), (failed, 0.61)):
        assert verdict.candidate_met is not None
        assert verdict.candidate_met.value == pytest.approx(share, abs=0.08)
        assert verdict.candidate_met.lately == pytest.approx(share, abs=0.08)
        assert verdict.candidate_met.requests == verdict.candidate_met.users > 0
    with database.read() as session:
        (incident,) = [one for one in list_incidents(session, APP, 9, resolved=False) if one.verdict]
    assert incident.verdict is not None
    assert (incident.verdict.candidate_met, incident.verdict.interval) == (failed.candidate_met, failed.interval)
    assert dict(verdict_facts(incident.verdict))["met on candidate"].startswith(
        f"{failed.candidate_met.value * 100:.1f} % (last 5 min "  # type: ignore[union-attr,operator]  # was met
    )


def test_a_stage_that_a_person_ended_stays_as_it_was_last_seen(database: Database) -> None:
    """Not as it was when a gate last changed its mind, which may have been before anything was seen."""
    policy = make_policy(stages=[{"weight_percent": 50, "minimum_time": 300}, {"weight_percent": 100}])
    scene = Scene.opened(database, policy, telemetry=LoggedTelemetry())
    scene.drive_to(2)
    scene.drive_until(lambda _: view_of(scene).stages[2].requests.candidate > 500)
    before = view_of(scene).stages[2]
    with database.begin() as session:
        roll_back(session, APP, ANNA, "users complain", scene.clock())
    after = view_of(scene).stages[2]
    assert after.record.state == "rolled_back"
    assert after.verdicts == before.verdicts
    assert after.verdicts[0].candidate_met is not None
    assert after.verdicts[0].candidate_met.requests == after.requests.candidate > 0
