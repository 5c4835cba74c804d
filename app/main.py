"""Puts the application together."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.types import ASGIApp
from typing_extensions import override

from app.concurrency.decoder_pool import DecoderPool
from app.concurrency.fits import Fits
from app.concurrency.refusal_pacing import RefusalPacing
from app.concurrency.request_memory import RequestMemory
from app.concurrency.worker_pools import WorkerPools
from app.engine.observer import EngineObserver, combine
from app.http.access import AccessControl
from app.http.context import RequestContexts
from app.http.cross_site import CorsHeaders, CrossSiteGuard
from app.http.head import HeadRequests
from app.http.problems import Problems, add_route_errors
from app.http.request_records import RequestRecords
from app.http.request_tracing import RequestTracing
from app.keys.store import KeyStore
from app.metrics.exposition import Metrics
from app.registry.garbage import freeze_objects, give_spikes_back
from app.registry.registry import Registry
from app.routes import (
    cards,
    cohere,
    diffusers,
    documentation,
    fit,
    health,
    huggingface,
    kserve,
    metrics,
    models,
    ollama,
    openai,
    playground,
    tei,
)
from app.routes.foreign import DialectModule
from app.routes.openapi_document import complete_openapi
from app.routes.tasks import TaskShortcut, task_router
from app.services import Lifecycle, Services, limits_of
from app.settings import N_CORES, Settings
from app.tracing.tracing import Tracing

DIALECTS: tuple[DialectModule, ...] = (openai, cohere, huggingface, tei, diffusers, ollama, kserve)
"""The foreign dialects, each a module of `app.routes`. Where prefixes of paths overlap, the longer one comes first."""
N_SHORT_THREADS, N_LONG_THREADS = max(2, min(16, N_CORES)), max(1, min(8, N_CORES // 2))
"""Number of threads for short and for long work beside the event loop. More would not be faster, but each of them would
make the event loop and the models wait longer for the interpreter's lock, which goes to any of those that want it."""


class Application(FastAPI):
    """FastAPI without three layers of its own around all middleware, which would do some things a second time.

    They answer unexpected errors, as `Problems` does; limit the size of bodies, as `read_body` does; and report to
    telemetry, which is turned off.
    """

    @override
    def build_middleware_stack(self) -> ASGIApp:
        """Return the application from its outermost middleware on.

        A handler of all errors (`exception_handler(500)` or `exception_handler(Exception)`) or a `max_body_size` needs
        the layers, and keeps them.
        """
        stack = super().build_middleware_stack()
        if {500, Exception} & self.exception_handlers.keys() or self.max_body_size is not None:
            return stack
        layers: list[Any] = [stack]
        while (inner := getattr(layers[-1], "app", None)) is not None:
            layers.append(inner)
        outermost: object = self.user_middleware[0].cls
        return next((layer for layer in layers if type(layer) is outermost), stack)


def middleware_of(*, is_traced: bool) -> tuple[Middleware, ...]:
    """Return the middleware that every request passes, outermost first. It reads the settings at each request."""
    return (
        Middleware(RequestContexts),
        Middleware(RequestRecords),
        *([Middleware(RequestTracing)] if is_traced else []),
        Middleware(CorsHeaders),
        Middleware(Problems, [module.DIALECT for module in DIALECTS]),
        Middleware(CrossSiteGuard),
        Middleware(AccessControl),
        Middleware(TaskShortcut),
        Middleware(HeadRequests),
    )


def create_services(settings: Settings, observer: EngineObserver | None) -> Services:
    """Create what the application is made of. Nothing runs before the application starts.

    Raises:
        UnknownModel: a setting names a model that is not in the weights folder.
        CheckpointError: two checkpoints have the same name.
        InvalidKeys: the file of the keys cannot be used.
        TracingUnavailable: tracing is turned on without the packages that it needs.
    """
    metrics, lifecycle = Metrics(), Lifecycle()
    registry = Registry(settings, combine(metrics.engine_events, observer))
    memory = RequestMemory(registry.memory.limit_for_requests)
    services = Services(
        settings=settings,
        registry=registry,
        memory=memory,
        metrics=metrics,
        tracing=Tracing() if settings.tracing else None,
        pools=WorkerPools(N_SHORT_THREADS, N_LONG_THREADS),
        decoders=DecoderPool(
            settings.image_processes, memory, max_ms=settings.image_timeout_ms, max_bytes=settings.image_memory
        ),
        fits=Fits(),
        refusal_pacing=RefusalPacing(),
        lifecycle=lifecycle,
        keys=KeyStore(settings.keys_file, settings.api_keys),
        limits=limits_of(settings),
    )
    metrics.read_state(
        registry,
        services.memory,
        max_queue_items=lambda: services.settings.max_queue_items,
        is_draining=lambda: lifecycle.is_draining,
    )
    return services


def _lifespan(services: Services) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """Return what starts the services when the application starts, and ends them when it ends."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        freeze_objects()
        services.metrics.event_loop.start()
        services.pools.start()
        services.registry.start_loading()
        giving_back = asyncio.create_task(give_spikes_back(services.memory))
        yield
        giving_back.cancel()
        try:
            await services.registry.close()
        finally:
            services.metrics.event_loop.stop()
            services.decoders.close()
            await services.fits.close()
            services.pools.close()
            if services.tracing is not None:
                await asyncio.to_thread(services.tracing.close)

    return lifespan


def create_app(settings: Settings | None = None, observer: EngineObserver | None = None) -> FastAPI:
    """Create the application; without settings, they are read from the environment.

    The observer receives the events of the engines of all models.

    The models load in the background once the application starts; `/health/ready` reports when they are ready.

    Raises:
        UnknownModel: a setting names a model that is not in the weights folder.
        CheckpointError: two checkpoints have the same name.
        InvalidKeys: the file of the keys cannot be used.
        TracingUnavailable: tracing is turned on without the packages that it needs.
    """
    settings = settings or Settings()
    services = create_services(settings, observer)

    app = Application(
        title="Manifold",
        version=version("manifold"),
        lifespan=_lifespan(services),
        middleware=middleware_of(is_traced=settings.tracing),
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state = services  # type: ignore[assignment] # in place of starlette's untyped `State`
    add_route_errors(app)
    own = (
        task_router(cohere.TASK_FORMS),
        models.router,
        cards.router,
        fit.router,
        health.router,
        metrics.router,
        documentation.router,
        playground.router,
    )
    for router in (*own, *(module.router for module in DIALECTS)):
        app.include_router(router)
    for path, folder in documentation.FOLDERS.items():
        app.mount(path, documentation.DocumentationFiles(folder))
    complete_openapi(app, [module.DIALECT for module in DIALECTS])
    return app
