"""The bodies and answers of the foreign dialects, as pydantic models."""
