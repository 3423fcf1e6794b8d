"""Whether a live release without a driver is resumed or rolled back. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from softlaunch.policy.model import OnOrphaned
from softlaunch.policy.release import Kind, Release


class Remedy(StrEnum):
    """What is done with an orphaned release."""

    RESUME = "resume"
    ROLL_BACK = "roll_back"


@dataclass(frozen=True, slots=True)
class Orphan:
    """A live release without a driver: for how long, and how many drivers it has lost within the last hour."""

    release: Release
    silent_seconds: float
    deaths: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """What to do, and why."""

    remedy: Remedy
    reason: str


def judge_orphan(orphan: Orphan) -> Judgement:
    """Resume unless the policy says otherwise, the release is forgotten, or its drivers die again and again."""
    policy = orphan.release.policy.orphaned
    silence = f"it has had no driver for {show_seconds(orphan.silent_seconds)}"
    if orphan.release.kind is Kind.TOPLINE and orphan.deaths <= policy.maximum_deaths:
        return Judgement(Remedy.RESUME, silence)  # only the watching stopped: what was promoted goes on serving
    if policy.action is OnOrphaned.ROLL_BACK:
        return Judgement(Remedy.ROLL_BACK, f"{silence}, and its policy says to roll it back")
    if orphan.silent_seconds > policy.roll_back_after:
        limit = show_seconds(policy.roll_back_after)
        return Judgement(Remedy.ROLL_BACK, f"{silence}, longer than the {limit} that its policy allows")
    if orphan.deaths > policy.maximum_deaths:
        return Judgement(
            Remedy.ROLL_BACK, f"{orphan.deaths} of its drivers died within an hour; it may be what kills them"
        )
    return Judgement(Remedy.RESUME, silence)


def show_seconds(seconds: float) -> str:
    """`34 s`, `12 min`, `5 h`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
