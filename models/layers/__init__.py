"""Layers that several families share, each an `nn.Module`. Families are composed of them, never of each other."""
