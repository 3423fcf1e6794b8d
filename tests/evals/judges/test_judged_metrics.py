"""Metrics that ask judges: what they ask, how they read it, and what nonsense comes to."""

import asyncio

import httpx
import pytest

from softlaunch.evals.judges.panel import JudgeError, Judges, embed, shipped_prompts
from softlaunch.metrics import AskingMetric, PairMetric, Sample, Score, Spent, parse_metric
from softlaunch.metrics.asking import Vectors
from softlaunch.metrics.judge_replies import Claim, Preferred, read_claims, read_grade, read_preference, reason_in
from softlaunch.metrics.judged import JUDGE_PROMPTS
from tests.evals.judges.panels import Scripted, model

SAMPLE = Sample(answer="At nine.", question="When do you open?", expected="9", context="Open from 9 to 18.")
CLAIMS = (
    '{"claims": [{"claim": "a", "supported": true, "reason": ""}, {"claim": "b", "supported": false, "reason": "no"}]}'
)


def score(spec: str, judges: Scripted, sample: Sample = SAMPLE) -> Score:
    """The score of one answer."""
    metric = parse_metric(spec)
    assert isinstance(metric, AskingMetric)
    return asyncio.run(metric.score(sample, judges.panel))


def compare(judges: Scripted, spec: str = "pairwise") -> Score:
    """The candidate's score, where stable's answer is `old` and the candidate's `new`."""
    metric = parse_metric(spec)
    assert isinstance(metric, PairMetric)
    return asyncio.run(metric.compare(Sample(answer="old"), Sample(answer="new", question="?"), judges.panel))


@pytest.mark.parametrize(
    ("text", "grade"),
    [
        pytest.param("Good.\n[[4]]", 4.0, id="at the end"),
        pytest.param("It says [[1]], but it is fine. [[ 5 ]]", 5.0, id="the last one counts"),
        pytest.param("[[3.5]]", 3.5, id="half a grade"),
        pytest.param("Grade: 4", None, id="no brackets"),
        pytest.param("[[9]]", None, id="beyond the scale"),
        pytest.param("[[0]]", None, id="below the scale"),
        pytest.param("", None, id="nothing"),
    ],
)
def test_grades(text: str, grade: float | None) -> None:
    """What isn't a grade on the scale is nothing."""
    assert read_grade(text, 5) == grade


@pytest.mark.parametrize(
    ("text", "preferred"),
    [
        pytest.param("A is better. [[A]]", Preferred.A, id="first"),
        pytest.param("[[ B ]]", Preferred.B, id="second"),
        pytest.param("[[C]]", Preferred.TIE, id="tie"),
        pytest.param("[[D]] A", None, id="nonsense"),
    ],
)
def test_preferences(text: str, preferred: Preferred | None) -> None:
    """Only a verdict in brackets is one."""
    assert read_preference(text) is preferred


@pytest.mark.parametrize(
    ("text", "claims"),
    [
        pytest.param(f"```json\n{CLAIMS}\n```", (Claim("a", True, ""), Claim("b", False, "no")), id="in fences"),
        pytest.param('{"claims": []}', (), id="no claims"),
        pytest.param('{"claims": [{"claim": "a"}]}', None, id="a claim without a verdict"),
        pytest.param('{"claims": [{"claim": "a", "supported": "yes"}]}', None, id="a word for a truth"),
        pytest.param('{"claims": {}}', None, id="no list"),
        pytest.param('{"facts": []}', None, id="another key"),
        pytest.param("{claims}", None, id="no JSON"),
        pytest.param("All is well.", None, id="prose"),
    ],
)
def test_claims(text: str, claims: tuple[Claim, ...] | None) -> None:
    """A list of claims of the form that was asked for, or nothing."""
    assert read_claims(text) == claims


def test_reasons_are_what_is_said_besides_the_verdict() -> None:
    """Shortened, on one line."""
    assert reason_in("Clear.\n\nShort. [[4]]") == "Clear. Short."
    assert len(reason_in("x" * 2000)) == 600


