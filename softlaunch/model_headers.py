"""Headers that a model version sends to its endpoint: values as they are, or names of environment variables."""

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
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

    env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


HeaderValue = str | FromEnvironment


def is_header_value(text: str) -> bool:
    """Whether a text may stand in a header: printable ASCII."""
    return _VALUE.fullmatch(text) is not None


def _check(headers: Mapping[str, HeaderValue]) -> Mapping[str, HeaderValue]:
    lower = [name.lower() for name in headers]
    for name, value in headers.items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a header: use letters, digits and '-'")
        if name.lower() in _OF_THE_CONNECTION:
            raise ValueError(f"{name} belongs to the connection and is set for you; leave it out")
        if lower.count(name.lower()) > 1:
            raise ValueError(f"{name} is given twice, in capitals and small letters; keep one")
        if isinstance(value, str):
            _check_written(name, value)
    return headers


def _check_written(name: str, value: str) -> None:
    if _SECRET_NAME.fullmatch(name) or _SECRET_VALUE.match(value):
        raise ValueError(
            f"the value of {name} is a secret, and this file is recorded: put it into an environment variable and "
            f"write {{env: NAME_OF_THE_VARIABLE}}"
        )
    if not is_header_value(value):
        raise ValueError(f"the value of {name} must be printable ASCII on one line")


ModelHeaders = Annotated[Mapping[str, HeaderValue], AfterValidator(_check)]
"""Headers by name; a value is a text, or `{env: VARIABLE}`, which every secret must be."""
