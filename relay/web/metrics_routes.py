"""`/metrics` in the text format of Prometheus. No label has values without bound."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from relay import __version__
from relay.web.schemas import answer
from relay.web.served import ServedRelay
from relay.web.tally import Histogram

METRICS: Final = "text/plain; version=0.0.4; charset=utf-8"
_PREFIX: Final = "relaylab_"


def metrics_router(served: ServedRelay) -> APIRouter:
    """Return the route `/metrics`."""
    router = APIRouter(tags=["health"])

    @router.get(
        "/metrics",
        response_class=Response,
        responses={200: answer("Metrics.", {"text/plain": {"type": "string"}})},
    )
    async def metrics() -> Response:
        """Return counts since the start, and what is queued and open now."""
        queued = await asyncio.to_thread(served.journal.queued)
        # Collected in the event loop, where what is counted changes.
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Now(served, queued))
        return Response(generate_latest(registry), media_type=METRICS)

    return router


class _Now(Collector):
    """The metrics as they are when somebody asks."""

    def __init__(self, served: ServedRelay, queued: int) -> None:
        self._served = served
        self._queued = queued

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        tally = self._served.live.tally
        info = GaugeMetricFamily(f"{_PREFIX}info", "The version that runs.", labels=["version"])
        info.add_metric([__version__], 1)
        yield info
        yield CounterMetricFamily(
            f"{_PREFIX}messages", "Messages taken, notifications too.", value=tally.messages
        )
        yield _counted(
            "outcomes", "Ends of tries, by recipient.", ("outcome", "protection"), tally.outcomes
        )
        yield _counted(
            "bounces", "Failures and delays recorded.", ("action", "code"), tally.bounces
        )
        yield _counted(
            "sessions",
            "Sessions that ended.",
            ("direction", "handshake", "tls_version"),
            tally.sessions,
        )
        yield GaugeMetricFamily(
            f"{_PREFIX}queued_recipients", "Recipients that wait for a try.", value=self._queued
        )
        yield GaugeMetricFamily(
            f"{_PREFIX}open_sessions",
            "Clients that are connected.",
            value=self._served.relay.open_sessions,
        )
        yield _timed("handshake", "TLS handshakes with hosts and clients.", tally.handshakes)
        yield _timed("journal_write", "Writes to the journal, until durable.", tally.writes)


def _counted(name: str, words: str, labels: tuple[str, ...], counts: Mapping[Any, int]) -> Metric:
    family = CounterMetricFamily(f"{_PREFIX}{name}", words, labels=labels)
    for values, count in sorted(counts.items()):
        family.add_metric(values, count)
    return family


def _timed(name: str, words: str, histogram: Histogram) -> Metric:
    family = HistogramMetricFamily(f"{_PREFIX}{name}_seconds", words)
    buckets = [
        ("+Inf" if bound == float("inf") else str(bound), float(count))
        for bound, count in histogram.cumulated
    ]
    family.add_metric([], buckets, histogram.total)
    return family
