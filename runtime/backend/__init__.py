"""Backends: the contract `RuntimeBackend`, and the backends that implement it."""
