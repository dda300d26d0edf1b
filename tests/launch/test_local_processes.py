"""The cluster in miniature, with processes that stand in for main."""

import shlex
import signal
import time

import pytest
from commands import ROOT

MAIN = r"""
[[ "$1" != -c ]] || { echo 12345; exit; }
id=0
for argument in "$@"; do
  case "$argument" in --process_id=*) id="${argument#*=}" ;; esac
done
trap 'echo "saved $id"; exit 0' TERM INT
[[ "$id" != "${STUBBORN:-none}" ]] || trap '' TERM INT
echo "words $*"
echo "flags $XLA_FLAGS" >&2
touch "$HOME/began$id"
if [[ "$id" == "${FAILS:-none}" ]]; then
  until (($(ls "$HOME" | wc -l) == PROCESSES)); do sleep 0.02; done
  exit 7
fi
[[ -n "${WAITS:-}" ]] || exit 0
for _ in {1..300}; do sleep 0.1; done
"""


def until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def begun(launch, count):
    """Waits until so many processes listen to signals, which a file for each of them shows."""
    until(lambda: len(list((launch.folder / "home").iterdir())) == count)


def test_every_process_gets_its_place_its_devices_and_the_same_directory(launch):
    launch.python(MAIN)
    done = launch.run("local_processes.sh", 3, 2, "--config.seed=a b")
    assert done.returncode == 0, done.stderr
    said = sorted(line for line in done.stdout.splitlines() if "words" in line)
    workdir = said[0].split("--workdir=")[1].split()[0]
    assert workdir.startswith("runs/processes-")
    assert said == [
        f"[{i}] words -m mi_coding.main --config={ROOT}/configs/cpc.py --workdir={workdir} "
        f"--coordinator=127.0.0.1:12345 --num_processes=3 --process_id={i} --config.seed=a b"
        for i in range(3)
    ]
    flags = [line for line in done.stderr.splitlines() if "flags" in line]
    assert sorted(flags) == [f"[{i}] flags --xla_force_host_platform_device_count=2" for i in range(3)]


def test_a_single_process_needs_no_coordinator_and_keeps_its_directory(launch):
    launch.python(MAIN)
    done = launch.run("local_processes.sh", 1, 8, "--config=mine.py", "--workdir=here")
    assert done.stdout.splitlines()[-1] == "[0] words -m mi_coding.main --config=mine.py --workdir=here"


def test_dry_run_prints_the_commands(launch):
    done = launch.run("local_processes.sh", "--dry-run", 2, 4, "--workdir=a b")
    commands = [shlex.split(line) for line in done.stdout.splitlines()]
    assert [command[-2] for command in commands] == ["--process_id=0", "--process_id=1"]
    assert all(command[-1] == "--workdir=a b" for command in commands)
    assert all("XLA_FLAGS=--xla_force_host_platform_device_count=4" in command for command in commands)


def test_the_first_that_fails_gives_its_code_and_stops_the_others(launch):
    launch.python(MAIN)
    done = launch.run("local_processes.sh", 3, 1, FAILS="1", PROCESSES="3", WAITS="1")
    assert done.returncode == 7
    assert "process 1 ended with code 7; stopping the others" in done.stderr
    assert "[0] saved 0" in done.stdout
    assert "[2] saved 2" in done.stdout


def test_one_that_does_not_stop_is_killed(launch):
    launch.python(MAIN)
    began = time.monotonic()
    done = launch.run(
        "local_processes.sh", 2, 1, FAILS="0", PROCESSES="2", WAITS="1", STUBBORN="1", GRACE_SECONDS="0.3"
    )
    assert done.returncode == 7
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_every_process_which_saves(launch, number):
    launch.python(MAIN)
    process = launch.start("local_processes.sh", 2, 1, WAITS="1")
    begun(launch, 2)
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "[0] saved 0" in output
    assert "[1] saved 1" in output


def test_a_second_signal_kills(launch):
    launch.python(MAIN)
    process = launch.start("local_processes.sh", 2, 1, WAITS="1", STUBBORN="1")
    begun(launch, 2)
    process.terminate()
    until(lambda: "once more" in process.stderr.readline())
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 137


@pytest.mark.parametrize("numbers", [[], ["2"], ["0", "4"], ["2", "x"], ["-1", "4"]])
def test_two_numbers_must_come_first(launch, numbers):
    done = launch.run("local_processes.sh", *numbers)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "two numbers come first" in done.stderr
