"""The losses are those of the paper, section 3.4. Manifold does not train the networks, and has none."""
