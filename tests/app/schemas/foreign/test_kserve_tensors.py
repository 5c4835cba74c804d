"""The tensors that models take and offer in the Open Inference Protocol."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from app.errors import InvalidRequest
from app.routes.kserve.reading import wanted_outputs
from app.schemas.catalogue import task_endpoints
from app.schemas.foreign.kserve import InferBody
from app.schemas.foreign.kserve_tensors import OUTPUTS, Signature, TensorSpec, client_shape, native_inputs, signature_of
from app.settings import Settings
from models.checkpoint import Checkpoint, find_checkpoints, read_checkpoint
from models.codecs import SeriesCodec
from models.codecs.arrays import Limits
from tests.app.server import SHIPPED
from tests.app.texts import write_text
from tests.conftest import served

LIMITS = Limits(max_items=10, max_pixels=1000)
SOURCES = {source.name: source for source in OUTPUTS}


def shipped(name: str) -> Checkpoint:
    (folder,) = (folder for folder in find_checkpoints(SHIPPED) if folder.name == name)
    return read_checkpoint(folder, name)


def test_the_parameters_of_every_output_are_those_of_its_task() -> None:
    endpoints = {endpoint.name: endpoint for endpoint in task_endpoints()}
    for source in OUTPUTS:
        names: set[str] = set()
        for schema in endpoints[source.task].schemas:
            names |= set(getattr(schema.body.model_fields["parameters"].annotation, "model_fields", {}))
        assert {*source.parameters, *source.fixed} <= names
        assert not set(source.parameters) & set(source.fixed)


@pytest.mark.parametrize("dtype", ["u1", "i8", "?", "<f2", "<f4", "<f8"])
def test_numbers_of_every_type_are_numbers_of_a_series(dtype: str) -> None:
    series, codec = shipped("lstm-ae-ecg"), shipped("lstm-ae-ecg").codec
    assert isinstance(codec, SeriesCodec)
    assert client_shape(series) == (-1,)
    ones = np.ones((3, 1), dtype)
    items = codec.decode(native_inputs(series, ones), LIMITS)
    assert [item.shape for item in items] == [(1, 1)] * 3, "three series of one step, and not one of three"
    np.testing.assert_allclose([item.item() * codec.deviations[0] + codec.means[0] for item in items], 1)


def test_only_uint8_counts_from_0_to_255_in_images() -> None:
    image: Any = shipped("vanilla-ae-mnist")
    for values, expected in (
        (np.full((1, 1, 28, 28), 255, np.uint8), 1.0),
        (np.full((1, 1, 28, 28), 1, np.int8), 1.0),
        (np.full((1, 1, 28, 28), fill_value=True), 1.0),
        (np.full((1, 1, 28, 28), 0.5, np.float16), 0.5),
    ):
        (item,) = image.codec.decode(native_inputs(image, values), LIMITS)
        assert set(item.ravel().tolist()) == {expected}


@pytest.mark.anyio
async def test_sparse_embeddings_and_labels_of_the_same_name_are_not_offered(tmp_path: Any) -> None:
    write_text(tmp_path, "transformers/bert", 1, name="tiny-bert")
    async with served(Settings(weights_dir=tmp_path)) as client:
        loaded = client.app.state.registry.models["tiny-bert"].require()  # type: ignore[attr-defined]
        checkpoint = loaded.checkpoint
        assert "embedding" in signature_of(loaded).outputs
        sparse = replace(loaded, text=replace(loaded.text, pooling=("splade_max",)))
        assert SOURCES["embedding"].shape(checkpoint, sparse) is None
        labelled = SOURCES["logits"].shape
        assert labelled(checkpoint, replace(loaded, labels=("a", "b", "c"))) == (3,)
        assert labelled(checkpoint, replace(loaded, labels=("a", "b", "a"))) is None
        assert labelled(checkpoint, replace(loaded, labels=())) is None


def test_a_model_without_tensors_says_so() -> None:
    none = Signature(input=TensorSpec(name="text", datatype="BYTES", shape=(-1,)), outputs={})
    with pytest.raises(InvalidRequest, match="answers only by its own routes"):
        wanted_outputs(none, InferBody(inputs=[]))
