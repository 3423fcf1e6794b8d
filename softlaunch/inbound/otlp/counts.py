"""What a receiver has taken and what it hasn't, by reason, for Prometheus, for its log and for whoever exports."""

import logging
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client import Counter as Exposed

from softlaunch.inbound.otlp.attribution import Lacking
from softlaunch.inbound.otlp.messages import Signal

_LOGGER = logging.getLogger(__name__)
WORDS: Mapping[Lacking, str] = {
    Lacking.APP: "set softlaunch.app to the name of an app of this installation, or evaluate its flag in the span",
    Lacking.POLICY: "write `otlp: {}` under `sources` of the app's policy, and apply it",
    Lacking.UNIT: "set softlaunch.unit to whom the arm was drawn by",
    Lacking.ARM: "set softlaunch.variant, or softlaunch.arm to stable, candidate, shadow or control",
    Lacking.CANDIDATE: "no candidate was being released: the app doesn't follow the split",
    Lacking.VARIANT: "softlaunch.variant is neither stable nor the candidate, or not that of softlaunch.arm",
    Lacking.SIDE: "its unit isn't the candidate's by softlaunch.revision: evaluate for the unit that the span names",
    Lacking.ORIGINAL: "set softlaunch.copy_of to the trace id and the span id of the request that was copied",
    Lacking.SPLIT: "it began before the first split that this receiver saw, or between two that it saw apart",
    Lacking.CLOCK: "set the clock of the app's machine: its times lie in the future, or are missing",
    Lacking.METRIC: "gen_ai.evaluation.name is neither a scored metric nor declared in the app's policy",
    Lacking.VALUE: "gen_ai.evaluation.score.value is missing, or isn't one of its metric",
    Lacking.REQUEST: "set softlaunch.app and the span that it is about, or softlaunch.request_id",
}


@dataclass(slots=True)
class Verdicts:
    """What became of the parts of one export."""

    calls: int = 0
    evaluations: int = 0
    again: int = 0
    late: int = 0
    other: int = 0
    lacking: Counter[tuple[str, Lacking]] = field(default_factory=Counter)
    """By the app that was named, empty where none was."""

    @property
    def rejected(self) -> int:
        """How many can't be used."""
        return self.lacking.total()

    @property
    def message(self) -> str:
        """For whoever exports: how many of what, and what to do."""
        by_reason: Counter[Lacking] = Counter()
        for (_, reason), count in self.lacking.items():
            by_reason[reason] += count
        return "; ".join(f"{count} lack {reason}: {WORDS[reason]}" for reason, count in by_reason.items())


class Counts:
    """Everything since the receiver started. Each reason is logged once for each app."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._lock = threading.Lock()
        self._told: set[tuple[str, Lacking]] = set()
        self._calls = self._exposed("softlaunch_otlp_calls", "Model calls that were logged.")
        self._late = self._exposed("softlaunch_otlp_late", "Of them, those that came too late to be evidence.")
        self._again = self._exposed("softlaunch_otlp_again", "Spans that had been taken before.")
        self._other = self._exposed("softlaunch_otlp_other", "Spans and log records that are none of ours.")
        self._evaluations = self._exposed("softlaunch_otlp_evaluations", "Evaluations that were kept.")
        self._refused = Exposed(
            "softlaunch_otlp_refused", "Exports that weren't taken.", ["signal", "status"], registry=self._registry
        )
        self._lacking = Exposed(
            "softlaunch_otlp_unattributed",
            "Model calls and evaluations that can't be used, by what they lack.",
            ["app", "lacks"],
            registry=self._registry,
        )

    def _exposed(self, name: str, meaning: str) -> Exposed:
        return Exposed(name, meaning, registry=self._registry)

    def add(self, verdicts: Verdicts) -> None:
        """Count an export, and complain of what is new."""
        for counter, count in (
            (self._calls, verdicts.calls),
            (self._late, verdicts.late),
            (self._again, verdicts.again),
            (self._other, verdicts.other),
            (self._evaluations, verdicts.evaluations),
        ):
            counter.inc(count)
        with self._lock:
            for (app, reason), count in verdicts.lacking.items():
                self._lacking.labels(app, reason).inc(count)
                if (app, reason) not in self._told:
                    self._told.add((app, reason))
                    about = f"of {app}" if app else "of no app that is known"
                    _LOGGER.warning("spans %s can't be used, for they lack %s: %s", about, reason, WORDS[reason])

    def refused(self, signal: Signal, status: int) -> None:
        """Count an export that wasn't taken."""
        self._refused.labels(signal, status).inc()

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self._registry)
