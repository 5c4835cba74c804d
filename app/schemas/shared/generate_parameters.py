"""The parameters of `/generate`."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from app.schemas.shared.envelope import Seed, TextParameters

ShortText = Annotated[str, Field(min_length=1, max_length=256)]
MAX_SEQUENCES = 64
"""Maximum of `n`."""
MAX_STOPS = 16
"""Maximum number of stop strings."""
MAX_BAD_WORDS = 64
"""Maximum number of strings that are not to be generated."""
SAMPLING_PARAMETERS = ("temperature", "top_k", "top_p", "min_p", "typical_p")
"""Parameters that turn on sampling if any of them is given."""


class GenerateParameters(TextParameters):
    """Parameters of `/generate`."""

    truncate: bool = Field(
        False,
        description="Whether to cut a text that leaves no room for new tokens, or to refuse it. A prompt is cut at its "
        "beginning, the source text of an encoder-decoder at its end.",
    )
    max_new_tokens: int | None = Field(
        None, ge=1, description="Maximum number of tokens to generate; 64, or as many as fit if fewer, if omitted."
    )
    min_new_tokens: int = Field(0, ge=0, description="Minimum number of tokens to generate before a text may end.")
    do_sample: bool | None = Field(
        None,
        description="Whether to sample each token instead of taking the likeliest; if omitted, true only if "
        "`temperature`, `top_k`, `top_p`, `min_p` or `typical_p` is given.",
    )
    temperature: float | None = Field(
        None, gt=0, le=100, description="Number by which the logits are divided before sampling; 1.0 if omitted."
    )
    top_k: int | None = Field(
        None, ge=1, description="Number of likeliest tokens to sample from; the whole vocabulary if omitted."
    )
    top_p: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Total probability of the likeliest tokens to sample from; the whole vocabulary if omitted.",
    )
    min_p: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Minimum probability of the tokens to sample from, as a share of the probability of the likeliest "
        "token; no minimum if omitted.",
    )
    typical_p: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Total probability of the most typical tokens to sample from, which are those whose information is "
        "closest to the expected information; the whole vocabulary if omitted.",
    )
    repetition_penalty: float = Field(
        1.0, gt=0, le=100, description="Penalty on tokens that the text already has; above 1, they are less likely."
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
    no_repeat_ngram_size: int = Field(
        0,
        ge=0,
        description="Number of tokens of the sequences that may occur only once in a text, including its prompt; 0 "
        "allows all repetitions.",
    )
    bad_words: list[ShortText] = Field(
        [],
        max_length=MAX_BAD_WORDS,
        description="Strings that are not generated. Each is forbidden as the tokens that it is made of, by itself and "
        "after a space.",
    )
    num_beams: int = Field(1, ge=1, le=32, description="Number of beams of the search; 1 is no beam search.")
    length_penalty: float = Field(
        1.0,
        ge=-10,
        le=10,
        description="Exponent of the length by which beam search divides the log-likelihood of a text.",
    )
    n: int = Field(
        1,
        ge=1,
        le=MAX_SEQUENCES,
        description="Number of texts to generate for each input; of beam search, the best ones.",
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

    @model_validator(mode="after")
    def _check_combination(self) -> Self:
        given = [name for name in SAMPLING_PARAMETERS if getattr(self, name) is not None]
        if given and self.do_sample is False:
            raise ValueError(f"{given[0]} is for sampling, but do_sample is false")
        if self.num_beams > 1 and (given or self.do_sample):
            raise ValueError("num_beams above 1 is a beam search, which cannot be combined with sampling")
        if self.num_beams > 1 and self.n > self.num_beams:
            raise ValueError(f"n is {self.n}, more than num_beams, {self.num_beams}")
        if self.num_beams > 1 and self.stream:
            raise ValueError("stream needs num_beams 1: the best beam is known only at the end")
        return self
