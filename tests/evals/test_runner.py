"""Calls to a real endpoint: many at once, retried where it helps, recorded as they come."""

import asyncio
import random
from collections.abc import Sequence
from threading import Lock
from time import monotonic
from typing import Any

import pytest

from softlaunch.core.endpoint import MissingKeyError
from softlaunch.evals.calls.answers import CallKey, EvalAnswer, EvalArm, Status
from softlaunch.evals.calls.budget import Budget, Limits, UnpricedError
from softlaunch.evals.calls.call import CallOptions
from softlaunch.evals.calls.deadline import Deadline
from softlaunch.evals.calls.retry import Retries
from softlaunch.evals.calls.runner import plan, run_calls
from softlaunch.evals.suites.suite import Suite
from tests.evals.arms import cases
from tests.support.endpoints import Behaviour, Endpoint, Reply, instruction, variant

QUICK = Retries(attempts=3, first_seconds=0.01, longest_seconds=0.05, patience_seconds=0.2)


class Ledger:
    """Keeps what was recorded, in batches."""

    def __init__(self) -> None:
        self.batches: list[Sequence[EvalAnswer]] = []
        self._lock = Lock()

    def record(self, batch: Sequence[EvalAnswer]) -> None:
        """Take a batch."""
        with self._lock:
            self.batches.append(list(batch))

    @property
    def answers(self) -> dict[CallKey, EvalAnswer]:
        """All answers, each recorded once."""
        every = [answer for batch in self.batches for answer in batch]
        found = {answer.key: answer for answer in every}
        assert len(found) == len(every)
        return found


def run(endpoint: Endpoint, count: int = 1, repeats: int = 1, **options: Any) -> dict[CallKey, EvalAnswer]:
    """Run an eval of `good` against `new` on so many cases; the answers."""
    ledger = Ledger()
    fields = options.pop("fields", {})
    suite = Suite.of(tuple(cases(count)))
    stable, candidate = (variant(endpoint.url, model, **fields) for model in ("good", "new"))
    until = options.pop("until", Deadline())
    chosen = CallOptions(
        **{"concurrency": 8, "timeout_seconds": 5.0, "retries": QUICK, "rng": random.Random(1), **options}
    )
    calls = list(plan(suite, stable, candidate, range(repeats)))
    asyncio.run(run_calls(calls, ledger.record, chosen, until))
    return ledger.answers


def only(model: str, behaviour: Behaviour) -> Behaviour:
    """Behave so for one model; the other one answers."""
    return lambda asked, question, before: behaviour(asked, question, before) if asked == model else Reply()


def test_every_call_is_made_once_and_scored(endpoint: Endpoint) -> None:
    """Two arms, twenty cases, two repeats: eighty answers with score, latency, tokens and cost."""
    endpoint.behaviour = only("new", lambda model, question, before: Reply("no"))
    answers = run(endpoint, 20, 2)
    assert len(answers) == 80
    assert set(endpoint.asked.values()) == {2}
    right = answers[CallKey(EvalArm.STABLE, "c3", 1)]
    assert (right.status, right.scores, right.answer) == (Status.SCORED, {"accuracy": 1.0}, "yes")
    assert (right.input_tokens, right.output_tokens) == (10, 2)
    assert right.cost_usd == pytest.approx(30e-6)
    assert right.latency_ms is not None
    assert right.latency_ms > 0
    assert answers[CallKey(EvalArm.CANDIDATE, "c3", 1)].scores == {"accuracy": 0.0}


def test_arms_are_interleaved(endpoint: Endpoint) -> None:
    """Each case's two calls are neighbours, and neither arm always goes first, so that drift meets both."""
    run(endpoint, 10, 2, concurrency=1)
    pairs = list(zip(endpoint.order[::2], endpoint.order[1::2], strict=True))
    assert all({first[0], second[0]} == {"good", "new"} and first[1] == second[1] for first, second in pairs)
    assert [first[0] for first, _ in pairs].count("good") == 10


def test_concurrency_is_bounded(endpoint: Endpoint) -> None:
    """As many calls at once as allowed, and no more."""
    endpoint.behaviour = lambda model, question, before: Reply(delay=0.02)
    run(endpoint, 20, concurrency=5)
    assert endpoint.most_under_way == 5


@pytest.mark.parametrize("status", [429, 500, 503])
def test_passing_faults_are_tried_again(endpoint: Endpoint, status: int) -> None:
    """A rate limit or a server error that goes away costs nothing but time."""
    endpoint.behaviour = only("new", lambda model, question, before: Reply(status=status if before < 2 else 200))
    answers = run(endpoint, 3)
    assert all(answer.status is Status.SCORED for answer in answers.values())
    assert endpoint.asked["new", "question 0"] == 3
    assert endpoint.asked["good", "question 0"] == 1


