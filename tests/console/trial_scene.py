"""An A/B test in the ledger of a console, under way for two weeks."""

from datetime import timedelta
from pathlib import Path

import numpy as np

from softlaunch.ab.analysis import Moment, analyse
from softlaunch.ab.conclusion import Choice
from softlaunch.ab.document import RecordedLook, record_look, to_json
from softlaunch.ledger.releases import Opening, open_release
from softlaunch.policy.release import Kind
from softlaunch.releases.ending import abort
from softlaunch.store.database import Database
from softlaunch.store.tables import ReleaseRow, StageRow
from tests.ab.trials import World, grown
from tests.support.builders import ANNA, APP, CANDIDATE, NOON, STABLE, make_policy

TRIAL = f"{APP}-ab-3"
LOOKS = 12


def add_trial(database: Database, folder: Path | None = None, *, choice: str = "") -> str:
    """Open a test of B, which is slightly better, after aborting what is live; a choice ends its last look."""
    policy = make_policy(ab={"metrics": ["satisfaction"]})
    with database.begin() as session:
        abort(session, APP, ANNA, "make room", NOON)
        opening = Opening(APP, STABLE.digest, CANDIDATE.digest, policy, "policy.yaml", Kind.AB_TEST)
        trial = open_release(session, opening, ANNA, NOON)
        session.get_one(StageRow, (trial, 0)).deadline_at = NOON + timedelta(days=14)
        stages = grown(World(lift=0.03), [200 * number for number in range(1, LOOKS + 1)], np.random.default_rng(5))
        for number, arms in enumerate(stages):
            last = choice and number == LOOKS - 1
            analysis = analyse(arms, policy.ab, Moment(1, 1, planned=bool(last)))
            at = NOON + timedelta(days=number + 1)
            ending = (1, choice, "undecided at the limit: satisfaction") if last else (0, "", "")
            record_look(session, trial, RecordedLook(number, *ending, to_json(analysis), at))
        if choice:
            row = session.get_one(ReleaseRow, trial)
            row.live_app, row.state, row.outcome = None, "concluded", Choice(choice).outcome
            row.reason, row.ended_at = f"{choice}: satisfaction", NOON + timedelta(days=14)
    return trial
