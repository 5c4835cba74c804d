"""Data sets: each file with its official source and its SHA-256."""
