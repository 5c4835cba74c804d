"""`/generate`: texts continued, at once or as a stream."""

import secrets
from collections.abc import Sequence
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, model_validator

from app.schemas.shared.envelope import Answer, ItemsBody, Seed, TextParameters
from app.schemas.shared.task_schema import ModelCodecs, TaskEndpoint, TaskSchema
from models.codecs.arrays import Limits
from models.codecs.text import TextCodec
from models.codecs.text.assembly import TextAssembly
from models.tasks import GENERATE, Request
from models.tasks.text import FinishReason, GeneratedToken, GenerateRequest, GenerateResult, Progress

Stop = Annotated[str, Field(min_length=1, max_length=256)]
MAX_SEQUENCES = 64
MAX_STOPS = 16


class GenerateParameters(TextParameters):
    """Parameters of `/generate`. `truncate` cuts a prompt at its beginning, a text to translate at its end."""

    max_new_tokens: int | None = Field(None, ge=1, description="64, or as many as fit, if left out.")
    min_new_tokens: int = Field(0, ge=0, description="The text does not end before.")
    do_sample: bool | None = Field(
        None, description="Draw each token instead of taking the likeliest; true if a parameter of the draw is given."
    )
    temperature: float | None = Field(None, gt=0, le=100, description="Divides the logits before the draw (1.0).")
    top_k: int | None = Field(None, ge=1, description="Draw from so many tokens; all if left out.")
    top_p: float | None = Field(
        None, gt=0, le=1, description="Draw from the fewest tokens of so much probability; all if left out."
    )
    repetition_penalty: float = Field(1.0, gt=0, le=100, description="Above 1, tokens seen before are less likely.")
    num_beams: int = Field(1, ge=1, le=32, description="Above 1, beam search.")
    length_penalty: float = Field(
        1.0, ge=-10, le=10, description="Beam search ranks by log-likelihood / length ** this."
    )
    n: int = Field(1, ge=1, le=MAX_SEQUENCES, description="Texts for each input; of beam search, the best.")
    stop: Stop | Annotated[list[Stop], Field(max_length=MAX_STOPS)] | None = Field(
        None, description="Strings that end a text, and are no part of it."
    )
    seed: Seed | None = Field(None, description="Of the draws; drawn itself, and told, if left out.")
    logprobs: int | None = Field(
        None, ge=0, le=20, description="Tell each token's log-probability, and so many likelier others."
    )
    stream: bool = Field(False, description="Answer with Server-Sent Events, one a token.")

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        drawn = [name for name in ("temperature", "top_k", "top_p") if getattr(self, name) is not None]
        if drawn and self.do_sample is False:
            raise ValueError(f"{drawn[0]} shapes a draw, and do_sample is false")
        if self.num_beams > 1 and (drawn or self.do_sample):
            raise ValueError("num_beams above 1 is a search, and do_sample a draw; choose one")
        if self.num_beams > 1 and self.n > self.num_beams:
            raise ValueError(f"n is {self.n}, more than num_beams, {self.num_beams}")
        if self.num_beams > 1 and self.stream:
            raise ValueError("stream needs num_beams 1: the best beam is known only at the end")
        return self


class Alternative(BaseModel):
    """A token that might have been."""

    token: int
    token_str: str
    logprob: float


class TokenLogprob(Alternative):
    """A token that is."""

    top: list[Alternative] = Field(description="The likeliest tokens in its place.")


class Generation(BaseModel):
    """One text."""

    text: str
    finish_reason: FinishReason = Field(description="`stop`: it ended, or met a stop string; `length`: it was cut.")
    tokens: list[int] = Field(description="Those generated; of a text with a stop string, with those of the string.")
    logprobs: list[TokenLogprob] | None = Field(
        None, description="In nats, as the model gives them, before any parameter changes them."
    )
    score: float | None = Field(None, description="Of beam search.")
    seed: int


class GenerateOutput(BaseModel):
    """One input's texts."""

    generations: list[Generation]


class GenerateBody(ItemsBody):
    """What `/generate` is asked."""

    parameters: GenerateParameters = GenerateParameters()


class GenerateAnswer(Answer):
    """What `/generate` answers, unless it streams."""

    outputs: list[GenerateOutput]


class GenerateEvent(BaseModel):
    """One event of a stream. The last has `usage`; one with `error` ends the stream before its time."""

    input: int = Field(description="Which input, from 0.")
    generation: int = Field(description="Which of its texts, from 0.")
    text: str = Field(description="What is new. Whole characters only, so it may be empty.")
    token: int | None = None
    logprobs: TokenLogprob | None = None
    finish_reason: FinishReason | None = Field(None, description="Of the last event of this text.")
    seed: int


