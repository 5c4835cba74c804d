"""Declarations of the formats in which checkpoints of text models are published.

A family lists its parameters once, as `Link`s between its own names and the published ones, which are those of Hugging
Face's files. Reading and writing both follow this list. A published parameter that the list lacks is an error, unless
it belongs to a head that the model does not have. `TokenizerDefaults` declares how the family's tokenizers are stored.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from models.errors import CheckpointError

ConfigT = TypeVar("ConfigT")

Values = Mapping[str, Any]
"""The content of a published `config.json`."""

MAX_LABELS = 2**16
"""Maximum number of classes of a model whose `config.json` counts them without naming them."""


@dataclass(frozen=True, slots=True)
class Link:
    """A parameter of a family, and the published parameters that it consists of.

    Attributes:
        name: the name of the family's parameter.
        published: the names of the published parameters, which are concatenated along the first dimension.
        transposed: whether each of them is stored transposed.
        default: computes the parameter if the first of the published ones is missing; None if it may not be missing.
    """

    name: str
    published: tuple[str, ...]
    transposed: bool = False
    default: Callable[[], Tensor] | None = None

    def read(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Return the family's parameter, made of published ones.

        Raises:
            CheckpointError: the shapes of the published parameters do not fit together.
        """
        if self.default and self.published[0] not in tensors:
            return self.default()
        parts = [tensors[name].T if self.transposed else tensors[name] for name in self.published]
        if len(parts) == 1:
            return parts[0].contiguous()
        try:
            return torch.cat(parts)
        except RuntimeError as error:
            raise CheckpointError(f"{', '.join(self.published)} do not fit together: {error}") from None

    def write(self, tensor: Tensor) -> dict[str, Tensor]:
        """Return the published parameters, made of the family's parameter."""
        parts = tensor.chunk(len(self.published))
        return {
            name: (part.T if self.transposed else part).contiguous()
            for name, part in zip(self.published, parts, strict=True)
        }


def links(name: str, *published: str, bias: bool = True, transposed: bool = False) -> Iterator[Link]:
    """Yield the links of the weight and the bias of a layer, given the layer's own name and its published names."""
    yield Link(f"{name}.weight", tuple(f"{layer}.weight" for layer in published), transposed)
    if bias:
        yield Link(f"{name}.bias", tuple(f"{layer}.bias" for layer in published))


@dataclass(frozen=True, kw_only=True)
class PublishedFormat(Generic[ConfigT]):
    """The format in which the weights and the configuration of a family are published.

    Attributes:
        model_type: the `model_type` of `config.json`.
        architectures: the heads of each known architecture, by its name in `config.json`.
        read_config: converts the content of `config.json`, in which a missing key has the publisher's default, and the
            heads to the family's configuration. Keys whose value is null are removed before.
        write_config: the inverse of `read_config`.
        links: returns the links of all parameters of a model with this configuration.
        prefix: the beginning of the names of all parameters but those of heads; some files leave it out.
        ignored: a pattern of names that hold no parameters.
        heads: a pattern of the names of the parameters of heads. Those that the model does not have, and those of a
            pooler that it does not have, are no error.
        aliases: names that stand in for other names; a name that is missing is looked up under its alias.
        copies: names of copies of other parameters, which are not read.
        bare: the architecture without a head, whose pooler may be missing; empty if the family has no pooler.
    """

    model_type: str
    architectures: Mapping[str, tuple[str, ...]]
    read_config: Callable[[Values, tuple[str, ...]], ConfigT]
    write_config: Callable[[ConfigT], dict[str, Any]]
    links: Callable[[ConfigT], Iterable[Link]]
    prefix: str
    ignored: str
    heads: str
    aliases: Mapping[str, str]
    copies: frozenset[str] = frozenset()
    bare: str = ""

    def find_heads(self, values: Values, parameter_names: Iterable[str]) -> tuple[str, ...]:
        """Return the heads of the architecture that `config.json` names.

        Raises:
            CheckpointError: it names no architecture, or an unknown one.
        """
        declared = values.get("architectures") or []
        for architecture in declared:
            if architecture == self.bare and not any("pooler" in name for name in parameter_names):
                return ()
            if architecture in self.architectures:
                return self.architectures[architecture]
        known = ", ".join(self.architectures)
        raise CheckpointError(f"architectures is {declared!r}; known for {self.model_type} are {known}")

    def read_weights(self, tensors: Mapping[str, Tensor], config: ConfigT) -> tuple[dict[str, Tensor], list[str]]:
        """Return the family's parameters by name, and the names of the published parameters that it does not use.

        Raises:
            CheckpointError: a parameter is missing or unknown; the error names it.
        """
        found = {self._current_name(name): name for name in tensors if not re.search(self.ignored, name)}
        all_links = list(self.links(config))
        wanted = {name for link in all_links for name in link.published}
        aliased = {name: alias for name, alias in self.aliases.items() if name not in found and alias in found}
        optional = {name for link in all_links if link.default for name in link.published}
        missing = sorted(wanted - found.keys() - aliased.keys() - optional)
        left = found.keys() - wanted - set(self.aliases.values()) - self.copies
        unused = sorted(name for name in left if re.search(rf"{self.heads}|\bpooler\.", name))
        unknown = sorted(left - set(unused))
        if missing or unknown:
            problems = [f"missing {missing}"] * bool(missing) + [f"unexpected {unknown}"] * bool(unknown)
            raise CheckpointError(f"the weights do not fit the configuration: {'; '.join(problems)}")
        available = wanted & (found.keys() | aliased.keys())
        by_name = {name: tensors[found[aliased.get(name, name)]] for name in available}
        return {link.name: link.read(by_name) for link in all_links}, unused

    def _current_name(self, name: str) -> str:
        """Replace `gamma` and `beta`, which old files have, by `weight` and `bias`, and add a missing prefix."""
        name = name.removesuffix(".gamma") + ".weight" if name.endswith("LayerNorm.gamma") else name
        name = name.removesuffix(".beta") + ".bias" if name.endswith("LayerNorm.beta") else name
        lacks_prefix = not name.startswith(self.prefix) and not re.search(self.heads, name)
        return self.prefix + name if lacks_prefix else name


