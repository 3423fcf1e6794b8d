"""Raw samples from a Prometheus server, by its HTTP API."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx
import numpy as np

from softlaunch.gates.observations import Floats
from softlaunch.gates.telemetry import TelemetryError

_TIMEOUT_SECONDS = 10.0
_MOST_SERIES = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """Samples of one series: their times (epoch seconds), ascending, and values, both of shape (n,); never NaN."""

    labels: Mapping[str, str]
    at: Floats
    values: Floats


@dataclass(frozen=True, slots=True)
class PrometheusClient:
    """Asks one server. The token is read from the environment with each question, so that it may be replaced."""

    url: str
    token_env: str | None = None

    def samples(self, selector: str, after: float, until: float) -> list[Series]:
        """What a selector's series were scraped as between two moments; raises TelemetryError.

        Samples that are no numbers are left out, and series without any other.
        """
        query = f"{selector}[{max(round((until - after) * 1000), 1)}ms]"
        found = self._ask({"query": query, "time": f"{until:.3f}"})
        if found.get("resultType") != "matrix" or not isinstance(found.get("result"), list):
            raise TelemetryError(f"Prometheus at {self.url} answers {selector!r} with no series; is it Prometheus?")
        if len(found["result"]) > _MOST_SERIES:
            many = len(found["result"])
            raise TelemetryError(f"{selector!r} has {many:,} series, more than {_MOST_SERIES:,}; record a rule for it")
        series = (_series(one) for one in found["result"])
        return [one for one in series if len(one.at)]

    def _ask(self, question: Mapping[str, str]) -> dict[str, Any]:
        try:
            headers = {"authorization": f"Bearer {self._token()}"} if self.token_env else {}
            reply = _http().post(f"{self.url.rstrip('/')}/api/v1/query", data=question, headers=headers)
            said = reply.json()
        except httpx.HTTPError as error:
            raise TelemetryError(f"Prometheus at {self.url} can't be reached: {error.__class__.__name__}") from error
        except ValueError as error:
            raise TelemetryError(f"Prometheus at {self.url} answers with status {reply.status_code}") from error
        if not isinstance(said, dict) or said.get("status") != "success":
            why = said.get("error") if isinstance(said, dict) else None
            raise TelemetryError(f"Prometheus at {self.url} refuses {question['query']!r}: {why or reply.status_code}")
        if said.get("warnings"):
            raise TelemetryError(f"Prometheus at {self.url} doesn't answer in full: {said['warnings'][0]}")
        found: dict[str, Any] = said.get("data", {})
        return found

    def _token(self) -> str:
        token = os.environ.get(self.token_env or "", "")
        if not token:
            raise TelemetryError(f"the environment variable {self.token_env} has no token for Prometheus; set it")
        return token


@cache
def _http() -> httpx.Client:
    """One for all questions: to read the machine's certificates for each takes longer than many an answer."""
    return httpx.Client(timeout=_TIMEOUT_SECONDS)


def _series(one: Mapping[str, Any]) -> Series:
    samples = [(float(at), float(value)) for at, value in one.get("values", ())]
    table = np.array(samples, np.float64).reshape(-1, 2)
    known = table[np.isfinite(table[:, 1])]
    return Series(one.get("metric", {}), known[:, 0], known[:, 1])
