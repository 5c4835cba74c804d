"""The losses of the published models are adversarial and are not part of them; Manifold does not train these models."""
