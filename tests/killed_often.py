"""Runs the command again and again, and kills it at random moments: `python killed_often.py FOLDER KILLS ARGUMENTS…`.

The run FOLDER/undisturbed is left alone. FOLDER/1 is killed and started again until it ends, then FOLDER/2, until there
were so many kills and the last run has ended. Each start is a process forked from this one, which has imported all and
used nothing of it.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

from mi_coding import main

DRAW = random.Random(0)


def start(workdir, arguments):
    """The process of a run; its words go to a file beside the work directory."""
    process = os.fork()
    if process:
        return process
    words = os.open(f"{workdir}.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(words, 1)
    os.dup2(words, 2)
    code = 1
    try:
        code = main.main(["main", f"--workdir={workdir}", *arguments])
    finally:
        sys.stdout.flush()
        os._exit(code)


def strike(process, workdir):
    """Kills it between none and three checkpoints on, or on its way to the first; unless it has ended by then."""
    awaited = checkpoints_made(workdir) + DRAW.randrange(4)
    patience = 2.0 if awaited == checkpoints_made(workdir) else 0.1
    while checkpoints_made(workdir) < awaited and not os.waitid(
        os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT
    ):
        time.sleep(0.005)
    time.sleep(DRAW.uniform(0, patience))
    os.kill(process, signal.SIGKILL)  # what has ended by now is still there to be waited for


def checkpoints_made(workdir):
    """The number of the newest."""
    return max(
        (int(path.name) // EVERY for path in workdir.glob("checkpoints/[0-9]*") if path.name.isdigit()), default=0
    )


def ended(process):
    """How: 0, or minus the number of a signal."""
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    assert code in (0, -signal.SIGKILL), f"a run ended with {code}"
    return code


EVERY = 20
"""Steps from checkpoint to checkpoint."""


def kill_often(folder, kills, arguments):
    arguments = [*arguments, f"--config.checkpoint.every_steps={EVERY}"]
    assert ended(start(folder / "undisturbed", arguments)) == 0
    runs = 1
    while kills:
        workdir = folder / str(runs)
        process = start(workdir, arguments)
        strike(process, workdir)
        if ended(process):
            kills -= 1
        else:
            runs += 1
    assert ended(start(folder / str(runs), arguments)) == 0


if __name__ == "__main__":
    kill_often(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
