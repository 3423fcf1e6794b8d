"""An Envoy as the router."""
