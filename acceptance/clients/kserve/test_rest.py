"""KServe's REST client, unmodified, against a real server."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import numpy as np
import pytest
from kserve import InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig
from kserve.protocol.infer_type import RequestedOutput

IMAGES = np.random.default_rng(1).random((2, 1, 28, 28), np.float32)
URL = os.environ["MANIFOLD_URL"]


def run(use: Callable[[InferenceRESTClient], Awaitable[Any]]) -> Any:
    async def with_client() -> Any:
        async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
            return await use(client)

    return asyncio.run(with_client())


def images(*, binary: bool, parameters: dict[str, Any] | None = None, outputs: Any = None) -> InferRequest:
    tensor = InferInput("input", list(IMAGES.shape), "FP32")
    tensor.set_data_from_numpy(IMAGES, binary_data=binary)
    return InferRequest("vanilla-ae-mnist", [tensor], "one", parameters=parameters, request_outputs=outputs)


def test_the_server_and_its_models_are_live_and_ready() -> None:
    assert run(lambda client: client.is_server_live(URL))
    assert run(lambda client: client.is_server_ready(URL))
    assert run(lambda client: client.is_model_ready(URL, "vanilla-ae-mnist"))
    assert not run(lambda client: client.is_model_ready(URL, "nobody"))


@pytest.mark.parametrize("binary_input", [True, False])
@pytest.mark.parametrize("binary_output", [True, False])
def test_numbers_go_both_ways(binary_input: bool, binary_output: bool) -> None:
    expected = run(lambda client: client.infer(URL, images(binary=False), model_name="vanilla-ae-mnist"))
    request = images(binary=binary_input, parameters={"binary_data_output": binary_output})
    answer = run(lambda client: client.infer(URL, request, model_name="vanilla-ae-mnist"))
    assert answer.id == "one"
    assert [output.name for output in answer.outputs] == ["reconstruction", "latent", "score"]
    for got, wanted in zip(answer.outputs, expected.outputs, strict=True):
        np.testing.assert_array_equal(got.as_numpy(), wanted.as_numpy())


def test_single_outputs_are_answered() -> None:
    request = images(binary=True, outputs=[RequestedOutput("latent", {"binary_data": True})])
    answer = run(lambda client: client.infer(URL, request, model_name="vanilla-ae-mnist"))
    (output,) = answer.outputs
    assert output.name == "latent"
    assert output.as_numpy().shape[0] == 2


def test_texts_become_embeddings() -> None:
    tensor = InferInput("text", [2], "BYTES")
    tensor.set_data_from_numpy(np.array(["a dog", "Größe"], dtype=object), binary_data=True)
    request = InferRequest("sentence-mini-en", [tensor])
    answer = run(lambda client: client.infer(URL, request, model_name="sentence-mini-en"))
    embeddings = answer.outputs[0].as_numpy()
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)


def test_refusals_are_the_clients_own_errors() -> None:
    with pytest.raises(httpx.HTTPStatusError, match="no model is named 'nobody'"):
        run(lambda client: client.infer(URL, {"inputs": []}, model_name="nobody"))
    with pytest.raises(httpx.HTTPStatusError, match="the path names the model 'vae-mnist'"):
        run(lambda client: client.infer(URL, images(binary=True), model_name="vae-mnist"))
