#!/usr/bin/env bash
# Runs that are killed at random moments, on changing numbers of processes and devices, and must end like an undisturbed
# one. The latest results are in launch/README.md.
#   bash launch/soak.sh [MINUTES] [arguments of main]          60 minutes by default
#
# A round is one run. Until it has finished, it is started again and again as P processes with D devices each, drawn
# from SHAPES, and after some seconds it receives a TERM, or one or all of its processes receive a KILL. The
# undisturbed run uses the first shape. The round fails if a loss differs by more than 1e-4 from that of the undisturbed
# run or, with one shape, if any bit of the losses or of the final state differs; or if ten starts in a row make no
# progress.
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

[[ "${1:-}" != --help && "${1:-}" != -h ]] || { manual && exit; }
minutes=60
[[ ! "${1:-}" =~ ^[0-9]+$ ]] || { minutes="$1" && shift; }
read -ra shapes <<<"${SHAPES:-1x8 2x4 4x2 1x4 2x2}"
longest="${LONGEST_SECONDS:-30}" # from a start to the signal
starts_in_vain="${STARTS_IN_VAIN:-10}"
# Small steps: with relu, at a learning rate of 1e-4, rounding differences between shapes grew to 1e-4 in 200 steps.
arguments=(
  --config.optimizer.learning_rate=1e-5 --config.num_steps=400 --config.batch_size=64 --config.optimizer.warmup_steps=20
  --config.log.every_steps=10 --config.checkpoint.every_steps=40 --config.evaluation.every_steps=200
  --config.evaluation.views=1 "$@"
)
folder="$(mktemp -d)"
launcher=
trap '[[ -z "$launcher" ]] || kill -TERM "$launcher" 2>/dev/null || true' EXIT

# Replaces the shell that calls it, so that a signal to that shell reaches the script.
launch() {
  local shape="$1" workdir="$2"
  exec bash "$root/launch/local_processes.sh" "${shape%x*}" "${shape#*x}" "--workdir=$workdir" "${arguments[@]}" \
    >>"$workdir.log" 2>&1
}

processes_of() {
  pgrep --full -- "-m mi_coding.main .*--workdir=$1 " || true
}

# Sends one signal after some seconds, unless the run has ended by then.
strike() {
  local workdir="$1" victims kind=$((RANDOM % 3))
  sleep $((RANDOM % longest)).$((RANDOM % 10))
  kill -0 "$launcher" 2>/dev/null || return 0
  mapfile -t victims < <(processes_of "$workdir")
  case "$kind-${#victims[@]}" in
    *-0 | 0-*) kill -TERM "$launcher" 2>/dev/null || true ;; # also before any process is up
    1-*) kill -KILL "${victims[RANDOM % ${#victims[@]}]}" 2>/dev/null || true ;;
    2-*) kill -KILL "${victims[@]}" 2>/dev/null || true ;;
  esac
  signals=$((signals + 1))
}

newest_checkpoint() {
  find "$1/checkpoints" -mindepth 1 -maxdepth 1 -name '[0-9]*' -printf '%f\n' 2>/dev/null | sort -n | tail -1 || true
}

# One run, started and interrupted until it has finished.
round() {
  local workdir="$1" before='' after in_vain=0
  while [[ ! -s "$workdir/summary.json" ]]; do
    launch "${shapes[RANDOM % ${#shapes[@]}]}" "$workdir" &
    launcher=$!
    strike "$workdir"
    wait "$launcher" || true
    launcher=
    after="$(newest_checkpoint "$workdir")"
    if [[ "$after" == "$before" ]]; then in_vain=$((in_vain + 1)); else in_vain=0; fi
    ((in_vain < starts_in_vain)) || fail "$in_vain starts without progress; see $workdir.log"
    before="$after"
  done
}

difference() {
  "$python" - "$@" <<'PYTHON'
import json
import sys
from pathlib import Path

def losses(workdir):
    with open(f"{workdir}/metrics.jsonl", encoding="utf-8") as lines:
        return {line["step"]: line["train/loss"] for line in map(json.loads, lines) if "train/loss" in line}

def last_state(workdir):
    newest = max(Path(workdir, "checkpoints").glob("[0-9]*"), key=lambda path: int(path.name))
    return newest.name, json.loads((newest / "progress" / "metadata").read_text(encoding="utf-8"))["checksum"]

workdirs, tolerance = sys.argv[1:3], float(sys.argv[3])
ours, theirs = map(losses, workdirs)
if ours.keys() != theirs.keys():
    sys.exit(f"logged steps differ: {sorted(ours.keys() ^ theirs.keys())}")
worst = max(abs(ours[step] - theirs[step]) for step in ours)
same = last_state(workdirs[0]) == last_state(workdirs[1])
print(f"losses differ by at most {worst:.1e}, last states {'are the same' if same else 'differ'}")
sys.exit(worst > tolerance or not (tolerance or same))
PYTHON
}

prepare_environment ""
echo "runs are in $folder"
(launch "${shapes[0]}" "$folder/undisturbed") || fail "the undisturbed run failed; $folder/undisturbed.log has the reason"
rounds=0 signals=0
tolerance=1e-4
((${#shapes[@]} > 1)) || tolerance=0
end=$((SECONDS + 60 * minutes))
while ((rounds == 0 || SECONDS < end)); do
  rounds=$((rounds + 1)) before=$signals
  round "$folder/$rounds"
  comparison="$(difference "$folder/undisturbed" "$folder/$rounds" "$tolerance")" || fail "round $rounds: $comparison"
  echo "round $rounds: $((signals - before)) signals, $comparison"
done
echo "$rounds rounds, $signals signals: every run ended as the undisturbed one did"
rm -r "$folder"
