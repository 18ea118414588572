"""How is a run told something while it runs? By files in its directory, which also other hosts can write."""
