"""One module a checkpoint, named like it, with `RECIPE`."""
