"""The modules of a sentence encoder, in folders of sentence-transformers: `modules.json` and the folders that it names.

The first module is the Transformer, whose folder may be the checkpoint's own or one below it. `Pooling` or
`SpladePooling` follows, and then any number of layers that change the text's vector.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.checkpoint.safetensors_files import open_tensors
from models.errors import CheckpointError
from models.json_files import read_json, read_json_list
from models.layers.vector_steps import DenseStep, NormStep, UnitStep
from models.text.embedding_settings import SparsePooling, TokenPooling

MODULES_FILE = "modules.json"
TRANSFORMERS = ("Transformer", "MLMTransformer")
POOLINGS = ("Pooling", "SpladePooling")
LAYERS = ("Dense", "LayerNorm", "Normalize", "Dropout")
POOLING_MODES: Mapping[str, TokenPooling] = {
    "cls": "cls",
    "max": "max",
    "mean": "mean",
    "mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "weightedmean": "weightedmean",
    "lasttoken": "last",
}
"""Poolings by the value of `pooling_mode` in newer files."""
POOLING_FLAGS: Mapping[str, TokenPooling] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "last",
}
"""Poolings by the name of the flag in older files, in the order in which their vectors are concatenated."""
DENSE_ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    name: getattr(nn, name)
    for name in (
        *("Identity", "Tanh", "ReLU", "GELU", "SiLU", "Sigmoid", "LeakyReLU", "ELU", "SELU", "CELU", "ReLU6", "Mish"),
        *("Softplus", "Softsign", "Hardtanh", "Hardswish", "Hardsigmoid", "LogSigmoid", "Tanhshrink"),
    )
}
"""Activations of a dense layer, by the names of their classes in torch."""
WIDTH_KEYS = {"Dense": ("in_features", "out_features"), "LayerNorm": ("dimension", "dimension")}
"""Keys of the widths of the vectors that a layer reads and writes, by the kind of the layer."""
VECTOR = "sentence_embedding"
"""Name of the vector that a layer reads and writes, the only one that is supported."""

_FOLDER = re.compile(r"\w[\w.-]*")


@dataclass(frozen=True, kw_only=True)
class Module:
    """A module: the name of its class, the folder with its files, and the content of its `config.json`.

    The folder of a Transformer may be empty: then it is the checkpoint's own.
    """

    kind: str
    path: str
    config: Mapping[str, Any]


def read_modules(folder: Path, name: str) -> list[Module]:
    """Return the modules of a checkpoint; none if it is no sentence encoder.

    Raises:
        CheckpointError: a file is damaged, or a module is unknown, elsewhere or in an order that is not supported.
    """
    if not (folder / MODULES_FILE).exists():
        return []
    place = f"{name}/{MODULES_FILE}"
    modules = [_read_module(folder, name, entry) for entry in read_json_list(folder, name, MODULES_FILE)]
    kinds = [module.kind for module in modules]
    for index, kind in enumerate(kinds):
        allowed = TRANSFORMERS if index == 0 else POOLINGS if index == 1 else LAYERS
        if kind not in allowed or (index > 1 and kinds[1] == "SpladePooling"):
            order = (
                "a Transformer, then Pooling, then Dense, LayerNorm, Normalize or Dropout; or SpladePooling at the end"
            )
            raise CheckpointError(f"{place}: the modules are {', '.join(kinds)}; only this order is supported: {order}")
    return modules


def transformer_path(folder: Path, name: str) -> str:
    """Return the folder of the Transformer below the checkpoint's, with a slash at its end; empty if it is the same.

    Raises:
        CheckpointError: `modules.json` is damaged or not supported.
    """
    modules = read_modules(folder, name)
    return f"{modules[0].path}/" if modules and modules[0].path else ""


def read_poolings(module: Module, name: str) -> tuple[TokenPooling, ...]:
    """Return the poolings that a `Pooling` declares, in the order in which their vectors are concatenated.

    Raises:
        CheckpointError: a pooling is unknown.
    """
    place, config = f"{name}/{module.path}/config.json", module.config
    flags = [key for key, value in config.items() if key.startswith("pooling_mode_") and value]
    if unknown := [key for key in flags if key not in POOLING_FLAGS]:
        raise CheckpointError(f"{place}: {unknown[0]} is not supported; known are {', '.join(POOLING_FLAGS)}")
    modes = config.get("pooling_mode")
    if modes is None:
        return tuple(pooling for flag, pooling in POOLING_FLAGS.items() if flag in flags) or ("mean",)
    listed = modes if isinstance(modes, list) else [modes]
    if not listed or not all(isinstance(mode, str) and mode in POOLING_MODES for mode in listed):
        raise CheckpointError(f"{place}: pooling_mode is {modes!r}; known are {', '.join(POOLING_MODES)}")
    return tuple(POOLING_MODES[mode] for mode in listed)


def read_sparse_pooling(module: Module, name: str, max_active: int | None) -> SparsePooling:
    """Return what a `SpladePooling` declares.

    Raises:
        CheckpointError: the strategy or the activation is unknown.
    """
    place, config = f"{name}/{module.path}/config.json", module.config
    strategy, activation = config.get("pooling_strategy", "max"), config.get("activation_function", "relu")
    for key, value, known in (
        ("pooling_strategy", strategy, ("max", "sum")),
        ("activation_function", activation, ("relu", "log1p_relu")),
    ):
        if value not in known:
            raise CheckpointError(f"{place}: {key} is {value!r}; known are {', '.join(known)}")
    return SparsePooling(strategy=strategy, is_repeated=activation == "log1p_relu", max_active=max_active)


def split_layers(modules: Sequence[Module]) -> tuple[list[Module], bool]:
    """Return the layers after the pooling without dropout and a scaling at the end, and whether there is such a one."""
    layers = [module for module in modules[2:] if module.kind != "Dropout"]
    normalizes = bool(layers) and layers[-1].kind == "Normalize"
    while layers and layers[-1].kind == "Normalize":
        layers.pop()
    return layers, normalizes


def check_layers(layers: Sequence[Module], name: str, width: int) -> int:
    """Return the width of vectors after these layers, which are given vectors of `width` elements.

    Raises:
        CheckpointError: a layer is for another width, or has a value that is not supported.
    """
    for module in layers:
        place, config = f"{name}/{module.path}/config.json", module.config
        key, out = WIDTH_KEYS.get(module.kind, ("", ""))
        if not key:
            continue
        if config.get(key) != width:
            raise CheckpointError(
                f"{place}: {key} is {config.get(key)!r}, but the vectors before it have {width} elements"
            )
        width = config.get(out, 0)
        if type(width) is not int or width < 1:
            raise CheckpointError(f"{place}: {out} is {config.get(out)!r}; it must be a positive integer")
        if module.kind == "Dense":
            _dense_activation(module, place)
    return width


def load_layers(layers: Sequence[Module], folder: Path, name: str, digests: Mapping[str, str]) -> nn.Sequential:
    """Return the layers with their weights, in float32 on the CPU.

    Raises:
        CheckpointError: weights are missing or damaged, or do not fit.
    """
    return nn.Sequential(*(_load_layer(module, folder, name, digests) for module in layers)).eval()


def _read_module(folder: Path, name: str, entry: Any) -> Module:
    """Return the module of an entry of `modules.json`.

    Raises:
        CheckpointError: the class is unknown, or the path leads elsewhere.
    """
    place = f"{name}/{MODULES_FILE}"
    if not isinstance(entry, dict) or not {"type", "path"} <= entry.keys():
        raise CheckpointError(f"{place}: {str(entry)[:100]!r} is no module; it must have a type and a path")
    type_name, path = str(entry["type"]), str(entry["path"]).removesuffix("/")
    package, _, kind = type_name.rpartition(".")
    if package.partition(".")[0] != "sentence_transformers":
        raise CheckpointError(f"{place}: the module {type_name} is code of its own, which is never run")
    if kind not in TRANSFORMERS + POOLINGS + LAYERS:
        known = ", ".join(TRANSFORMERS + POOLINGS + LAYERS)
        raise CheckpointError(f"{place}: the module {kind} is not supported; known are {known}")
    if not _FOLDER.fullmatch(path) and (path or kind not in TRANSFORMERS):
        raise CheckpointError(f"{place}: the path {path!r} is not a folder beside it")
    file = f"{path}/config.json"
    has_config = kind not in TRANSFORMERS and (folder / file).exists()
    if kind in ("Pooling", "Dense", "LayerNorm") and not has_config:
        raise CheckpointError(f"{name}/{file} is missing")
    config = read_json(folder, name, file) if has_config else {}
    for end in ("module_input_name", "module_output_name"):
        if config.get(end) not in (None, VECTOR):
            raise CheckpointError(f"{name}/{file}: {end} is {config[end]!r}; only {VECTOR} is supported")
    return Module(kind=kind, path=path, config=config)


def _dense_activation(module: Module, place: str) -> nn.Module:
    """Return the activation of a dense layer, which is tanh if none is named.

    Raises:
        CheckpointError: it is unknown.
    """
    path = module.config.get("activation_function", "torch.nn.modules.activation.Tanh")
    package, _, kind = str(path).rpartition(".")
    if package not in ("torch.nn", "torch.nn.modules.activation", "torch.nn.modules.linear") or (
        kind not in DENSE_ACTIVATIONS
    ):
        known = ", ".join(DENSE_ACTIVATIONS)
        raise CheckpointError(f"{place}: activation_function is {path!r}; known are those of torch.nn named {known}")
    return DENSE_ACTIVATIONS[kind]()


def _load_layer(module: Module, folder: Path, name: str, digests: Mapping[str, str]) -> nn.Module:
    """Return one layer with its weights.

    Raises:
        CheckpointError: weights are missing or damaged, or do not fit.
    """
    if module.kind == "Normalize":
        return UnitStep()
    config, place = module.config, f"{name}/{module.path}"
    if module.kind == "LayerNorm":
        width = (config["dimension"],)
        weights = _read_weights(module, folder, name, digests, {"norm.weight": width, "norm.bias": width})
        return NormStep(weights["norm.weight"], weights["norm.bias"])
    shape = (config["out_features"], config["in_features"])
    shapes: dict[str, tuple[int, ...]] = {"linear.weight": shape}
    if config.get("bias", True):
        shapes["linear.bias"] = shape[:1]
    residual = bool(config.get("use_residual", False))
    if residual and shape[0] != shape[1]:
        shapes["residual.weight"] = shape
    weights = _read_weights(module, folder, name, digests, shapes)
    return DenseStep(
        weights["linear.weight"],
        weights.get("linear.bias"),
        _dense_activation(module, f"{place}/config.json"),
        residual=residual,
        residual_weight=weights.get("residual.weight"),
    )


def _read_weights(
    module: Module, folder: Path, name: str, digests: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, Tensor]:
    """Return the weights of a layer, which must be exactly those of `shapes`, in float32.

    Raises:
        CheckpointError: the file is missing or damaged, or has other weights.
    """
    prefix, place = f"{module.path}/", f"{name}/{module.path}"
    known = {file.removeprefix(prefix): digest for file, digest in digests.items() if file.startswith(prefix)}
    if not (folder / module.path).is_dir():
        raise CheckpointError(f"{place} is missing")
    with open_tensors(folder / module.path, place, known) as tensors:
        found = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
        if found != dict(shapes):
            raise CheckpointError(f"{place}: the weights have the shapes {found}; they must be {dict(shapes)}")
        weights = {key: tensor.to("cpu", torch.float32, copy=True) for key, tensor in tensors.items()}
    if broken := sorted(key for key, tensor in weights.items() if not tensor.isfinite().all()):
        raise CheckpointError(f"{place}: NaN or infinity is in {broken}, cast to float32")
    return weights
