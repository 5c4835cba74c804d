"""The benchmark of `/reconstruct` beside the naive handler."""

import json

from click.testing import CliRunner

from benchmarks.server.reconstruct import reconstruct


def test_all_cases_answer_and_ratios_are_over_the_naive_handler() -> None:
    arguments = ["--connections", "2", "--seconds", "0.2", "--rounds", "1", "--json"]
    result = CliRunner().invoke(reconstruct, arguments)
    assert result.exit_code == 0, result.output
    results = json.loads(result.stdout)
    naive, as_json, as_npy = results["cases"]
    assert results["connections"] == 2
    assert naive["ratio"] == 1
    for case in (naive, as_json, as_npy):
        assert case["n_ok"] > 0
        assert case["n_failed"] == 0
        assert case["p50_ms"] <= case["p95_ms"] <= case["p99_ms"]
        assert case["ratio"] == case["requests_per_second"] / naive["requests_per_second"]
