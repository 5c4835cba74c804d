"""API keys: their form, the file that stores their hashes, the keys of a running server, and the limits of clients."""
