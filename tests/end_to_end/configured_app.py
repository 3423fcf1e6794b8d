"""An app that calls its models itself: OpenFeature's SDK says which variant, and it records its calls."""

import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np
from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import FlagEvaluationDetails

from tests.support.builders import APP, STABLE

_BATCH = 400
_TICK_SECONDS = 0.05


Evaluation = FlagEvaluationDetails[Any]


@dataclass
class Kept:
    """What the app was told for a user, and until when it may use that, by its own clock."""

    found: Evaluation
    until: float
    times: int = 0
    """How often it was used again."""


@dataclass
class ConfiguredApp:
    """Eighty calls a second; a candidate's take `slower` times as long. What can't be sent is kept, and sent later."""

    url: str
    slower: float = 1.0
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))
    each_tick: int = 4
    users: int = 100_000
    calls: int = 0
    defaults: int = 0
    """How many users met the default that the app brings along, because nobody told it more."""
    shown_at: float = 0.0
    """When a user last met the candidate, by the monotonic clock."""
    refused: list[Any] = field(default_factory=list)
    known: int = 0
    _kept: dict[str, Kept] = field(default_factory=dict)
    _unsent: deque[dict[str, Any]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        """The SDK, as its documentation uses it."""
        api.set_provider(OFREPProvider(self.url, timeout=2))
        self.client = api.get_client()
        self.http = httpx.Client(base_url=self.url, timeout=30)

    def call(self) -> None:
        """One user's request: the variant as it was told, else stable, which the app brings along."""
        user = f"user-{self.rng.integers(0, self.users)}"
        kept = self._told(user)
        if kept is None:
            self.defaults += 1
            return
        self.calls += 1
        is_candidate = kept.found.flag_metadata["arm"] == "candidate"
        if is_candidate:
            self.shown_at = time.monotonic()
        self.answer(kept, user, self.seconds() * (self.slower if is_candidate else 1.0))

    def seconds(self) -> float:
        """How long stable takes this time."""
        return 0.2 * float(self.rng.lognormal(0, 0.3))

    def answer(self, kept: Kept, user: str, seconds: float) -> None:
        """A call that took so long, and its copies; all is recorded."""
        told = kept.found.flag_metadata
        named = {**told, "requestId": f"{told['requestId']}-{self.calls}"} if kept.times else told
        record = self._record(named, user, time.time() - seconds, seconds)
        self._unsent.append(record)
        for arm in copies_of(kept):
            copy = {"id": f"{record['id']}-{arm}", "arm": arm, "variant": STABLE.digest, "copy_of": record["id"]}
            self._unsent.append({**record, **copy, "latency_ms": self.seconds() * 1000})

    def _told(self, user: str) -> Kept | None:
        kept = self._kept.get(user)
        if kept is not None and time.monotonic() < kept.until:
            kept.times += 1
            return kept
        asked_at = time.monotonic()  # before it was asked: what it is told to keep, it keeps no longer
        found = self.client.get_object_details(APP, {}, EvaluationContext(user))
        if found.error_code is not None:
            return None
        fresh = self._kept[user] = Kept(found, asked_at + float(found.flag_metadata["cacheSeconds"]))
        return fresh

    def _record(self, told: Mapping[str, Any], user: str, began: float, seconds: float) -> dict[str, Any]:
        named = {"release_id": told.get("releaseId"), "stage": told.get("stage", 0), "revision": told["revision"]}
        return {
            "id": told["requestId"],
            "app": APP,
            "unit": user,
            "arm": told["arm"],
            "variant": told["digest"],
            **named,
            "weight_percent": told["weightPercent"],
            "started_at": began,
            "latency_ms": seconds * 1000,
            "outcome": "answered",
            "status": 200,
            "input_tokens": 20,
            "output_tokens": 5,
        }

    def send(self) -> None:
        """Send what is left, in batches; what isn't confirmed stays."""
        while self._unsent:
            batch = list(self._unsent)[:_BATCH]
            try:
                answer = self.http.post("/softlaunch/v1/records", json={"records": batch})
            except httpx.TransportError:
                return
            if answer.status_code != 200:
                return
            said = answer.json()
            self.refused += said["refused"]
            self.known += said["known"]
            for _ in batch:
                self._unsent.popleft()

    def close(self) -> None:
        """The last that is sent."""
        self.send()


def copies_of(kept: Kept) -> list[str]:
    """The arms that are to be called besides."""
    return [arm for arm in str(kept.found.flag_metadata["copies"]).split(",") if arm]


@contextmanager
def users_of(app: ConfiguredApp) -> Iterator[None]:
    """Let users come while the block works; all that was recorded is sent at its end."""
    stopped = threading.Event()

    def serve() -> None:
        ticks = 0
        while not stopped.wait(_TICK_SECONDS):
            for _ in range(app.each_tick):
                app.call()
            ticks += 1
            if ticks % 10 == 0:
                app.send()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
        app.close()
        api.clear_providers()
