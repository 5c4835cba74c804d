"""Timeouts and threads beside the event loop, shared by all requests."""
