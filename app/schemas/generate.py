"""`/generate`: continue texts, with the answer as a whole or as a stream of tokens."""

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel, Field
from typing_extensions import override

from app.inference.stream import EventWriter
from app.schemas.shared.choices import FinishReason
from app.schemas.shared.envelope import Answer, ItemsBody, random_seed
from app.schemas.shared.generate_parameters import GenerateParameters
from app.schemas.shared.memory import of_generation
from app.schemas.shared.task_schema import ModelCodecs, TaskEndpoint, TaskSchema
from models.codecs.arrays import Limits
from models.codecs.text import TextCodec
from models.codecs.text.assembly import TextAssembly
from models.errors import InvalidItems, Problem
from models.tasks import GENERATE, Request
from models.tasks.generation import GeneratedSequence, GeneratedToken, GenerateRequest, GenerateResult, Progress


class Alternative(BaseModel):
    """A token that could have been generated, and its log-probability."""

    token: int = Field(description="Id of the token.")
    token_str: str = Field(description="The token as text.")
    logprob: float = Field(description="Log-probability of the token in nats, before any parameter changes it.")


class TokenLogprob(Alternative):
    """A generated token, its log-probability, and those of the likeliest tokens in its place."""

    top: list[Alternative] = Field(description="The likeliest tokens in the place of this one.")


class Generation(BaseModel):
    """One generated text."""

    text: str = Field(description="The generated text, without the prompt and without a stop string.")
    finish_reason: FinishReason = Field(
        description="Why the text ends: the model ended it or it met a stop string (`stop`), or a limit (`length`)."
    )
    tokens: list[int] = Field(description="Ids of the generated tokens, including those of a stop string.")
    logprobs: list[TokenLogprob] | None = Field(
        None, description="The log-probability of each token, if the request asks for them."
    )
    score: float | None = Field(None, description="Score by which beam search ranks the text; only for beam search.")
    seed: int = Field(description="Sampling seed; the same seed gives the same text again.")


class GenerateOutput(BaseModel):
    """The texts generated for one input."""

    generations: list[Generation] = Field(description="The generated texts.")


class GenerateBody(ItemsBody):
    """Request body of `/generate`. An item is a text to continue."""

    parameters: GenerateParameters = Field(GenerateParameters(), description="Parameters of the task.")


class GenerateAnswer(Answer):
    """Answer of `/generate`, unless it is a stream."""

    outputs: list[GenerateOutput] = Field(description="The texts for each input, in the order of the inputs.")


class GenerateEvent(BaseModel):
    """Event of a stream for one token of one text."""

    input: int = Field(description="Index of the input, from 0.")
    generation: int = Field(description="Index of the text among those of the same input, from 0.")
    text: str = Field(description="The new characters; empty while the token ends within a character.")
    token: int | None = Field(None, description="Id of the token; null if the text ends without one.")
    logprobs: TokenLogprob | None = Field(
        None, description="The log-probability of the token, if the request asks for it."
    )
    finish_reason: FinishReason | None = Field(None, description="Why the text ends; null unless this is its end.")
    seed: int = Field(description="Sampling seed; the same seed gives the same text again.")


