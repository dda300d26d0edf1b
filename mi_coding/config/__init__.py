"""The command line and the options of every run."""

from mi_coding.config.command_line import Command, flatten, load_config, parse_command
from mi_coding.config.presets import find_config
from mi_coding.config.run_options import DataOptions, RunOptions
