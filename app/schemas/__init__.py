"""The HTTP interface of every task, one module for each: its request body, its answer, and their conversions."""
