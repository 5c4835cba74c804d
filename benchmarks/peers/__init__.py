"""Other engines and servers, each run in an environment of its own by what it publishes.

What is here imports the standard library and the peer's own packages, never the project.
"""
