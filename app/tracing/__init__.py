"""Traces of requests by OpenTelemetry. Only this package imports its SDK, and only where tracing is turned on."""
