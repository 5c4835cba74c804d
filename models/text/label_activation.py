"""The function that maps the logits of a text's classes to scores, as published folders declare it."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from models.errors import CheckpointError
from models.published import Values
from models.tasks.classification import Activation

LABEL_ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)
"""The functions that there are."""
SENTENCE_FILE = "config_sentence_transformers.json"
"""The file of the library sentence-transformers, whose content `config.json` is given under this key."""

_BY_CLASS: Mapping[str, Activation] = {"Sigmoid": "sigmoid", "Softmax": "softmax", "Identity": "none"}
_BY_PROBLEM: Mapping[str, Activation] = {
    "single_label_classification": "softmax",
    "multi_label_classification": "sigmoid",
    "regression": "none",
}
_CLASS_PATH = re.compile(r"torch\.nn\.(?:modules\.\w+\.)?(\w+)")


def read_label_activation(values: Values, n_labels: int) -> Activation:
    """Return the function that maps logits to scores unless a request says otherwise.

    The first of these that a folder has decides:

    1. the class that the library sentence-transformers stored for a `CrossEncoder`: `activation_fn` of
       `config_sentence_transformers.json`, then `sentence_transformers.activation_fn` of `config.json`, then
       `sbert_ce_default_activation_function`. `Identity` leaves the logits as they are;
    2. `problem_type`: none for `regression`, the sigmoid for `multi_label_classification`, and the softmax for
       `single_label_classification` of several classes;
    3. the number of classes: the sigmoid for one, whose softmax would always be 1, and the softmax for several.

    `CrossEncoder` knows the first and the last rule, but leaves logits of several classes as they are; the pipeline
    `text-classification` of transformers knows the last two.

    Args:
        values: the content of `config.json`, and that of `SENTENCE_FILE` under its name.
        n_labels: the number of classes.

    Raises:
        CheckpointError: the folder names another function or another kind of problem.
    """
    for file, key, path in _stored_classes(values):
        match = _CLASS_PATH.fullmatch(path) if isinstance(path, str) else None
        if match is None or match[1] not in _BY_CLASS:
            known = ", ".join(f"torch.nn.{name}" for name in _BY_CLASS)
            raise CheckpointError(f"{key} is {path!r}; the functions of class scores are {known}", file)
        return _BY_CLASS[match[1]]
    problem = values.get("problem_type")
    if problem is not None and problem not in _BY_PROBLEM:
        raise CheckpointError(f"problem_type is {problem!r}; it must be one of {', '.join(_BY_PROBLEM)}")
    default: Activation = "softmax" if problem is None else _BY_PROBLEM[problem]
    return "sigmoid" if default == "softmax" and n_labels == 1 else default


def write_label_activation(activation: str) -> dict[str, Any]:
    """Return the value of `config.json` from which `read_label_activation` reads the function."""
    return {"problem_type": next(problem for problem, name in _BY_PROBLEM.items() if name == activation)}


def _stored_classes(values: Values) -> Iterator[tuple[str | None, str, Any]]:
    """Yield the places of the path of a class of PyTorch, in the order in which they count.

    Each is the file, None if it is `config.json`, the key there, and the path.
    """
    places = ((SENTENCE_FILE, "activation_fn"), ("sentence_transformers", "sentence_transformers.activation_fn"))
    for place, key in places:
        content = values.get(place)
        if isinstance(content, Mapping) and content.get("activation_fn") is not None:
            yield SENTENCE_FILE if place == SENTENCE_FILE else None, key, content["activation_fn"]
    key = "sbert_ce_default_activation_function"
    if values.get(key) is not None:
        yield None, key, values[key]
