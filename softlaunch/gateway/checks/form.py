"""The form that a request asks of its answer: a JSON schema, and tools with schemas of their arguments.

Schemas are clients', and may be hostile: they are applied in a process of its own, within limits of time and memory,
one after another, and never in the way of an answer. What can't be checked is unknown, and no failure.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import orjson

from softlaunch.core.bounded import BeyondLimitsError, Helper
from softlaunch.core.json_schemas import fits
from softlaunch.gateway.checks.said import Document

_LONGEST_SCHEMA = 64 * 1024
_LONGEST_DOCUMENT = 256 * 1024
_MOST_WAITING = 64
_REST_SECONDS = 30.0
"""How long schemas of an app aren't applied after one that took more than it may."""


@dataclass(frozen=True, slots=True)
class Form:
    """What a request asks for: the schema of its answer's text, and those of its tools' arguments, by name.

    A schema that is None leaves the form open. `tools` is None where the request doesn't say which tools there are.
    """

    schema: object = None
    tools: Mapping[str, object] | None = field(default_factory=dict)

    def offers(self, name: str | None) -> bool:
        """Whether a tool of this name may be called."""
        return self.tools is None or name in self.tools

    def documents(self, text: str | None, calls: Sequence[tuple[str | None, str]]) -> list[Document]:
        """What has to fit a schema: the text, and the calls' arguments, none of which stands for an empty object."""
        found: list[Document] = [] if text is None or self.schema is None else [(self.schema, text)]
        known = self.tools or {}
        for name, arguments in calls:
            schema = known.get(name or "")
            if schema is not None:
                found.append((schema, arguments.strip() or "{}"))
        return found


def mapping(value: object) -> Mapping[str, Any]:
    """What should be an object; an empty one in the place of anything else."""
    return value if isinstance(value, dict) else {}


def mappings(value: object) -> list[Mapping[str, Any]]:
    """The objects in what should be a list of them."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


class FormChecks:
    """Holds documents against their schemas beside the event loop."""

    def __init__(self) -> None:
        self._helper = Helper(cpu_seconds=1.0, wall_seconds=5.0, memory_bytes=1 << 29)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="softlaunch-checks")
        self._waiting = 0
        self._rests: dict[str, float] = {}

    async def fit(self, app: str, documents: Sequence[Document]) -> bool | None:
        """Whether all documents fit; None where that can't be told, or too many wait."""
        if self._waiting >= _MOST_WAITING or self._rests.get(app, 0.0) > time.monotonic():
            return None
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._fit, app, documents)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """End the process, and wait for what is under way."""
        self._thread.shutdown(cancel_futures=True)
        self._helper.close()

    def _fit(self, app: str, documents: Sequence[Document]) -> bool | None:
        found: bool | None = True
        for schema, document in documents:
            fitting = self._one_fits(app, schema, document)
            if fitting is False:
                return False
            found = found and fitting
        return found

    def _one_fits(self, app: str, schema: object, document: str) -> bool | None:
        try:
            contract = orjson.dumps(schema)
            if len(contract) > _LONGEST_SCHEMA or len(document) > _LONGEST_DOCUMENT:
                return None
            return self._helper.call(fits, contract, document)
        except BeyondLimitsError:
            self._rests[app] = time.monotonic() + _REST_SECONDS
            return None
        except Exception:  # over a strange schema the libraries raise nearly anything
            return None
