"""The settings of sentence encoders, in folders that the library sentence-transformers writes, versions 1 to 6."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from models.checkpoint.sentence_modules import (
    Module,
    check_layers,
    read_modules,
    read_poolings,
    read_sparse_pooling,
    split_layers,
)
from models.codecs.text import Prompts
from models.errors import CheckpointError
from models.json_files import read_json, shorten
from models.text.embedding_settings import EmbeddingSettings, Similarity

SETTINGS_FILE, TOKENIZER_SETTINGS_FILE = "config_sentence_transformers.json", "tokenizer_config.json"
TRANSFORMER_FILES = tuple(
    f"sentence_{model_type}_config.json"
    for model_type in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
"""Files with the settings of the Transformer; the first that exists counts."""
MIN_TOKENS = 3
"""Minimum limit on the number of tokens: a token between the two special ones."""
NO_LIMIT = 2**24
"""Least `model_max_length` that stands for no limit: transformers writes 1e30."""
EMPTY_PROMPTS = ("query", "document")
"""Names of prompts that sentence-transformers knows without being told, and that are empty then."""
MODEL_TYPES = ("SentenceTransformer", "SparseEncoder", "CrossEncoder")
OUTPUTS = {
    "feature-extraction": ("last_hidden_state", "token_embeddings"),
    "fill-mask": ("logits", "token_embeddings"),
    "sequence-classification": ("logits", "scores"),
}
"""What the Transformer is asked for, and the name that it is given, by the task of the Transformer."""
HARMLESS_ARGUMENTS = frozenset(
    {
        *("add_pooling_layer", "attn_implementation", "torch_dtype", "dtype", "use_safetensors", "low_cpu_mem_usage"),
        *("cache_dir", "trust_remote_code", "use_fast", "padding_side", "model_max_length", "local_files_only"),
        *("token", "revision", "device_map"),
    }
)
"""Arguments for the classes of transformers that change nothing here, or are read elsewhere."""


@dataclass(frozen=True, kw_only=True)
class SentenceSettings:
    """The settings of a sentence encoder; the defaults are those of other models.

    Attributes:
        embedding: how a text's vector is made, and how vectors are compared; None leaves it to the model.
        layers: the layers that the vector passes through after the pooling.
        prompts: the texts that may stand before a text.
        max_tokens: the maximum number of tokens of a text; None leaves it to the model.
        preferred_length: the number of tokens that longer texts are truncated to; None leaves it to the model.
        lowercase: whether texts are converted to lower case.
    """

    embedding: EmbeddingSettings | None = None
    layers: tuple[Module, ...] = ()
    prompts: Prompts = field(default_factory=Prompts)
    max_tokens: int | None = None
    preferred_length: int | None = None
    lowercase: bool = False

    def embedding_width(self, name: str, width: int, vocab_size: int) -> int:
        """Return the number of elements of a text's vector, given the width of the hidden states.

        Raises:
            CheckpointError: a layer is for another width; `name` is the checkpoint's name, for the error.
        """
        embedding = self.embedding or EmbeddingSettings()
        if embedding.sparse is not None:
            return vocab_size
        n_elements = check_layers(self.layers, name, width * len(embedding.poolings))
        return min(n_elements, embedding.dimensions or n_elements)


def read_sentence_settings(folder: Path, name: str, path: str) -> SentenceSettings:
    """Return the settings of a checkpoint.

    A sentence encoder takes as many tokens as `max_seq_length` says, or else `model_max_length` of the tokenizer, as in
    sentence-transformers, which truncates longer texts. Other models take as many as they have positions, because
    transformers truncates texts to `model_max_length` only where it is asked to truncate: so does `truncate` here.

    Args:
        folder: the checkpoint's folder.
        name: the checkpoint's name, for errors.
        path: the folder of the Transformer below it, with a slash at its end; empty if it is the same.

    Raises:
        CheckpointError: a file is damaged, or has a module, a pooling, a limit or a prompt that is not supported.
    """
    tokenizer_limit = _read_tokenizer_limit(folder, name, path)
    modules = read_modules(folder, name)
    if not (folder / "modules.json").exists():
        return SentenceSettings(preferred_length=tokenizer_limit)
    values = read_json(folder, name, SETTINGS_FILE) if (folder / SETTINGS_FILE).exists() else {}
    model_type = values.get("model_type") or MODEL_TYPES[0]
    if model_type not in MODEL_TYPES:
        raise CheckpointError(
            f"{name}/{SETTINGS_FILE}: model_type is {model_type!r}; known are {', '.join(MODEL_TYPES)}"
        )
    max_tokens, lowercase = _read_transformer_settings(folder, name, path, modules)
    pooling = modules[1] if len(modules) > 1 else None
    prompts = _read_prompts(name, values, pooling)
    if prompts.default and model_type == "CrossEncoder":
        raise CheckpointError(f"{name}/{SETTINGS_FILE}: default_prompt_name is not supported for a cross-encoder")
    layers, normalizes = split_layers(modules)
    return SentenceSettings(
        embedding=_read_embedding(name, values, pooling, normalizes) if pooling else None,
        layers=tuple(layers),
        prompts=prompts,
        max_tokens=max_tokens or tokenizer_limit,
        lowercase=lowercase,
    )


def _read_embedding(name: str, values: Mapping[str, Any], pooling: Module, normalizes: bool) -> EmbeddingSettings:
    """Return how a text's vector is made.

    Raises:
        CheckpointError: a pooling, a measure of similarity or a number of dimensions is not supported.
    """
    place = f"{name}/{SETTINGS_FILE}"
    is_sparse = pooling.kind == "SpladePooling"
    default: Similarity = "dot" if values.get("model_type") == "SparseEncoder" else "cosine"
    similarity: Any = values.get("similarity_fn_name") or default
    known = get_args(Similarity)
    if similarity not in known:
        raise CheckpointError(f"{place}: similarity_fn_name is {similarity!r}; known are {', '.join(known)}")
    for key in ("truncate_dim", "max_active_dims"):
        number = values.get(key)
        if number is not None and (type(number) is not int or number < 1):
            raise CheckpointError(f"{place}: {key} is {number!r}; it must be a positive integer")
    if is_sparse:
        sparse = read_sparse_pooling(pooling, name, values.get("max_active_dims"))
        return EmbeddingSettings(similarity=similarity, sparse=sparse)
    return EmbeddingSettings(
        poolings=read_poolings(pooling, name),
        normalize=normalizes,
        dimensions=values.get("truncate_dim"),
        skips_prompt=not pooling.config.get("include_prompt", True),
        similarity=similarity,
    )


def _read_prompts(name: str, values: Mapping[str, Any], pooling: Module | None) -> Prompts:
    """Return the prompts of `config_sentence_transformers.json`, in which null stands for an empty one.

    Raises:
        CheckpointError: a prompt is no string, or there is none of the default name.
    """
    place, prompts = f"{name}/{SETTINGS_FILE}", values.get("prompts") or {}
    if not isinstance(prompts, dict) or not all(text is None or isinstance(text, str) for text in prompts.values()):
        raise CheckpointError(f"{place}: prompts is {str(prompts)[:100]}; it must name strings")
    default = values.get("default_prompt_name")
    if not isinstance(default, str | None):
        raise CheckpointError(f"{place}: default_prompt_name is {shorten(default)}; it must be the name of a prompt")
    if default in EMPTY_PROMPTS and default not in prompts:
        default = None
    if default is not None and default not in prompts:
        known = ", ".join(dict.fromkeys((*prompts, *EMPTY_PROMPTS)))
        raise CheckpointError(f"{place}: default_prompt_name is {default!r}; the prompts are {known}")
    are_pooled = pooling is None or bool(pooling.config.get("include_prompt", True))
    return Prompts(by_name={key: text or "" for key, text in prompts.items()}, default=default, are_pooled=are_pooled)


def _read_transformer_settings(
    folder: Path, name: str, path: str, modules: Sequence[Module]
) -> tuple[int | None, bool]:
    """Return the maximum number of tokens, if it is given, and whether texts are converted to lower case.

    Raises:
        CheckpointError: a file is damaged, or has a value that is not supported.
    """
    files = [f"{path}{file}" for file in TRANSFORMER_FILES if (folder / path / file).exists()]
    values = read_json(folder, name, files[0]) if files else {}
    place = f"{name}/{files[0]}" if files else name
    arguments = _check_arguments(place, values)
    max_tokens = arguments.get("model_max_length", values.get("max_seq_length"))
    if max_tokens is not None and (type(max_tokens) is not int or max_tokens < MIN_TOKENS):
        limit = f"it must be an integer of at least {MIN_TOKENS}"
        raise CheckpointError(f"{place}: max_seq_length is {max_tokens!r}; {limit}")
    is_masked = bool(modules) and modules[0].kind == "MLMTransformer"
    task = values.get("transformer_task", "fill-mask" if is_masked else "feature-extraction")
    is_splade = len(modules) > 1 and modules[1].kind == "SpladePooling"
    if not isinstance(task, str) or task not in OUTPUTS or (is_splade != (task == "fill-mask") and len(modules) > 1):
        after = f" before {modules[1].kind}" if len(modules) > 1 else ""
        raise CheckpointError(f"{place}: transformer_task is {task!r}, which is not supported{after}")
    _check_outputs(place, values, task)
    return max_tokens, bool(values.get("do_lower_case"))


def _check_arguments(place: str, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the arguments for the tokenizer's class.

    Raises:
        CheckpointError: an argument, or another value of the file, changes what is not changed here.
    """
    arguments: dict[str, Mapping[str, Any]] = {}
    for new, old in (
        ("model_kwargs", "model_args"),
        ("processor_kwargs", "tokenizer_args"),
        ("config_kwargs", "config_args"),
    ):
        arguments[new] = values.get(old) or values.get(new) or {}
        if not isinstance(arguments[new], dict):
            raise CheckpointError(f"{place}: {new} is {shorten(arguments[new])}; it must be an object")
        if unknown := sorted(set(arguments[new]) - HARMLESS_ARGUMENTS):
            raise CheckpointError(f"{place}: {unknown[0]} of {new} is not supported")
    harmless = ("max_seq_length", "do_lower_case", "transformer_task", "modality_config", "module_output_name")
    known = {*harmless, *arguments, "model_args", "tokenizer_args", "config_args", "unpad_inputs"}
    if unknown := sorted(key for key, value in values.items() if key not in known and value):
        raise CheckpointError(f"{place}: {unknown[0]} is {str(values[unknown[0]])[:100]}, which is not supported")
    return arguments["processor_kwargs"]


