"""Everything a route may need, in one typed object: it is `app.state` of the application."""

from dataclasses import dataclass

from starlette.types import Scope

from app.concurrency.decoder_pool import DecoderPool
from app.concurrency.fits import Fits
from app.concurrency.refusal_pacing import RefusalPacing
from app.concurrency.request_memory import RequestMemory
from app.concurrency.worker_pools import WorkerPools
from app.keys.store import KeyStore
from app.metrics.exposition import Metrics
from app.registry.registry import Registry
from app.settings import RELOADABLE, Settings
from app.tracing.tracing import Tracing
from models.codecs.arrays import Limits


@dataclass(slots=True)
class Lifecycle:
    """The state of the process. While it is draining, it is not ready, and each answer closes its connection."""

    is_draining: bool = False


@dataclass(kw_only=True, slots=True)
class Services:
    """The components that all requests share; created once, by `create_app`.

    Attributes:
        settings: the present settings; replaced as a whole, so that what reads them at each request follows them.
        memory: the memory of all requests together.
        decoders: the processes that decode large images, files of sound and Parquet files.
        fits: the process that fits a model.
        limits: the limits among them that codecs need.
    """

    settings: Settings
    registry: Registry
    memory: RequestMemory
    metrics: Metrics
    tracing: Tracing | None
    pools: WorkerPools
    decoders: DecoderPool
    fits: Fits
    refusal_pacing: RefusalPacing
    lifecycle: Lifecycle
    limits: Limits
    keys: KeyStore

    async def apply(self, settings: Settings) -> list[str]:
        """Follow those of the new settings that can change while the server runs; requests that run are not disturbed.

        Returns:
            The names of the settings that have changed.

        Raises:
            ManifoldError, ModelsError: the settings name a model that cannot be served, or keys that cannot be read;
                then nothing has changed.
        """
        changes = {
            name: getattr(settings, name)
            for name in sorted(RELOADABLE)
            if getattr(settings, name) != getattr(self.settings, name)
        }
        updated = self.settings.model_copy(update=changes)
        has_other_keys = not changes.keys().isdisjoint(("keys_file", "api_keys"))
        keys = KeyStore(updated.keys_file, updated.api_keys, self.keys) if has_other_keys else self.keys
        await self.registry.apply(updated)
        self.settings, self.limits, self.keys = updated, limits_of(updated), keys
        if not has_other_keys:
            keys.reload()
        return list(changes)


def limits_of(settings: Settings) -> Limits:
    """Return the limits that codecs need."""
    return Limits(
        max_items=settings.max_items,
        max_pixels=settings.max_pixels,
        max_characters=settings.max_characters,
        max_seconds=settings.max_audio_seconds,
    )


def services_in(scope: Scope) -> Services:
    """Return the services of the application in an ASGI scope."""
    services: Services = scope["app"].state
    return services
