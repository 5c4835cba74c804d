"""Other servers, each run in its own environment.

Modules here import the standard library and the packages of the peer, never this project.
"""
