"""Triton's synchronous client, unmodified, against a real server."""

import http.client
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput, InferResult
from tritonclient.utils import InferenceServerException

IMAGES = np.random.default_rng(1).random((3, 1, 28, 28), np.float32)
TEXTS = np.array(["A dog runs through the grass.", "Größe", "a wonderful film"], dtype=object)


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[InferenceServerClient]:
    client = InferenceServerClient(address, concurrency=4)
    yield client
    client.close()


def tensor(name: str, array: "np.ndarray[Any, Any]", datatype: str, *, binary: bool = True) -> InferInput:
    given = InferInput(name, list(array.shape), datatype)
    given.set_data_from_numpy(array, binary_data=binary)
    return given


def native(address: str, task: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    """The outputs of the native API."""
    connection = http.client.HTTPConnection(address)
    connection.request("POST", f"/{task}", json.dumps(body), {"content-type": "application/json"})
    outputs: list[dict[str, Any]] = json.load(connection.getresponse())["outputs"]
    connection.close()
    return outputs


def reconstructions(address: str) -> "np.ndarray[Any, Any]":
    outputs = native(address, "reconstruct", {"model": "vanilla-ae-mnist", "inputs": IMAGES.tolist()})
    return np.array([output["reconstruction"] for output in outputs], np.float32)


def test_the_server_and_its_models_are_described(client: InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("vanilla-ae-mnist")
    assert client.is_model_ready("vanilla-ae-mnist", "1")
    assert not client.is_model_ready("nobody")
    assert not client.is_model_ready("vanilla-ae-mnist", "2")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    for version in ("", "1"):
        metadata = client.get_model_metadata("vanilla-ae-mnist", version)
        assert metadata["inputs"] == [{"name": "input", "datatype": "FP32", "shape": [-1, 1, 28, 28]}]
        outputs = {output["name"]: output for output in metadata["outputs"]}
        assert set(outputs) == {"reconstruction", "latent", "score"}
        config = client.get_model_config("vanilla-ae-mnist", version)
        assert config["output"][0] == {"name": "reconstruction", "data_type": "TYPE_FP32", "dims": [-1, 1, 28, 28]}


@pytest.mark.parametrize("binary_input", [True, False])
@pytest.mark.parametrize("binary_output", [True, False, None], ids=["raw", "json", "unnamed"])
def test_numbers_go_both_ways(
    client: InferenceServerClient, address: str, binary_input: bool, binary_output: bool | None
) -> None:
    outputs = None
    if binary_output is not None:
        names = ("score", "reconstruction", "latent")
        outputs = [InferRequestedOutput(name, binary_data=binary_output) for name in names]
    given = [tensor("input", IMAGES, "FP32", binary=binary_input)]
    result = client.infer("vanilla-ae-mnist", given, outputs=outputs, request_id="seven")
    assert result.get_response()["id"] == "seven"
    metadata = {output["name"]: output for output in client.get_model_metadata("vanilla-ae-mnist")["outputs"]}
    for output in result.get_response()["outputs"]:
        assert output["datatype"] == metadata[output["name"]]["datatype"]
        assert output["shape"][1:] == metadata[output["name"]]["shape"][1:]
        assert ("data" in output) == (binary_output is False)
    np.testing.assert_array_equal(result.as_numpy("reconstruction"), reconstructions(address))
    assert result.as_numpy("score").shape == (3,)


@pytest.mark.parametrize(
    ("datatype", "dtype"),
    [
        *(("BOOL", np.bool_), ("FP16", np.float16), ("FP64", np.float64)),
        *((f"UINT{8 * size}", np.dtype(f"u{size}")) for size in (1, 2, 4, 8)),
        *((f"INT{8 * size}", np.dtype(f"i{size}")) for size in (1, 2, 4, 8)),
    ],
)
@pytest.mark.parametrize("binary", [True, False])
def test_every_datatype_of_numbers_is_taken(
    client: InferenceServerClient, datatype: str, dtype: Any, binary: bool
) -> None:
    pixels = (IMAGES > 0.5).astype(dtype)
    if datatype == "UINT8":
        pixels = pixels * np.uint8(255)  # which count from 0 to 255
    expected = client.infer("vanilla-ae-mnist", [tensor("input", (IMAGES > 0.5).astype(np.float32), "FP32")])
    result = client.infer("vanilla-ae-mnist", [tensor("input", pixels, datatype, binary=binary)])
    np.testing.assert_array_equal(result.as_numpy("latent"), expected.as_numpy("latent"))


def test_bfloat16_is_taken(client: InferenceServerClient) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    rounded = IMAGES.astype(ml_dtypes.bfloat16)
    expected = client.infer("vanilla-ae-mnist", [tensor("input", rounded.astype(np.float32), "FP32")])
    result = client.infer("vanilla-ae-mnist", [tensor("input", rounded, "BF16")])
    np.testing.assert_array_equal(result.as_numpy("latent"), expected.as_numpy("latent"))


@pytest.mark.parametrize("binary", [True, False])
def test_texts_become_embeddings(client: InferenceServerClient, address: str, binary: bool) -> None:
    outputs = native(address, "encode", {"model": "sentence-mini-en", "inputs": TEXTS.tolist()})
    expected = np.array([output["embedding"] for output in outputs], np.float32)
    wanted = [InferRequestedOutput("embedding", binary_data=binary)]
    given = [tensor("text", TEXTS, "BYTES", binary=binary)]
    result = client.infer("sentence-mini-en", given, outputs=wanted)
    np.testing.assert_array_equal(result.as_numpy("embedding"), expected)


@pytest.mark.parametrize("binary", [True, False])
def test_classes_have_values_indices_and_labels(client: InferenceServerClient, address: str, binary: bool) -> None:
    given = [tensor("text", TEXTS, "BYTES")]
    logits = client.infer("bert-sst2-en", given, outputs=[InferRequestedOutput("logits")]).as_numpy("logits")
    wanted = [InferRequestedOutput("logits", binary_data=binary, class_count=1)]
    classes = client.infer("bert-sst2-en", given, outputs=wanted).as_numpy("logits")
    assert classes.shape == (3, 1)
    best = native(address, "classify", {"model": "bert-sst2-en", "inputs": TEXTS.tolist()})
    for row, (text,), output in zip(logits, classes, best, strict=True):
        value, index, label = (text.decode() if isinstance(text, bytes) else text).split(":")
        assert int(index) == row.argmax()
        assert float(value) == pytest.approx(float(row.max()), abs=1e-5)
        assert label == output["labels"][0]["label"]
    many = client.infer("bert-sst2-en", given, outputs=[InferRequestedOutput("logits", class_count=9)])
    assert many.as_numpy("logits").shape == logits.shape


def test_texts_come_back_as_texts(client: InferenceServerClient) -> None:
    given = [tensor("text", np.array(["Once upon a time"], dtype=object), "BYTES")]
    wanted = [InferRequestedOutput("generated_text")]
    for n_tokens in (1, 8):
        result = client.infer("gpt-mini-en", given, outputs=wanted, parameters={"max_new_tokens": n_tokens})
        (text,) = result.as_numpy("generated_text")
        assert text.decode()
    given = [tensor("text", np.array(["A man is riding a bike."], dtype=object), "BYTES")]
    (translation,) = client.infer("transformer-multi30k-en-de", given).as_numpy("translation")
    assert "Mann" in translation.decode()
    given = [tensor("text", np.array(["Anna Schmidt lives in London."], dtype=object), "BYTES")]
    (entities,) = client.infer("bert-ner-en", given).as_numpy("entities")
    assert {entity["word"] for entity in json.loads(entities)} >= {"London"}


def test_series_may_have_any_length(client: InferenceServerClient) -> None:
    for n_items, n_steps in ((1, 1), (2, 90), (3, 140)):
        series = np.random.default_rng(2).random((n_items, n_steps))
        wanted = [InferRequestedOutput("reconstruction")]  # the score is for series of 140 steps
        result = client.infer("lstm-ae-ecg", [tensor("input", series, "FP64")], outputs=wanted)
        assert result.as_numpy("reconstruction").shape == (n_items, n_steps)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.parametrize("binary", [True, False])
def test_requests_and_answers_are_compressed(client: InferenceServerClient, coding: str, binary: bool) -> None:
    given = [tensor("input", IMAGES, "FP32", binary=binary)]
    wanted = [InferRequestedOutput("latent", binary_data=binary)]
    plain = client.infer("vanilla-ae-mnist", given, outputs=wanted)
    packed = client.infer(
        "vanilla-ae-mnist",
        given,
        outputs=wanted,
        request_compression_algorithm=coding,
        response_compression_algorithm=coding,
    )
    np.testing.assert_array_equal(packed.as_numpy("latent"), plain.as_numpy("latent"))


def test_requests_run_at_the_same_time(client: InferenceServerClient) -> None:
    expected = client.infer("vanilla-ae-mnist", [tensor("input", IMAGES, "FP32")]).as_numpy("latent")
    sent = [client.async_infer("vanilla-ae-mnist", [tensor("input", IMAGES, "FP32")]) for _ in range(16)]
    for request in sent:
        result: InferResult = request.get_result()
        np.testing.assert_allclose(result.as_numpy("latent"), expected, atol=1e-5)


def test_what_models_without_sequences_and_priorities_ignore_is_tolerated(client: InferenceServerClient) -> None:
    given = [tensor("input", IMAGES, "FP32")]
    result = client.infer(
        "vanilla-ae-mnist",
        given,
        "1",
        sequence_id=7,
        sequence_start=True,
        priority=1,
        timeout=1_000_000,
        parameters={"anything": "at all"},
    )
    assert result.get_response()["model_version"] == "1"


def test_inferences_are_counted(client: InferenceServerClient) -> None:
    (before,) = client.get_inference_statistics("conv-ae-mnist")["model_stats"]
    client.infer("conv-ae-mnist", [tensor("input", IMAGES, "FP32")], outputs=[InferRequestedOutput("latent")])
    with pytest.raises(InferenceServerException):
        client.infer("conv-ae-mnist", [tensor("input", IMAGES * 2, "FP32")])
    (after,) = client.get_inference_statistics("conv-ae-mnist", "1")["model_stats"]
    assert after["inference_count"] == before["inference_count"] + 3
    assert after["execution_count"] > before["execution_count"]
    assert after["inference_stats"]["success"]["count"] == before["inference_stats"]["success"]["count"] + 1
    assert after["inference_stats"]["compute_infer"]["ns"] > before["inference_stats"]["compute_infer"]["ns"]
    assert after["last_inference"] > 1.6e12
    assert "conv-ae-mnist" in {model["name"] for model in client.get_inference_statistics()["model_stats"]}


def test_models_are_loaded_and_unloaded(client: InferenceServerClient) -> None:
    def states() -> dict[str, str]:
        return {model["name"]: model["state"] for model in client.get_model_repository_index()}

    assert states()["aae-mnist"] == "READY"
    client.unload_model("aae-mnist")
    try:
        assert states()["aae-mnist"] == "UNAVAILABLE"
        assert not client.is_model_ready("aae-mnist")
        with pytest.raises(InferenceServerException, match="unloaded") as refused:
            client.infer("aae-mnist", [tensor("input", IMAGES, "FP32")])
        assert refused.value.status() == "503"
    finally:
        client.load_model("aae-mnist")
    assert client.is_model_ready("aae-mnist")
    with pytest.raises(InferenceServerException, match="no configuration"):
        client.load_model("aae-mnist", config="{}")


@pytest.mark.parametrize(
    ("model", "name", "array", "datatype", "message"),
    [
        ("nobody", "input", IMAGES, "FP32", "no model is named 'nobody'"),
        ("vanilla-ae-mnist", "image", IMAGES, "FP32", "no input is named 'image'; there is: input"),
        ("vanilla-ae-mnist", "input", IMAGES[:, 0], "FP32", r"\[3, 28, 28\] is refused; .* \[-1, 1, 28, 28\]"),
        ("vanilla-ae-mnist", "input", IMAGES[:0], "FP32", "0 items; a request takes 1 to"),
        ("vanilla-ae-mnist", "input", TEXTS, "BYTES", "BYTES is refused"),
        ("vanilla-ae-mnist", "input", IMAGES * 2, "FP32", r"/inputs/input/0: the value .* lies outside \[0, 1\]"),
        ("sentence-mini-en", "text", IMAGES, "FP32", "FP32 is refused; this input takes BYTES"),
    ],
)
def test_refusals_are_the_clients_own_errors(
    client: InferenceServerClient, model: str, name: str, array: Any, datatype: str, message: str
) -> None:
    with pytest.raises(InferenceServerException, match=message) as refused:
        client.infer(model, [tensor(name, array, datatype)])
    assert refused.value.status() in ("400", "404")


def test_what_the_server_does_not_have_is_an_error(client: InferenceServerClient) -> None:
    given, shared = InferInput("input", list(IMAGES.shape), "FP32"), InferRequestedOutput("latent")
    given.set_shared_memory("region", IMAGES.nbytes)
    shared.set_shared_memory("region", 4)
    calls = [
        lambda: client.infer("vanilla-ae-mnist", [given]),
        lambda: client.infer("vanilla-ae-mnist", [tensor("input", IMAGES, "FP32")], outputs=[shared]),
        lambda: client.infer(
            "vanilla-ae-mnist", [tensor("input", IMAGES, "FP32")], outputs=[InferRequestedOutput("nothing")]
        ),
        client.get_trace_settings,
        lambda: client.get_trace_settings("vanilla-ae-mnist"),
        lambda: client.update_trace_settings(settings={"trace_rate": "1"}),
        client.get_log_settings,
        lambda: client.update_log_settings({"log_info": True}),
        client.get_system_shared_memory_status,
        lambda: client.register_system_shared_memory("region", "/key", 16),
        client.unregister_system_shared_memory,
        client.get_cuda_shared_memory_status,
        client.unregister_cuda_shared_memory,
    ]
    for call in calls:
        with pytest.raises(InferenceServerException) as refused:
            call()
        assert refused.value.message()
        assert refused.value.status() in ("400", "404")


def test_the_example_of_the_document_runs(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    document = (Path(__file__).parents[3] / "docs/dialects.md").read_text()
    (code,) = (code for code in re.findall(r"```python\n(.*?)```", document, re.DOTALL) if "tritonclient" in code)
    exec(code.replace("localhost:8000", address), {})  # noqa: S102 that is what is tested
    assert capsys.readouterr().out.startswith("(2, ")
