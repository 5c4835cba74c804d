"""Requests, clients and files that would hurt a server's other clients, each with verdicts."""
