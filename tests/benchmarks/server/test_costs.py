"""The benchmark of what serving costs, on the shipped models and real servers."""

import json

from click.testing import CliRunner

from benchmarks.server import costs


def test_costs_are_those_of_a_server_and_of_its_model() -> None:
    result = CliRunner().invoke(costs.main, ["--starts", "1", "--rounds", "1", "--seconds", "0.2"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["models"] == 21
    assert told["start to ready, s"] > 0
    for n_clients in costs.N_CLIENTS:
        its = told[f"of {n_clients} at once"]
        assert 1 <= its["texts a forward pass"] <= n_clients
        total = its["processor time of a short /encode, ms"]
        assert 0 < its["of which the event loop's, ms"] < total
        assert 0 < its["of which the model's, ms"] < total
        assert abs(its["of which the model's, ms"] + its["outside of the model, ms"] - total) < 0.002
