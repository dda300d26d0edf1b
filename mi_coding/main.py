"""Trains an encoder and evaluates its codes.

python -m mi_coding.main --config=configs/cpc.py [--workdir=DIR] [--init_from=DIR] [--config.KEY=VALUE …] [--profile]
    [--print_config] [--list_configs] [--coordinator=HOST:PORT --num_processes=P --process_id=I]

--config        a file with get_config(), or the name of one that comes with the package, such as cpc or simclr;
                options that it does not set take their defaults
--config.KEY    overrides the value of one option
--print_config  prints every option with its value, type, meaning and where the value comes from; nothing is run;
                --config=NAME --help does the same
--list_configs  prints the configs that come with the package, each with what it is for
--workdir       directory of the run, by default a new one in runs/; that of an earlier run continues it, also to a
                later end: --config.num_steps=3000 after 1,250, with the learning-rate schedule stretched
--init_from     work directory of a run whose encoder this one starts from, on other data or with another objective
--profile       writes a trace of ten steps, for the profiler of TensorBoard or XProf
--coordinator, --num_processes, --process_id: which of several processes this is
"""

import time

_STARTED = time.perf_counter()  # before the slow imports: the time to the first step counts from here

# ruff: noqa: E402
from mi_coding.help import HELP, answer_help, names_config
from mi_coding.interrupts import end_while_importing, keeps

STOPPED = 0
"""The exit code after SIGTERM or Ctrl-C: what is trained is saved, and the same command continues."""
if __name__ == "__main__":
    if not names_config():
        answer_help(__doc__)
    end_while_importing(STOPPED)

import sys
from datetime import datetime
from pathlib import Path

from mi_coding.command import run_command
from mi_coding.config.listing import print_options, print_presets
from mi_coding.errors import NonFiniteLossError, PeersUnavailableError, SaveError
from mi_coding.runs import build, choices
from mi_coding.runs.execute import execute
from mi_coding.runs.train import log_on_main
from mi_coding.training.processes import broadcast_from_main, initialize_distributed, is_main_process


def main(argv: list[str] | None = None) -> int:
    """The command line. Returns the exit code: 0 done or stopped and saved, 1 failed, 2 a mistake in the command."""
    given = sys.argv if argv is None else argv
    if HELP & set(given) and names_config(given):
        argv = [*(one for one in given if one not in HELP), "--print_config"]
    return run_command(argv, __doc__, _main, stopped=STOPPED)


def _main(argv: list[str]) -> int:
    if "--list_configs" in argv:
        print_presets()
        return 0
    keeps("stopped before the first step; the same command starts again")
    command = build.parse(argv)
    if command.print_config:
        plan = build.plan(command.config, command.typed)
        print_options(plan.config, build.own_options(command.config), command)
        return 0
    try:
        with initialize_distributed(command.process):
            name = broadcast_from_main(f"{command.config_name}-{datetime.now():%Y%m%d-%H%M%S}")
            workdir = command.workdir or Path("runs") / name
            if line := choices.taken_over(command.of_file, command.overrides):
                log_on_main(line)
            options = {"typed": command.typed, "command_started": _STARTED, "profile": command.profile}
            execute(command.config, workdir, **options)
            return 0
    except (NonFiniteLossError, SaveError, PeersUnavailableError) as error:
        if is_main_process():
            print(f"mi_coding: error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
