"""Encoded pictures: PNG, JPEG and WebP files as the pixels of a model.

This package needs NumPy and Pillow alone, so that a process that only decodes pictures starts fast and stays small.
What a picture costs is known from its header, before any of it is decoded.
"""
