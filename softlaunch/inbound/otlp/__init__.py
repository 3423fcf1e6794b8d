"""OpenTelemetry in: an app's own spans of model calls, and what others say of its answers, over OTLP/HTTP."""
