"""Estimates of memory are upper bounds of what is measured, and not far from it."""

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import orjson
import pytest
import torch

from app.http.body_memory import MAX_PARSED, parsed_json_bytes
from app.http.responses import task_json
from app.registry.model_sizes import ModelSizes, sizes_of
from app.schemas import attend, denoise, generate, reconstruct, sample, score_text
from app.schemas.shared.memory import of_networks
from app.schemas.shared.task_schema import ModelCodecs, TaskSchema
from models.autoencoding.autoencoder import Autoencoder
from models.checkpoint import Checkpoint, load_model, read_checkpoint
from models.codecs import VectorCodec
from models.codecs.arrays import Limits
from models.tasks.autoencoding import DecodeRequest, InterpolateRequest, ProjectRequest
from tests.app.sentences import SENTENCES, write_sentences
from tests.app.texts import N_POSITIONS, write_text
from tests.conftest import TINY, write_tiny

LIMITS = Limits(max_items=1024, max_pixels=1000)
N = 20_000
BODIES = {
    "numbers": json.dumps(np.random.default_rng(0).random(N).tolist()),
    "integers": json.dumps([[123456] * 100] * (N // 100)),
    "lists": json.dumps([[[0]] for _ in range(N)]),
    "objects": json.dumps([{"a": 0.5} for _ in range(N)]),
    "texts": json.dumps([f"word{number}" for number in range(N)]),
    "names": json.dumps({f"name{number}": number for number in range(N)}),
}


def traced_peak(work: Callable[[], Any]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", BODIES)
def test_values_of_json_take_no_more_than_was_estimated_from_the_bytes(kind: str) -> None:
    data = BODIES[kind].encode()
    tracemalloc.start()
    values = orjson.loads(data)
    n_bytes, _ = tracemalloc.get_traced_memory()  # the peak has what the parser reserves and does not use
    tracemalloc.stop()
    assert values
    assert n_bytes <= parsed_json_bytes(data) <= 6 * n_bytes
    assert n_bytes <= MAX_PARSED * len(data)


CASES: dict[str, tuple[TaskSchema, dict[str, Any]]] = {
    "attention": (attend.SCHEMA, {"inputs": [[3] * N_POSITIONS]}),
    "scores": (score_text.SCHEMA, {"inputs": [[3] * N_POSITIONS] * 20}),
    "texts": (generate.SCHEMA, {"inputs": ["ab"], "parameters": {"max_new_tokens": 50, "n": 8, "do_sample": True}}),
    "reconstructions": (reconstruct.SCHEMA, {"inputs": [[0.3] * 16] * 200}),
    "sentences": (
        denoise.SENTENCE_SCHEMA,
        {"inputs": [SENTENCES[0]] * 200, "parameters": {"word_noise": {"moved": 3}}},
    ),
    "samples": (sample.SCHEMA, {"parameters": {"n": 200}}),
}
"""Schemas of each kind of estimate, and bodies that ask for much."""


def write_checkpoint_of(root: Path, schema: TaskSchema) -> Checkpoint:
    if schema is denoise.SENTENCE_SCHEMA:
        return write_sentences(root)
    if schema.modality != "text":
        return read_checkpoint(write_tiny(root).folder, TINY)
    return read_checkpoint(write_text(root, "transformers/gpt"))


@pytest.mark.parametrize("kind", CASES)
def test_results_and_answers_take_no_more_than_was_estimated_from_the_request(kind: str, tmp_path: Path) -> None:
    schema, values = CASES[kind]
    checkpoint = write_checkpoint_of(tmp_path, schema)
    model = load_model(checkpoint)
    latents = VectorCodec(cast("Autoencoder", model).latent_shape if schema.modality != "text" else (1,))
    codecs = ModelCodecs(items=checkpoint.codec, latents=latents)
    body = schema.body.model_validate(values)
    requests = schema.requests(body, codecs, LIMITS)
    estimate = schema.estimate(requests, body, sizes_of(checkpoint, model, max_rows=64))

    def answer() -> None:
        results = model.run(schema.task, requests)
        task_json({"outputs": schema.outputs(results, requests, body, codecs)})

    answer()  # what is made once is not what a request takes
    peak = traced_peak(answer)  # without tensors, which the estimate counts as well
    assert peak <= estimate <= 12 * peak


def test_the_networks_of_pictures_take_memory_for_the_largest_up_to_a_tile() -> None:
    sizes = ModelSizes(
        item=48, step=48, latent=4, has_several_sizes=True, working_bytes=10, max_whole_numbers=100, part_numbers=100
    )
    small, large = DecodeRequest(latent=torch.zeros(4, 1, 1)), DecodeRequest(latent=torch.zeros(4, 2, 2))
    ends = InterpolateRequest(start=torch.zeros(3, 2, 4), end=torch.zeros(3, 4, 4))
    items = ProjectRequest(items=(torch.zeros(3, 2, 4), torch.zeros(3, 4, 4)))
    assert of_networks([small], sizes) == of_networks([ends], sizes) == of_networks([items], sizes) == 480
    assert of_networks([small, large], sizes) == 1000
    assert of_networks([large], ModelSizes(item=48, step=48, latent=4)) == 0


def test_parts_of_a_picture_take_memory_beside_what_is_kept_of_all_of_it() -> None:
    sizes = ModelSizes(
        item=48,
        step=48,
        latent=4,
        has_several_sizes=True,
        working_bytes=10,
        max_whole_numbers=100,
        part_numbers=20,
        kept_bytes=2,
    )
    assert of_networks([DecodeRequest(latent=torch.zeros(4, 1, 1))], sizes) == 480
    assert of_networks([DecodeRequest(latent=torch.zeros(4, 2, 2))], sizes) == 10 * 20 + 2 * 192
