"""Inference as a function of task requests; it knows nothing of HTTP."""
