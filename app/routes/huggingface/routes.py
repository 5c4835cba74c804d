"""The routes of the Hugging Face Inference API: every task of a model at one URL, or at a URL of its own."""

from importlib.metadata import version
from typing import Annotated, Any

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from app.errors import ModelUnavailable
from app.http.content import EVENTS, IMAGES, PNG
from app.http.error_answers import Dialect
from app.registry.model_state import LOADING_RETRY_AFTER_S
from app.routes.foreign import describe_foreign, wake
from app.routes.huggingface.calls import answer_pipeline
from app.routes.huggingface.dispatch import pipelines_of
from app.routes.huggingface.errors import render_error
from app.routes.model_ids import ID_DESCRIPTION
from app.routes.openai import answer_completions
from app.routes.openapi import BINARY
from app.schemas.foreign.huggingface.answers import (
    PipelineError,
    PipelineHealth,
    PipelineInfo,
    PipelineOutput,
)
from app.schemas.foreign.huggingface.bodies import PipelineInput
from app.schemas.foreign.openai import OpenAICompletionsAnswer, OpenAICompletionsBody
from app.schemas.shared.generate_parameters import MAX_STOPS
from app.services import services_in

PREFIX = "/hf/"
STATUSES = (400, 403, 404, 413, 415, 422, 429, 500, 503, 504)
"""Statuses of the errors of a pipeline."""

DIALECT = Dialect(
    name="Hugging Face",
    description="The Inference API of Hugging Face, for `InferenceClient` and `@huggingface/inference`.",
    prefixes=(PREFIX,),
    render_error=render_error,
    error=PipelineError,
    bodies=(PipelineInput,),
    answers=(PipelineOutput, PipelineHealth, PipelineInfo),
)
router = APIRouter()
ModelId = Annotated[str, Path(description=ID_DESCRIPTION, examples=["bert-mini-en"])]
GeneratorId = Annotated[str, Path(description=ID_DESCRIPTION, examples=["gpt-mini-en"])]
PipelineName = Annotated[str, Path(description="Name of the pipeline.", examples=["fill-mask"])]


def _describe_pipeline(operation_id: str, summary: str) -> dict[str, Any]:
    """Return the keyword arguments that describe a route of pipelines to FastAPI."""
    described = describe_foreign(
        DIALECT,
        operation_id=operation_id,
        summary=summary,
        body=PipelineInput,
        example={"inputs": "The [MASK] was born in 1950 .", "parameters": {"top_k": 2}},
        answer=PipelineOutput,
        media_types=(PNG, EVENTS),
        statuses=STATUSES,
    )
    content = described["openapi_extra"]["requestBody"]["content"]
    content |= {media_type: {"schema": BINARY} for media_type in IMAGES}
    described["responses"][200]["content"][PNG] = {"schema": BINARY}
    return described


@router.post(
    PREFIX + "{id:path}/pipeline/{pipeline}",
    **_describe_pipeline("call_named_pipeline", "Call a pipeline of a model by its name"),
)
async def call_named_pipeline(id: ModelId, pipeline: PipelineName, request: Request) -> Response:
    """Call the named pipeline. Bodies and answers are those of the model's own URL."""
    return await answer_pipeline(request, id, pipeline)


@router.post(
    PREFIX + "{id:path}/v1/completions",
    **describe_foreign(
        DIALECT,
        operation_id="complete_with_model",
        summary="Create completions by a model",
        body=OpenAICompletionsBody,
        example={"prompt": "Once upon a time", "max_tokens": 8},
        answer=OpenAICompletionsAnswer,
        media_types=(EVENTS,),
        statuses=STATUSES,
    ),
)
async def complete(id: GeneratorId, request: Request) -> Response:
    """Continue each prompt. Bodies and answers are those of `/v1/completions`; the model is that of the path."""
    return await answer_completions(request, id)


@router.get(
    PREFIX + "{id:path}/health",
    **describe_foreign(
        DIALECT,
        operation_id="get_pipeline_health",
        summary="Tell whether a model serves",
        answer=PipelineHealth,
        statuses=(404, 500, 503),
    ),
)
async def get_health(id: ModelId, request: Request) -> PipelineHealth:
    """Return 200 while the model serves or is loaded by the next request for it, and 503 otherwise."""
    model = services_in(request.scope).registry.get(id)
    if not model.is_ready:
        model.require()
        raise ModelUnavailable(f"{model.name} is {model.state}", retry_after_s=LOADING_RETRY_AFTER_S)
    return PipelineHealth(status="ready")


@router.get(
    PREFIX + "{id:path}/info",
    **describe_foreign(
        DIALECT,
        operation_id="get_pipeline_info",
        summary="Describe a model and its pipelines",
        answer=PipelineInfo,
        statuses=(404, 500, 503),
    ),
)
async def get_info(id: ModelId, request: Request) -> PipelineInfo:
    """Return the pipelines and the limits of a model, which is loaded first if it is idle."""
    services = services_in(request.scope)
    model = services.registry.get(id)
    await wake(model)
    loaded = model.require()
    checkpoint = loaded.checkpoint
    tasks = [pipeline.name for pipeline in pipelines_of(checkpoint)]
    max_tokens = checkpoint.item_shape[0] if checkpoint.modality == "text" else None
    return PipelineInfo(
        model_id=id,
        model_sha=checkpoint.sha256,
        model_dtype=loaded.conversion.precision,
        model_device_type=services.settings.device,
        model_pipeline_tag=tasks[0] if tasks else None,
        pipeline_tag=tasks[0] if tasks else None,
        tasks=tasks,
        max_input_length=max_tokens,
        max_total_tokens=max_tokens,
        max_client_batch_size=services.settings.max_items,
        max_stop_sequences=MAX_STOPS,
        router="manifold",
        version=version("manifold"),
    )


@router.post(PREFIX + "{id:path}", **_describe_pipeline("call_pipeline", "Call a pipeline of a model"))
async def call_pipeline(id: ModelId, request: Request) -> Response:
    """Call the pipeline that the body means, among those that the model serves.

    If several take the inputs, the parameters decide, and then the task that the model was trained for. With `stream`,
    `text-generation` answers with events `{"index", "token", "generated_text", "details"}`, the last of which has the
    text and why it ends.
    """
    return await answer_pipeline(request, id.removesuffix("/"), None)