def _requests(body: GenerateBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    parameters = body.parameters
    items = codecs.texts.parse(body.inputs, limits)
    given = parameters.model_dump(exclude={"bad_words", "logprobs", "stop", "stream"})
    if parameters.stream and given["num_beams"] is None:
        given["num_beams"] = 1
    elif parameters.stream and given["num_beams"] > 1:
        detail = "stream needs num_beams 1: the best beam is known only at the end"
        raise InvalidItems(Problem(detail, parameter="stream"))
    given |= {
        "seed": random_seed() if parameters.seed is None else parameters.seed,
        "bad_words": tuple(dict.fromkeys(_encode_words(parameters.bad_words, codecs.texts))),
        "n_alternatives": parameters.logprobs,
    }
    texts = codecs.texts.tokenize(items, check_length=not parameters.truncate)
    requests = [codecs.generation_defaults.complete(tokens, given) for tokens in texts]
    if parameters.truncate:
        requests = [_truncate(request, codecs) for request in requests]
    if parameters.length_penalty not in (None, 1.0) and requests[0].num_beams == 1:
        detail = "length_penalty is for beam search, and num_beams is 1"
        raise InvalidItems(Problem(detail, parameter="length_penalty"))
    return [*requests]


def _truncate(request: GenerateRequest, codecs: ModelCodecs) -> GenerateRequest:
    codec = codecs.texts
    truncated = request.truncated(codec.max_tokens, is_source=codec.has_target)
    codecs.n_truncated += truncated is not request
    return truncated


def _encode_words(words: Sequence[str], codec: TextCodec) -> Iterator[tuple[int, ...]]:
    """Yield the ids of each string as a model writes it: by itself, and after a space, which may be part of a token."""
    for text in (variant for word in words for variant in (word, f" {word}")):
        tokens = codec.encode_target(text) if codec.has_target else codec.encode(text, add_special_tokens=False)
        ids = tokens.ids.tolist()
        if codec.has_target and ids[-1:] == [codec.special.end]:
            del ids[-1]
        if ids and max(ids) < codec.n_embeddings:  # a model never writes tokens beyond its embeddings
            yield tuple(ids)


class GenerateWriter(EventWriter):
    """Assembles the texts of one request from their tokens, and the events of its stream."""

    def __init__(self, requests: Sequence[GenerateRequest], body: GenerateBody, codecs: ModelCodecs) -> None:
        stop = body.parameters.stop
        self._stops = [stop] if isinstance(stop, str) else stop or []
        self._codec = codecs.texts
        self._requests = requests
        self._wants_logprobs = body.parameters.logprobs is not None
        self._assemblies: dict[tuple[int, int], TextAssembly] = {}
        self._events: list[dict[str, Any]] = []

    @override
    def on_progress(self, index: int, progress: Progress) -> bool:
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
            event["logprobs"] = _describe_token(token, self._codec)
        self._events.append(event)
        return assembly.stopped

    @override
    def events(self) -> list[dict[str, Any]]:
        events, self._events = self._events, []
        return events


def _outputs(
    results: Sequence[GenerateResult], requests: Sequence[GenerateRequest], body: GenerateBody, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    outputs = []
    for result, request in zip(results, requests, strict=True):
        generations = []
        for sequence in result.sequences:
            generation = _render_sequence(sequence, body.parameters, codecs.texts)
            generations.append(generation | {"seed": request.seed})
        outputs.append({"generations": generations})
    return outputs


def _render_sequence(sequence: GeneratedSequence, parameters: GenerateParameters, codec: TextCodec) -> dict[str, Any]:
    """Return one generated text for the answer, without its seed."""
    stops = [parameters.stop] if isinstance(parameters.stop, str) else parameters.stop or []
    ids = [token.id for token in sequence.tokens]
    text, is_stopped = assemble_text(ids, codec, stops)
    generation: dict[str, Any] = {
        "text": text,
        "finish_reason": "stop" if is_stopped else sequence.finish_reason,
        "tokens": ids,
    }
    if parameters.logprobs is not None:
        generation["logprobs"] = [_describe_token(token, codec) for token in sequence.tokens]
    if sequence.score is not None:
        generation["score"] = sequence.score
    return generation


def assemble_text(ids: Sequence[int], codec: TextCodec, stops: Sequence[str]) -> tuple[str, bool]:
    """Return the text of these tokens, as a stream of them would give it, and whether a stop string ended it."""
    assembly = TextAssembly(codec, stops)
    text = "".join([assembly.feed(token) for token in ids]) + assembly.finish()
    return text, assembly.stopped


def _describe_token(token: GeneratedToken, codec: TextCodec) -> dict[str, Any]:
    """Return a token with its log-probability and those of the likeliest tokens in its place."""
    top = [
        {"token": other, "token_str": codec.token_text(other), "logprob": value} for other, value in token.alternatives
    ]
    return {"token": token.id, "token_str": codec.token_text(token.id), "logprob": token.log_prob, "top": top}


def count_generated_tokens(requests: Sequence[GenerateRequest], results: Sequence[GenerateResult]) -> dict[str, int]:
    """Return how many tokens were read and how many were generated."""
    n_generated = sum(len(sequence.tokens) for result in results for sequence in result.sequences)
    return {"tokens": sum(len(request.tokens) for request in requests), "generated_tokens": n_generated}


SCHEMA = TaskSchema(
    task=GENERATE,
    modality="text",
    body=GenerateBody,
    answer=GenerateAnswer,
    requests=_requests,
    outputs=_outputs,
    estimate=of_generation,
    usage=count_generated_tokens,
    writer=GenerateWriter,
)
ENDPOINT = TaskEndpoint(
    name="generate",
    summary="Continue texts",
    description="Generates text, greedily, by sampling or by beam search. An item is a text to continue or, for an "
    "encoder-decoder, to translate. Returns the generated texts of each; with `stream`, Server-Sent Events, one for "
    "each token.",
    schemas=(SCHEMA,),
    examples=(
        {"model": "gpt-mini-en", "inputs": ["Once upon a time"], "parameters": {"max_new_tokens": 20, "seed": 1}},
    ),
    event=GenerateEvent,
)
