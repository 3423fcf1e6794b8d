"""The page of an eval: complete, self-contained, and safe with whatever models answer."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from softlaunch.evals.answers import CallKey, EvalAnswer, EvalArm, Status
from softlaunch.evals.comparison import compare
from softlaunch.evals.metrics import ACCURACY
from softlaunch.evals.report import EvalReport
from softlaunch.evals.suite import Case
from softlaunch.policy.model import EvalPolicy
from softlaunch.reports.eval_page import render_eval

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


def page(of: EvalReport, **options: int) -> str:
    """The page with labels that attack it."""
    return render_eval(of, title=f"support #1 {ATTACK}", stable_label=ATTACK, candidate_label=ATTACK, **options)


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
    assert not {"script", "img", "iframe", "link"} & tags.names
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
    assert text.count(">flickering<") == 1
    assert ">1 unscored<" in text
    assert "1 unscored (timeout)" in text


def test_both_answers_stand_side_by_side() -> None:
    """One of each arm per case, or the word that there is none."""
    text = page(report({"a": ((1.0,), (0.0,)), "b": ((1.0,), (None,))}))
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
