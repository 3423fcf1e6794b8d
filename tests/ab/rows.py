"""Traffic of an A/B test in the request log, without a gateway."""

import numpy as np

from softlaunch.store.database import Database
from softlaunch.store.tables import FeedbackRow, RequestRow
from tests.support.builders import NOON, request_row


def write_traffic(
    database: Database,
    release_id: str | None,
    *,
    units: int = 400,
    good_a: float = 0.8,
    good_b: float = 0.8,
    cost_ratio: float = 1.0,
    after_seconds: float = 60.0,
    seed: int = 3,
    share: float = 0.5,
) -> None:
    """One rated request of each unit, begun within `after_seconds` after NOON; without a release all are A's."""
    rng = np.random.default_rng(seed)
    rows: list[RequestRow] = []
    ratings: list[FeedbackRow] = []
    for number in range(units):
        on_b = release_id is not None and bool(rng.random() < share)
        began = NOON.timestamp() + after_seconds * rng.random()
        request_id = f"{release_id}-{after_seconds}-{number}"
        rows.append(
            request_row(
                request_id=request_id,
                release_id=release_id,
                stage=0,
                weight_percent=50.0 if release_id else 0.0,
                arm="candidate" if on_b else "stable",
                unit=number,
                started_at=began,
                latency_ms=float(800 * rng.lognormal(0, 0.3)),
                cost_usd=float(1e-5 * (cost_ratio if on_b else 1.0) * rng.lognormal(0, 0.3)),
            )
        )
        good = float(rng.random() < (good_b if on_b else good_a))
        ratings.append(
            FeedbackRow(request_id=request_id, app="support-bot", satisfaction=good, kind="thumbs", received_at=began)
        )
    with database.begin() as session:
        session.add_all([*rows, *ratings])
