"""Benchmarks of models within one process, beside other engines with the same weights."""
