"""The bodies and answers of the foreign dialects, one module for each."""
