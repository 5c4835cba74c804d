"""An encoder and a decoder that were trained elsewhere, as ONNX graphs that ONNX Runtime computes."""

from models.autoencoders.onnx.config import OnnxConfig
from models.autoencoders.onnx.model import OnnxAutoencoder
from models.autoencoding.tasks import AUTOENCODER_TASKS
from models.family import FamilySpec

FAMILY = FamilySpec(
    id="autoencoders/onnx",
    title="Your own encoder and decoder",
    paper="Open Neural Network Exchange, https://onnx.ai, 2017",
    config=OnnxConfig,
    build=OnnxAutoencoder,
    tasks=lambda config: AUTOENCODER_TASKS,
    tiny=(),
    runtime="ONNX Runtime",
)