def read_labels(values: Values) -> tuple[str, ...]:
    """Return the names of the classes, in the order of their numbers.

    Raises:
        CheckpointError: the numbers are not 0, 1, 2, …, or there are more than `MAX_LABELS` classes without names.
    """
    names = values.get("id2label")
    if names is None:
        n_labels = values.get("num_labels", 2)
        if not 1 <= n_labels <= MAX_LABELS:
            raise CheckpointError(f"num_labels is {n_labels!r}; it must be 1 to {MAX_LABELS}")
        return tuple(f"LABEL_{i}" for i in range(n_labels))
    try:
        numbered = {int(number): str(name) for number, name in names.items()}
    except (AttributeError, ValueError):
        numbered = {}
    if sorted(numbered) != list(range(len(names))) or not numbered:
        raise CheckpointError(f"id2label is {names!r}; it must name the classes from 0 on")
    return tuple(numbered[i] for i in range(len(numbered)))


def write_labels(labels: Sequence[str]) -> dict[str, Any]:
    """Return the values of `config.json` from which `read_labels` reads the names of the classes."""
    return {
        "id2label": {str(i): label for i, label in enumerate(labels)},
        "label2id": {label: i for i, label in enumerate(labels)},
    }


@dataclass(frozen=True, kw_only=True)
class TokenizerSource:
    """A checkpoint's folder, from which a tokenizer is read.

    Attributes:
        folder: the folder with the tokenizer's files.
        name: the checkpoint's name, for errors.
        settings: the settings beside these files, such as `do_lower_case`, and the special tokens by their published
            names, such as `mask_token`.
        max_tokens: the maximum number of tokens of a text.
        lowercase: whether texts are converted to lower case before anything else.
        has_target: whether the model reads one text and writes another.
    """

    folder: Path
    name: str
    settings: Mapping[str, Any]
    max_tokens: int
    lowercase: bool
    has_target: bool


@dataclass(frozen=True, kw_only=True)
class TokenizerDefaults:
    """The storage of a family's tokenizers in folders without `tokenizer.json`, and the family's special tokens.

    Attributes:
        files: the files of the older format, all of which are needed.
        read: reads these files and returns a `models.codecs.text.TextCodec`.
        special_tokens: the special tokens of a folder whose settings name no others, by their published names.
        has_target: whether the models read one text and write another.
    """

    files: tuple[str, ...]
    read: Callable[[TokenizerSource], Any]
    special_tokens: Mapping[str, str]
    has_target: bool = False
