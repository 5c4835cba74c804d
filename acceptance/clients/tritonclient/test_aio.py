"""Triton's asynchronous client, unmodified, against a real server. It sends a content type of its own."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import numpy as np
import pytest
from tritonclient.http import InferInput, InferRequestedOutput
from tritonclient.http.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

T = TypeVar("T")
IMAGES = np.random.default_rng(1).random((3, 1, 28, 28), np.float32)
TEXTS = np.array(["A dog runs through the grass.", "Größe"], dtype=object)
Run = Callable[[Callable[[InferenceServerClient], Awaitable[T]]], T]


@pytest.fixture
def run(address: str) -> Run[Any]:
    """A function that runs a coroutine with a client of its own."""

    def run(use: Callable[[InferenceServerClient], Awaitable[Any]]) -> Any:
        async def with_client() -> Any:
            async with InferenceServerClient(address) as client:
                return await use(client)

        return asyncio.run(with_client())

    return run


def tensor(name: str, array: "np.ndarray[Any, Any]", datatype: str, *, binary: bool = True) -> InferInput:
    given = InferInput(name, list(array.shape), datatype)
    given.set_data_from_numpy(array, binary_data=binary)
    return given


def test_the_server_and_its_models_are_described(run: Run[Any]) -> None:
    async def use(client: InferenceServerClient) -> None:
        assert await client.is_server_live()
        assert await client.is_server_ready()
        assert await client.is_model_ready("vanilla-ae-mnist", "1")
        assert not await client.is_model_ready("nobody")
        assert (await client.get_server_metadata())["name"] == "manifold"
        metadata = await client.get_model_metadata("sentence-mini-en")
        assert metadata["inputs"] == [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
        config = await client.get_model_config("sentence-mini-en", "1")
        assert config["input"] == [{"name": "text", "data_type": "TYPE_STRING", "dims": [-1]}]
        assert (await client.get_inference_statistics())["model_stats"]
        (counted,) = (await client.get_inference_statistics("sentence-mini-en"))["model_stats"]
        assert counted["name"] == "sentence-mini-en"

    run(use)


@pytest.mark.parametrize("binary_input", [True, False])
@pytest.mark.parametrize("binary_output", [True, False])
@pytest.mark.parametrize("coding", [None, "gzip", "deflate"])
def test_numbers_and_texts_go_both_ways(
    run: Run[Any], binary_input: bool, binary_output: bool, coding: str | None
) -> None:
    async def use(client: InferenceServerClient) -> None:
        for model, given, output in (
            ("vanilla-ae-mnist", ("input", IMAGES, "FP32"), "reconstruction"),
            ("sentence-mini-en", ("text", TEXTS, "BYTES"), "embedding"),
        ):
            expected = await client.infer(model, [tensor(*given)])
            result = await client.infer(
                model,
                [tensor(*given, binary=binary_input)],
                outputs=[InferRequestedOutput(output, binary_data=binary_output)],
                request_id="one",
                request_compression_algorithm=coding,
                response_compression_algorithm=coding,
            )
            assert result.get_response()["id"] == "one"
            np.testing.assert_array_equal(result.as_numpy(output), expected.as_numpy(output))

    run(use)


def test_requests_run_at_the_same_time(run: Run[Any]) -> None:
    async def use(client: InferenceServerClient) -> None:
        images = np.random.default_rng(2).random((16, 1, 1, 28, 28), np.float32)
        alone = [await client.infer("vanilla-ae-mnist", [tensor("input", image, "FP32")]) for image in images]
        results = await asyncio.gather(
            *(client.infer("vanilla-ae-mnist", [tensor("input", image, "FP32")]) for image in images)
        )
        for result, expected in zip(results, alone, strict=True):
            np.testing.assert_allclose(result.as_numpy("latent"), expected.as_numpy("latent"), atol=1e-5)

    run(use)


def test_classes_have_values_indices_and_labels(run: Run[Any]) -> None:
    async def use(client: InferenceServerClient) -> None:
        wanted = [InferRequestedOutput("logits", class_count=2)]
        result = await client.infer("denoising-ae-mnist", [tensor("input", IMAGES, "FP32")], outputs=wanted)
        classes = result.as_numpy("logits")
        assert classes.shape == (3, 2)
        assert all(len(text.split(b":")) == 3 for text in classes.ravel())

    run(use)


def test_models_are_loaded_and_unloaded(run: Run[Any]) -> None:
    async def use(client: InferenceServerClient) -> None:
        await client.unload_model("aae-mnist")
        try:
            assert not await client.is_model_ready("aae-mnist")
        finally:
            await client.load_model("aae-mnist")
        states = {model["name"]: model["state"] for model in await client.get_model_repository_index()}
        assert states["aae-mnist"] == "READY"

    run(use)


def test_refusals_are_the_clients_own_errors(run: Run[Any]) -> None:
    async def use(client: InferenceServerClient) -> None:
        with pytest.raises(InferenceServerException, match="no model is named 'nobody'") as refused:
            await client.infer("nobody", [tensor("input", IMAGES, "FP32")])
        assert refused.value.status() == "404"
        with pytest.raises(InferenceServerException, match="there are: reconstruction, latent, score") as refused:
            await client.infer(
                "vanilla-ae-mnist", [tensor("input", IMAGES, "FP32")], outputs=[InferRequestedOutput("nothing")]
            )
        assert refused.value.status() == "400"
        for call in (
            client.get_trace_settings,
            client.get_log_settings,
            client.get_system_shared_memory_status,
            client.get_cuda_shared_memory_status,
        ):
            with pytest.raises(InferenceServerException, match="no route"):
                await call()

    run(use)
