"""What OFREP says when a flag can't be evaluated."""

from enum import StrEnum
from typing import Any

from softlaunch.core.errors import SoftlaunchError
from softlaunch.gateway.wire import Headers, RefusedError


class FlagFault(StrEnum):
    """OpenFeature's error codes, as far as they are used here."""

    PARSE_ERROR = "PARSE_ERROR"
    TARGETING_KEY_MISSING = "TARGETING_KEY_MISSING"
    INVALID_CONTEXT = "INVALID_CONTEXT"
    FLAG_NOT_FOUND = "FLAG_NOT_FOUND"
    GENERAL = "GENERAL"


class OfrepError(SoftlaunchError):
    """An evaluation that is answered with an error; `key` is the flag's, where one was asked for."""

    def __init__(
        self, status: int, fault: FlagFault, message: str, key: str = "", headers: Headers | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.fault = fault
        self.key = key
        self.headers = headers or []

    @property
    def content(self) -> dict[str, Any]:
        """The answer's body, or a flag's part of it."""
        named = {"key": self.key} if self.key else {}
        return {**named, "errorCode": self.fault, "errorDetails": str(self)}


def in_terms_of_ofrep(refusal: RefusedError, key: str) -> OfrepError:
    """A refusal of the HTTP server's own in the protocol's terms."""
    fault = FlagFault.PARSE_ERROR if refusal.fault.code == "invalid_json" else FlagFault.GENERAL
    headers = [(name, value) for name, value in refusal.headers if name != b"content-type"]
    return OfrepError(refusal.status, fault, refusal.fault.message, key, headers)
