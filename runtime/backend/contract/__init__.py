"""The contract of all backends: what a caller holds, what is written once, and what an author writes."""
