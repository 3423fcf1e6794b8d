"""Emergency releases: stable doesn't answer, so the candidate is judged by its own answers, with no comparison.

Whether stable really fails is looked at before one begins; `EmergencyStrategy` then observes its stages.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

import orjson
from sqlmodel import Session

from softlaunch.core.arms import ByArm
from softlaunch.core.endpoint import EndpointError
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.incident_kinds import ANSWERS, IncidentKind
from softlaunch.core.variant import ModelVersion, TemplateVariablesError, Variant
from softlaunch.core.verdict import Outcome, Verdict
from softlaunch.evals.calls.endpoint import AttemptError, Target, open_endpoints
from softlaunch.evals.calls.probe import Probed, probe
from softlaunch.evals.calls.speaking import body_of
from softlaunch.evals.suites.suite import load_suite
from softlaunch.gateway.protocols.parameters import UnsuitableVariantError
from softlaunch.ledger.answer_counts import Answers, answers_in_stage, answers_of_stable
from softlaunch.ledger.notices import open_keys
from softlaunch.ledger.outcomes import variant_since
from softlaunch.ledger.stages import StageRecord
from softlaunch.policy.emergency import EmergencyPolicy
from softlaunch.policy.load import golden_set_path
from softlaunch.policy.release import Release, StageKind
from softlaunch.releases.decision import Action, Observation, Snapshot, decide
from softlaunch.store.database import Database
from softlaunch.store.tables import RouteRow, VariantRow

"""What judges an emergency release, in the place of the policy's gates."""
_FAILURES = 3
_ENOUGH = 5
_FAILING, _WELL = 0.5, 0.2
_MINUTES = (1, 5)
_PROBE_EVERY_SECONDS = 1.0
_WAITING_SECONDS = 30.0
_LONGEST_SECONDS = 30.0

Request = Mapping[str, Any]
AskModels = Callable[[Sequence[ModelVersion]], Sequence[Probed]]


@dataclass(frozen=True, slots=True)
class StableState:
    """Whether stable fails, and by what that is known, in words."""

    failing: bool
    message: str


def check_stable(database: Database, app: str, now: datetime, ask: AskModels = probe) -> StableState:
    """Whether an app's stable fails: by users' answers of the last minutes, the open incident, or its endpoint.

    The endpoint is asked only where the request log doesn't show it.
    """
    with database.read() as session:
        route = session.get_one(RouteRow, app)
        stable = Variant.model_validate(session.get_one(VariantRow, route.stable_digest).content)
        is_down = IncidentKind.PROVIDER_DOWN in open_keys(session, app).values()
        lately, within = _lately(session, app, stable.digest, now)
    shown = f"{lately.failed} of {lately.count} answers of stable failed within the last {within}"
    if lately.count >= _ENOUGH and lately.failed_share >= _FAILING:
        return StableState(failing=True, message=shown)
    if lately.count >= _ENOUGH and lately.failed_share <= _WELL:
        return StableState(failing=False, message=shown)
    (asked,) = ask([stable.model])
    said = asked.sentence if lately.count < _ENOUGH else f"{shown}; {asked.sentence}"
    if is_down and (asked.problem is not None or lately.count >= _ENOUGH):
        return StableState(failing=True, message=f"the incident provider_down is open; {said}")
    return StableState(asked.problem is not None and asked.asked, said)


def _lately(session: Session, app: str, digest: str, now: datetime) -> tuple[Answers, str]:
    """Stable's answers within the first of these times with enough of them, and that time in words."""
    found = Answers(), "5 minutes"
    for minutes in _MINUTES:
        answers = answers_of_stable(session, app, digest, now.timestamp() - 60 * minutes)
        found = answers, "minute" if minutes == 1 else f"{minutes} minutes"
        if answers.count >= _ENOUGH:
            break
    return found


def judge(answers: Answers, needed: int, policy: EmergencyPolicy, problem: str = "") -> Verdict:
    """The verdict on a candidate's own answers in a stage: enough good ones pass it, too many failures end it. Pure."""
    said = f" ({problem})" if problem else ""
    shown = f"{answers.failed} of {answers.count} answers of the candidate failed{said}"
    too_many = answers.failed_share * 100 > policy.failed_percent
    counts = {"candidate_count": answers.count, "candidate_value": answers.failed_share if answers.count else None}
    if too_many and answers.failed >= _FAILURES:
        return Verdict(ANSWERS, Outcome.FAIL, f"{shown}, more than {policy.failed_percent:g} %", **counts)  # type: ignore[arg-type]
    if answers.good >= needed and not too_many:
        return Verdict(ANSWERS, Outcome.PASS, shown, **counts)  # type: ignore[arg-type]
    reason = f"{answers.good} of at least {needed} good answers; {shown}"
    return Verdict(ANSWERS, Outcome.INCONCLUSIVE, reason, **counts)  # type: ignore[arg-type]


