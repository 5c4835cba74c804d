"""The twelve families of representation models, in pure PyTorch: no HTTP, no downloads, no environment variables."""
