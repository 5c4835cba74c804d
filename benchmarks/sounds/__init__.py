"""Benchmarks of codecs of sounds."""
