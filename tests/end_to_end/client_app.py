"""An app that calls its models itself, by the official `openai` client wrapped in softlaunch's own."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import openai

from softlaunch.client import Client, Options
from softlaunch.client.openai import id_of, wrap
from tests.support.builders import APP
from tests.support.endpoints import Reply

_SECONDS = 0.03


@dataclass
class ClientApp:
    """Users who ask one question after the other, in a few threads. `slower`: how much slower the fresh model is."""

    url: str
    folder: Path
    slower: float = 1.0
    asking: int = 3
    asked: int = 0
    answered: int = 0
    candidate_at: float = 0.0
    """When a user last met the candidate, by the monotonic clock."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _delays: np.random.Generator = field(default_factory=lambda: np.random.default_rng(5))

    def __post_init__(self) -> None:
        """The client, as an application makes it."""
        self.client = Client(self.url, options=Options(folder=self.folder))
        self.app = self.client.app(APP)

    def behave(self, model: str, question: str, before: int) -> Reply:
        """What the models do."""
        delay = _SECONDS * float(self._delays.lognormal(0, 0.2)) * (self.slower if model == "fresh" else 1.0)
        return Reply(f"I am {model}.", delay=delay)

    def ask(self, wrapped: openai.OpenAI, user: str) -> None:
        """One user's question."""
        began = time.monotonic()
        answer: Any = wrapped.chat.completions.create(
            model=APP, user=user, messages=[{"role": "user", "content": "Where is my order?"}]
        )
        self.client.feedback(id_of(answer), thumbs="up")
        with self._lock:
            self.asked += 1
            if answer.choices[0].message.content == "I am fresh.":
                self.candidate_at = max(self.candidate_at, began)
            self.answered += bool(answer.choices[0].message.content)


@contextmanager
def users_of(app: ClientApp, endpoint: str) -> Iterator[None]:
    """Let users come while the block works; all that was recorded is sent at its end."""
    stopped = threading.Event()
    plain = openai.OpenAI(base_url=endpoint, api_key="own", max_retries=0)
    wrapped = wrap(plain, app.app, follows_endpoint=False, copies=True)

    def serve(number: int) -> None:
        rng = np.random.default_rng(number)
        while not stopped.wait(0.01):
            app.ask(wrapped, f"user-{rng.integers(0, 100_000)}")

    threads = [threading.Thread(target=serve, args=(number,), daemon=True) for number in range(app.asking)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopped.set()
        for thread in threads:
            thread.join()
        app.client.flush(30.0)
        app.client.close()
