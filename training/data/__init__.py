"""Readers of the data sets; each file is listed with its official source and its SHA-256."""
