"""Everything a route may need, in one typed object: it is `app.state` of the application."""

from dataclasses import dataclass
from typing import cast

from starlette.types import Scope

from app.concurrency.refusal_pacing import RefusalPacing
from app.concurrency.worker_pools import WorkerPools
from app.keys.store import KeyStore
from app.registry.registry import Registry
from app.settings import Settings
from models.codecs.arrays import Limits


@dataclass(slots=True)
class Lifecycle:
    """The state of the process. While it is draining, it is not ready, and each answer closes its connection."""

    is_draining: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Services:
    """The components that all requests share; created once, by `create_app`."""

    settings: Settings
    registry: Registry
    pools: WorkerPools
    refusal_pacing: RefusalPacing
    lifecycle: Lifecycle
    limits: Limits
    keys: KeyStore


def services_in(scope: Scope) -> Services:
    """Return the services of the application in an ASGI scope."""
    return cast("Services", scope["app"].state)
