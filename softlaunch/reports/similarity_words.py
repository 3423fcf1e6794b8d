"""Sentences about the similarity of answers, and about judges' preferences."""

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
    return show_copies(state_in(stage.record.evidence), kept=view.release.policy.texts.keeps_all)


def show_copies(state: CopyState, *, kept: bool) -> str:
    """What a shadow stage knows of its copies' texts; where they aren't kept it says so instead of guessing."""
    if not state.agreement.count:
        why = "no pair of texts is there yet" if kept else "texts of live requests are not kept (texts.keep)"
        return f"The similarity of the copies' answers to stable's is not known: {why}."
    text = f"The copies' answers are {_shown(state.agreement)} similar to those that users got"
    own = state.agreement_floor
    text += f"; stable's own second answers {_shown(own)}, which is the noise." if own.count else "."
    return f"{text} {_preferred(state)}".rstrip()


def _preferred(state: CopyState) -> str:
    if not state.preference.count:
        return state.judging
    text = f"Judges prefer the copies' answers in {_shown(state.preference)}, ties counting half"
    own = state.preference_floor
    text += f"; stable's own second answers in {_shown(own)}." if own.count else "."
    return f"{text} {state.judging}".rstrip()


def show_agreement(agreement: Agreement) -> str:
    """The same on the golden set; empty where cases were asked once."""
    if agreement.golden is None or agreement.self_similarity is None:
        return ""
    return (
        f"On the golden set the candidate's answers are {_similarity(agreement.golden)} similar to stable's; "
        f"stable's own, asked twice, are {_similarity(agreement.self_similarity)} similar."
    )


def _shown(sums: Sums) -> str:
    found = sums.similarity
    return "-" if found is None else _similarity(found)


def _similarity(found: Similarity) -> str:
    return f"{show_share(found.mean)} (± {100 * 2 * found.error:.1f}, {found.pairs:,} pairs)"
