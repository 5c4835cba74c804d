"""The loss is that of the program that trained the graphs. Manifold does not train them, and has none."""
