"""Threads beside the event loop, and the pace of refusals, shared by all requests."""
