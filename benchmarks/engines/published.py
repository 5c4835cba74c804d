"""Compare the speed of published autoencoders of pictures with that of diffusers, side by side in one process."""

import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from math import log
from pathlib import Path
from statistics import median
from typing import Any, cast

import click
import torch
from torch import Tensor

from app.process.allocator import keep_freed_memory
from benchmarks.lib.report import Report, json_option, machine, print_report, progress, table
from benchmarks.lib.statistics import estimate_ratio
from models.autoencoding.pictures import PictureAutoencoder
from models.checkpoint import load_model, read_checkpoint
from models.precision import PrecisionChoice, convert

MAX_SIDE = 2048
"""Most pixels of a side of a picture."""


@dataclass(frozen=True, slots=True)
class Published:
    """A class of diffusers, and a published configuration of it."""

    class_name: str
    config: Mapping[str, Any]


MODELS = {
    "kl": Published(
        "AutoencoderKL",
        {
            "block_out_channels": (128, 256, 512, 512),
            "down_block_types": ("DownEncoderBlock2D",) * 4,
            "layers_per_block": 2,
            "up_block_types": ("UpDecoderBlock2D",) * 4,
        },
    ),
    "tiny": Published("AutoencoderTiny", {}),
}
"""By name: the autoencoder of Stable Diffusion 1.5, and TAESD."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """How fast a model decodes a picture, in seconds as medians of the rounds, and its speed relative to diffusers.

    Attributes:
        seconds: time of ours.
        diffusers_seconds: time of diffusers.
        ratio: speed of ours over that of diffusers.
        low: lower end of the interval of the ratio.
        high: upper end of it.
        largest_difference: most by which a value of the two pictures differs, which are in [0, 1].
    """

    seconds: float
    diffusers_seconds: float
    ratio: float
    low: float
    high: float
    largest_difference: float


@click.command()
@click.option("--model", type=click.Choice([*MODELS, "all"]), default="all", show_default=True, help="What to decode.")
@click.option("--side", default=512, show_default=True, type=click.IntRange(8, MAX_SIDE), help="Pixels of a side.")
@click.option("--rounds", default=7, show_default=True, type=click.IntRange(2), help="Rounds in which both take turns.")
@click.option("--threads", default=1, show_default=True, type=click.IntRange(1), help="Threads of torch.")
@json_option
def published(model: str, side: int, rounds: int, threads: int, *, as_json: bool) -> None:
    """Compare published autoencoders of pictures with diffusers.

    A square picture is decoded from a latent, in float32, by the autoencoder of Stable Diffusion 1.5 (kl) and by TAESD
    (tiny). The weights are random, on which speed does not depend, and the same on both sides. In every other round,
    diffusers goes first.

    \b
    Keys of the JSON output:
      side, rounds, threads  as given; the side is rounded down to a multiple of 8
      models                 by name:
        seconds              time of a picture, the median of the rounds
        diffusers_seconds    the same, of diffusers
        ratio                speed over that of diffusers
        low, high            90% confidence interval of the ratio
        largest_difference   most by which a value of the two pictures differs, which are in [0, 1]
    """
    keep_freed_memory()
    torch.set_num_threads(threads)
    side -= side % 8
    names = tuple(MODELS) if model == "all" else (model,)
    results = {name: compare(MODELS[name], side, rounds) for name in names}
    rows = [
        [
            name,
            f"{each.seconds:.3f} s",
            f"{each.diffusers_seconds:.3f} s",
            f"{each.ratio:.2f} ({each.low:.2f} to {each.high:.2f})",
        ]
        for name, each in results.items()
    ]
    report = Report(
        name="published",
        title=f"Published autoencoders of pictures: {side} x {side} pixels",
        command=f"manifold bench published --model {model} --side {side} --rounds {rounds} --threads {threads}",
        hardware=f"{machine()} {torch.get_num_threads()} threads, torch {torch.__version__}.",
        parts=[table(["decoding", "Manifold", "diffusers", "speed over diffusers"], rows)],
    )
    output = {
        "side": side,
        "rounds": rounds,
        "threads": threads,
        "models": {name: asdict(each) for name, each in results.items()},
    }
    print_report(report, output, as_json=as_json)


def compare(model: Published, side: int, rounds: int) -> Comparison:
    """Decode a picture of `side` x `side` pixels with both, in turns, after once to warm up."""
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        peer = _save_random(model, Path(folder))
        ours = cast("PictureAutoencoder", load_model(read_checkpoint(Path(folder))))
        convert(ours, PrecisionChoice("float32", "to be measured"))
        latents = torch.randn(1, ours.latent_shape[0], side // ours.scale, side // ours.scale)
        decoders: dict[str, Callable[[], Tensor]] = {
            "ours": lambda: ours.items_of(latents, ())[0],
            "theirs": lambda: peer.decode(latents, return_dict=False)[0][0],
        }
        own, theirs = (decode() for decode in decoders.values())
        difference = (own - ((theirs + 1) / 2).clamp(0, 1)).abs().max().item()
        seconds: dict[str, list[float]] = {name: [] for name in decoders}
        with progress(model.class_name) as bar:
            for number in bar.track(range(rounds)):
                for name in list(decoders)[:: 1 if number % 2 == 0 else -1]:
                    seconds[name].append(_time(decoders[name]))
    logarithms = [log(other / mine) for mine, other in zip(seconds["ours"], seconds["theirs"], strict=True)]
    ratio = estimate_ratio(logarithms)
    return Comparison(
        seconds=median(seconds["ours"]),
        diffusers_seconds=median(seconds["theirs"]),
        ratio=ratio.ratio,
        low=ratio.low,
        high=ratio.high,
        largest_difference=difference,
    )


def _save_random(model: Published, folder: Path) -> Any:
    """Save a model of diffusers with random weights, and return it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about parts of the library that are not used
        import diffusers  # an optional dependency

        torch.manual_seed(0)
        peer = getattr(diffusers, model.class_name)(**model.config).eval().requires_grad_(False)
        peer.save_pretrained(folder)
    return peer


def _time(run: Callable[[], object]) -> float:
    """Return how long a call takes, in seconds."""
    started_at = time.perf_counter()
    run()
    return time.perf_counter() - started_at
