"""JSON schemas that other people wrote."""

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from softlaunch.core.bounded import BeyondLimitsError
from softlaunch.core.json_schemas import misfit, schema_objection

DRAFT_3, DRAFT_4 = "http://json-schema.org/draft-03/schema#", "http://json-schema.org/draft-04/schema#"
DRAFT_2019, DRAFT_2020 = (f"https://json-schema.org/draft/{one}/schema" for one in ("2019-09", "2020-12"))
TEXT = {"type": "string"}


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param({"properties": {"child": {"$ref": "#"}}}, id="itself, further down"),
        pytest.param({"$defs": {"a": {"$id": "item", **TEXT}}, "items": {"$ref": "item"}}, id="an id"),
        pytest.param({"$defs": {"a": {"$anchor": "item", **TEXT}}, "items": {"$ref": "#item"}}, id="an anchor"),
        pytest.param({"$schema": DRAFT_4, "definitions": {"a": TEXT}, "items": {"$ref": "#/definitions/a"}}, id="old"),
        pytest.param({"$ref": DRAFT_2020}, id="a published draft"),
        pytest.param({"$schema": "http://json-schema.org/draft-07/schema"}, id="a draft without its #"),
        pytest.param({"$schema": "http://json-schema.org/schema#"}, id="the newest draft"),
        pytest.param({"properties": {"$ref": TEXT}}, id="a property called $ref"),
        pytest.param({"const": {"$ref": "file:///x"}, "enum": [{"$ref": "x"}], "default": {"$ref": "y"}}, id="values"),
        pytest.param({"anyOf": [TEXT, {"items": {"$ref": "#"}}]}, id="a way around"),
    ],
)
def test_schemas_that_can_be_used(schema: dict[str, Any]) -> None:
    """References within a schema, and to the drafts, are resolved."""
    assert schema_objection(schema) is None


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        pytest.param({"$ref": "#/$defs/nope"}, "$ref '#/$defs/nope' leads nowhere", id="nowhere"),
        pytest.param({"$ref": "file:///etc/passwd"}, "leads nowhere in it, and nothing is fetched or read", id="file"),
        pytest.param({"$ref": "/etc/passwd"}, "leads nowhere", id="path"),
        pytest.param({"$ref": "other.json"}, "leads nowhere", id="relative"),
        pytest.param({"allOf": [{"items": {"$ref": "file:///x"}}]}, "leads nowhere", id="deep"),
        pytest.param({"x": {"y": {"$ref": "file:///x"}}, "items": {"$ref": "#/x/y"}}, "leads nowhere", id="by a way"),
        pytest.param({"$dynamicRef": "#nope"}, "$dynamicRef '#nope' leads nowhere", id="dynamic"),
        pytest.param({"$schema": DRAFT_2019, "$recursiveRef": "#"}, "back to itself", id="recursive"),
        pytest.param({"$ref": "#"}, "back to itself", id="itself"),
        pytest.param({"allOf": [{"$ref": "#"}]}, "back to itself", id="itself by allOf"),
        pytest.param({"anyOf": [TEXT, {"not": {"$ref": "#"}}]}, "back to itself", id="itself by not"),
        pytest.param({"$schema": DRAFT_3, "type": [{"$ref": "#"}]}, "back to itself", id="itself by an old type"),
        pytest.param(
            {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
            "back to itself",
            id="each other",
        ),
        pytest.param({"enum": [1], "items": {"$ref": "#/enum/0"}}, "leads to something else", id="no schema"),
        pytest.param({"$schema": "http://x/y"}, "a $schema that is a published draft", id="metaschema"),
        pytest.param({"$schema": {}}, "a $schema that is a published draft", id="no text"),
        pytest.param({"items": {"$schema": "file:///x"}}, "a $schema that is a published draft", id="further down"),
        pytest.param({"type": "text"}, "a JSON schema: 'text' is not valid", id="type"),
        pytest.param({"pattern": "("}, "'(' is not a 'regex'", id="pattern"),
        pytest.param({"patternProperties": {"[": {}}}, "'[' is not a 'regex'", id="patternProperties"),
        pytest.param({"pattern": "a{99999999999}"}, "repetition number is too large", id="a large number"),
        pytest.param({"$id": "http://[", "$ref": "x"}, "leads nowhere", id="no address"),
    ],
)
def test_schemas_that_are_refused(schema: dict[str, Any], said: str) -> None:
    """With what is wanted instead."""
    assert said in str(schema_objection(schema))


def test_a_schema_that_is_nested_too_deeply_is_refused() -> None:
    """Nobody could read it."""
    schema: dict[str, Any] = {}
    for _ in range(400):
        schema = {"not": schema}
    assert "which JSON can hold" in str(schema_objection(schema))


class _Counting(BaseHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"type": "object"}')

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    """Of a server that counts what it is asked for."""
    _Counting.asked.clear()
    with HTTPServer(("127.0.0.1", 0), _Counting) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "HERE/s.json"},
        {"$dynamicRef": "HERE/s.json#a"},
        {"$schema": DRAFT_2019, "$recursiveRef": "HERE/s.json"},
        {"$id": "HERE/a/", "$ref": "s.json"},
        {"$id": "HERE/a/", "items": {"$id": "b/", "$ref": "../s.json#/x"}},
        {"$schema": "HERE/s.json"},
        {"$schema": DRAFT_4, "id": "HERE/", "items": {"$ref": "s.json"}},
        {"$vocabulary": {"HERE/v": True}, "$ref": "HERE/s.json"},
    ],
)
def test_nothing_is_fetched(schema: dict[str, Any], address: str) -> None:
    """Neither when a schema is checked, nor where one is used that wasn't."""
    told = json.loads(json.dumps(schema).replace("HERE", address))
    assert schema_objection(told) is not None
    with contextlib.suppress(Exception):  # which error it is doesn't matter
        misfit(told, [1])
    assert _Counting.asked == []


def test_nothing_is_read_from_a_file(tmp_path: Path) -> None:
    """Its content must not be in any reason."""
    secret = tmp_path / "s.json"
    secret.write_text('{"const": "CONTENT"}')
    with pytest.raises(Exception, match=r"s\.json") as failed:
        misfit({"$ref": secret.as_uri()}, 1)
    assert "CONTENT" not in f"{failed.value} {schema_objection({'$ref': secret.as_uri()})}"


DOUBLING = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 10} for n in range(20)}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        pytest.param({"pattern": r"^(a+)+$"}, "a" * 60 + "!", id="pattern"),
        pytest.param({"patternProperties": {r"^(a+)+$": {}}}, {"a" * 60 + "!": 1}, id="names"),
        pytest.param({"uniqueItems": True}, [{"a": n} for n in range(30_000)], id="unique items"),
        pytest.param({"$ref": "#/$defs/d0", "$defs": {**DOUBLING, "d20": TEXT}}, "a", id="doubling references"),
    ],
)
def test_a_value_that_takes_too_long_is_given_up(schema: dict[str, Any], value: object) -> None:
    """Nothing is known of it then."""
    assert schema_objection(schema) is None
    with pytest.raises(BeyondLimitsError):
        misfit(schema, value)