class Asks(Protocol):
    """Asks a candidate beside the driver, which never waits for it."""

    def collect(self, release: Release) -> Sequence[str | None]:
        """What came of questions that ended since the last call: None of a good answer, else what was wrong."""
        ...

    def begin(self, release: Release, count: int) -> None:
        """Ask so many questions, unless some are under way."""
        ...


@dataclass(slots=True)
class CandidateProbes:
    """Asks questions of the golden set in a thread; one object may serve several releases."""

    _under_way: dict[str, threading.Thread] = field(default_factory=dict)
    _ended: dict[str, list[str | None]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def collect(self, release: Release) -> Sequence[str | None]:
        """See Asks."""
        with self._lock:
            return self._ended.pop(release.id, [])

    def begin(self, release: Release, count: int) -> None:
        """See Asks."""
        before = self._under_way.get(release.id)
        if before is None or not before.is_alive():
            name = f"probes of {release.id}"
            asking = threading.Thread(target=self._ask, args=(release, count), name=name, daemon=True)
            self._under_way[release.id] = asking
            asking.start()

    def _ask(self, release: Release, count: int) -> None:
        found = asyncio.run(_ask_all(release.candidate, _questions(release, count)))
        with self._lock:
            self._ended.setdefault(release.id, []).extend(found)


def _questions(release: Release, count: int) -> Sequence[Request]:
    """Requests of the golden set's first cases, again and again; a greeting where it can't be read at this hour."""
    try:
        suite = load_suite(golden_set_path(release.policy, Path(release.policy_path)))
        requests: list[Request] = [case.request for case in suite.cases[:count]]
    except (SoftlaunchError, OSError):
        requests = []
    requests = requests or [{"messages": [{"role": "user", "content": "Say hello."}]}]
    return [requests[number % len(requests)] for number in range(count)]


async def _ask_all(variant: Variant, requests: Sequence[Request]) -> list[str | None]:
    async with open_endpoints(_LONGEST_SECONDS) as endpoints:

        async def ask(request: Request) -> str | None:
            try:
                body = orjson.dumps(body_of(variant, request))
                reply = await endpoints.attempt(Target.of(variant.model, variant.extra_headers), body)
            except AttemptError as error:
                return f"its endpoint: {error.code}"
            except (EndpointError, TemplateVariablesError, UnsuitableVariantError) as error:
                return str(error)
            return None if reply.text.strip() else "an empty answer"

        return list(await asyncio.gather(*(ask(request) for request in requests)))


@dataclass(slots=True)
class EmergencyStrategy:
    """Emergency releases, judged by the candidate alone: users' answers of the candidate, and its answers to probes."""

    database: Database
    asks: Asks = field(default_factory=CandidateProbes)
    ticks: Callable[[], float] = monotonic
    _begun: dict[str, float] = field(default_factory=dict)

    def observe(self, release: Release, record: StageRecord, now: datetime) -> Observation:
        """What the candidate answered in this stage so far, and the verdict on it."""
        entered = record.entered_at or now
        with self.database.read() as session:
            users = answers_in_stage(session, release.app, release.id, release.position, entered.timestamp())
            lately = variant_since(session, release.app, release.stable.digest, now.timestamp() - 60)
        probes, problem = self._probed(release, record)
        needed = release.stage.minimum_requests
        together = users.plus(probes)
        verdict = judge(together, needed, release.policy.emergency, problem)
        self._ask_again(release, needed - together.good)
        evidence = {
            "requests": [together.count, 0],
            "exposed": users.count,
            "probes": [probes.good, probes.failed],
            "problem": problem,
            "until": now.timestamp(),
        }
        return Observation(
            (verdict,),
            evidence,
            verdict.reason,
            ByArm(together.count, 0),
            users.count,
            seen_until=now.timestamp(),
            stable_lately=lately,
        )

    def decide(self, snapshot: Snapshot, observation: Observation) -> Action:  # noqa: ARG002  (the snapshot holds it)
        """See Strategy."""
        return decide(snapshot)

    def record(self, session: Session, release: Release, observation: Observation) -> None:
        """See Strategy; the evidence is all there is."""

    def forget(self, release_id: str) -> None:
        """See Strategy."""
        self._begun.pop(release_id, None)

    def _probed(self, release: Release, record: StageRecord) -> tuple[Answers, str]:
        """The probes of this stage so far, and what was wrong last."""
        ended = self.asks.collect(release)
        held = Answers(*record.evidence.get("probes", (0, 0)))
        problems = [one for one in ended if one is not None]
        found = held.plus(Answers(len(ended) - len(problems), len(problems)))
        return found, (problems or [record.evidence.get("problem", "")])[-1]

    def _ask_again(self, release: Release, lacking: int) -> None:
        """Ask again where answers are lacking, and now and then while a person is waited for."""
        passed = self.ticks() - self._begun.get(release.id, float("-inf"))
        if passed < (_PROBE_EVERY_SECONDS if lacking > 0 else _WAITING_SECONDS):
            return
        self._begun[release.id] = self.ticks()
        self.asks.begin(release, max(lacking, 1) if release.stage.kind is StageKind.PROBE else 1)
