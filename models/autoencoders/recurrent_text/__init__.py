"""The recurrent autoencoder of texts: sentences as latents of one width."""

from models.autoencoders.recurrent_text.config import RecurrentTextConfig
from models.autoencoders.recurrent_text.model import RecurrentTextAutoencoder
from models.autoencoders.recurrent_text.tasks import compress, decompress, denoise, impute, reconstruct, score
from models.autoencoding.anomalies import detect_anomalies
from models.autoencoding.encoding import decode, encode
from models.autoencoding.interpolation import interpolate
from models.autoencoding.projection import project
from models.autoencoding.sampling import sample
from models.family import FamilySpec
from models.tasks import (
    COMPRESS_SENTENCES,
    DECODE,
    DECOMPRESS,
    DENOISE_SENTENCE,
    DETECT_ANOMALIES,
    ENCODE,
    IMPUTE_SENTENCE,
    INTERPOLATE,
    PROJECT,
    RECONSTRUCT_SENTENCE,
    SAMPLE,
    SCORE_SENTENCE,
)

FAMILY = FamilySpec(
    id="autoencoders/recurrent_text",
    title="Recurrent autoencoder of texts",
    paper="Bowman et al., Generating Sentences from a Continuous Space, CoNLL 2016",
    config=RecurrentTextConfig,
    build=RecurrentTextAutoencoder,
    tasks=lambda config: {
        ENCODE: encode,
        DECODE: decode,
        RECONSTRUCT_SENTENCE: reconstruct,
        DENOISE_SENTENCE: denoise,
        SAMPLE: sample,
        INTERPOLATE: interpolate,
        DETECT_ANOMALIES: detect_anomalies,
        IMPUTE_SENTENCE: impute,
        COMPRESS_SENTENCES: compress,
        DECOMPRESS: decompress,
        PROJECT: project,
        SCORE_SENTENCE: score,
    },
    tiny=(
        RecurrentTextConfig(
            vocab_size=40,
            max_tokens=9,
            embedding_width=6,
            encoder_width=4,
            decoder_width=7,
            memory_width=3,
            latent_width=5,
            n_waves=3,
        ),
    ),
    modality="sentence",
)
