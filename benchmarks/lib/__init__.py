"""Shared by the benchmarks: environments, servers, checkpoints with random weights, statistics and reports."""
