"""The command line and the options of every run."""

from mi_coding.config.command_line import Command, flatten, parse_command
from mi_coding.config.run_options import DataOptions, RunOptions

__all__ = ["Command", "DataOptions", "RunOptions", "flatten", "parse_command"]
