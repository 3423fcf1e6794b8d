"""What the gates of a stage said while it ran, thinned out: how both arms and the intervals went over time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import inf, isfinite

from sqlmodel import Session, col, select

from softlaunch.core.verdict import Interval, Outcome, Verdict
from softlaunch.store.tables import GateLookRow

_SHORTEST_SECONDS = 2.0
_SHARE = 1 / 20
_DIGITS = 5


@dataclass(frozen=True, slots=True)
class GateLook:
    """One look at a gate. `candidate` and `stable` are what users met so far, the `_lately` ones within five minutes.

    Where what users met isn't known they are the evidence's own values. Units are those of a verdict.
    """

    looked_at: datetime
    outcome: Outcome
    harm: float | None
    interval: Interval | None
    margin: float | None
    candidate: float | None
    stable: float | None
    candidate_lately: float | None
    stable_lately: float | None


def record_look(
    session: Session,
    stage: tuple[str, int],
    entered: datetime,
    verdicts: Sequence[Verdict],
    now: datetime,
    *,
    must: bool,
) -> None:
    """Keep what a stage's gates say now, if enough time has passed since the last look, or where it `must` be kept.

    The pauses grow with the stage: about twenty looks are kept for each time that its age grows to 2.7 times of what it
    was, some 200 in a day. `stage` is the id of its release and its position.
    """
    release_id, position = stage
    pause = max(_SHORTEST_SECONDS, (now - entered).total_seconds() * _SHARE)
    newest = select(GateLookRow.looked_at).where(GateLookRow.release_id == release_id, GateLookRow.position == position)
    last = None if must else session.exec(newest.order_by(col(GateLookRow.id).desc()).limit(1)).first()
    if last is not None and (now - last).total_seconds() < pause:
        return
    gates = {verdict.name: _figures(verdict) for verdict in verdicts}
    session.add(GateLookRow(release_id=release_id, position=position, looked_at=now, gates=gates))


def read_looks(session: Session, release_id: str, most: int = 2000) -> dict[int, dict[str, list[GateLook]]]:
    """The newest looks of a release, oldest first, by position and by the name of the gate."""
    columns = select(GateLookRow.position, GateLookRow.looked_at, GateLookRow.gates)  # rows of the mapper cost more
    rows = columns.where(GateLookRow.release_id == release_id).order_by(col(GateLookRow.id).desc())
    found: dict[int, dict[str, list[GateLook]]] = {}
    for position, looked_at, gates in reversed(session.exec(rows.limit(most)).all()):
        for gate, held in gates.items():
            found.setdefault(position, {}).setdefault(gate, []).append(_look(looked_at, held))
    return found


def _figures(verdict: Verdict) -> list[str | float | None]:
    """A verdict's numbers in the order of GateLook's fields; an open end of the interval is null."""
    lower, upper = (verdict.interval.lower, verdict.interval.upper) if verdict.interval else (None, None)
    candidate, stable = verdict.candidate_met, verdict.stable_met
    numbers = (
        verdict.harm,
        lower,
        upper,
        verdict.margin,
        verdict.candidate_value if candidate is None else candidate.value,
        verdict.stable_value if stable is None else stable.value,
        None if candidate is None else candidate.lately,
        None if stable is None else stable.lately,
    )
    return [verdict.outcome.value, verdict.interval is not None, *(_short(number) for number in numbers)]


def _short(number: float | None) -> float | None:
    return None if number is None or not isfinite(number) else float(f"{number:.{_DIGITS}g}")


def _look(looked_at: datetime, held: Sequence[str | float | None]) -> GateLook:
    outcome, known = Outcome(str(held[0])), bool(held[1])
    harm, lower, upper, margin, candidate, stable, candidate_lately, stable_lately = (
        None if one is None else float(one) for one in held[2:]
    )
    interval = Interval(-inf if lower is None else lower, inf if upper is None else upper) if known else None
    return GateLook(looked_at, outcome, harm, interval, margin, candidate, stable, candidate_lately, stable_lately)
