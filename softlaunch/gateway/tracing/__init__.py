"""Spans and metrics of the gateway itself, by OpenTelemetry: an extra, and nothing at all where it is off."""
