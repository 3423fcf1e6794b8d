"""What a look at a shadow stage learns from the texts of its copies."""

import pytest

from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Outcome, Role
from softlaunch.gates.gate_set import GateSet
from softlaunch.metrics import Score, Spent
from softlaunch.policy.model import Policy
from softlaunch.policy.route import Arm
from softlaunch.reports.similarity_words import show_copies
from softlaunch.shadow.copies import CopiedAnswer, add_copy_judgements, spent_on_copies, unjudged_answers
from softlaunch.shadow.judge import CopyJudge
from softlaunch.shadow.state import CopyState
from softlaunch.shadow.watch import CopyObservation, CopyWatch
from softlaunch.store.database import Database
from tests.support.copied import BEGUN, copies, scope_of, shadow_policy, write

AGREEMENT = {"metric": "agreement", "margin": "10 points", "role": "guard"}
SHOWN_PREFERENCE = {"metric": "preference", "margin": "5 points"}


class _NobodyJudges(CopyJudge):
    """Says what was said already, and asks nobody."""

    def work(self, *told: object) -> str:
        """Nothing stands in the way."""
        return ""


def look(
    database: Database,
    policy: Policy,
    held: CopyState | None = None,
    window: tuple[float, float] = (BEGUN, BEGUN + 1e6),
) -> CopyObservation:
    """One look at everything."""
    watch = CopyWatch(database, _NobodyJudges(database))
    return watch.look(scope_of(policy), policy, held or CopyState(), window, BEGUN)


def judged(database: Database, policy: Policy, arm: Arm, values: list[float | None]) -> None:
    """As if judges had said this of so many copies."""
    said = [
        (CopiedAnswer(f"r{arm}{number}", arm, number, "q", "a", "b"), Score(value, "why", Spent(2, 0.01)))
        for number, value in enumerate(values)
    ]
    add_copy_judgements(database, scope_of(policy), said, BEGUN)


def test_copies_are_compared_with_what_users_got(database: Database) -> None:
    """The candidate's copies are one side, stable's own second answers the other, and both are shown."""
    write(database, [("yes it is", "yes it is", "yes it is"), ("aaaa", "bbbb"), ("aaaa", "aabb", "aaaa")])
    seen = look(database, shadow_policy(AGREEMENT))
    (window,) = seen.windows
    assert window.candidate[Metric.AGREEMENT].values.tolist() == [1.0, 0.0, 0.5]
    assert window.stable[Metric.AGREEMENT].values.tolist() == [1.0, 1.0]
    assert window.candidate_share == pytest.approx(2 / 3)
    assert CopyState.load(seen.state.dump()) == seen.state
    told = show_copies(seen.state, kept=True)
    assert "are 50.0 % (± 57.7, 3 pairs) similar to those that users got" in told
    assert "stable's own second answers 100.0 % (± 0.0, 2 pairs), which is the noise" in told


def test_a_user_is_evidence_once_and_every_pair_is_shown(database: Database) -> None:
    """Users resemble themselves; what the figures rest on is every pair."""
    with database.begin() as session:
        for number in range(4):
            session.add_all(copies(number, "a", "a", unit=7))
    first = look(database, shadow_policy(AGREEMENT), window=(BEGUN, BEGUN + 1))
    second = look(database, shadow_policy(AGREEMENT), first.state, (BEGUN + 1, BEGUN + 9))
    assert (len(first.windows), len(second.windows)) == (1, 0)
    assert second.state.agreement.count == 4


def test_answers_without_any_text_are_not_alike(database: Database) -> None:
    """Two tool calls have no text: nothing is compared, rather than two empty texts found equal."""
    write(database, [("", ""), ("", "text")])
    assert look(database, shadow_policy(AGREEMENT)).state.agreement.count == 1


