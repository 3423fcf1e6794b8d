"""Worlds in which only the answers get worse: seen by the few who rate, by judges who aren't always right, or by both.

One request a user. Scores and ratings arrive a minute later, on average. Releases begin at 5 %, so that no more than
120,000 requests are simulated for the 6,000 of the candidate's; where few rate, ours looks at every hundredth of these.
"""

from benchmarks.gates.model import STAGES, Crowd, Effect, Gating, Kind, Levels, Scenario, Stage, Watching

RATES = (0.02, 0.05, 0.2)
"""Shares of users who rate."""
AGREEMENTS = (None, 0.0, 0.3, 0.5, 0.7)
"""Correlations of a judge's score with the rating; None: satisfaction isn't predicted."""
_LOOK, _SELDOM = 20, 100
_MINUTE = 60.0
FROM_5 = tuple(Stage(stage.position - 1, stage.share, stage.deadline) for stage in STAGES[1:])
"""The stages of these releases."""
_KINDS = {
    "-8 points": (Kind.TWICE, Effect(satisfaction=0.08)),
    "-4 points": (Kind.MARGIN, Effect(satisfaction=0.04)),
    "fine": (Kind.FINE, Effect()),
}


def _rated(
    what: str,
    rate: float,
    agreement: float | None,
    *,
    liking: float = 0.0,
    scored: tuple[float, float] = (1.0, 1.0),
    note: str = "",
) -> Scenario:
    """Satisfaction as a required gate."""
    kind, effect = _KINDS[what]
    judge = "not predicted" if agreement is None else f"predicted by a judge of correlation {agreement:g}{note}"
    return Scenario(
        f"satisfaction {what}, {100 * rate:g} % rate, {judge}",
        kind,
        effect,
        crowd=Crowd(),
        watching=Watching(
            scored=scored,
            rated=(rate, rate),
            delay_seconds=_MINUTE,
            agreement=agreement or 0.0,
            foretells=True,
            liking=liking,
        ),
        stages=FROM_5,
        look_candidates=_SELDOM,
        gating=Gating.RATED if agreement is None else Gating.PREDICTED,
    )


def _judged(name: str, effect: Effect | None = None) -> Scenario:
    """A judge of kappa 0.5 on all of the candidate's units and a fifth of stable's; refusals by the gateway's check."""
    return Scenario(
        f"live judge: {name}",
        Kind.FINE if effect is None else Kind.HARM,
        effect or Effect(),
        crowd=Crowd(),
        watching=Watching(scored=(1.0, 0.2), delay_seconds=_MINUTE, agreement=0.5),
        levels=Levels(hallucinated=0.05, refused=0.02),
        stages=FROM_5,
        look_candidates=_LOOK,
        gating=Gating.JUDGED,
    )


SPOKEN_OF = (
    *(_rated("-8 points", rate, agreement) for rate in RATES for agreement in AGREEMENTS),
    *(_rated("-8 points", 0.1, agreement) for agreement in (None, 0.7)),
    *(_rated("-4 points", rate, agreement) for rate, agreement in ((0.2, None), (0.2, 0.7), (0.05, 0.7))),
    *(_rated("fine", rate, agreement) for rate in (0.05, 0.2) for agreement in (None, 0.7)),
    _rated("fine", 0.2, 0.0),
    *(_rated(what, 0.2, 0.7, liking=0.3, note=", which likes the candidate") for what in _KINDS),
    _judged("fine"),
    _judged("quality 0.85 -> 0.70", Effect(quality=0.15)),
    _judged("hallucination 0.05 -> 0.15", Effect(hallucinated=0.1)),
    _judged("refusals 0.02 -> 0.10", Effect(refused=0.08)),
)
