"""The benchmark of what serving costs, on the shipped models and real servers."""

import json

import torch
from click.testing import CliRunner

from benchmarks import costs


def test_costs_are_those_of_a_server_and_of_its_model() -> None:
    n_threads = torch.get_num_threads()
    try:
        result = CliRunner().invoke(costs.main, ["--starts", "1", "--rounds", "1", "--seconds", "0.2"])
    finally:
        torch.set_num_threads(n_threads)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["models"] == 21
    assert told["start to ready, s"] > 0
    for n_clients in costs.N_CLIENTS:
        its = told[f"of {n_clients} at once"]
        assert 1 <= its["texts a forward pass"] <= n_clients + 1
        assert its["its share of the forward pass alone, ms"] > 0
        assert 0 < its["of which the event loop's, ms"] < its["processor time of a short /encode, ms"]
        total = its["its share of the forward pass alone, ms"] + its["outside of the model, ms"]
        assert abs(total - its["processor time of a short /encode, ms"]) < 0.002
