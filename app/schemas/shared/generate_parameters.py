"""The parameters of `/generate`."""

from typing import Annotated

from pydantic import Field

from app.schemas.shared.envelope import Parameters, Seed
from models.tasks.generation import MAX_BEAMS, MAX_TEXTS

ShortText = Annotated[str, Field(min_length=1, max_length=256)]
MAX_STOPS = 16
"""Maximum number of stop strings."""
MAX_BAD_WORDS = 64
"""Maximum number of strings that are not to be generated."""


class GenerateParameters(Parameters):
    """Parameters of `/generate`. One that is omitted is the checkpoint's, if it has a default of its own."""

    truncate: bool = Field(
        False,
        description="Whether to cut a text that leaves no room for new tokens, or to refuse it. A prompt is cut at its "
        "beginning, the source text of an encoder-decoder at its end. `usage.truncated` counts those that were cut.",
    )
    max_new_tokens: int | None = Field(
        None,
        ge=1,
        description="Maximum number of tokens to generate. If omitted, the checkpoint's, else 64; as "
        "many as fit, if fewer.",
    )
    min_new_tokens: int | None = Field(
        None,
        ge=0,
        description="Minimum number of tokens to generate before a text may end; the checkpoint's, else 0, if omitted.",
    )
    do_sample: bool | None = Field(
        None,
        description="Whether to sample each token instead of taking the likeliest; if omitted, true if `temperature`, "
        "`top_k`, `top_p`, `min_p` or `typical_p` is given, or if the checkpoint samples.",
    )
    temperature: float | None = Field(
        None,
        gt=0,
        le=100,
        description="Number by which the logits are divided before sampling; the checkpoint's, else 1.0, if omitted.",
    )
    top_k: int | None = Field(
        None,
        ge=1,
        description="Number of likeliest tokens to sample from; the checkpoint's, else the whole vocabulary, if "
        "omitted.",
    )
    top_p: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Total probability of the likeliest tokens to sample from; the checkpoint's, else the whole "
        "vocabulary, if omitted.",
    )
    min_p: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Minimum probability of the tokens to sample from, as a share of the probability of the likeliest "
        "token; the checkpoint's, else no minimum, if omitted.",
    )
    typical_p: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Total probability of the most typical tokens to sample from, which are those whose information is "
        "closest to the expected information; the checkpoint's, else the whole vocabulary, if omitted.",
    )
    repetition_penalty: float | None = Field(
        None,
        ge=0.01,
        le=100,
        description="Penalty on tokens that the text already has; above 1, they are less likely. If omitted, the "
        "checkpoint's, else 1.0.",
    )
    presence_penalty: float = Field(
        0.0,
        ge=-2,
        le=2,
        description="Number subtracted from the logits of tokens that were already generated; below 0, they are more "
        "likely.",
    )
    frequency_penalty: float = Field(
        0.0,
        ge=-2,
        le=2,
        description="Number subtracted from the logit of a token for each time that it was already generated; below 0, "
        "it is more likely.",
    )
    no_repeat_ngram_size: int | None = Field(
        None,
        ge=0,
        description="Number of tokens of the sequences that may occur only once in a text, including its prompt; 0 "
        "allows all repetitions. If omitted, the checkpoint's, else 0.",
    )
    bad_words: list[ShortText] = Field(
        [],
        max_length=MAX_BAD_WORDS,
        description="Strings that are not generated. Each is forbidden as the tokens that it is made of, by itself and "
        "after a space.",
    )
    num_beams: int | None = Field(
        None,
        ge=1,
        le=MAX_BEAMS,
        description="Number of beams of the search; 1 is no beam search. If omitted, 1 for sampling and streams, "
        "otherwise the checkpoint's, else 1.",
    )
    length_penalty: float | None = Field(
        None,
        ge=-10,
        le=10,
        description="Exponent of the length by which beam search divides the log-likelihood of a text; the "
        "checkpoint's, else 1.0, if omitted.",
    )
    n: int | None = Field(
        None,
        ge=1,
        le=MAX_TEXTS,
        description="Number of texts to generate for each input; of beam search, the best ones. If omitted, the "
        "checkpoint's `num_return_sequences`, else 1.",
    )
    stop: ShortText | Annotated[list[ShortText], Field(max_length=MAX_STOPS)] | None = Field(
        None, description="A string or strings that end a text where they appear, and are not part of it."
    )
    seed: Seed | None = Field(None, description="Sampling seed; random, and returned, if omitted.")
    logprobs: int | None = Field(
        None,
        ge=0,
        le=20,
        description="Number of likeliest tokens to return with their log-probabilities in the place of each generated "
        "token, besides that token; none are returned if omitted.",
    )
    stream: bool = Field(
        False, description="Whether to answer with Server-Sent Events, one for each token, or with the whole texts."
    )
