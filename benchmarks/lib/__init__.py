"""Code that benchmarks share: environments, servers, checkpoints with random weights, statistics and reports."""
