"""One trainer, one recipe a checkpoint, data sets with checksums. `manifold train` and `manifold evaluate`."""