def test_retry_after_is_waited_for(endpoint: Endpoint) -> None:
    """The endpoint's own word on when to come back is kept."""
    wait = 0.3
    endpoint.behaviour = only(
        "new",
        lambda model, question, before: (
            Reply(status=429, headers={"Retry-After": str(wait)}) if not before else Reply()
        ),
    )
    started = monotonic()
    answers = run(endpoint, 1, retries=Retries(first_seconds=0.001, longest_seconds=5))
    assert monotonic() - started >= wait
    assert answers[CallKey(EvalArm.CANDIDATE, "c0", 0)].status is Status.SCORED


@pytest.mark.parametrize(
    ("reply", "code", "attempts"),
    [
        pytest.param(Reply(status=502), "http_502", 3, id="server error that stays"),
        pytest.param(Reply(status=400), "http_400", 1, id="refused request"),
        pytest.param(Reply(status=302), "http_302", 1, id="redirect"),
        pytest.param(Reply(body=b"<html>"), "bad_answer", 1, id="no JSON"),
        pytest.param(Reply(body=b"{}"), "bad_answer", 1, id="no choices"),
        pytest.param(Reply(body=b'{"choices":[]}'), "bad_answer", 1, id="empty choices"),
        pytest.param(Reply(body=b'{"choices":[{"message":{"content":7}}]}'), "bad_answer", 1, id="text is a number"),
        pytest.param(Reply(delay=30), "timeout", 1, id="hangs"),
        pytest.param(Reply(drop=True), "connect", 3, id="connection closed"),
    ],
)
def test_a_call_that_fails_is_unscored_with_a_code(endpoint: Endpoint, reply: Reply, code: str, attempts: int) -> None:
    """Neither right nor wrong: no score, no answer, the reason, and no effect on the other arm."""
    endpoint.behaviour = only("new", lambda model, question, before: reply)
    answers = run(endpoint, 1, timeout_seconds=0.5)
    failed = answers[CallKey(EvalArm.CANDIDATE, "c0", 0)]
    assert (failed.status, failed.error, failed.scores, failed.answer) == (Status.UNSCORED, code, {}, None)
    assert failed.cost_usd is None
    assert endpoint.asked["new", "question 0"] == attempts
    assert answers[CallKey(EvalArm.STABLE, "c0", 0)].status is Status.SCORED


def test_what_is_not_http_is_a_bad_answer() -> None:
    """A port where something else speaks doesn't end the run."""

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"220 smtp.example.com ESMTP\r\n\r\n")
        writer.close()

    async def body() -> dict[CallKey, EvalAnswer]:
        server = await asyncio.start_server(babble, "127.0.0.1", 0)
        ledger = Ledger()
        suite = Suite.of(tuple(cases(1)))
        one = variant(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", "m")
        calls = list(plan(suite, one, one, range(1)))
        options = CallOptions(concurrency=2, timeout_seconds=5.0, retries=QUICK, rng=random.Random(1))
        await run_calls(calls, ledger.record, options, Deadline())
        server.close()
        return ledger.answers

    assert {answer.error for answer in asyncio.run(body()).values()} == {"bad_answer"}


@pytest.mark.parametrize(
    ("url", "code"),
    [
        pytest.param("http://127.0.0.1:1/v1", "connect", id="connection refused"),
        pytest.param("http://127.0.0.1:port/v1", "bad_endpoint", id="no address"),
    ],
)
def test_an_endpoint_that_is_not_there(url: str, code: str) -> None:
    """Every call ends, with the same code in both arms."""
    answers = run(Endpoint(url=url), 3)
    assert {answer.error for answer in answers.values()} == {code}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        pytest.param(b'{"choices":[{"message":{"content":null}}]}', "", id="a tool call or refusal"),
        pytest.param(b'{"choices":[{"message":{"content":[{"type":"text","text":"yes"}]}}]}', "yes", id="parts"),
    ],
)
def test_answers_without_plain_text(endpoint: Endpoint, body: bytes, text: str) -> None:
    """An answer without text is an answer, and costs what nobody can tell without usage."""
    endpoint.behaviour = lambda model, question, before: Reply(body=body)
    answer = run(endpoint)[CallKey(EvalArm.STABLE, "c0", 0)]
    assert (answer.status, answer.answer, answer.cost_usd) == (Status.SCORED, text, None)
    assert answer.scores == {"accuracy": float(text == "yes")}


def test_a_variable_that_the_golden_set_lacks_is_unscored(endpoint: Endpoint) -> None:
    """A prompt that can't be rendered is never sent."""
    answers = run(endpoint, fields={"prompt": instruction("Speak {{ language }}.")})
    assert {answer.error for answer in answers.values()} == {"template"}
    assert not endpoint.asked


