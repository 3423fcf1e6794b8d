"""The list of models: the apps, as clients of OpenAI or of Anthropic read them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Headers = Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True)
class ModelList:
    """Apps as models that were made at one moment, in epoch seconds.

    Anthropic's clients are told by the header `anthropic-version`, which each of them sends.
    """

    created: int

    def models(self, apps: Sequence[str], headers: Headers) -> dict[str, Any]:
        """All of them, on one page."""
        data = [self.model(app, headers) for app in apps]
        if not _is_anthropics(headers):
            return {"object": "list", "data": data}
        first, last = (apps[0], apps[-1]) if apps else (None, None)
        return {"data": data, "has_more": False, "first_id": first, "last_id": last}

    def model(self, app: str, headers: Headers) -> dict[str, Any]:
        """One of them."""
        if not _is_anthropics(headers):
            return {"id": app, "object": "model", "created": self.created, "owned_by": "softlaunch"}
        created = datetime.fromtimestamp(self.created, UTC).isoformat().replace("+00:00", "Z")
        return {"type": "model", "id": app, "display_name": app, "created_at": created}


def _is_anthropics(headers: Headers) -> bool:
    return b"anthropic-version" in headers
