"""Tests that are too heavy for `make test`: unmodified clients of others, and generated requests to every operation."""
