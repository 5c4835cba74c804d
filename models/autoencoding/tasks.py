"""The tasks of autoencoders, and the functions that answer them.

A family that answers a task in its own way replaces the function: `AUTOENCODER_TASKS | {ENCODE: encode}`.
"""

from models.autoencoding.anomalies import detect_anomalies
from models.autoencoding.classification import classify
from models.autoencoding.coding import compress, decompress
from models.autoencoding.denoising import denoise
from models.autoencoding.encoding import decode, encode, reconstruct
from models.autoencoding.imputation import impute
from models.autoencoding.interpolation import interpolate
from models.autoencoding.projection import project
from models.autoencoding.sampling import sample
from models.family import TaskFunction
from models.tasks import (
    CLASSIFY,
    COMPRESS,
    DECODE,
    DECOMPRESS,
    DENOISE,
    DETECT_ANOMALIES,
    ENCODE,
    IMPUTE,
    INTERPOLATE,
    PROJECT,
    RECONSTRUCT,
    SAMPLE,
    Task,
)

AUTOENCODER_TASKS: dict[Task, TaskFunction] = {
    ENCODE: encode,
    DECODE: decode,
    RECONSTRUCT: reconstruct,
    DENOISE: denoise,
    SAMPLE: sample,
    INTERPOLATE: interpolate,
    DETECT_ANOMALIES: detect_anomalies,
    IMPUTE: impute,
    COMPRESS: compress,
    DECOMPRESS: decompress,
    PROJECT: project,
}
"""Tasks that every autoencoder serves."""
CLASSIFICATION: dict[Task, TaskFunction] = {CLASSIFY: classify}
"""Further task of autoencoders with labels."""
