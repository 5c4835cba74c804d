"""Model names, checkpoints and loaded models."""
