"""JSON held against schemas that clients wrote: within limits, and never fetched."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from softlaunch.gateway.checks.form import Form, FormChecks

PERSON = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


@pytest.fixture(scope="module")
def checks() -> Iterator[FormChecks]:
    """One process for all schemas of this module."""
    checks = FormChecks()
    yield checks
    checks.close()


def fit(checks: FormChecks, schema: object, document: str, app: str = "app") -> bool | None:
    """What is told of one document."""
    return asyncio.run(checks.fit(app, [(schema, document)]))


@pytest.mark.parametrize(
    ("schema", "document", "fits"),
    [
        pytest.param(PERSON, '{"name": "Ann"}', True, id="it fits"),
        pytest.param(PERSON, '{"name": 7}', False, id="another type"),
        pytest.param(PERSON, "{}", False, id="something is missing"),
        pytest.param(PERSON, "{", False, id="no JSON"),
        pytest.param({"$ref": "#/$defs/p", "$defs": {"p": PERSON}}, '{"name": "Ann"}', True, id="a reference within"),
        pytest.param({"$ref": "http://127.0.0.1:9/schema"}, "{}", None, id="a reference elsewhere"),
        pytest.param({"$ref": "file:///etc/passwd"}, "{}", None, id="a file"),
        pytest.param({"$ref": "#"}, "{}", None, id="a circle"),
        pytest.param({"type": "strange"}, "{}", None, id="no schema"),
        pytest.param("no object", "{}", None, id="something else"),
        pytest.param({"description": "x" * 70_000}, "{}", None, id="too long a schema"),
        pytest.param({}, '"' + "x" * 300_000 + '"', None, id="too long a document"),
    ],
)
def test_what_is_told(checks: FormChecks, schema: object, document: str, fits: bool | None) -> None:  # noqa: FBT001
    """Whether it fits, or nothing where that can't be told."""
    assert fit(checks, schema, document) is fits


def test_a_hostile_schema_ends_by_its_time_and_its_app_rests(checks: FormChecks) -> None:
    """Others go on: a pattern that backtracks for ever costs a second, once in half a minute."""
    began = time.monotonic()
    evil = {"pattern": "^(a+)+$"}
    assert fit(checks, evil, f'"{"a" * 60}!"', "evil") is None
    assert time.monotonic() - began < 30
    began = time.monotonic()
    assert fit(checks, evil, f'"{"a" * 60}!"', "evil") is None
    assert time.monotonic() - began < 0.5
    assert fit(checks, PERSON, "{}", "good") is False


def test_more_than_can_wait_is_not_checked() -> None:
    """Rows don't queue up behind a slow schema."""

    async def many(checks: FormChecks) -> list[bool | None]:
        return await asyncio.gather(*(checks.fit("app", [(PERSON, "{}")]) for _ in range(100)))

    checks = FormChecks()
    found = asyncio.run(many(checks))
    checks.close()
    assert (found.count(False), found.count(None)) == (64, 36)


def test_what_has_to_fit() -> None:
    """The text where JSON was asked for, and each call whose tool has a schema; no arguments are an empty object."""
    form = Form(PERSON, {"find": PERSON, "free": None})
    assert form.documents("{}", []) == [(PERSON, "{}")]
    assert form.documents(None, [("find", " "), ("free", "text")]) == [(PERSON, "{}")]
    assert form.offers("free")
    assert not form.offers("delete")
    assert not form.offers(None)
    assert Form(tools=None).offers("whatever")
