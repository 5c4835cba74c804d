"""The form of errors in the dialect of `diffusers.utils.remote_utils`."""

from typing import Any

from app.http.error_answers import Dialect, Problem
from app.routes.foreign_faults import plain_message
from app.schemas.foreign.diffusers import RemoteError

PREFIX = "/diffusers/"


def render_error(problem: Problem) -> tuple[int, dict[str, Any]]:
    """Return the status and the content of the answer to an error."""
    return problem.status, {"error": plain_message(problem)}


DIALECT = Dialect(
    name="Diffusers",
    description="The protocol by which the library diffusers has latents decoded and pictures encoded on a server.",
    prefixes=(PREFIX,),
    render_error=render_error,
    error=RemoteError,
)
