"""The loading and unloading of models by requests, each with a deadline."""

import time

from starlette.requests import Request

from app.http.deadline import deadline_of
from app.registry.served_model import ServedModel
from app.services import Services


async def load_in_time(services: Services, request: Request, name: str) -> ServedModel:
    """Load a model by the deadline of a request, which is the longest one if the request names none.

    Raises:
        UnknownModel: no model has this name.
        InvalidRequest: the model cannot be loaded, or the deadline is malformed.
        DeadlineExceeded: the loading was not done in time, and has been ended.
    """
    settings = services.settings
    deadline = deadline_of(request, settings, "the loading has been ended", default_ms=settings.max_timeout_ms)
    try:
        return await services.registry.load(name, deadline.at_s - time.monotonic())
    except TimeoutError:
        raise deadline.exceeded() from None


async def unload_in_time(services: Services, request: Request, name: str) -> ServedModel:
    """Unload a model. Its requests that are not answered by the deadline of this request fail.

    Raises:
        UnknownModel: no model has this name.
        InvalidRequest: the deadline is malformed.
    """
    deadline = deadline_of(request, services.settings, "the requests of the model have been ended")
    return await services.registry.unload(name, deadline.at_s - time.monotonic())
