"""Other engines, each run in its own environment with the packages that it publishes.

Modules here import the standard library and the packages of the peer, never this project.
"""