def _check_outputs(place: str, values: Mapping[str, Any], task: str) -> None:
    """Raise CheckpointError if the Transformer is asked for something else than is usual for its task."""
    output, output_name = OUTPUTS[task]
    modalities = values.get("modality_config") or {}
    asked = modalities.get("text") if isinstance(modalities, dict) else modalities
    asked = asked or {"method": "forward", "method_output_name": output}
    if not isinstance(asked, dict):
        raise CheckpointError(f"{place}: modality_config is {shorten(modalities)}; it must be an object of objects")
    named = values.get("module_output_name") or output_name
    if (asked.get("method"), asked.get("method_output_name"), named) != ("forward", output, output_name):
        detail = f"modality_config asks for {asked} as {named}; only {output} of forward as {output_name} is supported"
        raise CheckpointError(f"{place}: {detail}")


def _read_tokenizer_limit(folder: Path, name: str, path: str) -> int | None:
    """Return the maximum number of tokens that the tokenizer's settings name, if they name one.

    Raises:
        CheckpointError: the file is damaged, or the number is too small.
    """
    file = f"{path}{TOKENIZER_SETTINGS_FILE}"
    if not (folder / file).exists():
        return None
    values = read_json(folder, name, file)
    limit = values.get("model_max_length", values.get("max_len"))
    if limit is None:
        return None
    if type(limit) not in (int, float) or not limit >= MIN_TOKENS:
        raise CheckpointError(f"{name}/{file}: model_max_length is {limit!r}; it must be at least {MIN_TOKENS}")
    return int(limit) if limit < NO_LIMIT else None
