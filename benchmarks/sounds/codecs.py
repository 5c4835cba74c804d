"""The benchmark `manifold bench codecs`: the shipped codec of spoken digits beside Codec2 and Opus."""

import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from torch import Tensor

from benchmarks.lib.report import Report, json_option, print_report, progress, table
from benchmarks.sounds.programs import PROGRAMS, Program
from training.cli import WEIGHTS
from training.data.files import DataFolder
from training.data.fsdd import SAMPLING_RATE, fsdd
from training.errors import TrainingError
from training.recipe import Resources
from training.sounds.distance import log_mel_distance
from training.sounds.evaluation import decoded_sounds, mean_distance, measure_rates

MODEL = "encodec-mini-digits"
BANDWIDTHS = (1.0, 2.0, 3.0)


@dataclass(frozen=True)
class CodecResult:
    """The mean log-mel distance of a codec in decibels, and its kilobits for a second without those of file formats."""

    codec: str
    kbit_per_s: float
    log_mel_distance: float


def measure_program(program: Program, sounds: Sequence[Tensor]) -> CodecResult:
    """Measure a program on sounds `[1, T]`."""
    distances, n_bits = [], 0
    with progress(program.title) as bar:
        for sound in bar.track(sounds):
            coded = program.code(sound)
            distances.append(log_mel_distance(sound[0], coded.sound[0]))
            n_bits += coded.n_bits
    seconds = sum(sound.shape[1] for sound in sounds) / SAMPLING_RATE
    title = f"{program.title} at {program.kbit_per_s:g} kbit/s"
    return CodecResult(title, n_bits / seconds / 1000, sum(distances) / len(distances))


def measure_own(resources: Resources, sounds: Sequence[Tensor]) -> list[CodecResult]:
    """Measure the shipped checkpoint at each of its bandwidths.

    Raises:
        DataError: it is not among the weights.
    """
    model = resources.model(MODEL)
    results = []
    for bandwidth in BANDWIDTHS:
        rate = measure_rates(model, sounds, bandwidth)["kbit_per_s"]
        distance = mean_distance(sounds, decoded_sounds(model, sounds, bandwidth))
        results.append(CodecResult(f"{MODEL} at {bandwidth:g} kbit/s", rate, distance))
    return results


@click.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--weights", type=click.Path(path_type=Path), default=WEIGHTS, help="Folder of the checkpoints.")
@json_option
def codecs(data: Path, weights: Path, as_json: bool) -> None:
    """Compare the codec of spoken digits with Codec2 and Opus.

    All of them code the 300 test recordings. DATA has the subfolder `fsdd`; see docs/data.md. Codecs that are not
    installed are named, and left out.

    \b
    Keys of the JSON output:
      codecs               a list:
        codec              the codec, and the rate that it is asked for
        kbit_per_s         its kilobits for a second, without those of file formats
        log_mel_distance   mean log-mel distance in decibels
      missing              the packages that would have to be installed
    """
    resources = Resources(DataFolder(data, download=False), weights)
    try:
        sounds = fsdd(resources.data).test.sounds
        results = measure_own(resources, sounds)
    except TrainingError as error:
        raise click.ClickException(str(error)) from error
    try:
        results += [measure_program(program, sounds) for program in PROGRAMS if program.is_installed]
    except subprocess.SubprocessError as error:
        raise click.ClickException(f"a codec failed: {error}") from error
    missing = sorted({program.package for program in PROGRAMS if not program.is_installed})
    output = {"codecs": [asdict(each) for each in results], "missing": missing}
    print_report(_report(results, missing), output, as_json=as_json)


def _report(results: Sequence[CodecResult], missing: Sequence[str]) -> Report:
    advice = f"`apt-get install -y --no-install-recommends {' '.join(missing)}`"
    rows = [[each.codec, f"{each.kbit_per_s:.2f}", f"{each.log_mel_distance:.2f}"] for each in results]
    return Report(
        name="codecs",
        title="Codecs of speech",
        command="manifold bench codecs DATA",
        note=f"Not installed: {', '.join(missing)}; {advice} installs them." if missing else "",
        parts=[table(["codec", "kbit/s", "log-mel distance, dB"], rows)],
    )
