"""Worlds beside the first scenarios: users who come back, late harm, uneven eyes on the arms, rough traffic.

What is wanted of ours in each is at the end.
"""

from dataclasses import dataclass

from benchmarks.gates.answers import SPOKEN_OF
from benchmarks.gates.model import (
    SCENARIOS,
    STAGES,
    Crowd,
    Day,
    Disturbance,
    Effect,
    Kind,
    Levels,
    Scenario,
    Stage,
    Watching,
)

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86_400.0
_LOOK, _LONG_LOOK = 20, 60
_FEW = 1000
_ONE, _FIVE, _LOOSE = Crowd(), Crowd(visit_requests=5), Crowd(visit_requests=5, correlation=0.05)
_BOT = Crowd(bot_share=0.3)
_BY_UNITS = (
    *(Stage(stage.position, stage.share, None, deadline_units=6000) for stage in STAGES if not stage.full),
    STAGES[-1],
)
_FROM_5 = (
    Stage(1, 0.05, None, deadline_seconds=_DAY),
    Stage(2, 0.5, None, deadline_seconds=_DAY),
    Stage(3, 1.0, 60_000),
)
_DRIFTING_MOOD = Day(satisfaction=0.15)
_OUTAGES = Disturbance(20 * _MINUTE, 5 * _MINUTE, errors=0.4, latency=3.0)
_SPIKES = Disturbance(_HOUR, 2 * _MINUTE, rate=20.0, latency=1.5)
_LATE = Watching(delay_seconds=10 * _MINUTE)

_ERRORS_5, _ERRORS_2 = Effect(errors=0.045), Effect(errors=0.015)
_SLOWER, _TWICE_AS_SLOW = Effect(latency=1.25), Effect(latency=2.0)
_QUALITY_80, _QUALITY_70 = Effect(quality=0.05), Effect(quality=0.15)


def _held(seconds: float) -> tuple[Stage, ...]:
    """A release whose first stage, at 10 %, lasts so long whatever the gates say."""
    first = Stage(1, 0.1, None, deadline_seconds=seconds, minimum_seconds=seconds)
    return first, Stage(2, 0.5, 6000), Stage(3, 1.0, 60_000)


def _people(name: str, about: str, crowd: Crowd, effect: Effect | None = None, kind: Kind = Kind.HARM) -> Scenario:
    """A whole release on people who come once each."""
    return Scenario(name, kind, effect or Effect(), about=about, crowd=crowd, look_candidates=_LOOK)


def _fixed(  # noqa: PLR0913
    name: str,
    about: str,
    users: int,
    per_second: float,
    effect: Effect | None = None,
    *,
    seconds: float = _DAY,
    wander: float | None = None,
    drift: bool = False,
    look_seconds: float | None = None,
) -> Scenario:
    """A stage of 10 % of a fixed population, which is held open. Few users who are fine are looked at every 30 s."""
    return Scenario(
        name,
        Kind.FINE if effect is None else Kind.HARM,
        effect or Effect(),
        drift=drift,
        requests_per_hour=3600 * per_second,
        about=about,
        crowd=Crowd(users=users, wander_seconds=wander),
        stages=_held(seconds),
        look_candidates=_LOOK if effect is not None or users > _FEW else _LONG_LOOK,
        look_seconds=look_seconds,
    )


def _late(what: str, effect: Effect) -> list[Scenario]:
    """Harm of 300 users that begins two minutes and two hours after the stage did, for an hour."""
    return [
        _fixed(
            f"300 users: {what} after {when}",
            f"300 users, 20 requests/s, a held stage of 10 %: {what} from {when} into the stage on, for an hour",
            300,
            20.0,
            Effect(effect.errors, effect.latency, quality=effect.quality, from_seconds=begin),
            seconds=begin + _HOUR,
            look_seconds=2.0,
        )
        for when, begin in (("2 min", 2 * _MINUTE), ("2 h", 2 * _HOUR))
    ]


def _watched(
    name: str, about: str, watching: Watching, effect: Effect | None = None, *, moody: bool = False
) -> Scenario:
    """A whole release, one request a user, of whose answers not all is known, or not at once."""
    return Scenario(
        name,
        Kind.FINE if effect is None else Kind.HARM,
        effect or Effect(),
        drift=moody,
        about=about,
        crowd=_ONE,
        watching=watching,
        day=_DRIFTING_MOOD if moody else Day(),
        look_candidates=_LOOK,
    )


def _rough(what: str, about: str, disturbance: Disturbance, look_seconds: float) -> list[Scenario]:
    """A whole release, one request a user, while something befalls both arms again and again."""
    harms = (("fine", None), ("errors 0.5 -> 5 %", _ERRORS_5), ("latency x1.25", _SLOWER))
    return [
        Scenario(
            f"{what}: {name}",
            Kind.FINE if effect is None else Kind.HARM,
            effect or Effect(),
            about=f"one request a user, {about}; {name if effect else 'a fine candidate'}",
            crowd=_ONE,
            disturbance=disturbance,
            look_candidates=_LOOK,
            look_seconds=look_seconds,
        )
        for name, effect in harms
    ]


