"""How errors are answered in the Open Inference Protocol, and how its paths name models."""

from typing import Annotated, Any

from fastapi import Path
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.requests import Request

from app.errors import UnknownModel
from app.http.error_answers import Dialect, Problem
from app.registry.served_model import ServedModel
from app.schemas.foreign import kserve as schema
from app.services import services_in


def _render_error(problem: Problem) -> tuple[int, Any]:
    """Return the answer to an error; the protocol knows no 422."""
    return 400 if problem.status == 422 else problem.status, {"error": problem.detail}


DIALECT = Dialect(
    name="kserve",
    description="The Open Inference Protocol, version 2, of Triton and KServe: tensors by name, in JSON or raw bytes.",
    prefixes=("/v2",),
    render_error=_render_error,
    error=schema.InferenceError,
    bodies=(schema.InferBody, schema.IndexBody, schema.RepositoryBody),
)


class ModelIdConvertor(StringConvertor):
    """Finds the id of a model in a path: a name, or an organisation, a slash and a name.

    The second name is not the last part of another path, so that such a path is answered with 405 if it lacks a method.
    """

    regex = r"[^/]+(?:/(?!(?:infer|ready|config|stats|load|unload)$)[^/]+)?"


register_url_convertor("kserve_model", ModelIdConvertor())

ModelId = Annotated[str, Path(description="Model id.", examples=["sentence-mini-en"])]
Version = Annotated[str, Path(description="Version of the model, which is always 1.", examples=[schema.VERSION])]


def find_model(request: Request, model: ModelId) -> ServedModel:
    """Return the model that a path names.

    Raises:
        UnknownModel: there is none.
    """
    return services_in(request.scope).registry.get(model)


def find_version(request: Request, model: ModelId, version: Version) -> ServedModel:
    """Return the model that a path names with its version.

    Raises:
        UnknownModel: there is none, or not of this version.
    """
    found = find_model(request, model)
    if version != schema.VERSION:
        raise UnknownModel(f"{model}/versions/{version}", [f"{model}/versions/{schema.VERSION}"])
    return found
