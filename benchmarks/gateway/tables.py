"""The questions that a run can answer, each by one table: which gateways, and what is asked of them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from benchmarks.gateway.peers import (
    Direct,
    Envoy,
    LiteLlm,
    Nginx,
    Peer,
    Place,
    Smg,
    Softlaunch,
    TensorZero,
    VllmRouter,
)
from benchmarks.gateway.requests import RequestKind, chat, completions, conversation, embeddings, messages, responses

STREAM_EVENTS = 64
BODY_BYTES = (4_000, 100_000, 400_000)


@dataclass(frozen=True, slots=True)
class Case:
    """What is asked of each gateway: a row of it in the table, with a label where it has several."""

    request: RequestKind
    label: str = ""
    idle: int = 0
    """Connections that are open beside the load and have nothing to say."""


@dataclass(frozen=True, slots=True)
class Table:
    """One question: the gateways in the order of rows, and the cases."""

    peers: tuple[Callable[[Place], Peer], ...]
    cases: tuple[Case, ...] = (Case(chat()),)
    events: int = 0
    """How many events the provider streams an answer in; 0 for whole answers."""
    every_core: bool = False
    """Whether gateways have every core but the load's, and not one."""


USUAL = Table((Direct, Softlaunch, Nginx, Envoy, TensorZero, VllmRouter, Smg, LiteLlm))
STREAMS = Table(
    (Direct, Softlaunch, Nginx, Envoy, TensorZero, VllmRouter, Smg), (Case(chat(stream=True)),), events=STREAM_EVENTS
)
BODIES = Table(
    (Direct, Softlaunch, Nginx, Envoy, TensorZero, VllmRouter),
    tuple(Case(conversation(size), f"{size // 1000} kB") for size in BODY_BYTES),
)
PROTOCOLS = Table(
    (Direct, Softlaunch),
    (
        Case(chat(), "chat"),
        Case(responses(), "responses"),
        Case(messages(), "messages"),
        Case(embeddings(), "embeddings"),
        Case(completions(), "completions"),
    ),
)


def idle(connections: int) -> Table:
    """The usual load with and without so many idle connections."""
    cases = (Case(chat(), "none idle"), Case(chat(), f"{connections:,} idle", connections))
    return Table((Direct, Softlaunch, Nginx, Envoy, TensorZero, VllmRouter, Smg), cases)


def processes(count: int) -> Table:
    """One process of softlaunch and so many, on every core but the load's."""
    return Table((Direct, Softlaunch, partial(Softlaunch, processes=count)), every_core=True)
