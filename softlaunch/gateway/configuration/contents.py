"""Variants as applications get them: JSON without secrets."""

from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import orjson

from softlaunch.core.model_headers import is_secret
from softlaunch.core.variant import Variant

_MOST_KEPT = 512


def content_of(variant: Variant) -> dict[str, Any]:
    """A variant's content as it is recorded, with endpoints that hold no secret; keys are named by their variables."""
    content = variant.model_dump(mode="json")
    for model in (content["model"], *content.get("fallbacks", ())):
        model["endpoint"] = _without_secrets(model["endpoint"])
    return content


def _without_secrets(endpoint: str) -> str:
    parts = urlsplit(endpoint)
    host = parts.netloc.rpartition("@")[2]
    if not parts.query:
        return urlunsplit(parts._replace(netloc=host))
    named = parse_qsl(parts.query, keep_blank_values=True)
    query = urlencode([(name, value) for name, value in named if not is_secret(name, value)])
    return urlunsplit(parts._replace(netloc=host, query=query))


class Contents:
    """Contents of variants, each made once."""

    def __init__(self) -> None:
        self._written: dict[str, bytes] = {}

    def json(self, variant: Variant) -> orjson.Fragment:
        """A variant's content as a part of what orjson writes."""
        return orjson.Fragment(self.written(variant))

    def written(self, variant: Variant) -> bytes:
        """A variant's content, written out."""
        written = self._written.get(variant.digest)
        if written is None:
            if len(self._written) >= _MOST_KEPT:
                self._written.clear()
            written = self._written[variant.digest] = orjson.dumps(content_of(variant))
        return written
