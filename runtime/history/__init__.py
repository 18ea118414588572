"""What happened before? An index of the runs in a directory, judgements on their jobs, and comparisons of two runs."""
