"""Spans of sampled requests: begun by servers, and exported by OpenTelemetry's OTLP from a thread of its own."""
