"""Benchmarks of a running server, over HTTP."""
