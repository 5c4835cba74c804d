"""The wire format of every task, one file for each: its request body, its answer, and the conversions of both."""
