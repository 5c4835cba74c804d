"""`/sample`: new items."""

import secrets
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from app.errors import Fault, InvalidRequest
from app.schemas.shared.envelope import Answer, Body, Item, ItemOutputParameters, Seed
from app.schemas.shared.examples import AS_PNG
from app.schemas.shared.items import render_item, stack_items
from app.schemas.shared.task_schema import ModelCodecs, TaskEndpoint, TaskSchema
from models.codecs.arrays import Limits
from models.tasks import SAMPLE, Request
from models.tasks.autoencoding import SampleRequest, SampleResult

_SEED_BITS = 32


class SampleParameters(ItemOutputParameters):
    """Parameters of `/sample`."""

    n: int = Field(1, ge=1, description="How many; at most `max_items`.")
    seed: Seed | None = Field(None, description="The same seed gives the same items; drawn and told if left out.")
    temperature: float = Field(1.0, gt=0, le=10, description="Scales the deviation of what is drawn.")
    label: str | int | None = Field(None, description="A class, for models that have them.")
    sampler: str | None = Field(None, description="`prior`, `gmm` or `gibbs`, where the model has it.")
    length: int | None = Field(None, ge=1, description="Steps of a series; what the model was trained on if left out.")


class SampleOutput(BaseModel):
    """One new item."""

    sample: Item
    latent: list[Any] = Field(description="What it was decoded from.")
    seed: int


class SampleBody(Body):
    """What `/sample` is asked; there are no inputs."""

    parameters: SampleParameters = SampleParameters()


class SampleAnswer(Answer):
    """What `/sample` answers."""

    outputs: list[SampleOutput]


def _requests(body: SampleBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    asked = body.parameters
    if asked.n > limits.max_items:
        raise InvalidRequest.of([Fault("/parameters/n", f"{asked.n} items; a request may ask for {limits.max_items}")])
    seed = secrets.randbits(_SEED_BITS) if asked.seed is None else asked.seed
    return [
        SampleRequest(
            seed=seed,
            index=index,
            temperature=asked.temperature,
            label=None if asked.label is None else str(asked.label),
            sampler=asked.sampler,
            length=asked.length,
            cost=codecs.n_elements,
        )
        for index in range(asked.n)
    ]


def _outputs(
    results: Sequence[SampleResult], requests: Sequence[Any], body: SampleBody, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    return [
        {
            "sample": render_item(result.sample, body.parameters, codecs),
            "latent": result.latent.numpy(),
            "seed": result.seed,
        }
        for result in results
    ]


SCHEMA = TaskSchema(
    task=SAMPLE,
    body=SampleBody,
    answer=SampleAnswer,
    requests=_requests,
    outputs=_outputs,
    array=lambda results, codecs: stack_items([result.sample for result in results], codecs),
    answers_images=True,
)
ENDPOINT = TaskEndpoint(
    name="sample",
    summary="Sample new items",
    schemas=(SCHEMA,),
    examples=({"model": "cvae-mnist", "parameters": {"n": 1, "seed": 1, "label": "7", **AS_PNG}},),
)
