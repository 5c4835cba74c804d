"""The base of the bodies of the pipelines."""

from typing import Annotated

from pydantic import Field

from app.schemas.shared.envelope import Strict

TopK = Annotated[int, Field(ge=1)]


class PipelineOptions(Strict):
    """Hints to the hosted service, which have no effect here: nothing is cached, and no request waits for a model."""

    use_cache: bool | None = Field(None, description="Has no effect.")
    wait_for_model: bool | None = Field(None, description="Has no effect.")


class PipelineBody(Strict):
    """Base of the bodies of all pipelines."""

    options: PipelineOptions | None = Field(None, description="Hints to the hosted service, which have no effect here.")
