"""How does a person say it? Job files, commands, signals and exit codes. Needs the extra ``cli``."""
