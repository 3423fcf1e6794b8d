"""Redacting beside the request path: bounded, and what can't be redacted is counted, told and not written."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from softlaunch.core.redaction import ENTRY_POINTS, PatternName, Rules
from softlaunch.gateway.redaction import Redaction, Withheld
from tests.support.servers import wait_until

TEXTS = ("Mail anna@example.com", "I wrote to anna@example.com")


@pytest.fixture
def redaction() -> Iterator[Redaction]:
    """One with helper processes of its own, which end with the test."""
    made = Redaction()
    yield made
    made.close()


@pytest.fixture
def _package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package that names redactors."""
    folder = tmp_path / "own-1.0.dist-info"
    folder.mkdir()
    module = "tests.core.redaction.own_redactors"
    named = "\n".join(f"{name} = {module}:{name}" for name in ("shout", "fail", "sleep"))
    (folder / "entry_points.txt").write_text(f"[{ENTRY_POINTS}]\n{named}\n", encoding="utf-8")
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: own\nVersion: 1.0\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))


def _apply(redaction: Redaction, rules: Rules, texts: tuple[str, ...] = TEXTS) -> tuple[str, ...] | None:
    redaction.begin_batch()
    (found,) = redaction.apply_all("bot", rules, [texts])
    return found


def _ready(redaction: Redaction, rules: Rules) -> None:
    """The first text of a function has it loaded, and is not written."""
    assert _apply(redaction, rules) is None
    assert redaction.withheld["bot", Withheld.NOT_READY] == 1
    wait_until(lambda: rules.function in redaction._ready, "the function is loaded")


def test_texts_are_redacted_together(redaction: Redaction) -> None:
    """Question and answer of one request."""
    found = _apply(redaction, Rules((PatternName.EMAIL,)))
    assert found == ("Mail [email]", "I wrote to [email]")
    assert not redaction.withheld
    assert redaction.problem == ""


def test_a_pattern_that_searches_for_ever_costs_its_text(
    redaction: Redaction, caplog: pytest.LogCaptureFixture
) -> None:
    """It ends within its time, the text isn't written, and the next one is redacted."""
    began = time.monotonic()
    with caplog.at_level(logging.WARNING):
        assert _apply(redaction, Rules(own=(("evil", r"(a+)+$"),)), ("a" * 40 + "!",)) is None
    assert time.monotonic() - began < 10
    assert redaction.withheld == {("bot", Withheld.TOO_SLOW): 1}
    assert "texts of bot are not written: redacting them took too long" in redaction.problem
    assert redaction.problem in caplog.text
    assert _apply(redaction, Rules((PatternName.EMAIL,))) is not None


def test_one_text_costs_no_other(redaction: Redaction) -> None:
    """Texts of a batch go together; where one is too slow the others are redacted by themselves."""
    redaction._until = float("inf")  # whatever else this machine does
    rules = Rules((PatternName.EMAIL,), own=(("evil", r"(a+)+$"),))
    found = redaction.apply_all("bot", rules, [("a@example.com",), ("a" * 40 + "!",), ("b@example.com",)])
    assert found == [("[email]",), None, ("[email]",)]
    assert redaction.withheld == {("bot", Withheld.TOO_SLOW): 1}


def test_a_batch_has_an_end(redaction: Redaction) -> None:
    """When its time is over nothing more of it is redacted: rows wait for it."""
    assert _apply(redaction, Rules((PatternName.EMAIL,))) is not None
    redaction._until = 0.0
    assert redaction.apply_all("bot", Rules((PatternName.EMAIL,)), [TEXTS, TEXTS]) == [None, None]
    assert redaction.withheld == {("bot", Withheld.TOO_SLOW): 2}


@pytest.mark.usefixtures("_package")
def test_a_function_of_a_package(redaction: Redaction) -> None:
    """It is loaded beside the log's thread, and then works on what patterns have left."""
    rules = Rules((PatternName.EMAIL,), function="shout")
    _ready(redaction, rules)
    assert _apply(redaction, rules) == ("MAIL [EMAIL]", "I WROTE TO [EMAIL]")


@pytest.mark.usefixtures("_package")
def test_a_function_that_fails_is_told_without_the_text(redaction: Redaction) -> None:
    """Its message may quote what somebody wrote."""
    rules = Rules(function="fail")
    _ready(redaction, rules)
    assert _apply(redaction, rules) is None
    assert redaction.withheld["bot", Withheld.FAILED] == 1
    assert redaction.problem == "texts of bot are not written: fail failed: ValueError"


@pytest.mark.usefixtures("_package")
def test_a_function_that_sleeps_is_ended_and_loaded_again(redaction: Redaction) -> None:
    """The process that it ran in is gone, and with it what was imported there."""
    rules = Rules(function="sleep")
    _ready(redaction, rules)
    assert _apply(redaction, rules) is None
    assert redaction.withheld["bot", Withheld.TOO_SLOW] == 1
    assert _apply(redaction, rules) is None
    assert redaction.withheld["bot", Withheld.NOT_READY] == 2


def test_a_function_that_nobody_installed(redaction: Redaction) -> None:
    """Nothing is written, and the message says what to install."""
    rules = Rules(function="unheard")
    assert _apply(redaction, rules) is None
    wait_until(lambda: _apply(redaction, rules) is None and bool(redaction._broken), "it was looked for")
    assert _apply(redaction, rules) is None
    assert redaction.withheld["bot", Withheld.FAILED] >= 1
    assert "there is no redactor 'unheard' here; install the package" in redaction.problem
