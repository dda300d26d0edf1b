"""The soak run, with a stand-in for main that is quick: it keeps its step, and can forget or miscalculate."""

import sys

import pytest

MAIN = r"""
if [[ "$1" == - || "$1" == -c ]]; then exec PYTHON "$@"; fi
for argument in "$@"; do
  case "$argument" in --workdir=*) run="${argument#*=}" ;; --process_id=*) id="${argument#*=}" ;; esac
done
if ((${id:-0})); then until [[ -e "$run/summary.json" ]]; do sleep 0.02; done; exit; fi
mkdir -p "$run/checkpoints"
step="$(ls "$run/checkpoints" | sort -n | tail -1)"
while ((${step:=0} < 8)); do
  sleep 0.1
  [[ -e "$HOME/stuck" && "$run" != */undisturbed ]] || step=$((step + 1))
  loss="$step"
  [[ -z "$WRONG" || "$run" == */undisturbed ]] || loss=0.5
  echo "{\"step\": $step, \"train/loss\": $loss}" >>"$run/metrics.jsonl"
  mkdir -p "$run/unfinished/progress"
  [[ -z "$FORGETS" || "$run" == */undisturbed ]] || loss=0
  echo "{\"checksum\": $loss}" >"$run/unfinished/progress/metadata"
  # Renamed once it is complete, so that a kill leaves no step without its metadata.
  [[ -e "$run/checkpoints/$step" ]] || mv "$run/unfinished" "$run/checkpoints/$step"
done
echo '{}' >"$run/summary.json"
"""


@pytest.fixture
def soak(launch):
    launch.python(MAIN.replace("PYTHON", sys.executable))
    launch.environment |= {"SHAPES": "1x2 2x1", "LONGEST_SECONDS": "1", "GRACE_SECONDS": "0.1"}
    return launch


def test_a_run_that_survives_is_reported(soak):
    done = soak.run("soak.sh", "0")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "losses differ by at most 0.0e+00, last states are the same" in done.stdout
    assert "every run ended as the undisturbed one did" in done.stdout


def test_a_run_that_ends_otherwise_fails_the_soak(soak):
    done = soak.run("soak.sh", "0", WRONG="1")
    assert done.returncode == 2
    assert "round 1: losses differ by at most 7.5e+00, last states differ" in done.stderr


@pytest.mark.parametrize(("shapes", "code"), [("2x1", 2), ("1x2 2x1", 0)])
def test_the_last_state_must_be_the_same_where_the_shape_never_changes(soak, shapes, code):
    done = soak.run("soak.sh", "0", SHAPES=shapes, FORGETS="1")
    assert done.returncode == code
    assert "losses differ by at most 0.0e+00, last states differ" in done.stdout + done.stderr


def test_a_run_that_comes_no_nearer_to_its_end_fails_the_soak(soak):
    (soak.folder / "home" / "stuck").touch()
    done = soak.run("soak.sh", "0", STARTS_IN_VAIN="2")
    assert done.returncode == 2
    assert "2 starts without progress" in done.stderr
