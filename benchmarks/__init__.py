"""Benchmarks: the cost of the runtime itself, next to its alternatives. Start with ``python -m benchmarks --help``."""
