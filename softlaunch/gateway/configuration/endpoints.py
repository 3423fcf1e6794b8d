"""The configuration's paths, on a gateway or by themselves."""

import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from softlaunch.gateway.configuration.changes import Changes
from softlaunch.gateway.configuration.contents import Contents
from softlaunch.gateway.configuration.events import may_listen
from softlaunch.gateway.configuration.exchange import Exchange, Headers, query_of, send_json
from softlaunch.gateway.configuration.faults import OfrepError, in_terms_of_ofrep
from softlaunch.gateway.configuration.feed import Feed, Readers
from softlaunch.gateway.configuration.intake import RecordIntake
from softlaunch.gateway.configuration.ofrep import EVENTS, Ofrep
from softlaunch.gateway.configuration.recording import Recording
from softlaunch.gateway.http.cycle import HttpCycle
from softlaunch.gateway.limits import Limits
from softlaunch.gateway.log import LogSink
from softlaunch.gateway.paths import Paths
from softlaunch.gateway.requests import check_key
from softlaunch.gateway.table import RouteTable
from softlaunch.gateway.wire import BodyRoom, RefusedError

PREFIXES = ("/ofrep/", "/softlaunch/")
_OFREP, _FLAGS = PREFIXES[0], "/ofrep/v1/evaluate/flags"
Endpoint = Callable[[Headers, HttpCycle], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ConfigurationParts:
    """What the configuration is served from. `cache_seconds`: how long a variant may be kept without a release.

    `are_backends`: whether who has a key is one that may name any unit.
    """

    table: RouteTable
    log: LogSink
    intake: RecordIntake
    keys: tuple[bytes, ...] = ()
    cache_seconds: float = 60.0
    are_backends: bool = False


class Configuration:
    """Answers what applications ask that call their models themselves."""

    def __init__(self, parts: ConfigurationParts, limits: Limits, room: BodyRoom) -> None:
        exchange, contents = Exchange(limits, room), Contents()
        self.changes = Changes(parts.table)
        self.recording = Recording(parts.intake, parts.log, exchange)
        self._keys = parts.keys
        self._ofrep = Ofrep(
            parts.table, self.changes, contents, exchange, parts.keys, parts.are_backends, parts.cache_seconds
        )
        who = Readers(are_backends=parts.are_backends, are_known=bool(parts.keys))
        feed = Feed(parts.table, self.changes, contents, exchange, who)
        self.counts = _Counts(self._ofrep, parts.intake, exchange)
        self._paths: Paths[Endpoint] = Paths(
            {
                ("POST", _FLAGS): self._ofrep.bulk,
                ("GET", EVENTS): self._ofrep.listen,
                ("GET", "/softlaunch/v1/config"): feed.poll,
                ("GET", "/softlaunch/v1/config/events"): feed.listen,
                ("POST", "/softlaunch/v1/records"): self.recording.take,
            }
        )

    def allowed(self, path: str) -> bytes:
        """The methods that a path takes, as the header Allow has them; empty for a path that isn't known."""
        return b"POST, OPTIONS" if path.startswith(_FLAGS + "/") else self._paths.allowed(path)

    async def serve(self, cycle: HttpCycle, path: str, headers: Headers) -> None:
        """Answer a request of these paths. Raises RefusedError, and ClientGoneError."""
        if not path.startswith(_OFREP):
            check_key(headers, self._keys)
            await self._paths.find(cycle.head.method, path)(headers, cycle)
            return
        flag = unquote(path.removeprefix(_FLAGS + "/")) if path.startswith(_FLAGS + "/") else ""
        try:
            await self._serve_ofrep(cycle, path, flag, headers)
        except OfrepError as error:
            error.key = error.key or flag
            await send_json(cycle, error.content, error.status, error.headers)
        except RefusedError as refusal:
            told = in_terms_of_ofrep(refusal, flag)
            await send_json(cycle, told.content, told.status, told.headers)

    async def _serve_ofrep(self, cycle: HttpCycle, path: str, flag: str, headers: Headers) -> None:
        token = query_of(cycle).get("token", [""])[-1] if path == EVENTS else ""
        if not (token and may_listen(token, self._keys, time.time())):
            check_key(headers, self._keys)
        if not flag:
            await self._paths.find(cycle.head.method, path)(headers, cycle)
        elif cycle.head.method == "POST":
            await self._ofrep.single(flag, headers, cycle)
        else:
            raise RefusedError(405, "a flag is evaluated by POST", headers=[(b"allow", self.allowed(path))])


class _Counts(Collector):
    def __init__(self, ofrep: Ofrep, intake: RecordIntake, exchange: Exchange) -> None:
        self._ofrep = ofrep
        self._intake = intake
        self._exchange = exchange

    def collect(self) -> Iterator[Metric]:
        evaluated = CounterMetricFamily(
            "softlaunch_config_evaluations", "Variants that were handed out by OFREP.", labels=["app", "arm"]
        )
        for (app, arm), count in dict(self._ofrep.evaluated).items():
            evaluated.add_metric([app, arm], count)
        records = CounterMetricFamily(
            "softlaunch_config_records", "Records of applications, by what became of them.", labels=["app", "result"]
        )
        for (app, result), count in dict(self._intake.results).items():
            records.add_metric([app, result], count)
        waiting = "Requests that wait for a change of the configuration, or listen for one."
        yield from (evaluated, records)
        yield GaugeMetricFamily("softlaunch_config_waiting", waiting, value=self._exchange.waiting)
