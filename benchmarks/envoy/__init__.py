"""Envoy as the router, and its external processor, beside the gateway."""
