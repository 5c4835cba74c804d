"""`/sample`: generate new items."""

from collections.abc import Sequence
from math import prod
from operator import itemgetter
from typing import Any, cast

from pydantic import BaseModel, Field

from app.errors import Fault, InvalidRequest
from app.schemas.shared.envelope import Answer, Body, Item, ItemOutputParameters, Seed, random_seed
from app.schemas.shared.examples import AS_PNG
from app.schemas.shared.items import check_format, render_item, stack_items
from app.schemas.shared.memory import of_new_items
from app.schemas.shared.task_schema import ModelCodecs, TaskEndpoint, TaskSchema
from models.codecs import ItemCodec
from models.codecs.arrays import Limits
from models.tasks import SAMPLE, Request
from models.tasks.autoencoding import SampleRequest, SampleResult

MAX_GIBBS_STEPS = 1000
"""Maximum of `gibbs_steps`."""


class SampleParameters(ItemOutputParameters):
    """Parameters of `/sample`."""

    n: int = Field(1, ge=1, description="Number of items; the server's `max_items` is the limit.")
    seed: Seed | None = Field(None, description="Sampling seed; random, and returned, if omitted.")
    temperature: float = Field(
        1.0,
        gt=0,
        le=10,
        description="Factor that multiplies the standard deviation of the sampled distribution.",
    )
    label: str | int | None = Field(
        None, description="Class of the items, for the sampler `prior` of models that have classes; random if omitted."
    )
    sampler: str | None = Field(
        None,
        description="Name of the sampler, one of the model's `samplers`: `prior`, `gmm` or `gibbs`; the first of them "
        "if omitted.",
    )
    length: int | None = Field(
        None,
        ge=1,
        description="Number of steps of a series, refused for other items; the length that the model was trained on if "
        "omitted.",
    )
    gibbs_steps: int | None = Field(
        None,
        ge=0,
        le=MAX_GIBBS_STEPS,
        description="Number of steps of the sampler `gibbs`, refused for other samplers; 200 if omitted. With the same "
        "seed, fewer steps give an earlier state of the same chain.",
    )


class SampleOutput(BaseModel):
    """One new item."""

    sample: Item = Field(description="The item: numbers of the item's shape, or a `data:` URL.")
    latent: list[Any] = Field(description="The latent of the item; `/decode` makes the same item of it.")
    seed: int = Field(description="Sampling seed; the same seed gives the same items again.")


class SampleBody(Body):
    """Request body of `/sample`, which has no inputs."""

    parameters: SampleParameters = Field(SampleParameters(), description="Parameters of the task.")


class SampleAnswer(Answer):
    """Answer of `/sample`."""

    outputs: list[SampleOutput] = Field(description="The new items.")


def _requests(body: SampleBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    parameters = body.parameters
    check_format(parameters, codecs)
    if parameters.n > limits.max_items:
        raise InvalidRequest.of([Fault("/parameters/n", f"{parameters.n} items; the limit is {limits.max_items}")])
    seed = random_seed() if parameters.seed is None else parameters.seed
    return [
        SampleRequest(
            seed=seed,
            index=index,
            temperature=parameters.temperature,
            label=None if parameters.label is None else str(parameters.label),
            sampler=parameters.sampler,
            length=parameters.length,
            gibbs_steps=parameters.gibbs_steps,
            cost=prod(cast("ItemCodec", codecs.items).shape),
        )
        for index in range(parameters.n)
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
    estimate=of_new_items,
    array=lambda results, body, codecs: stack_items([result.sample for result in results], codecs),
    row=itemgetter("sample"),
    answers_images=True,
)
ENDPOINT = TaskEndpoint(
    name="sample",
    summary="Sample new items",
    description="Draws latents at random and decodes them. There are no inputs: `parameters.n` says how many items to "
    "make. Returns the new images, series, rows, vectors or sentences with their latents.",
    schemas=(SCHEMA,),
    examples=({"model": "cvae-mnist", "parameters": {"n": 1, "seed": 1, "label": "7", **AS_PNG}},),
)
