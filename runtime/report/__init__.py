"""What happened in a run? Progress on a terminal, the summary, the results on disk, links to the jobs' directories."""
