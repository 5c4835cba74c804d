"""Published key names, those of Hugging Face's files, to ours and back.

A family lists its parameters once, as `Link`s; reading and writing both follow the list. What a checkpoint has beyond
it is an error, except the heads of tasks that this model does not have, which are reported.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from models.errors import CheckpointError

ConfigT = TypeVar("ConfigT")


Values = Mapping[str, Any]


MAX_LABELS = 2**16
"""Of a model whose classes have no names."""


@dataclass(frozen=True, slots=True)
class Link:
    """Our parameter, and the published ones it is made of: one below the other, each transposed first if they are.

    One with a `default` may be missing, and is computed then.
    """

    ours: str
    theirs: tuple[str, ...]
    transposed: bool = False
    default: Callable[[], Tensor] | None = None

    def read(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Our parameter.

        Raises:
            CheckpointError: the published ones do not fit together.
        """
        if self.default and self.theirs[0] not in tensors:
            return self.default()
        parts = [tensors[name].T if self.transposed else tensors[name] for name in self.theirs]
        if len(parts) == 1:
            return parts[0].contiguous()
        try:
            return torch.cat(parts)
        except RuntimeError as error:
            raise CheckpointError(f"{', '.join(self.theirs)} do not fit together: {error}") from None

    def write(self, tensor: Tensor) -> dict[str, Tensor]:
        """The published ones."""
        parts = tensor.chunk(len(self.theirs))
        return {
            name: (part.T if self.transposed else part).contiguous()
            for name, part in zip(self.theirs, parts, strict=True)
        }


def links(ours: str, *theirs: str, bias: bool = True, transposed: bool = False) -> Iterator[Link]:
    """Of a layer's weight and bias."""
    yield Link(f"{ours}.weight", tuple(f"{name}.weight" for name in theirs), transposed)
    if bias:
        yield Link(f"{ours}.bias", tuple(f"{name}.bias" for name in theirs))


@dataclass(frozen=True, kw_only=True)
class PublishedFormat(Generic[ConfigT]):
    """How a family's checkpoints are published.

    `read_config` takes `config.json`, a mapping in which a value left out has the publisher's default; `write_config`
    is its inverse. `prefix` may stand before the names of the body or be left out. Keys that match `ignored` hold no
    parameters; those that match `heads`, and a pooler's, belong to tasks and are no error where this model has no use
    for them. Of the keys in `aliases`, the second takes the place of the first where that is missing; `copies` may be
    there as well. Of the `bare` architecture, which has no task of its own, the pooler may be missing.
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

    def heads_of(self, values: Values, names: Iterable[str]) -> tuple[str, ...]:
        """The heads of the architecture that `config.json` names; `names` are those of the parameters.

        Raises:
            CheckpointError: it names none, or one that is not known.
        """
        declared = values.get("architectures") or []
        for name in declared:
            if name == self.bare and not any("pooler" in name for name in names):
                return ()
            if name in self.architectures:
                return self.architectures[name]
        known = ", ".join(self.architectures)
        raise CheckpointError(f"architectures is {declared!r}; known for {self.model_type} are {known}")

    def read(self, tensors: Mapping[str, Tensor], config: ConfigT) -> tuple[dict[str, Tensor], list[str]]:
        """Our parameters, and the names of those published that this model has no use for.

        Raises:
            CheckpointError: names the keys that are missing, and those nobody knows.
        """
        found = {self._canonical(name): name for name in tensors if not re.search(self.ignored, name)}
        wanted = list(self.links(config))
        named = {their for link in wanted for their in link.theirs}
        aliased = {their: alias for their, alias in self.aliases.items() if their not in found and alias in found}
        optional = {their for link in wanted if link.default for their in link.theirs}
        missing = sorted(named - found.keys() - aliased.keys() - optional)
        left = found.keys() - named - set(self.aliases.values()) - self.copies
        unused = sorted(name for name in left if re.search(rf"{self.heads}|\bpooler\.", name))
        unknown = sorted(left - set(unused))
        if missing or unknown:
            problems = [f"missing {missing}"] * bool(missing) + [f"unexpected {unknown}"] * bool(unknown)
            raise CheckpointError(f"the weights do not fit the configuration: {'; '.join(problems)}")
        by_name = {name: tensors[found[aliased.get(name, name)]] for name in named & (found.keys() | aliased.keys())}
        return {link.ours: link.read(by_name) for link in wanted}, unused

    def write(self, state: Mapping[str, Tensor], config: ConfigT) -> dict[str, Tensor]:
        """The published parameters of ours."""
        return {name: part for link in self.links(config) for name, part in link.write(state[link.ours]).items()}

    def _canonical(self, name: str) -> str:
        """With `weight` and `bias` for old files' `gamma` and `beta`, and the prefix where a body's name lacks it."""
        name = name.removesuffix(".gamma") + ".weight" if name.endswith("LayerNorm.gamma") else name
        name = name.removesuffix(".beta") + ".bias" if name.endswith("LayerNorm.beta") else name
        is_bare = not name.startswith(self.prefix) and not re.search(self.heads, name)
        return self.prefix + name if is_bare else name


def of(values: Values, name: str, default: Any) -> Any:
    """A value of `config.json`; its default where it is left out or null."""
    value = values.get(name)
    return default if value is None else value


def labels_of(values: Values) -> tuple[str, ...]:
    """The names of the classes, in the order of their numbers.

    Raises:
        CheckpointError: the numbers are not 0, 1, 2, …, or too many classes have no names.
    """
    names = values.get("id2label")
    if names is None:
        n_labels = of(values, "num_labels", 2)
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


def labels_to(labels: Sequence[str]) -> dict[str, Any]:
    """What `labels_of` reads."""
    return {
        "id2label": {str(i): label for i, label in enumerate(labels)},
        "label2id": {label: i for i, label in enumerate(labels)},
    }
