"""The server's own state: models, health, limits."""

from importlib.metadata import version
from typing import Annotated

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from app.routes.documentation import EXAMPLE_MODEL, problems
from app.routes.native import RegistryDep, SettingsDep
from app.schemas import service as schema

router = APIRouter(tags=["service"])

ModelId = Annotated[str, Path(description="A model's id.", examples=[EXAMPLE_MODEL])]


@router.get("/", include_in_schema=False)
async def root() -> Response:
    """To the documentation."""
    return RedirectResponse("/docs")


@router.get("/models")
async def models(registry: RegistryDep) -> schema.ModelList:
    """Every model: family, tasks, shapes, memory, metrics, state."""
    return schema.cards(registry)


@router.get("/models/{id}", responses=problems(404))
async def model(id: ModelId, registry: RegistryDep) -> schema.ModelCard:
    """One model."""
    return schema.card(registry.get(id))


@router.post("/models/{id}/load", responses=problems(404, 422))
async def load(id: ModelId, registry: RegistryDep) -> schema.ModelCard:
    """Bring a model into memory and answer once it serves; nothing happens if it does already."""
    return schema.card(await registry.load(id))


@router.post("/models/{id}/unload", responses=problems(404))
async def unload(id: ModelId, registry: RegistryDep) -> schema.ModelCard:
    """Serve what is waiting, then give the model's memory back."""
    return schema.card(await registry.unload(id))


@router.get("/health/live")
async def live() -> schema.Health:
    """200 as long as the process answers."""
    return schema.Health(status="alive")


@router.get("/health/ready", response_model=schema.Health, responses={503: {"model": schema.Health}})
async def ready(request: Request, registry: RegistryDep) -> Response:
    """200 while every wanted model's worker is alive and its last restart was proved by real forward passes."""
    health = schema.readiness(registry, draining=request.app.state.draining)
    return JSONResponse(health.model_dump(mode="json"), 200 if health.status == "ready" else 503)


@router.get("/info")
async def info(registry: RegistryDep, settings: SettingsDep) -> schema.Info:
    """Versions, the default model of each task, and every limit."""
    return schema.info(registry, settings, version=version("manifold"), torch_version=version("torch"))
