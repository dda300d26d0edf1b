#!/usr/bin/env bash
# A simulated cluster: P processes with D virtual devices each, on this machine.
#   bash launch/local_processes.sh [--dry-run] P D [arguments of main]
#
# Each output line is prefixed with the number of its process. The first process that fails stops the others, and its
# exit code is the script's. Ctrl-C and SIGTERM go to every process, which saves and exits; a second one kills them.
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

# Prefixes lines with a process number. Ends with its input, not on a signal, so that final messages are printed.
label() {
  trap '' INT TERM
  exec sed -u "s/^/[$1] /"
}

start() {
  local number="$1"
  shift
  # The trap keeps this shell alive until its child process has ended on the same signal.
  { trap : INT TERM && "$@" 2> >(label "$number" >&2) | (label "$number"); } &
  running[$!]="$number"
}

# Each process leads its own process group (set -m), which includes its `label` processes.
signal_all() {
  local pid
  for pid in "${!running[@]}"; do
    kill "-$1" -- "-$pid" 2>/dev/null || true
  done
}

# Without the failed process the others cannot save; they get a short time to report it.
stop_the_rest() {
  signal_all TERM
  (sleep "${GRACE_SECONDS:-10}" && signal_all KILL) &
  killer=$!
}

pass_on() {
  echo "$1: every process saves and ends; once more kills them" >&2
  signal_all "$1"
  stopping=true
  trap 'signal_all KILL' INT TERM
}

wait_for_all() {
  local code=0 status finished
  while ((${#running[@]})); do
    status=0
    wait -n -p finished "${!running[@]}" || status=$?
    [[ -n "${finished:-}" ]] || continue # a signal came first, and pass_on has handled it
    if ((status && ! code)); then
      code=$status
      echo "process ${running[$finished]} ended with code $code; stopping the others" >&2
      unset "running[$finished]"
      stop_the_rest
    fi
    unset "running[$finished]"
  done
  [[ -z "$killer" ]] || kill -- "-$killer" 2>/dev/null || true
  return "$code"
}

((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 501)) || fail "bash 5.1 or newer is needed; this is $BASH_VERSION"
[[ "${1:-}" != --help && "${1:-}" != -h ]] || { manual && exit; }
[[ "${1:-}" != --dry-run ]] || { dry_run=true && shift; }
[[ "${1:-}" =~ ^[1-9][0-9]*$ && "${2:-}" =~ ^[1-9][0-9]*$ ]] ||
  fail "two numbers come first, of processes and of devices in each: local_processes.sh 2 4 [arguments of main]"
processes="$1" devices="$2"
shift 2

python=python
$dry_run || prepare_environment ""
choose_config "$@"
# One directory for all: left to themselves, two processes might name theirs in different seconds.
workdir=("--workdir=runs/processes-$(date +%Y%m%d-%H%M%S)")
[[ " $*" != *" --workdir"* ]] || workdir=()
port=PORT
$dry_run || port="$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')"
environment=(
  env JAX_PLATFORMS=cpu PYTHONUNBUFFERED=1
  "XLA_FLAGS=${XLA_FLAGS:+$XLA_FLAGS }--xla_force_host_platform_device_count=$devices"
)

declare -A running=()
killer='' stopping=false
set -m
trap 'pass_on INT' INT
trap 'pass_on TERM' TERM HUP
for ((number = 0; number < processes; number++)); do
  ! $stopping || break
  place=()
  ((processes == 1)) || # a single process needs no coordinator
    place=("--coordinator=127.0.0.1:$port" "--num_processes=$processes" "--process_id=$number")
  command=("${environment[@]}" "$python" -m mi_coding.main "${config[@]}" "${workdir[@]}" "${place[@]}" "$@")
  if $dry_run; then run "${command[@]}"; else start "$number" "${command[@]}"; fi
done
wait_for_all
