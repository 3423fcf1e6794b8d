"""Answers drawn at random that people label: how many wait, and how many are labelled, by metric."""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlmodel import Session, col

from softlaunch.catalog.records import check_app
from softlaunch.core.errors import NotFoundError
from softlaunch.policy.model import Policy
from softlaunch.policy.named_metrics import MetricPolicy
from softlaunch.store.tables import ReviewDrawRow


@dataclass(frozen=True, slots=True)
class Labelling:
    """A metric whose values are people's labels of drawn answers."""

    metric: MetricPolicy
    drawn: int
    labelled: int

    @property
    def waiting(self) -> int:
        """How many are still to be labelled."""
        return self.drawn - self.labelled


def list_labelling(session: Session, app: str) -> list[Labelling]:
    """The metrics that the app's policy declares as drawn. Raises NotFoundError for an app that isn't there."""
    counted = (
        select(col(ReviewDrawRow.metric), func.count(), func.count(col(ReviewDrawRow.value)))
        .where(col(ReviewDrawRow.app) == app)
        .group_by(col(ReviewDrawRow.metric))
    )
    known = {metric: (drawn, labelled) for metric, drawn, labelled in session.execute(counted)}
    return [Labelling(metric, *known.get(metric.name, (0, 0))) for metric in _drawn(session, app)]


def labelled_metric(session: Session, app: str, name: str) -> MetricPolicy:
    """One of them. Raises NotFoundError."""
    found = next((metric for metric in _drawn(session, app) if metric.name == name), None)
    if found is None:
        raise NotFoundError(f"the policy of {app} declares no metric {name!r} with 'drawn: true'")
    return found


def _drawn(session: Session, app: str) -> list[MetricPolicy]:
    return [metric for metric in Policy.model_validate(check_app(session, app).policy).metrics if metric.drawn]
