"""The page of an eval: complete, self-contained, and safe with whatever models answer."""

import re
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

import pytest

from softlaunch.core.arms import ByArm
from softlaunch.core.verdict import Outcome
from softlaunch.evals.calls.answers import CallKey, EvalAnswer, EvalArm, Status
from softlaunch.evals.statistics.comparison import compare
from softlaunch.evals.statistics.report import EvalReport
from softlaunch.evals.suites.suite import Case
from softlaunch.metrics import ACCURACY
from softlaunch.policy.evals import EvalPolicy
from softlaunch.reports.eval_page import JudgeReason, PageExtras, VoteForm, render_eval

POLICY = EvalPolicy(golden_set="golden.jsonl")
ATTACK = "</pre><script>alert(1)</script><img src=x onerror=alert(1)>\" onload='x'"


def report(
    scores: dict[str, tuple[tuple[float | None, ...], tuple[float | None, ...]]], text: str = "answer"
) -> EvalReport:
    """A report on cases by id, with the scores of stable's and the candidate's repeats."""
    asked = [Case(id=name, question=f"question {name} {text}", expected=text, tags=(text,)) for name in scores]
    answers = [
        EvalAnswer(
            CallKey(arm, name, repeat),
            arm,
            Status.UNSCORED if score is None else Status.SCORED,
            error="timeout" if score is None else None,
            answer=None if score is None else f"{arm} says {text}",
            scores={} if score is None else {ACCURACY: score},
        )
        for name, arms in scores.items()
        for arm, repeats in zip(EvalArm, arms, strict=True)
        for repeat, score in enumerate(repeats)
    ]
    return compare(asked, answers, POLICY)


def page(of: EvalReport, **options: Any) -> str:
    """The page with labels that attack it."""
    return render_eval(of, f"support #1 {ATTACK}", ByArm(candidate=ATTACK, stable=ATTACK), **options)


class Tags(HTMLParser):
    """Collects what a browser would take for elements and attributes, and checks that they are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.names.add(tag)
        self.attributes.update(name for name, _ in attrs)
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element that closes itself."""
        self.names.add(tag)
        self.attributes.update(name for name, _ in attrs)

    def handle_endtag(self, tag: str) -> None:
        """Close the innermost element."""
        assert self.open.pop() == tag


def test_texts_of_others_stay_texts() -> None:
    """Answers, questions, expectations, tags and labels can add neither element nor handler."""
    text = page(report({"a": ((1.0,), (0.0,)), "b": ((None,), (1.0,))}, ATTACK))
    tags = Tags(text)
    assert tags.open == []
    assert not {"img", "iframe", "link"} & tags.names
    assert text.count("<script>") == 1
    assert not {name for name in tags.attributes if name.startswith("on")}
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_nothing_is_loaded_from_elsewhere() -> None:
    """The file can be mailed, archived and opened without a network."""
    text = page(report({"a": ((1.0,), (0.0,))}))
    assert not {"src", "href", "srcset", "action"} & Tags(text).attributes
    assert not re.search(r"url\(|@import|https?://", text)


def test_the_verdict_comes_first() -> None:
    """Outcome and reason stand before the plot, the plot before the cases."""
    of = report({f"c{number}": ((1.0,), (0.0,)) for number in range(20)})
    text = page(of)
    places = [text.index(part) for part in (">Fail<", "at least", "<svg", "Cases, largest change first")]
    assert places == sorted(places)


def test_cases_are_sorted_by_how_much_they_changed() -> None:
    """Losses before gains of the same size, then what can't be compared, then what stayed."""
    of = report(
        {
            "same": ((1.0, 1.0), (1.0, 1.0)),
            "unpaired": ((None, None), (1.0, 1.0)),
            "better": ((0.0, 0.0), (1.0, 1.0)),
            "half": ((1.0, 1.0), (1.0, 0.0)),
            "worse": ((1.0, 1.0), (0.0, 0.0)),
        }
    )
    shown = re.findall(r'<span class="id">(\w+)</span>', page(of))
    assert shown == ["worse", "better", "half", "unpaired", "same"]


