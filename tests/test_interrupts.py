"""Ctrl-C and SIGTERM at each moment of a command: one line, the promised code, and nothing half-written."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from commands import CPC, SHORT, start

from mi_coding import main
from mi_coding.runs import execute
from mi_coding.training.loop import Trained

KINDS = [signal.SIGINT, signal.SIGTERM]
PROGRAM = """
import hashlib, sys, time
from pathlib import Path

from mi_coding import interrupts
from mi_coding.command import run_command


def run(argv):
    interrupts.keeps("it was not written")
    unfinished = Path(argv[1])
    unfinished.touch()
    try:
        {work}
    finally:
        unfinished.unlink()
    return 7


def say():
    print("ready", flush=True)


sys.exit(run_command(None, "", run, stopped={code}))
"""
IN_COMPILED_CODE = "say(); hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)"  # minutes, in which no handler runs
SAVING = """with interrupts.deferred() as received:
            say()
            hashlib.pbkdf2_hmac('sha256', b'', b'', 2 * 10**6)
            print(len(received), flush=True)
        interrupts.stop(received[0])"""


def begin(work, code, tmp_path):
    """A command without JAX that has said it is ready."""
    program = [sys.executable, "-c", PROGRAM.format(work=work, code=code), str(tmp_path / "unfinished")]
    process = subprocess.Popen(program, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == "ready\n", process.stderr.read()
    return process


def ended(process, *, within=30):
    out, err = process.communicate(timeout=within)
    return process.returncode, out, err


@pytest.mark.parametrize("number", KINDS)
def test_a_command_cleans_up_and_ends_with_the_code_of_a_shell(number, tmp_path):
    process = begin("say(); time.sleep(60)", None, tmp_path)
    process.send_signal(number)
    assert ended(process) == (128 + number, "", f"{number.name}: it was not written\n")
    assert not (tmp_path / "unfinished").exists()


@pytest.mark.parametrize("number", KINDS)
def test_compiled_code_that_does_not_return_is_left(number, tmp_path):
    process = begin(IN_COMPILED_CODE, 0, tmp_path)
    process.send_signal(number)
    assert ended(process) == (0, f"{number.name}: it was not written\n", "")


@pytest.mark.parametrize("number", KINDS)
def test_a_signal_after_the_end_changes_no_code(number, tmp_path):
    process = begin("import atexit; atexit.register(lambda: (say(), time.sleep(1)))\n        say()", 0, tmp_path)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    assert ended(process) == (7, "", "")


def test_a_signal_that_a_place_swallows_is_raised_again(tmp_path):
    swallows = 'type("A", (), {"__del__": lambda self: say() or time.sleep(60)})(); time.sleep(60)'
    process = begin(swallows, 0, tmp_path)
    process.send_signal(signal.SIGINT)
    assert ended(process) == (0, "SIGINT: it was not written\n", "")
    assert not (tmp_path / "unfinished").exists()


def test_a_second_signal_of_the_same_kind_does_not_wait(tmp_path):
    process = begin("try: say(); time.sleep(60)\n        finally: say(); time.sleep(60)", 0, tmp_path)
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert ended(process) == (128 + signal.SIGTERM, "", "")


def test_what_is_being_saved_is_finished_before_a_signal_counts(tmp_path):
    process = begin(SAVING, 0, tmp_path)
    process.send_signal(signal.SIGTERM)
    assert ended(process) == (0, "1\nSIGTERM: it was not written\n", "")
    assert not (tmp_path / "unfinished").exists()


@pytest.mark.parametrize("command", ["main", "embed", "evaluate"])
def test_a_command_can_be_stopped_before_its_slow_imports(command):
    """What handles signals is the first that a command imports, and imports no package but the standard library."""
    program = f"""
import builtins, sys
original = builtins.__import__
def spy(name, *rest):
    if name.partition(".")[0] in ("jax", "numpy", "absl"):
        sys.exit(f"{{'mi_coding.interrupts' in sys.modules}}")
    return original(name, *rest)
builtins.__import__ = spy
import mi_coding.{command}
"""
    process = subprocess.run([sys.executable, "-c", program], text=True, capture_output=True, check=False)
    assert process.stderr == "True\n"


def raising(number):
    def act(*_, **__):
        signal.raise_signal(number)
        pytest.fail("it went on")

    return act


def stopped_at(moment, number, workdir, monkeypatch, stopped_by=None):
    """The exit code of a run that gets a signal at a moment; it trains nothing, but goes through all the rest."""

    def trained(run, *_, **__):
        return Trained(run.initial_state._replace(step=np.int32(run.num_steps)), stopped_by), {}

    monkeypatch.setattr(execute, "train_run", trained)
    monkeypatch.setattr(execute, "read_metrics", lambda workdir: {})
    monkeypatch.setattr(execute, "evaluate_run", lambda *_: (None, {}))
    monkeypatch.setattr(execute, moment, raising(number))
    return main.main(["main", f"--config={CPC}", *SHORT, f"--workdir={workdir}"])


BEFORE = "stopped before the first step; the same command"


@pytest.mark.parametrize("number", KINDS)
@pytest.mark.parametrize(
    ("moment", "told"),
    [
        ("prepare", BEFORE),
        ("train_run", f"{BEFORE} with --workdir="),
        ("evaluate_run", "saved step 6; the same command with --workdir="),
        ("write_report", "saved step 6; the same command with --workdir="),
    ],
)
def test_a_run_ends_in_one_line_at_every_moment(moment, told, number, tmp_path, monkeypatch, capsys):
    workdir = tmp_path / "run"
    before = signal.getsignal(number)
    assert stopped_at(moment, number, workdir, monkeypatch) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[-1].startswith(f"{number.name}: {told}")
    assert err == ""
    assert not (workdir / "summary.json").exists()  # with which a run has finished
    assert signal.getsignal(number) is before
    if moment == "prepare":
        assert not workdir.exists()
    else:
        json.loads((workdir / "config.json").read_text())


def test_a_signal_during_the_last_step_keeps_the_run_from_evaluating(tmp_path, monkeypatch, capsys):
    assert stopped_at("evaluate_run", signal.SIGINT, tmp_path / "run", monkeypatch, stopped_by=signal.SIGTERM) == 0
    assert "SIGTERM: saved step 6" in capsys.readouterr().out


@pytest.mark.parametrize("number", KINDS)
def test_a_run_that_compiles_is_stopped_and_can_be_begun_again(number, tmp_path):
    workdir = tmp_path / "run"
    process = start(f"--workdir={workdir}")
    while not (workdir / "checkpoints").exists():  # made just before
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(number)
    code, out, err = ended(process)
    assert (code, err) == (0, "")
    assert out.splitlines()[1:] == [f"{number.name}: {BEFORE} with --workdir={workdir} starts again"]
