"""Declarations of the formats in which checkpoints are published, by the libraries transformers and diffusers.

A family lists its parameters once, as `Link`s between its own names and the published ones, which are those of Hugging
Face's files. Reading and writing both follow this list. A published parameter that the list lacks is an error, unless
it belongs to a head that the model does not have, or stands outside the network of an architecture that is not known.
"""

import re
import reprlib
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

import torch
from torch import Tensor

from models.errors import CheckpointError, ConfigError

ConfigT = TypeVar("ConfigT")

Values = Mapping[str, Any]
"""The content of a published `config.json`."""

CLASS_HEADS = frozenset({"sequence", "tokens"})
"""Heads with classes. What they classify, texts or tokens, only the architecture tells, and not their weights."""
MAX_LABELS = 2**16
"""Maximum number of classes of a model whose `config.json` counts them without naming them."""

NOTHING = r"(?!)"
"""A pattern that no name matches."""

_TYPES: Mapping[Any, tuple[tuple[type, ...], str]] = {
    bool: ((bool,), "true or false"),
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
    str: ((str,), "a string"),
}
"""The types in JSON of hyperparameters of each type, and what they are called."""
_ELEMENT_TYPES: Mapping[Any, tuple[tuple[type, ...], str]] = {
    tuple[int, ...]: ((int,), "a list of whole numbers"),
    tuple[float, ...]: ((int, float), "a list of numbers"),
}
"""The types in JSON of the elements of hyperparameters that are lists, and what the lists are called."""


@dataclass(frozen=True, slots=True)
class Link:
    """A parameter of a family, and the published parameters that it consists of.

    Attributes:
        name: the name of the family's parameter.
        published: the names of the published parameters, which are concatenated along the first dimension.
        transposed: whether each of them is stored transposed.
        default: computes the parameter if the first of the published ones is missing; None if it may not be missing.
        sources: the names under which the parameter may be stored, of which the first that is there is read. If there
            are none, those of `published` are read. A parameter that is stored under several names is tied.
    """

    name: str
    published: tuple[str, ...]
    transposed: bool = False
    default: Callable[[], Tensor] | None = None
    sources: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All published names that the parameter is read from."""
        return self.sources or self.published

    def stored_in(self, names: Container[str]) -> tuple[str, ...]:
        """Return the names, among those of a file, that the parameter is read from."""
        there = tuple(name for name in self.names if name in names)
        return there[:1] if self.sources else there

    def missing_in(self, names: Container[str]) -> tuple[str, ...]:
        """Return the published names that are needed and that a file lacks."""
        if self.default or (self.sources and self.stored_in(names)):
            return ()
        return tuple(name for name in self.published if name not in names)

    def read(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Return the family's parameter, made of published ones.

        Raises:
            CheckpointError: the shapes of the published parameters do not fit together.
        """
        names = self.stored_in(tensors)
        if self.default and not names:
            return self.default()
        parts = [tensors[name].T if self.transposed else tensors[name] for name in names]
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


def refuse_unknown_keys(values: Values, known: Iterable[str]) -> None:
    """Refuse a `config.json` with keys of unknown meaning, except those that begin with an underscore.

    Raises:
        CheckpointError: there are such keys; the error names them.
    """
    if unknown := sorted(key for key in values.keys() - set(known) if not key.startswith("_")):
        raise CheckpointError(f"unknown keys {unknown}; what they mean for the networks is not known")


