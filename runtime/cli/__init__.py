"""The command line: commands, options, signals and exit codes. Needs the extra ``cli``."""
