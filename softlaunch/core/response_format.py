"""The form that a variant asks for its answers: any JSON object, or JSON of a schema."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator

from softlaunch.core.documents import KeyedError
from softlaunch.core.json_values import Json, checked

JSON_OBJECT = "json_object"
_EXPECTED: Mapping[str, tuple[Any, str]] = {
    "name": (str, "expected a name of letters, digits, '_' and '-' (at most 64)"),
    "schema": (Mapping, "expected a JSON schema"),
    "description": (str | None, "expected a text"),
    "strict": (bool | None, "expected true or false"),
}
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def _check(written: Any) -> Any:
    if written == JSON_OBJECT:
        return written
    if not isinstance(written, Mapping):
        raise ValueError(f"expected {JSON_OBJECT}, or a mapping with name and schema")  # noqa: TRY004  (pydantic's)
    unknown = sorted(str(key) for key in written if key not in _EXPECTED)
    if unknown:
        raise KeyedError(f"unknown key; known here: {', '.join(_EXPECTED)}", unknown[0])
    for key, (kind, expected) in _EXPECTED.items():
        if not isinstance(written.get(key), kind):
            raise KeyedError(expected, key)
    if not _NAME.fullmatch(written["name"]):
        raise KeyedError(_EXPECTED["name"][1], "name")
    return checked(written)


ResponseFormat = Annotated[str | Mapping[str, Json], BeforeValidator(_check)]
"""`json_object`, or `{name, schema, strict, description}`; each API gets it in its own shape."""