def differ(tensors: Mapping[str, Tensor], one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Return whether two parameters, each stored under the first of its names that is there, have different values.

    They do not differ if one of them is missing.
    """
    first, second = (next((tensors[name] for name in names if name in tensors), None) for names in (one, other))
    return first is not None and second is not None and not _equal(first, second)


def _equal(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape or one is other:
        return one is other
    return torch.equal(one, other) if one.dtype == other.dtype else torch.equal(one.float(), other.float())


def keep_config(config: ConfigT, tensors: Mapping[str, Tensor]) -> ConfigT:
    """Return the configuration as it is, for families whose `config.json` ties no parameters."""
    return config


@dataclass(frozen=True, kw_only=True)
class PublishedFormat(Generic[ConfigT]):
    """The format in which the weights and the configuration of a family are published.

    Attributes:
        model_type: the `model_type` of `config.json`, or its `_class_name`; a family may declare further ones in
            `FamilySpec.variants`.
        type_key: the key of `config.json` whose value is the `model_type`: `_class_name` for the library diffusers.
        architectures: the heads of each known architecture, by its name in `config.json`.
        read_config: converts the content of `config.json`, in which a missing key has the publisher's default, and the
            heads to the family's configuration. Keys whose value is null are removed before.
        write_config: the inverse of `read_config`.
        links: returns the links of all parameters of a model with this configuration.
        prefix: the beginning of the names of all parameters but those of heads; some files leave it out.
        ignored: a pattern of names that hold no parameters.
        heads: a pattern of the names of the parameters of heads. Those that the model does not have, and those of a
            pooler that it does not have, are no error.
        fit: returns the configuration in which parameters that `config.json` ties, but that are stored with different
            values, are parameters of their own. It is given the stored parameters by name.
        keys: the key of `config.json` of each hyperparameter that has one.
        renamed: patterns of parts of old names, and the parts that present names have in their place.
    """

    model_type: str
    type_key: str = "model_type"
    architectures: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    read_config: Callable[[Values, tuple[str, ...]], ConfigT]
    write_config: Callable[[ConfigT], dict[str, Any]]
    links: Callable[[ConfigT], Iterable[Link]]
    prefix: str = ""
    ignored: str = NOTHING
    heads: str = NOTHING
    fit: Callable[[ConfigT, Mapping[str, Tensor]], ConfigT] = keep_config
    keys: Mapping[str, str]
    renamed: tuple[tuple[str, str], ...] = ()

    def check_types(self, values: Values, hints: Mapping[str, Any]) -> None:
        """Check the types of hyperparameters, given those that they must have.

        Raises:
            CheckpointError: a value has another type.
        """
        for name, key in self.keys.items():
            if key not in values:
                continue
            value, is_list = values[key], hints[name] in _ELEMENT_TYPES
            types, described = (_ELEMENT_TYPES if is_list else _TYPES)[hints[name]]
            elements = value if is_list else [value]
            if not isinstance(elements, list) or not all(type(each) in types for each in elements):
                raise CheckpointError(f"{key} is {reprlib.repr(value)}; it must be {described}")

    def blame_key(self, error: ConfigError) -> CheckpointError:
        """Return an error that names the key of `config.json` instead of the hyperparameter, if it has one."""
        key = self.keys.get(error.hyperparameter)
        return CheckpointError(str(error) if key is None else f"{key} {error.fault}")

    def find_heads(self, values: Values, parameter_names: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the heads of a checkpoint, and those that `config.json` names although none of their weights is there.

        A head with some of its weights stays, so that reading them names those that are missing. If `config.json` names
        no architecture that is known, the heads are those with all their weights, except heads with classes. If no
        parameter is known by name, the heads are those of the architecture.

        Raises:
            CheckpointError: `architectures` is no list.
        """
        stored = {self._current_name(name) for name in parameter_names if not re.search(self.ignored, name)}
        declared = self.declared_heads(values)
        if declared is None:
            known = dict.fromkeys(head for heads in self.architectures.values() for head in heads)
            candidates = [head for head in known if head not in CLASS_HEADS]
            return tuple(head for head in candidates if self._presence(values, (head,), (), stored) == "whole"), ()
        heads = declared
        for head in reversed(declared) if stored else ():
            others = tuple(other for other in heads if other != head)
            if self._presence(values, heads, others, stored) == "absent":
                heads = others
        return heads, tuple(head for head in declared if head not in heads and head != "pooler")

    def declared_heads(self, values: Values) -> tuple[str, ...] | None:
        """Return the heads of the architecture that `config.json` names; None if it names none that is known.

        Raises:
            CheckpointError: `architectures` is no list.
        """
        declared = values.get("architectures") or []
        if not isinstance(declared, list) or not all(isinstance(name, str) for name in declared):
            raise CheckpointError(f"architectures is {declared!r}; it must be a list of names")
        return next((self.architectures[name] for name in declared if name in self.architectures), None)

    def _presence(
        self, values: Values, heads: tuple[str, ...], others: tuple[str, ...], stored: Container[str]
    ) -> Literal["whole", "partial", "implied", "absent"]:
        """Return how much is stored of the parameters that a model with `heads` has and one with `others` has not.

        A head is implied if it needs no parameters of its own, because they are tied to others or have defaults.
        """
        more, fewer = (list(self.links(self.read_config(values, some))) for some in (heads, others))
        own_names = {name for link in more for name in link.names} - {name for link in fewer for name in link.names}
        before = {(link.name, link.published) for link in fewer}
        own = [link for link in more if (link.name, link.published) not in before]
        is_missing = any(link.missing_in(stored) for link in own)
        if any(name in stored for name in own_names):
            return "partial" if is_missing else "whole"
        return "absent" if is_missing else "implied"

    def rename(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the parameters by their present names, without what holds no parameters.

        Raises:
            CheckpointError: two of them have the same present name.
        """
        old_names: dict[str, str] = {}
        for name in tensors:
            if not re.search(self.ignored, name):
                first = old_names.setdefault(self._current_name(name), name)
                if first != name:
                    raise CheckpointError(f"{first} and {name} are the same parameter, which is stored twice")
        return {name: tensors[old] for name, old in old_names.items()}

    def read_weights(
        self, tensors: Mapping[str, Tensor], config: ConfigT, *, strict: bool = True
    ) -> tuple[dict[str, Tensor], list[str]]:
        """Return the family's parameters by name, and the names of the published parameters that it does not use.

        Args:
            tensors: what `rename` returned.
            config: what `fit` returned.
            strict: whether parameters outside the network are an error if they belong to no known head. They are
                none where the architecture is not known.

        Raises:
            CheckpointError: a parameter is missing, unknown or quantized; the error names it.
        """
        all_links = list(self.links(config))
        missing = sorted({name for link in all_links for name in link.missing_in(tensors)})
        used = {name for link in all_links for name in link.stored_in(tensors)}
        left = tensors.keys() - used
        copies = {
            name
            for link in all_links
            for name in left.intersection(link.names)
            if _equal(tensors[name], tensors[link.stored_in(tensors)[0]])
        }
        places = {name for link in all_links for name in link.names}
        unknown = sorted(name for name in left - places if not self._may_be_unused(name, places, strict=strict))
        if missing or unknown:
            problems = [f"missing {missing}"] * bool(missing) + [f"unexpected {unknown}"] * bool(unknown)
            raise CheckpointError(f"the weights do not fit the configuration: {'; '.join(problems)}")
        if whole := sorted(name for name in used if not tensors[name].is_floating_point()):
            kind = str(tensors[whole[0]].dtype).removeprefix("torch.")
            raise CheckpointError(f"{whole[0]} is stored as {kind}; quantized weights are not supported")
        return {link.name: link.read(tensors) for link in all_links}, sorted(left - copies)

    def _may_be_unused(self, name: str, known: Iterable[str], *, strict: bool) -> bool:
        """Return whether a parameter belongs to a head or, unless this is strict, stands outside the network."""
        modules = {other.removeprefix(self.prefix).split(".")[0] for other in known if other.startswith(self.prefix)}
        is_outside = name.removeprefix(self.prefix).split(".")[0] not in modules
        return bool(re.search(rf"{self.heads}|\bpooler\.", name)) or (is_outside and not strict)

    def _current_name(self, name: str) -> str:
        """Return the present name of a parameter, which old files call `gamma` or `beta`, with its missing prefix."""
        name = name.removesuffix(".gamma") + ".weight" if name.endswith("LayerNorm.gamma") else name
        name = name.removesuffix(".beta") + ".bias" if name.endswith("LayerNorm.beta") else name
        for pattern, present in self.renamed:
            name = re.sub(pattern, present, name)
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
        if type(n_labels) is not int or not 1 <= n_labels <= MAX_LABELS:
            raise CheckpointError(f"num_labels is {n_labels!r}; it must be 1 to {MAX_LABELS}")
        return tuple(f"LABEL_{i}" for i in range(n_labels))
    try:
        numbered = {int(number): str(name) for number, name in names.items()}
    except (AttributeError, TypeError, ValueError):
        names, numbered = reprlib.repr(names), {}
    if sorted(numbered) != list(range(len(names))) or not numbered:
        raise CheckpointError(f"id2label is {names!r}; it must name the classes from 0 on")
    return tuple(numbered[i] for i in range(len(numbered)))


def write_labels(labels: Sequence[str]) -> dict[str, Any]:
    """Return the values of `config.json` from which `read_labels` reads the names of the classes."""
    return {
        "id2label": {str(i): label for i, label in enumerate(labels)},
        "label2id": {label: i for i, label in enumerate(labels)},
    }
