"""The service: HTTP in front of an engine in front of the models."""
