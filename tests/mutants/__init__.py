"""Planted bugs: each patch here breaks one promise, and some test must notice.

``python -m tests.mutants`` plants them one at a time, each in a copy of the tree. `mutants.toml` lists them; `planting`
does the work, and `caught_by.toml` tells which test caught each when they were last recorded.
"""