def test_unscored_and_flickering_cases_are_marked() -> None:
    """What a reviewer must not take for a regression says so."""
    text = page(report({"shaky": ((1.0, 0.0), (0.0, 1.0)), "lost": ((1.0, 1.0), (None, 1.0))}))
    assert text.count('flickering">flickering<') == 1
    assert ">1 unscored<" in text
    assert "1 unscored (timeout)" in text


def test_both_answers_stand_side_by_side() -> None:
    """One of each arm per case, or the word that there is none."""
    text = re.sub("</?(del|ins)>", "", page(report({"a": ((1.0,), (0.0,)), "b": ((1.0,), (None,))})))
    assert text.count("stable says answer") == 2
    assert text.count("candidate says answer") == 1
    assert "no answer" in text


def test_only_the_cases_that_changed_most_are_listed() -> None:
    """A page of thousands of cases stays readable, and says what it leaves out."""
    text = page(report({f"c{number}": ((1.0,), (1.0,)) for number in range(30)}), rows=10)
    assert text.count("<details") == 10
    assert "The 20 cases that changed least are not listed." in text


@pytest.mark.parametrize(
    "scores",
    [
        pytest.param({"a": ((None,), (None,))}, id="no answer at all"),
        pytest.param({"a": ((1.0,), (1.0,))}, id="one case"),
        pytest.param({f"c{number}": ((0.0,), (1.0,)) for number in range(50)}, id="everything better"),
        pytest.param({f"c{number}": ((1.0,), (0.0,)) for number in range(50)}, id="everything worse"),
    ],
)
def test_extremes_render(scores: dict[str, tuple[tuple[float | None, ...], tuple[float | None, ...]]]) -> None:
    """Every outcome has a well-formed page, and every mark lies within its plot."""
    text = page(report(scores))
    assert Tags(text).open == []
    places = [float(found) for found in re.findall(r'(?:cx|x)="([-\d.]+)"', text)]
    assert all(0 <= place <= 960 for place in places)


def test_equal_reports_make_equal_pages() -> None:
    """No clock and no chance in a page."""
    of = report({"a": ((1.0,), (0.0,))})
    assert page(of) == page(replace(of))


def test_the_script_is_ours_and_allowed_by_its_hash() -> None:
    """Nothing else can run: not even a script that an answer would smuggle in."""
    text = page(report({"a": ((1.0,), (0.0,))}, ATTACK))
    script = text.split("<script>")[1].split("</script>")[0]
    digest = b64encode(sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'\"" in text
    assert "connect-src" not in text


def test_words_that_differ_are_marked() -> None:
    """What only one of two answers says stands out on its side."""
    text = page(report({"a": ((1.0,), (0.0,))}))
    assert "<del>stable</del> says answer" in text
    assert "<ins>candidate</ins> says answer" in text


def test_a_page_that_is_served_takes_votes_and_shows_reasons() -> None:
    """Buttons, the vote that was given, and what judges said; a page in a file has no buttons."""
    of = report({"a": ((1.0,), (0.0,)), "b": ((1.0,), (1.0,))})
    reason = JudgeReason("rubric", "candidate", 0.25, f"It is wrong. {ATTACK}")
    served = page(of, extras=PageExtras({"a": [reason]}, {"a": "stable"}, "run-1", VoteForm("/labels", "secret")))
    assert served.count("data-label=") == 6
    assert 'data-case="a" data-vote="stable" data-flags="all worse labelled"' in served
    assert "rubric, candidate: 25.0 %" in served
    assert "It is wrong. &lt;/pre&gt;" in served
    assert "connect-src 'self'" in served
    in_a_file = page(of, extras=PageExtras(run_id="run-1"))
    assert "data-label=" not in in_a_file
    assert "softlaunch review run-1" in in_a_file


def test_a_contradiction_has_a_page() -> None:
    """The outcome for a person is shown like any other."""
    of = replace(report({"a": ((1.0,), (0.0,))}), outcome=Outcome.REVIEW)
    assert ">Review<" in page(of)
