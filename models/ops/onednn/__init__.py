"""Linear layers on CPUs by oneDNN, which torch brings along."""

from models.ops.onednn.linear import FloatWeights, Int8Weights, supports_weights

__all__ = ["FloatWeights", "Int8Weights", "supports_weights"]
