"""Headers that a model version sends to its endpoint: values as they are, or names of environment variables."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from softlaunch.core.documents import KeyedError

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VARIABLE = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
_VALUE = re.compile(r"[\t\x20-\x7e]*")
_SECRET_NAME = re.compile(r"(?i)(.*[-_])?(authorization|auth|api-?key|key|token|secret|password|cookie|credentials?)")
_SECRET_VALUE = re.compile(r"(?i)\s*(bearer|basic)\s|\s*sk-")
_OF_THE_CONNECTION = frozenset(
    {
        *("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect", "host"),
        *("accept-encoding", "content-encoding", "content-length", "content-type"),
        *("proxy-authenticate", "proxy-authorization"),
    }
)


class FromEnvironment(BaseModel):
    """A header's value that is read from an environment variable when a request is sent, and is kept nowhere."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    env: Annotated[str, Field(pattern=_VARIABLE.pattern)]


HeaderValue = str | FromEnvironment


def is_header_value(text: str) -> bool:
    """Whether a text may stand in a header: printable ASCII."""
    return _VALUE.fullmatch(text) is not None


def is_secret(name: str, value: str) -> bool:
    """Whether a header looks like one that must never be recorded."""
    return bool(_SECRET_NAME.fullmatch(name) or _SECRET_VALUE.match(value))


def check_headers(headers: Any) -> Any:
    """Object to what can't be sent or mustn't be recorded, by the header's name, and never with its value."""
    if not isinstance(headers, Mapping):
        return headers
    lower = [str(name).lower() for name in headers]
    for name, value in headers.items():
        said = _objection_to_name(str(name), lower) or _objection_to_value(str(name), value)
        if said:
            raise KeyedError(said, str(name))
    return headers


def _objection_to_name(name: str, lower: list[str]) -> str:
    if not _NAME.fullmatch(name):
        return "this is no name of a header: use letters, digits and '-'"
    if name.lower() in _OF_THE_CONNECTION:
        return "it belongs to the connection and is set for you; leave it out"
    if lower.count(name.lower()) > 1:
        return "given twice, in capitals and small letters; keep one"
    return ""


def _objection_to_value(name: str, value: object) -> str:
    if isinstance(value, FromEnvironment):
        return ""
    if isinstance(value, Mapping):
        variable = value.get("env")
        is_one = isinstance(variable, str) and _VARIABLE.fullmatch(variable) and len(value) == 1
        return "" if is_one else "expected a text, or {env: NAME_OF_A_VARIABLE}"
    if not isinstance(value, str):
        return "expected a text in quotes, or {env: NAME_OF_A_VARIABLE}"
    if is_secret(name, value):
        return "a secret, and this file is recorded: put it into a variable and write {env: NAME_OF_THE_VARIABLE}"
    return "" if is_header_value(value) else "expected printable ASCII on one line"


ModelHeaders = Annotated[Mapping[str, HeaderValue], BeforeValidator(check_headers)]
"""Headers by name; a value is a text, or `{env: VARIABLE}`, which every secret must be."""
