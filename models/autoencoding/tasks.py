"""The tasks that every autoencoder serves."""

from models.family import methods_of
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
)

AUTOENCODER_TASKS = methods_of(
    ENCODE,
    DECODE,
    RECONSTRUCT,
    DENOISE,
    SAMPLE,
    INTERPOLATE,
    DETECT_ANOMALIES,
    IMPUTE,
    COMPRESS,
    DECOMPRESS,
    PROJECT,
)
CLASSIFICATION = methods_of(CLASSIFY)
