"""Prometheus as a source of counts."""