@pytest.mark.parametrize(
    ("spec", "reply", "value"),
    [
        pytest.param("rubric", "Fine. [[5]]", 1.0, id="best grade"),
        pytest.param("rubric", "Bad. [[1]]", 0.0, id="worst grade"),
        pytest.param("rubric:scale=10", "[[4]]", 1 / 3, id="another scale"),
        pytest.param("rubric", "I like it.", None, id="no grade"),
        pytest.param("hallucination", CLAIMS, 0.0, id="one claim unsupported"),
        pytest.param("hallucination:of=claims", CLAIMS, 0.5, id="share of claims"),
        pytest.param("hallucination", '{"claims": []}', 1.0, id="no claims"),
        pytest.param("hallucination", "All good!", None, id="no list of claims"),
    ],
)
def test_scores_of_one_answer(spec: str, reply: str, value: float | None) -> None:
    """On the scale from 0 to 1; what can't be read is unscored, never a pass."""
    found = score(spec, Scripted(lambda name, asked: reply))
    assert found.value == (None if value is None else pytest.approx(value))
    assert found.spent == Spent(1, 0.01)


def test_nonsense_is_told_with_what_was_said() -> None:
    """Somebody must be able to see what the judge does."""
    found = score("rubric", Scripted(lambda name, asked: "I would rather not say."))
    assert found.reason == "judge said what can't be read: 'I would rather not say.'"


def test_a_judge_that_does_not_answer_costs_nothing_and_scores_nothing() -> None:
    """The error's code is the reason."""
    assert score("rubric", Scripted(lambda name, asked: None)) == Score(None, "judge: timeout")


def test_the_prompt_has_everything_that_the_metric_reads() -> None:
    """Question, answer, criterion, context, and what is expected as a reference."""
    judges = Scripted(lambda name, asked: "[[3]]")
    score("rubric:criterion=It is short.", judges)
    assert judges.asked == [
        {
            "criterion": "It is short.",
            "scale": "5",
            "answer": "At nine.",
            "question": "When do you open?",
            "context": "Open from 9 to 18.",
            "reference": "9",
        }
    ]
    (call,) = judges.calls
    body = call.variant.request_body(call.case.request)
    assert body["temperature"] == 0.0
    assert all(text in body["messages"][1]["content"] for text in ("At nine.", "It is short.", "Open from 9 to 18."))


def test_the_judge_is_a_variant_whose_prompt_can_be_replaced() -> None:
    """Another prompt version is another judge."""
    usual = Judges((model(),))
    prompt = shipped_prompts()["judge-rubric"].model_copy(update={"version": "2.0.0"})
    changed = Judges((model(),), {"judge-rubric": prompt})
    assert [one.label for one in changed.variants("judge-rubric")] == ["judge-rubric@2.0.0 on judge, temperature 0.0"]
    assert changed.digest("judge-rubric") != usual.digest("judge-rubric")
    assert changed.digest("judge-pairwise") == usual.digest("judge-pairwise")


def test_without_a_context_claims_are_unscored_unless_knowledge_will_do() -> None:
    """Nobody is asked what nobody could answer."""
    judges = Scripted(lambda name, asked: '{"claims": []}')
    bare = Sample(answer="Paris.", question="What is the capital of France?")
    assert score("hallucination", judges, bare).value is None
    assert not judges.asked
    assert score("hallucination:needs_context=false", judges, bare).value == 1.0
    text = judges.calls[0].variant.request_body(judges.calls[0].case.request)["messages"][1]["content"]
    assert "established knowledge" in text
    assert "<context>" not in text


@pytest.mark.parametrize(
    ("grades", "value"),
    [
        pytest.param({"x": "[[5]]", "y": "[[3]]", "z": "[[1]]"}, 0.5, id="the mean"),
        pytest.param({"x": "[[5]]", "y": "[[4]]", "z": "?"}, 0.875, id="one can't be read"),
        pytest.param({"x": "[[5]]", "y": None, "z": "?"}, None, id="most can't be read"),
    ],
)
def test_several_judges(grades: dict[str, str | None], value: float | None) -> None:
    """Their mean, as long as more than half of them say something."""
    found = score("rubric", Scripted(lambda name, asked: grades[name], names=("x", "y", "z")))
    assert found.value == value
    assert found.reason.count("\n") == 2