_IN_A_MINUTE = "five requests a user within 72 s, correlated by 0.3"
_RATED = "one request a user, satisfaction +-15 points over the day, the candidate rated {} times as often as stable"
_SCORED = "one request a user, a judge scores all of the candidate's answers and a quarter of stable's"
_ARRIVE_LATE = "one request a user, scores and ratings come ten minutes later, on average"
_HAS_BOT = "one request a user, and one unit of its own kind that makes 30 % of all requests"
_TAIL = "one request a user; stable takes 4x as long in 1 % of requests"

WORLDS = (
    _people("5 a user: fine", f"{_IN_A_MINUTE}; a fine candidate", _FIVE, kind=Kind.FINE),
    Scenario(
        "5 a user, by units: fine",
        Kind.FINE,
        about=f"{_IN_A_MINUTE}; stages of at most 6,000 candidate units; a fine candidate",
        crowd=_FIVE,
        stages=_BY_UNITS,
        look_candidates=_LOOK,
    ),
    _people("5 a user: errors 0.5 -> 5 %", _IN_A_MINUTE, _FIVE, _ERRORS_5),
    _people("5 a user: errors 0.5 -> 2 %", _IN_A_MINUTE, _FIVE, _ERRORS_2),
    _people("5 a user: latency x1.25", _IN_A_MINUTE, _FIVE, _SLOWER),
    _people("5 a user: latency x2", _IN_A_MINUTE, _FIVE, _TWICE_AS_SLOW),
    _people("5 a user: quality 0.85 -> 0.80", _IN_A_MINUTE, _FIVE, _QUALITY_80),
    _people(
        "5 a user: errors 10 % from the 2nd request",
        f"{_IN_A_MINUTE}; the candidate fails 10 % of a user's requests after the first",
        _FIVE,
        Effect(errors=0.095, from_request=2),
    ),
    _people(
        "5 a user: errors +1 point", f"{_IN_A_MINUTE}; as bad as the margin", _FIVE, Effect(errors=0.01), Kind.MARGIN
    ),
    _people("5 a user: latency x1.1", f"{_IN_A_MINUTE}; as bad as the margin", _FIVE, Effect(latency=1.1), Kind.MARGIN),
    _people(
        "5 a user: quality -2 points", f"{_IN_A_MINUTE}; as bad as the margin", _FIVE, Effect(quality=0.02), Kind.MARGIN
    ),
    _people("5 a user, ICC .05: fine", "the same, correlated by 0.05; a fine candidate", _LOOSE, kind=Kind.FINE),
    _people("5 a user, ICC .05: errors 0.5 -> 2 %", "the same, correlated by 0.05", _LOOSE, _ERRORS_2),
    _people("5 a user, ICC .05: latency x1.25", "the same, correlated by 0.05", _LOOSE, _SLOWER),
    _fixed("300 users: fine", "300 users, 20 requests/s, a stage of 10 % held open for a day", 300, 20.0),
    *_late("latency x3", Effect(latency=3.0)),
    *_late("errors 20 %", Effect(errors=0.195)),
    *_late("latency x1.5", Effect(latency=1.5)),
    *_late("quality -0.2", Effect(quality=0.2)),
    _fixed("4,000 users: fine", "4,000 users, 2 requests/s, a stage of 10 % held open for a day", 4000, 2.0),
    _fixed("4,000 users: errors 0.5 -> 5 %", "the same, harmed from the stage's beginning", 4000, 2.0, _ERRORS_5),
    _fixed("4,000 users: latency x1.25", "the same, harmed from the stage's beginning", 4000, 2.0, _SLOWER),
    Scenario(
        "4,000 users, 5-50-100 %: fine",
        Kind.FINE,
        requests_per_hour=7200,
        about="4,000 users, 2 requests/s, a whole release through 5, 50 and 100 % with a day for each stage",
        crowd=Crowd(users=4000),
        stages=_FROM_5,
        look_candidates=_LOOK,
    ),
    _fixed(
        "wandering users: fine",
        "300 users, 20 requests/s, half of each one's level another after half an hour, drift; 10 % held for 6 h",
        300,
        20.0,
        seconds=6 * _HOUR,
        wander=30 * _MINUTE,
        drift=True,
    ),
    _fixed(
        "wandering users: latency x1.5 after 2 min",
        "the same for an hour, slower from 2 min into the stage on",
        300,
        20.0,
        Effect(latency=1.5, from_seconds=2 * _MINUTE),
        seconds=2 * _MINUTE + _HOUR,
        wander=30 * _MINUTE,
        drift=True,
        look_seconds=2.0,
    ),
    _watched("scored 4:1: fine", f"{_SCORED}; a fine candidate", Watching(scored=(1.0, 0.25))),
    _watched("scored 4:1: quality 0.85 -> 0.80", _SCORED, Watching(scored=(1.0, 0.25)), _QUALITY_80),
    _watched("scored 4:1: quality 0.85 -> 0.70", _SCORED, Watching(scored=(1.0, 0.25)), _QUALITY_70),
    _watched("rated 2:1: fine", _RATED.format(2), Watching(rated=(0.2, 0.1)), moody=True),
    _watched("rated 4:1: fine", _RATED.format(4), Watching(rated=(0.4, 0.1)), moody=True),
    _watched(
        "rated 4:1: satisfaction -20 points",
        _RATED.format(4),
        Watching(rated=(0.4, 0.1)),
        Effect(satisfaction=0.2),
        moody=True,
    ),
    _watched("late scores: fine", f"{_ARRIVE_LATE}; a fine candidate", _LATE),
    _watched("late scores: quality 0.85 -> 0.80", _ARRIVE_LATE, _LATE, _QUALITY_80),
    _watched("late scores: quality 0.85 -> 0.70", _ARRIVE_LATE, _LATE, _QUALITY_70),
    *_rough("outages", "for 5 of every 20 min both arms fail 40 % more and take 3x as long", _OUTAGES, 60.0),
    *_rough("spikes", "for 2 min of every hour 20x as many requests, which take x1.5 as long", _SPIKES, 20.0),
    _people("bot of 30 %: fine", f"{_HAS_BOT}; a fine candidate", _BOT, kind=Kind.FINE),
    _people("bot of 30 %: errors 0.5 -> 5 %", _HAS_BOT, _BOT, _ERRORS_5),
    _people("bot of 30 %: latency x1.25", _HAS_BOT, _BOT, _SLOWER),
    Scenario("tail: fine", Kind.FINE, about=_TAIL, crowd=_ONE, levels=Levels(slow=0.01), look_candidates=_LOOK),
    Scenario(
        "tail: 1 -> 5 %",
        Kind.HARM,
        Effect(slow=0.04),
        about=f"{_TAIL}, the candidate in 5 %",
        crowd=_ONE,
        levels=Levels(slow=0.01),
        look_candidates=_LOOK,
    ),
)
ALL = (*SCENARIOS, *WORLDS, *SPOKEN_OF)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted of ours in a world; None where nothing is.

    Shares of runs that are caught (rolled back, not before the harm) or promoted, and medians: candidate requests and
    seconds from the harm's beginning until rollback, and candidate requests of the promoted until 100 %.
    """

    caught_least: float | None = None
    promoted_least: float | None = None
    promoted_most: float | None = None
    requests_most: float | None = None
    seconds_most: float | None = None
    before_full_most: float | None = None


WANTED = {
    "null": Wanted(promoted_least=0.97, before_full_most=4000),
    "null, drift": Wanted(promoted_least=0.97, before_full_most=4000),
    "errors 0.5 -> 5 %": Wanted(requests_most=150),
    "errors 0.5 -> 2 %": Wanted(requests_most=650),
    "latency x1.25": Wanted(requests_most=190),
    "latency x2": Wanted(requests_most=40),
    "quality 0.85 -> 0.80": Wanted(requests_most=320),
    "tail: 1 -> 5 %": Wanted(caught_least=0.9, promoted_most=0.0),
    "5 a user: fine": Wanted(promoted_least=0.85),
    "5 a user, by units: fine": Wanted(promoted_least=0.95),
    "5 a user: errors 0.5 -> 5 %": Wanted(requests_most=220),
    "5 a user: errors 0.5 -> 2 %": Wanted(requests_most=1800),
    "5 a user: latency x1.25": Wanted(requests_most=350),
    "5 a user: quality 0.85 -> 0.80": Wanted(requests_most=650),
    "5 a user: errors 10 % from the 2nd request": Wanted(caught_least=1.0, requests_most=350),
    "300 users: latency x3 after 2 min": Wanted(seconds_most=60),
    "300 users: latency x3 after 2 h": Wanted(seconds_most=120),
    "300 users: errors 20 % after 2 min": Wanted(seconds_most=75),
    "300 users: errors 20 % after 2 h": Wanted(seconds_most=150),
    "300 users: latency x1.5 after 2 min": Wanted(seconds_most=100),
    "300 users: latency x1.5 after 2 h": Wanted(seconds_most=220),
    "300 users: quality -0.2 after 2 min": Wanted(seconds_most=100),
    "300 users: quality -0.2 after 2 h": Wanted(seconds_most=330),
    "scored 4:1: quality 0.85 -> 0.70": Wanted(caught_least=1.0, requests_most=120),
    "outages: fine": Wanted(promoted_least=0.9),
}
"""Beside these, a fine candidate is to be rolled back in at most 1 % of runs, with 95 % confidence, in every world, and
one that is as bad as the margin promoted in at most 5 %."""
