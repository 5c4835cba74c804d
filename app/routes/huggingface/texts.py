"""The pipelines that read texts, other than `text-generation`."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from app.errors import Fault, InvalidRequest
from app.routes.foreign import Reply
from app.routes.huggingface.pipeline import NativeCall, Pipeline, given_parameters, is_single, list_inputs, pointers
from app.schemas.foreign.huggingface import bodies
from models.checkpoint import Checkpoint
from models.codecs import TextCodec

UNNAMED_LABEL = "O"
"""The label of tokens that name nothing; no answer has it."""


def is_text(value: Any) -> bool:
    """Return whether a value is a text or a list of texts."""
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(each, str) for each in value))


def _has_keys(value: Any, keys: set[str]) -> bool:
    """Return whether a value is an object with exactly these keys, or a list of such."""
    each = value if isinstance(value, list) else [value]
    return bool(each) and all(isinstance(item, dict) and set(item) == keys for item in each)


def _answers(body: Any, answers: Sequence[Any]) -> Any:
    """Return the answers, or the only one if the body has one input and not a list."""
    return answers[0] if is_single(body) else list(answers)


def _codec(checkpoint: Checkpoint) -> TextCodec:
    return cast("TextCodec", checkpoint.codec)


def _has_mask(inputs: Any, checkpoint: Checkpoint) -> bool:
    """Return whether a text, or one of a list, has the mask of the model."""
    mask = _codec(checkpoint).special.mask
    if mask is None:
        return False
    written = _codec(checkpoint).token(mask)
    return any(written in text for text in ([inputs] if isinstance(inputs, str) else inputs))


def _fills(body: Any, reply: Reply) -> Any:
    """Return the fills of each text; those of a text with several masks are a list for each mask."""
    texts = [fills[0] if len(fills) == 1 else fills for fills in (output["fills"] for output in reply.outputs)]
    return _answers(body, texts)


FILL_MASK_NAMES = {"top_k": "top_k", "targets": "targets", "truncate": "truncation"}
FILL_MASK = Pipeline(
    name="fill-mask",
    tasks=("fill_mask",),
    modality="text",
    form="a text with a mask or a list of such",
    body=bodies.PipelineFillMaskBody,
    takes=is_text,
    suits=_has_mask,
    to_native=lambda body, checkpoint: NativeCall(
        task="fill_mask", inputs=list_inputs(body), parameters=given_parameters(body, FILL_MASK_NAMES)
    ),
    from_native=_fills,
    names=pointers(FILL_MASK_NAMES),
)

CLASSIFY_NAMES = {"top_k": "top_k", "function_to_apply": "function_to_apply", "truncate": "truncation"}
TEXT_CLASSIFICATION = Pipeline(
    name="text-classification",
    tasks=("classify",),
    modality="text",
    form="a text, an object of `text` and `text_pair`, or a list of such",
    body=bodies.PipelineTextClassificationBody,
    takes=lambda inputs: is_text(inputs) or _has_keys(inputs, {"text", "text_pair"}),
    to_native=lambda body, checkpoint: NativeCall(
        task="classify", inputs=list_inputs(body), parameters=given_parameters(body, CLASSIFY_NAMES)
    ),
    from_native=lambda body, reply: [output["labels"] for output in reply.outputs],
    names=pointers(CLASSIFY_NAMES),
)


def _find_entities(body: bodies.PipelineTokenClassificationBody, checkpoint: Checkpoint) -> NativeCall:
    ignored = body.parameters and body.parameters.ignore_labels
    if ignored is not None and UNNAMED_LABEL not in ignored:
        detail = f"{UNNAMED_LABEL!r} must be among them: tokens that name nothing are never answered"
        raise InvalidRequest.of([Fault("/parameters/ignore_labels", detail)])
    strategy = (body.parameters and body.parameters.aggregation_strategy) or "simple"
    parameters = {"aggregation": strategy, "truncate": body.parameters and body.parameters.truncation}
    return NativeCall(task="classify_tokens", inputs=list_inputs(body), parameters=parameters)


def _entities(body: bodies.PipelineTokenClassificationBody, reply: Reply) -> Any:
    parameters = body.parameters or bodies.PipelineTokenClassificationParameters()
    key = "entity" if parameters.aggregation_strategy == "none" else "entity_group"
    ignored = parameters.ignore_labels or ()

    def render(entity: Mapping[str, Any]) -> dict[str, Any]:
        return {key: entity["entity_group"], **{name: entity[name] for name in ("score", "word", "start", "end")}}

    found = [
        [render(entity) for entity in output["entities"] if entity["entity_group"] not in ignored]
        for output in reply.outputs
    ]
    return _answers(body, found)


TOKEN_CLASSIFICATION = Pipeline(
    name="token-classification",
    tasks=("classify_tokens",),
    modality="text",
    form="a text or a list of texts",
    body=bodies.PipelineTokenClassificationBody,
    takes=is_text,
    to_native=_find_entities,
    from_native=_entities,
    names=pointers({"aggregation": "aggregation_strategy", "truncate": "truncation"}),
)

ANSWER_NAMES = {
    "top_k": "top_k",
    "stride": "doc_stride",
    "max_answer_tokens": "max_answer_len",
    "allow_no_answer": "handle_impossible_answer",
}


def _find_answers(body: bodies.PipelineQuestionAnsweringBody, checkpoint: Checkpoint) -> NativeCall:
    parameters = body.parameters or bodies.PipelineQuestionAnsweringParameters()
    codec, items = _codec(checkpoint), list_inputs(body)
    longest_question, window = parameters.max_question_len, parameters.max_seq_len
    for item in items:
        if longest_question is not None:
            n_tokens = len(codec.encode(item["question"], add_special_tokens=False))
            if n_tokens > longest_question:
                detail = f"a question has {n_tokens} tokens, more than {longest_question}, and is never cut"
                raise InvalidRequest.of([Fault("/parameters/max_question_len", detail)])
        if window is not None and window < codec.max_tokens:
            n_tokens = len(codec.encode(item["question"], item["context"]))
            if n_tokens > window:
                detail = f"a question and its context have {n_tokens} tokens; windows of {window} are not supported"
                raise InvalidRequest.of([Fault("/parameters/max_seq_len", f"{detail}: they have {codec.max_tokens}")])
    return NativeCall(task="answer", inputs=items, parameters=given_parameters(body, ANSWER_NAMES))


def _found_answers(body: bodies.PipelineQuestionAnsweringBody, reply: Reply) -> Any:
    has_several = body.parameters is not None and (body.parameters.top_k or 1) > 1
    found = [output["answers"] if has_several else output["answers"][0] for output in reply.outputs]
    return _answers(body, found)


QUESTION_ANSWERING = Pipeline(
    name="question-answering",
    tasks=("answer",),
    modality="text",
    form="an object of `question` and `context`, or a list of such",
    body=bodies.PipelineQuestionAnsweringBody,
    takes=lambda inputs: _has_keys(inputs, {"question", "context"}),
    to_native=_find_answers,
    from_native=_found_answers,
    names=pointers(ANSWER_NAMES),
)


def _embed(body: bodies.PipelineFeatureExtractionBody, checkpoint: Checkpoint) -> NativeCall:
    side = body.truncation_direction.lower() if body.truncate and body.truncation_direction else None
    parameters = {"truncate": body.truncate, "truncation_side": side, "sparse": False}
    parameters |= {name: getattr(body, name) for name in ("normalize", "prompt_name", "dimensions")}
    return NativeCall(task="encode", inputs=list_inputs(body), parameters=parameters)


FEATURE_EXTRACTION = Pipeline(
    name="feature-extraction",
    tasks=("encode",),
    modality="text",
    form="a text or a list of texts",
    body=bodies.PipelineFeatureExtractionBody,
    takes=is_text,
    to_native=_embed,
    from_native=lambda body, reply: [output["embedding"] for output in reply.outputs],
    names={f"parameters/{name}": name for name in ("truncate", "normalize", "prompt_name", "dimensions")},
)

SENTENCE_SIMILARITY = Pipeline(
    name="sentence-similarity",
    tasks=("similarity",),
    modality="text",
    form="an object of `source_sentence` and `sentences`",
    body=bodies.PipelineSentenceSimilarityBody,
    takes=lambda inputs: isinstance(inputs, dict) and set(inputs) == {"source_sentence", "sentences"},
    to_native=lambda body, checkpoint: NativeCall(
        task="similarity", inputs=[{"source": body.inputs.source_sentence, "candidates": body.inputs.sentences}]
    ),
    from_native=lambda body, reply: reply.outputs[0]["scores"],
    # Errors name the texts of an item: `source`, or `candidates/3`.
    names=pointers({"source": "source_sentence", "candidates": "sentences"}),
)

TRANSLATE_NAMES = ("max_new_tokens", "num_beams", "length_penalty")


def _translate(body: bodies.PipelineTranslationBody, checkpoint: Checkpoint) -> NativeCall:
    given = body.parameters or bodies.PipelineTranslationParameters()
    parameters = {name: getattr(given.generate_parameters, name, None) for name in TRANSLATE_NAMES}
    parameters["truncate"] = given.truncation in ("longest_first", "only_first")
    return NativeCall(task="translate", inputs=list_inputs(body), parameters=parameters)


TRANSLATION = Pipeline(
    name="translation",
    tasks=("translate",),
    modality="text",
    form="a text or a list of texts",
    body=bodies.PipelineTranslationBody,
    takes=is_text,
    to_native=_translate,
    from_native=lambda body, reply: [{"translation_text": output["translation"]} for output in reply.outputs],
    names={
        "parameters/truncate": "parameters/truncation",
        **{f"parameters/{name}": f"parameters/generate_parameters/{name}" for name in TRANSLATE_NAMES},
    },
)
