"""The guard against slower code: instructions per job, counted by Valgrind and compared with recorded figures.

See docs/performance.md. `counting` counts, `record` reads and writes the file of figures, `changes` compares,
`__main__` is the command, and `program` runs under Valgrind.
"""
