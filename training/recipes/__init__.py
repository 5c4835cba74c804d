"""The recipes: one module per checkpoint, named like it, with its recipe as `RECIPE`."""
