"""The command line and the options of every run."""

from mi_coding.config.command_line import Command, flatten, parse_command
from mi_coding.config.run_options import DataOptions, RunOptions