@pytest.mark.parametrize(
    ("prefers", "value", "reason"),
    [
        pytest.param("new", 1.0, "judge: Because.", id="the candidate"),
        pytest.param("old", 0.0, "judge: Because.", id="stable"),
        pytest.param("neither", 0.5, "judge: Because.", id="neither"),
        pytest.param("the first", 0.5, "judge prefers another answer in the other order.", id="whatever comes first"),
        pytest.param("nonsense", None, "judge said what can't be read: 'Well.'", id="nonsense"),
    ],
)
def test_pairs_are_asked_in_both_orders(prefers: str, value: float | None, reason: str) -> None:
    """A judge that goes by position sees a tie."""

    def reply(name: str, asked: object) -> str:
        a = asked["answer_a"]  # type: ignore[index]  # the prompt's variables
        verdicts = {"the first": "[[A]]", "neither": "[[C]]", "nonsense": ""}
        said = verdicts.get(prefers, "[[A]]" if a == prefers else "[[B]]")
        return f"Because. {said}" if said else "Well."

    judges = Scripted(reply)
    found = compare(judges)
    assert found.value == value
    assert found.reason.startswith(reason)
    assert found.spent == Spent(2, 0.02)
    assert {(asked["answer_a"], asked["answer_b"]) for asked in judges.asked} == {("new", "old"), ("old", "new")}


def test_a_price_that_nobody_knows_stays_unknown() -> None:
    """Calls are counted anyway."""
    assert compare(Scripted(lambda name, asked: "[[C]]", cost_usd=None)).spent == Spent(2, None)


def test_without_a_judge_the_policy_is_named() -> None:
    """The message says what to set."""
    with pytest.raises(JudgeError, match=r"eval\.judge\.models"):
        score("rubric", Scripted(lambda name, asked: "[[1]]", names=()))


def test_every_judge_prompt_comes_along() -> None:
    """And renders with what the metrics give it."""
    assert set(shipped_prompts()) == set(JUDGE_PROMPTS)


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        pytest.param(200, {"data": [{"index": 0, "embedding": [1, 0]}]}, "bad_answer", id="one vector too few"),
        pytest.param(200, {"data": "?"}, "bad_answer", id="no list"),
        pytest.param(429, {}, "http_429", id="refused"),
    ],
)
def test_embeddings_that_do_not_come(status: int, body: object, error: str) -> None:
    """A code in place of vectors."""
    transport = httpx.MockTransport(lambda request: httpx.Response(status, json=body))
    found = asyncio.run(embed("http://x/v1", "m", None, ("a", "b"), transport=transport))
    assert (found.values, found.error) == (None, error)


class Placed:
    """Helpers who place two texts as told."""

    def __init__(self, *vectors: tuple[float, ...]) -> None:
        self.vectors = vectors

    async def hear(self, prompt: str, variables: object) -> list[object]:
        """Nobody judges here."""
        raise AssertionError

    async def embed(self, endpoint: str, model: str, api_key_env: str | None, texts: object) -> Vectors:
        """The vectors as told, for ten tokens."""
        return Vectors(self.vectors, None, 10)


@pytest.mark.parametrize(
    ("vectors", "spec", "value"),
    [
        pytest.param(((1.0, 0.0), (2.0, 0.0)), "", 1.0, id="the same direction"),
        pytest.param(((1.0, 0.0), (0.0, 1.0)), "", 0.0, id="unrelated"),
        pytest.param(((1.0, 0.0), (-1.0, 0.0)), "", 0.0, id="opposite"),
        pytest.param(((3.0, 4.0), (4.0, 3.0)), "", 0.96, id="near"),
        pytest.param(((3.0, 4.0), (4.0, 3.0)), ",at_least=0.9", 1.0, id="near enough"),
        pytest.param(((0.0, 0.0), (4.0, 3.0)), "", None, id="no direction"),
        pytest.param(((1.0,), (4.0, 3.0)), "", None, id="two lengths"),
    ],
)
def test_similarity_of_meaning(vectors: tuple[tuple[float, ...], ...], spec: str, value: float | None) -> None:
    """The cosine, and its price by the tokens that the endpoint counted."""
    metric = parse_metric(f"embedding:endpoint=http://x/v1,model=m,input_usd_per_million=2{spec}")
    assert isinstance(metric, AskingMetric)
    found = asyncio.run(metric.score(Sample(answer="a", expected="b"), Placed(*vectors)))  # type: ignore[arg-type]  # hears nobody
    assert found.value == (None if value is None else pytest.approx(value))
    assert found.spent.calls == 1
    assert found.spent.cost_usd == pytest.approx(2e-5)
