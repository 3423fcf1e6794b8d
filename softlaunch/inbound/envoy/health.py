"""How a control plane or a processor is, over HTTP: /healthz for probes, /metrics for Prometheus."""

import time
from collections import Counter
from collections.abc import Callable, Iterator

import orjson
from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from softlaunch import __version__
from softlaunch.core.listening import CantListenError, listening
from softlaunch.gateway.table import RouteTable
from softlaunch.inbound.envoy.followers import Follower, Followers

_TEXT = "text/plain; version=0.0.4; charset=utf-8"
_BY = ["app", "node"]


class Health(Collector):
    """What is told of one process. `waiting` is how many entries of access logs aren't written yet."""

    def __init__(self, table: RouteTable, followers: Followers, waiting: Callable[[], int]) -> None:
        self._table = table
        self._followers = followers
        self._waiting = waiting
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    async def serve(self, host: str, port: int) -> web.AppRunner:
        """Serve until the runner is cleaned up. Raises CantListenError where the port can't be had."""
        app = web.Application()
        app.router.add_get("/healthz", self._answer_health)
        app.router.add_get("/metrics", self._expose)
        runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await runner.setup()
        try:
            with listening(host, port, "--health-port, or 0 for none"):
                await web.TCPSite(runner, host, port).start()
        except (OSError, CantListenError):
            await runner.cleanup()
            raise
        return runner

    async def _answer_health(self, request: web.Request) -> web.Response:  # noqa: ARG002
        """503 until the ledger was read once: weights aren't known before."""
        known = self._table.has_been_read
        refusing = [one for one in self._followers.present if one.refused is not None]
        state = {
            "status": "degraded" if self._table.problem or refusing else "ok",
            "ledger": self._table.problem or ("ok" if known else "not read yet"),
            "version": __version__,
            "envoys": sorted({one.node for one in self._followers.present}),
            "refusals": {f"{one.node} {one.app}": one.refused.said for one in refusing if one.refused is not None},
            "route_age_seconds": round(self._table.seconds_since_read, 3) if known else None,
            "log_waiting": self._waiting(),
        }
        return web.Response(status=200 if known else 503, body=orjson.dumps(state), content_type="application/json")

    async def _expose(self, request: web.Request) -> web.Response:  # noqa: ARG002
        return web.Response(body=self.text(), headers={"content-type": _TEXT})

    def text(self) -> bytes:
        """All metrics, as Prometheus reads them."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """See Collector."""
        revision = GaugeMetricFamily("softlaunch_route_revision", "Revision of the route in force.", labels=["app"])
        for app, served in self._table.all().items():
            if served.route.serving.router is not None:
                revision.add_metric([app], served.route.revision)
        yield revision
        yield from self._collect_envoys()
        yield GaugeMetricFamily(
            "softlaunch_route_age_seconds", "Since the routes were last read.", value=self._table.seconds_since_read
        )
        yield GaugeMetricFamily(
            "softlaunch_envoy_log_waiting", "Entries of access logs not yet written.", value=self._waiting()
        )

    def _collect_envoys(self) -> Iterator[Metric]:
        connected = GaugeMetricFamily("softlaunch_envoy_connected", "Connections that ask for weights.", labels=_BY)
        confirmed = GaugeMetricFamily("softlaunch_envoy_confirmed_revision", "The newest it has in force.", labels=_BY)
        refusing = GaugeMetricFamily("softlaunch_envoy_refusing", "1 while it can't use its weights.", labels=_BY)
        silent = GaugeMetricFamily(
            "softlaunch_envoy_unconfirmed_seconds", "How long ago what it hasn't answered was sent.", labels=_BY
        )
        refusals = CounterMetricFamily("softlaunch_envoy_refusals", "Weights that it has refused.", labels=_BY)
        now = time.time()
        present = self._followers.present
        counts = Counter((one.app, one.node) for one in present)
        for (app, node), count in counts.items():
            those = [one for one in present if (one.app, one.node) == (app, node)]
            connected.add_metric([app, node], count)
            confirmed.add_metric([app, node], min(one.revision or 0 for one in those))
            refusing.add_metric([app, node], any(one.refused is not None for one in those))
            silent.add_metric([app, node], max(_unanswered_seconds(one, now) for one in those))
        for app, node in counts.keys() | self._followers.refusals.keys():
            refusals.add_metric([app, node], self._followers.refusals[app, node])
        yield from (connected, confirmed, refusing, silent, refusals)


def _unanswered_seconds(one: Follower, now: float) -> float:
    return 0.0 if one.waits_since is None else max(now - one.waits_since, 0.0)
