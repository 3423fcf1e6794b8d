"""Envoy as the router: what it is configured with, the control plane that tells it weights, and its access log."""
