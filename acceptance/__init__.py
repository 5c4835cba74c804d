"""Tests that are too heavy for `make test`: clients of others, requests to every operation, and the container."""
