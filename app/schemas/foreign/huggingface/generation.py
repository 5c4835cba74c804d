"""The body of the pipeline `text-generation`."""

from typing import Annotated, Any

from pydantic import Field

from app.schemas.foreign.huggingface.base import PipelineBody, TopK
from app.schemas.foreign.neutral import only
from app.schemas.shared.envelope import Seed, Strict
from app.schemas.shared.generate_parameters import MAX_STOPS, ShortText


class PipelineTextGenerationParameters(Strict):
    """Parameters of `text-generation`."""

    max_new_tokens: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Maximum number of tokens to generate; the checkpoint's, else 64, if omitted."
    )
    do_sample: bool | None = Field(
        None,
        description="Whether to sample. If false, the parameters of sampling have no effect; if omitted, they decide.",
    )
    temperature: float | None = Field(None, description="Number by which the logits are divided before sampling.")
    top_k: TopK | None = Field(None, description="Number of likeliest tokens to sample from.")
    top_p: float | None = Field(None, description="Total probability of the likeliest tokens to sample from.")
    typical_p: float | None = Field(None, description="Total probability of the most typical tokens to sample from.")
    seed: Seed | None = Field(None, description="Sampling seed; random if omitted.")
    repetition_penalty: float | None = Field(None, description="Penalty on tokens that the text already has.")
    frequency_penalty: float | None = Field(
        None, description="Number subtracted from the logit of a token for each time that it was generated."
    )
    stop: Annotated[list[ShortText], Field(max_length=MAX_STOPS)] | None = Field(
        None, description="Strings that end the text where they appear, and are not part of it."
    )
    return_full_text: bool | None = Field(None, description="Whether to put the prompt before the generated text.")
    details: bool | None = Field(None, description="Whether to return the tokens, and why the text ends.")
    top_n_tokens: Annotated[int, Field(ge=0, le=20)] | None = Field(
        None, description="Number of likeliest tokens to return in the place of each token, with `details` or a stream."
    )
    truncate: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Maximum number of tokens of the prompt. A longer prompt is refused and never cut."
    )
    best_of: Annotated[int | None, only(1, reason="one text is generated")] = Field(
        None, description="Only null and 1 are taken: one text is generated."
    )
    adapter_id: Annotated[str | None, only(reason="there are no adapters")] = Field(
        None, description="Only null is taken: there are no adapters."
    )
    decoder_input_details: Annotated[bool | None, only(False, reason="the tokens of the prompt are not returned")] = (
        Field(None, description="Only null and false are taken: the tokens of the prompt are not returned.")
    )
    grammar: Annotated[Any, only(reason="texts are not constrained by a grammar")] = Field(
        None, description="Only null is taken: texts are not constrained by a grammar."
    )
    watermark: Annotated[bool | None, only(False, reason="texts have no watermark")] = Field(
        None, description="Only null and false are taken: texts have no watermark."
    )


class PipelineTextGenerationBody(PipelineBody):
    """Body of `text-generation`."""

    inputs: str = Field(description="The text to continue.")
    parameters: PipelineTextGenerationParameters | None = Field(None, description="Parameters of the pipeline.")
    stream: bool | None = Field(None, description="Whether to answer with Server-Sent Events, one for each token.")
