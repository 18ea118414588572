"""The guard for speed: instructions per job, counted by Valgrind and compared with recorded figures.

See docs/performance.md. `counting` counts, `record` is the file of figures, `changes` compares, `__main__` is the verb,
and `program` is what runs under Valgrind.
"""
