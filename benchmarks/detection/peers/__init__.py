"""Peers that detect anomalies, run in environments of their own."""
