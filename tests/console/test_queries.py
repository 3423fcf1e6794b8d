"""The console's queries find the same on SQLite and on PostgreSQL."""

from pathlib import Path

import pytest

from softlaunch.console.queries.catalog import list_models, list_prompts, list_versions, serving_variant, uses_of_model
from softlaunch.console.queries.drift import list_drift, read_drift
from softlaunch.console.queries.evals import list_evals, read_eval, recorded_verdicts, voters
from softlaunch.console.queries.labels import list_labelling
from softlaunch.console.queries.releases import list_page
from softlaunch.console.queries.trials import incidents_of, newest_analyses
from softlaunch.policy.release import Kind
from softlaunch.store.database import Database
from tests.console.catalog_scene import add_versions
from tests.console.drift_scene import add_drift
from tests.console.eval_scene import RUN, add_eval
from tests.console.scenes import ROLLED_BACK, furnish
from tests.console.trial_scene import TRIAL, add_trial
from tests.support.builders import APP, STABLE

pytestmark = pytest.mark.long


def test_what_pages_ask_of_the_ledger(database: Database, tmp_path: Path) -> None:
    """Every list, and what one page of each kind reads."""
    furnish(database)
    add_eval(database, tmp_path)
    add_drift(database)
    add_trial(database)
    add_versions(database)
    with database.read() as session:
        evals, more = list_evals(session, APP, 1)
        assert ([line.id for line in evals], more) == ([RUN], False)
        assert read_eval(session, RUN).stable == STABLE.label
        assert voters(session, RUN) == {}
        assert recorded_verdicts(session, [ROLLED_BACK])[ROLLED_BACK]
        assert [(app, check is not None and check.drifted) for app, check in list_drift(session, "", 1)[0]] == [
            (APP, True)
        ]
        assert len(read_drift(session, APP).checks) == 7
        assert [line.id for line in list_page(session, None, None, 1, Kind.AB_TEST)[0]] == [TRIAL]
        assert newest_analyses(session, [TRIAL])[TRIAL].metrics
        assert incidents_of(session, TRIAL) == []
        assert list_labelling(session, APP) == []
        assert [(line.versions, line.newest) for line in list_prompts(session, "", 1)[0]] == [(4, "1.10.0")]
        assert [line.serves for line in list_versions(session, STABLE.prompt.name)] == [(), (), (), [APP]]
        assert [line.serves for line in list_models(session, "", 1)[0]] == [[APP]]
        assert uses_of_model(session, STABLE.model.name).serves == [APP]
        assert serving_variant(session, APP) is not None
