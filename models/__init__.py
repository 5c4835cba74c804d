"""The twelve families of representation models, in PyTorch: no HTTP, no downloads, no environment variables."""
