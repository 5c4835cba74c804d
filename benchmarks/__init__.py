"""Benchmarks; their results are ratios of measurements that were taken side by side in one run."""
