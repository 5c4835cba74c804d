"""Finds, loads and unloads models by name."""
