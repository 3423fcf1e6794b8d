"""Own expressions and functions of apps, as rules."""

from importlib.metadata import EntryPoint

import pytest

from softlaunch.core.redaction import ENTRY_POINTS, Rules, UnknownRedactorError, find_redactor, redact, rules


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two redactors: one that works, and one that isn't there."""
    points = [
        EntryPoint("shout", "tests.core.redaction.own_redactors:shout", ENTRY_POINTS),
        EntryPoint("number", "tests.core.redaction.own_redactors:number", ENTRY_POINTS),
        EntryPoint("no_function", "tests.core.redaction.own_redactors:NOT_CALLABLE", ENTRY_POINTS),
        EntryPoint("gone", "tests.core.redaction.own_redactors:gone", ENTRY_POINTS),
    ]
    monkeypatch.setattr(rules, "entry_points", lambda group, name: [one for one in points if one.name == name])
    find_redactor.cache_clear()


def test_an_own_expression_leaves_its_name() -> None:
    """What it finds is replaced wherever it stands; where it matches nothing at all, nothing is put in."""
    own = Rules(own=(("customer_number", r"KD-\d+|\b"),))
    assert redact(own, ("KD-17 and KD-18",)) == ("[customer_number] and [customer_number]",)


@pytest.mark.usefixtures("installed")
def test_a_function_has_the_last_word() -> None:
    """It gets what patterns have left."""
    assert redact(Rules(own=(("name", "Anna"),), function="shout"), ("Anna asks",)) == ("[NAME] ASKS",)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        pytest.param("gone", "redactor gone can't be loaded from tests.core.redaction.own_redactors:gone", id="gone"),
        pytest.param("no_function", "is no function of a text", id="no function"),
        pytest.param("unheard", "there is no redactor 'unheard' here; install the package", id="not installed"),
    ],
)
def test_a_function_that_is_not_there(name: str, said: str) -> None:
    """The message says which, and what to do."""
    with pytest.raises(UnknownRedactorError, match=said):
        redact(Rules(function=name), ("text",))


@pytest.mark.usefixtures("installed")
def test_a_function_must_give_a_text() -> None:
    """Anything else would be written as something that it isn't."""
    with pytest.raises(TypeError, match="redactor number gave int, not a text"):
        redact(Rules(function="number"), ("text",))