def test_texts_that_are_not_kept_are_no_evidence(database: Database) -> None:
    """The gates say so, and nothing passes."""
    policy = shadow_policy({"metric": "agreement", "margin": "10 points"}, SHOWN_PREFERENCE, texts={"keep": False})
    write(database, [("a", "a", "a")])
    seen = look(database, policy)
    panel = GateSet.begin(policy, scope_of(policy).stage)
    panel.blockers = seen.blockers
    verdicts = GateSet.load(policy, scope_of(policy).stage, panel.dump()).verdicts()
    for verdict in (one for one in verdicts if one.gate in {"agreement", "preference"}):
        assert (verdict.outcome, verdict.role) == (Outcome.ERROR, Role.MUTED)
        assert "not kept (texts.keep)" in verdict.reason
    assert "is not known: texts of live requests are not kept" in show_copies(seen.state, kept=False)


def test_without_a_floor_agreement_has_nothing_to_be_compared_with(database: Database) -> None:
    """It is shown without a verdict."""
    policy = shadow_policy({"metric": "agreement", "margin": "10 points"}, shadow={"floor_percent": 0})
    write(database, [("a", "a")])
    seen = look(database, policy)
    assert not seen.windows
    assert "shadow.floor_percent is 0" in seen.blockers[Metric.AGREEMENT]
    assert seen.state.agreement.count == 1


def test_judgements_are_counted_once(database: Database) -> None:
    """What was seen at the look before is not seen again; the gate bets against even odds."""
    policy = shadow_policy(SHOWN_PREFERENCE)
    judged(database, policy, Arm.SHADOW, [1.0, 0.5, 0.0])
    judged(database, policy, Arm.CONTROL, [0.5, 0.5])
    first = look(database, policy)
    (window,) = first.windows
    assert window.candidate[Metric.PREFERENCE].values.tolist() == [1.0, 0.5, 0.0]
    assert window.stable[Metric.PREFERENCE].values.tolist() == [0.5, 0.5, 0.5]
    assert window.candidate_share == 0.5
    assert not look(database, policy, first.state).windows
    write(database, [("a", "b")])
    told = show_copies(look(database, policy, first.state).state, kept=True)
    assert "Judges prefer the copies' answers in 50.0 %" in told
    assert "stable's own second answers in 50.0 % (± 0.0, 2 pairs)" in told


def test_what_judges_may_be_asked(database: Database) -> None:
    """Of each user and arm one pair, in the sample, with any text, and nothing twice; each call is counted."""
    policy = shadow_policy(SHOWN_PREFERENCE)
    write(database, [("a", "b", "c"), ("a", "b"), ("", ""), ("a", "b")])
    with database.begin() as session:
        session.add_all(copies(8, "a", "again", unit=0))
        session.add_all(copies(9, "a", "beyond the sample", unit=-5000))
    add_copy_judgements(
        database,
        scope_of(policy),
        [(CopiedAnswer("support-bot-r1", Arm.SHADOW, 1, "q", "b", "a"), Score(0.5, "", Spent(2, 0.25)))] * 2,
        BEGUN,
    )
    with database.read() as session:
        found = unjudged_answers(session, scope_of(policy), BEGUN, 25.0, 40)
        assert len(unjudged_answers(session, scope_of(policy), BEGUN, 25.0, 1)) == 1
        assert spent_on_copies(session, scope_of(policy)) == (2, 0.25)
    assert {(one.arm, one.unit) for one in found} == {(Arm.SHADOW, 0), (Arm.CONTROL, 0), (Arm.SHADOW, 3)}


def test_judges_who_say_nothing_readable_are_an_obstacle(database: Database) -> None:
    """More than the policy allows without a verdict, and what is left may not be typical."""
    policy = shadow_policy(SHOWN_PREFERENCE)
    judged(database, policy, Arm.SHADOW, [0.5] * 9 + [None])
    seen = look(database, policy)
    assert "judges' replies on 1 of 10 pairs can't be read; 5 points are allowed" in seen.blockers[Metric.PREFERENCE]
    assert seen.state.preference.count == 9


def test_the_first_bets_rest_on_the_golden_set_and_on_symmetry(database: Database) -> None:
    """Stable's repeats in the eval say what its similarity to itself is about; judges are even between equals."""
    known = CopyWatch(database, _NobodyJudges(database)).history("support-bot-1")
    assert len(known[Metric.AGREEMENT]) == 0
    assert set(known[Metric.PREFERENCE].values.tolist()) == {0.5}
