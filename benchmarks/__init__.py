"""What the runtime itself costs, next to what one would use instead. Start with ``python -m benchmarks --help``."""
