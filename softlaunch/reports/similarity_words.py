"""How alike answers are, and which are better, in words."""

from softlaunch.core.formatting import show_share
from softlaunch.policy.release import StageKind
from softlaunch.releases.views import ReleaseView, StageView
from softlaunch.shadow.golden_agreement import Agreement
from softlaunch.shadow.similarity import Similarity, Sums
from softlaunch.shadow.state import CopyState, state_in


def show_shadow(view: ReleaseView, stage: StageView) -> str:
    """What a shadow stage knows of its copies' texts; empty for every other stage, and before it has begun."""
    if stage.stage.kind is not StageKind.SHADOW or stage.record.entered_at is None:
        return ""
    return show_copies(state_in(stage.record.evidence), kept=view.release.policy.texts.keep)


def show_copies(state: CopyState, *, kept: bool) -> str:
    """What a shadow stage knows of its copies' texts; where they aren't kept it says so instead of guessing."""
    if not state.agreement.count:
        why = "no pair of texts is there yet" if kept else "texts of live requests are not kept (texts.keep)"
        return f"How alike the copies' answers and stable's are is not known: {why}."
    told = f"The copies' answers are {_shown(state.agreement)} like those that users got"
    floor = state.agreement_floor
    told += f"; stable's own, asked again, {_shown(floor)}, which is the noise." if floor.count else "."
    return f"{told} {_preferred(state)}".rstrip()


def _preferred(state: CopyState) -> str:
    if not state.preference.count:
        return state.judging
    told = f"Judges prefer the copies' answers in {_shown(state.preference)}, ties counting half"
    floor = state.preference_floor
    told += f"; stable's own second answers in {_shown(floor)}." if floor.count else "."
    return f"{told} {state.judging}".rstrip()


def show_agreement(agreement: Agreement) -> str:
    """The same on the golden set; empty where cases were asked once."""
    if agreement.golden is None or agreement.floor is None:
        return ""
    return (
        f"On the golden set the candidate's answers are {_similarity(agreement.golden)} like stable's; "
        f"stable's own, asked twice, are {_similarity(agreement.floor)} like each other."
    )


def _shown(sums: Sums) -> str:
    found = sums.similarity
    return "-" if found is None else _similarity(found)


def _similarity(found: Similarity) -> str:
    return f"{show_share(found.mean)} (± {100 * 2 * found.error:.1f}, {found.pairs:,} pairs)"