def _requests(body: GenerateBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    asked = body.parameters
    texts = codecs.texts.texts(body.inputs, limits)
    drawn = any(getattr(asked, name) is not None for name in ("temperature", "top_k", "top_p"))
    seed = secrets.randbits(62) if asked.seed is None else asked.seed
    return [
        GenerateRequest(
            tokens=tokens,
            max_new_tokens=asked.max_new_tokens,
            truncate=asked.truncate,
            min_new_tokens=asked.min_new_tokens,
            do_sample=drawn if asked.do_sample is None else asked.do_sample,
            temperature=asked.temperature or 1.0,
            top_k=asked.top_k,
            top_p=asked.top_p,
            repetition_penalty=asked.repetition_penalty,
            num_beams=asked.num_beams,
            length_penalty=asked.length_penalty,
            n=asked.n,
            seed=seed,
            n_alternatives=asked.logprobs or 0,
        )
        for tokens in codecs.texts.tokens(texts, limited_length=not asked.truncate)
    ]


class GenerateWriter:
    """Assembles the texts of one call, and the events of its stream."""

    def __init__(self, requests: Sequence[GenerateRequest], body: GenerateBody, codecs: ModelCodecs) -> None:
        stop = body.parameters.stop
        self._stops = [stop] if isinstance(stop, str) else stop or []
        self._codec = codecs.texts
        self._requests = requests
        self._wants_logprobs = body.parameters.logprobs is not None
        self._assemblies: dict[tuple[int, int], TextAssembly] = {}
        self._events: list[dict[str, Any]] = []

    def on_progress(self, index: int, progress: Progress) -> bool:
        """See `Writer.on_progress`: a stop string ends a text."""
        key = (index, progress.sequence)
        assembly = self._assemblies.setdefault(key, TextAssembly(self._codec, self._stops))
        token = progress.token
        text = assembly.feed(token.id) if token else ""
        reason = "stop" if assembly.stopped else progress.finish_reason
        if reason is not None:
            text += assembly.finish()
        event = {
            "input": index,
            "generation": progress.sequence,
            "text": text,
            "token": token.id if token else None,
            "finish_reason": reason,
            "seed": self._requests[index].seed,
        }
        if self._wants_logprobs and token:
            event["logprobs"] = logprob(token, self._codec)
        self._events.append(event)
        return assembly.stopped

    def events(self) -> list[dict[str, Any]]:
        """See `Writer.events`."""
        events, self._events = self._events, []
        return events


def _outputs(
    results: Sequence[GenerateResult], requests: Sequence[GenerateRequest], body: GenerateBody, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    asked = body.parameters
    stops = [asked.stop] if isinstance(asked.stop, str) else asked.stop or []
    outputs = []
    for result, request in zip(results, requests, strict=True):
        generations = []
        for sequence in result.sequences:
            ids = [token.id for token in sequence.tokens]
            text, stopped = assembled(ids, codecs.texts, stops)
            generation: dict[str, Any] = {
                "text": text,
                "finish_reason": "stop" if stopped else sequence.finish_reason,
                "tokens": ids,
                "seed": request.seed,
            }
            if asked.logprobs is not None:
                generation["logprobs"] = [logprob(token, codecs.texts) for token in sequence.tokens]
            if sequence.score is not None:
                generation["score"] = sequence.score
            generations.append(generation)
        outputs.append({"generations": generations})
    return outputs


def assembled(ids: Sequence[int], codec: TextCodec, stops: Sequence[str]) -> tuple[str, bool]:
    """The text of these tokens, as a stream of them would be, and whether a stop string ended it."""
    assembly = TextAssembly(codec, stops)
    text = "".join([assembly.feed(token) for token in ids]) + assembly.finish()
    return text, assembly.stopped


def logprob(token: GeneratedToken, codec: TextCodec) -> dict[str, Any]:
    """A token, its log-probability and those of others."""
    top = [
        {"token": other, "token_str": codec.token_text(other), "logprob": value} for other, value in token.alternatives
    ]
    return {"token": token.id, "token_str": codec.token_text(token.id), "logprob": token.log_prob, "top": top}


def usage(requests: Sequence[GenerateRequest], results: Sequence[GenerateResult]) -> dict[str, int]:
    """Tokens read and made."""
    made = sum(len(sequence.tokens) for result in results for sequence in result.sequences)
    return {"tokens": sum(len(request.tokens) for request in requests), "generated_tokens": made}


SCHEMA = TaskSchema(
    task=GENERATE,
    modality="text",
    body=GenerateBody,
    answer=GenerateAnswer,
    requests=_requests,
    outputs=_outputs,
    usage=usage,
    writer=GenerateWriter,
)
ENDPOINT = TaskEndpoint(
    name="generate",
    summary="Continue texts",
    schemas=(SCHEMA,),
    examples=(
        {"model": "gpt-mini-en", "inputs": ["Once upon a time"], "parameters": {"max_new_tokens": 20, "seed": 1}},
    ),
    event=GenerateEvent,
)
