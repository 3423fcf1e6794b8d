"""An A/B test as people read it: its release in the ledger, and every interim analysis."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import Session

from softlaunch.ab.analysis import Analysis
from softlaunch.ab.conclusion import Choice
from softlaunch.ab.document import RecordedLook, from_json, read_looks
from softlaunch.releases.views import ReleaseView, read_view
from softlaunch.releases.views import to_json as release_json
from softlaunch.store.tables import ReleaseRow


@dataclass(frozen=True, slots=True)
class TrialView:
    """Everything that a status, a page or a program shows of a test."""

    view: ReleaseView
    looks: tuple[RecordedLook, ...]

    @property
    def analysis(self) -> Analysis | None:
        """What the newest look found; None before the first."""
        return from_json(self.looks[-1].analysis) if self.looks else None

    @property
    def choice(self) -> Choice | None:
        """What the test ended with; None while it runs, or where it was stopped."""
        last = self.looks[-1] if self.looks else None
        if last is None or not last.choice or last.choice == Choice.EXTEND:
            return None
        return Choice(last.choice)

    @property
    def planned_end(self) -> datetime | None:
        """When the test is planned to end as things stand."""
        return self.view.stages[0].record.deadline_at


def read_trial(session: Session, row: ReleaseRow, now: datetime) -> TrialView:
    """The view of a test."""
    return TrialView(read_view(session, row, now), read_looks(session, row.id))


def trial_json(trial: TrialView) -> Mapping[str, Any]:
    """The view as JSON values: what `--json` prints."""
    shown = dict(release_json(trial.view))
    shown.pop("stage")
    policy = trial.view.release.policy.ab.model_dump(mode="json")
    return {
        **shown,
        "planned_end": trial.planned_end,
        "choice": trial.choice,
        "test_policy": policy,
        "analysis": trial.looks[-1].analysis if trial.looks else None,
        "looks": [
            {
                "at": look.looked_at,
                "planned_end": look.planned_end,
                "choice": look.choice or None,
                "reason": look.reason or None,
            }
            for look in trial.looks
            if look.planned_end
        ],
    }
