"""Train, measure and publish the checkpoints of this repository: `manifold train` and `manifold evaluate`."""
