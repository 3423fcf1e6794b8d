"""Which texts a gateway writes, and what its clients and operators see of those that it doesn't."""

import pytest

from softlaunch.core.live_sampling import is_judged
from softlaunch.core.redaction import PatternName
from softlaunch.policy.live import LiveSamplePolicy
from softlaunch.policy.texts import OwnPattern, RedactPolicy, TextPolicy
from tests.gateway.worlds import APP, World, running_world
from tests.support.servers import FakeModels, wait_until

EVERYBODY = LiveSamplePolicy(candidate=100, stable=100, afterwards=100)
UNTIL_JUDGED = TextPolicy(keep="until_judged")


def _texts(world: World) -> list[tuple[str, str, str]]:
    world.wait_for_metric("softlaunch_log_waiting", 0)
    found = world.ask_database("select request_id, arm, question from texts order by request_id, arm")
    return [tuple(row) for row in found]


def test_only_units_that_are_judged_have_their_texts_written(ledger_url: str, models: FakeModels) -> None:
    """The sample is the one that judges go by: the same units, at the rate for stable while no release is live."""
    sample = LiveSamplePolicy(candidate=100, stable=100, afterwards=40)
    with running_world(ledger_url, models, texts=UNTIL_JUDGED, live_sample=sample) as world:
        for number in range(30):
            world.ask(f"user-{number}")
        rows = world.rows(30)
        written = {request_id for request_id, _, _ in _texts(world)}
        (ends,) = world.ask_database("select min(expires_at), max(expires_at) from texts where until_judged")
    assert written == {row.request_id for row in rows if is_judged(APP, row.unit, 40)}
    assert 0 < len(written) < 30
    assert rows[0].started_at + 86400 <= ends[0] <= ends[1] <= rows[-1].started_at + 86400


@pytest.mark.parametrize(
    ("columns", "arms"),
    [
        pytest.param({"weight_percent": 50.0}, {"stable", "candidate"}, id="a split"),
        pytest.param({"weight_percent": 100.0, "control_percent": 100.0}, set(), id="everybody, and copies"),
        pytest.param({"shadow_percent": 100.0, "control_percent": 100.0}, {"stable"}, id="a shadow's copies"),
    ],
)
def test_only_answers_that_judges_compare_have_their_texts_written(
    ledger_url: str, models: FakeModels, columns: dict[str, float], arms: set[str]
) -> None:
    """Copies are judged by nobody, and neither is a candidate beside which nobody is on stable."""
    with running_world(ledger_url, models, texts=UNTIL_JUDGED, live_sample=EVERYBODY) as world:
        world.split(**columns)
        with world.watched():
            for number in range(12):
                world.ask(f"user-{number}")
            copies = sum(12 for name in ("shadow_percent", "control_percent") if name in columns)
            world.rows(12 + copies)
        assert {arm for _, arm, _ in _texts(world)} == arms


def test_without_judges_no_text_is_written(ledger_url: str, models: FakeModels) -> None:
    """A route of a policy that is to be judged, without anybody who judges, writes nothing."""
    with running_world(ledger_url, models, texts=UNTIL_JUDGED) as world:
        world.ask("ann")
        world.rows(1)
        assert _texts(world) == []


def test_a_gateway_writes_what_is_redacted(ledger_url: str, models: FakeModels) -> None:
    """Question and answer, streamed or whole; the client gets its own words back."""
    own = (OwnPattern(name="name", pattern="stable"),)
    texts = TextPolicy(keep=True, redact=RedactPolicy(patterns=(PatternName.EMAIL,), own=own))
    messages = [{"role": "user", "content": "Write to anna@example.com"}]
    with running_world(ledger_url, models, texts=texts) as world:
        answer = world.ask("ann", messages=messages).json()["choices"][0]["message"]["content"]
        world.ask("ann", messages=messages, stream=True)
        world.rows(2)
        world.wait_for_metric("softlaunch_log_waiting", 0)
        found = world.ask_database("select question, answer from texts")
    assert answer == "I am stable."
    assert [tuple(row) for row in found] == [("Write to [email]", "I am [name].")] * 2


def test_a_redactor_that_fails_is_told(ledger_url: str, models: FakeModels) -> None:
    """Answers go on; the text is not written, counted, and the gateway's status says why."""
    texts = TextPolicy(keep=True, redact=RedactPolicy(function="unheard"))
    with running_world(ledger_url, models, texts=texts) as world:
        assert world.client.get("/healthz").json()["texts"] == "ok"
        assert world.ask("ann").status_code == 200
        world.rows(1)
        wait_until(lambda: world.metric("softlaunch_texts_not_written_total") == 1.0, "the text is counted")
        wait_until(lambda: world.ask("ann").status_code == 200 and "unheard" in _said(world), "it is told")
        assert _texts(world) == []
        reasons = world.client.get("/metrics").text
    assert f'softlaunch_texts_not_written_total{{app="{APP}",reason="failed"}}' in reasons


def _said(world: World) -> str:
    return str(world.client.get("/healthz").json()["texts"])
