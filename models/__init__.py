"""The fifteen families of representation models, in PyTorch.

Nothing here knows HTTP, downloads files or reads environment variables.
"""
