"""Every judge on every scenario, spread over processes; a run's traffic is the same for all of its judges."""

import multiprocessing
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.gates.ert import Ert
from benchmarks.gates.judges import Judge
from benchmarks.gates.kayenta import Kayenta
from benchmarks.gates.model import SCENARIOS, Levels, Scenario
from benchmarks.gates.ours import Softlaunch, policy
from benchmarks.gates.simulate import Result, release
from benchmarks.gates.thresholds import Argo, Flagger, Limits, Rehearsal, naive_argo, naive_flagger
from benchmarks.gates.traffic import Traffic
from benchmarks.gates.ttests import GroupSequential, GrowthBook, RepeatedT
from benchmarks.gates.yeast import Yeast, planned_requests
from softlaunch.gates.observations import Window

_ARGO_FAILURES = 2
_FLAGGER_THRESHOLD = 3
_NAIVE_ARGO_FAILURES = 3
_NAIVE_FLAGGER_THRESHOLD = 5

OURS = "softlaunch"
JUDGES = (
    OURS,
    "argo, naive",
    "argo, tuned",
    "flagger, naive",
    "flagger, tuned",
    "kayenta",
    "growthbook",
    "repeated t",
    "group-sequential",
    "yeast",
    "e-RT",
)
"""Names of the judges, as in the table."""
TUNED = frozenset({"argo, tuned", "flagger, tuned"})
"""Those whose limits are found on fine candidates first."""

Results = dict[str, dict[str, list[Result]]]
"""Results of each scenario and judge, in the order of the runs."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """Limits found on fine candidates without drift."""

    argo: Limits
    flagger: Limits

    @classmethod
    def of(cls, seed: int, releases: int) -> "Tuning":
        """Rehearse that many releases."""
        rehearsal = Rehearsal.of(seed, releases)
        return cls(rehearsal.argo_limits(_ARGO_FAILURES), rehearsal.flagger_limits(_FLAGGER_THRESHOLD))


@dataclass(frozen=True, slots=True)
class Task:
    """One run of one scenario under some judges."""

    scenario: Scenario
    judges: tuple[str, ...]
    seed: int
    run: int
    tuning: Tuning


def make_judges(tuning: Tuning, scenario: Scenario, history: Window) -> Mapping[str, Callable[[], Judge]]:
    """How to make a fresh judge of each name, knowing the plan and stable's traffic from before the release."""
    levels = Levels()
    return {
        OURS: lambda: Softlaunch(policy(scenario.stages, scenario.gating), history),
        "argo, naive": lambda: Argo(naive_argo(levels), _NAIVE_ARGO_FAILURES),
        "argo, tuned": lambda: Argo(tuning.argo, _ARGO_FAILURES),
        "flagger, naive": lambda: Flagger(naive_flagger(levels), _NAIVE_FLAGGER_THRESHOLD),
        "flagger, tuned": lambda: Flagger(tuning.flagger, _FLAGGER_THRESHOLD),
        "kayenta": Kayenta,
        "growthbook": GrowthBook,
        "repeated t": RepeatedT,
        "group-sequential": lambda: GroupSequential(sum(not stage.full for stage in scenario.stages)),
        "yeast": lambda: Yeast(history, planned_requests(scenario)),
        "e-RT": Ert,
    }


def tasks(scenarios: Sequence[Scenario], judges: Sequence[str], runs: int, seed: int, tuning: Tuning) -> Iterator[Task]:
    """All runs, those of a scenario together. Runs beyond those asked for are ours alone, to narrow its bounds."""
    ours = tuple(name for name in judges if name == OURS)
    for scenario in scenarios:
        for run in range(runs):
            yield Task(scenario, tuple(judges), seed, run, tuning)
        for run in range(runs, round(runs * scenario.runs_factor) if ours else 0):
            yield Task(scenario, ours, seed, run, tuning)


def perform(task: Task) -> tuple[str, int, dict[str, Result]]:
    """One run: the scenario's name, the run's number, and each judge's result."""
    traffic = Traffic(task.scenario, (task.seed, zlib.crc32(task.scenario.name.encode()), task.run))
    makers = make_judges(task.tuning, task.scenario, traffic.history())
    return task.scenario.name, task.run, {name: release(task.scenario, makers[name](), traffic) for name in task.judges}


def contest(work: Sequence[Task], jobs: int, progress: Callable[[int], None]) -> Results:
    """Perform all runs in `jobs` processes. What comes out does not depend on how many there are."""
    found: dict[tuple[str, int], dict[str, Result]] = {}
    for done, (scenario, run, results) in enumerate(_performed(work, jobs), start=1):
        found[scenario, run] = results
        progress(done)
    gathered: Results = {}
    for scenario, run in sorted(found, key=lambda key: (_place(key[0]), key[1])):
        for judge, result in found[scenario, run].items():
            gathered.setdefault(scenario, {}).setdefault(judge, []).append(result)
    return gathered


def _place(name: str) -> int:
    return next(place for place, scenario in enumerate(SCENARIOS) if scenario.name == name)


def _performed(work: Sequence[Task], jobs: int) -> Iterator[tuple[str, int, dict[str, Result]]]:
    if jobs == 1:
        yield from map(perform, work)
        return
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # for the processes to come: one core each
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap_unordered(perform, work, chunksize=2)
