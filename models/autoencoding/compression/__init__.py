"""Compression of items to streams of bytes, and back."""