def test_the_provider_key_comes_from_the_environment(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is sent as a bearer token."""
    monkeypatch.setenv("SOME_KEY", "s3cret")
    run(endpoint, fields={"api_key_env": "SOME_KEY"})
    assert set(endpoint.keys) == {"Bearer s3cret"}


def test_a_missing_provider_key_is_said_before_any_call(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is asked, and the variable to set is named."""
    monkeypatch.delenv("SOME_KEY", raising=False)
    with pytest.raises(MissingKeyError, match="set the variable SOME_KEY"):
        run(endpoint, fields={"api_key_env": "SOME_KEY"})
    assert not endpoint.asked


def test_after_the_deadline_no_call_is_started_and_none_is_lost(endpoint: Endpoint) -> None:
    """What was asked is recorded; what wasn't is neither asked nor recorded."""
    until = Deadline()

    def behave(model: str, question: str, before: int) -> Reply:
        if endpoint.asked.total() == 10:
            until.move(0)
        return Reply(delay=0.02)

    endpoint.behaviour = behave
    answers = run(endpoint, 200, concurrency=4, until=until)
    assert 10 <= len(answers) < 400
    assert len(answers) == endpoint.asked.total()


def test_a_failure_to_record_stops_the_run(endpoint: Endpoint) -> None:
    """There is no point in paying for answers that can't be kept."""
    endpoint.behaviour = lambda model, question, before: Reply(delay=0.01)

    def full(batch: Sequence[EvalAnswer]) -> None:
        raise OSError("disk full")

    stable, candidate = (variant(endpoint.url, model) for model in "ab")
    calls = list(plan(Suite.of(tuple(cases(500))), stable, candidate, range(1)))
    options = CallOptions(concurrency=2, timeout_seconds=5.0, rng=random.Random(1))
    with pytest.raises(OSError, match="disk full"):
        asyncio.run(run_calls(calls, full, options, Deadline()))
    assert endpoint.asked.total() < 1000


@pytest.mark.long
def test_a_rate_limit_that_lasts_is_waited_out(endpoint: Endpoint) -> None:
    """429 to everybody for longer than all attempts would take: nothing is lost, and few requests are wasted."""
    opens = monotonic() + 1.5
    endpoint.behaviour = lambda model, question, before: Reply(status=429 if monotonic() < opens else 200)
    patient = Retries(attempts=2, first_seconds=0.05, longest_seconds=0.2, patience_seconds=60)
    answers = run(endpoint, 20, retries=patient)
    assert {answer.status for answer in answers.values()} == {Status.SCORED}
    assert len(answers) == 40
    assert endpoint.asked.total() < 40 + 8 * 60


def test_a_rate_limit_without_end_is_unscored(endpoint: Endpoint) -> None:
    """Patience ends; the code says why there is no answer."""
    endpoint.behaviour = only("new", lambda model, question, before: Reply(status=429))
    impatient = Retries(first_seconds=0.01, longest_seconds=0.02, patience_seconds=0.1)
    answers = run(endpoint, 1, retries=impatient)
    assert answers[CallKey(EvalArm.CANDIDATE, "c0", 0)].error == "http_429"


def test_an_endpoint_that_says_that_nothing_is_left_is_left_alone(endpoint: Endpoint) -> None:
    """The next call waits for the moment that the headers name."""
    nothing = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "300ms"}
    endpoint.behaviour = lambda model, question, before: Reply(headers=nothing)
    started = monotonic()
    answers = run(endpoint, 2, concurrency=1)
    assert len(answers) == 4
    assert monotonic() - started >= 0.9


def test_a_deadline_ends_the_waiting_for_a_rate_limit(endpoint: Endpoint) -> None:
    """What nobody has answered is not recorded, and asked again another time."""
    endpoint.behaviour = lambda model, question, before: Reply(status=429, headers={"Retry-After": "30"})
    assert run(endpoint, 3, until=Deadline(0.2), retries=Retries(longest_seconds=60)) == {}


def test_a_budget_of_calls_is_kept_to_the_call(endpoint: Endpoint) -> None:
    """Repeated attempts count, and what was answered is recorded."""
    endpoint.behaviour = lambda model, question, before: Reply(status=200 if before or question[-1] != "0" else 500)
    budget = Budget(Limits(calls=25))
    answers = run(endpoint, 40, budget=budget)
    assert endpoint.asked.total() == budget.calls == 25
    assert 20 <= len(answers) <= 25
    assert budget.spent_out == "the budget of 25 calls is used up"


def test_a_budget_in_usd_is_never_exceeded(endpoint: Endpoint) -> None:
    """Calls under way are reserved at what a call costs."""
    budget = Budget(Limits(usd=0.0010))
    answers = run(endpoint, 100, budget=budget, concurrency=16)
    assert sum(answer.cost_usd or 0 for answer in answers.values()) == pytest.approx(budget.usd)
    assert 0.0009 < budget.usd <= 0.0010


def test_a_budget_in_usd_needs_prices(endpoint: Endpoint) -> None:
    """Nothing is asked where nobody could say what it costs."""
    unknown = {"input_usd_per_million": None, "output_usd_per_million": None}
    with pytest.raises(UnpricedError, match=r"the price of good is unknown"):
        run(endpoint, 3, budget=Budget(Limits(usd=1.0)), fields=unknown)
    assert not endpoint.asked
