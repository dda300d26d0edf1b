#!/usr/bin/env bash
# A run on a Cloud TPU pod, with gcloud.
#   bash launch/tpu_pod.sh STEP --name=NAME --zone=ZONE [options] [-- arguments of main]
#
# One step does everything:
#   run       create, install, start, follow the log of worker 0; resume from the last checkpoint after each preemption;
#             delete the pod once the run has finished
# These each do a part of it:
#   create    request the pod, unless it exists, and wait until it is ready
#   install   copy the checked-out commit to every worker, mount the storage, install
#   start     start main on every worker where it is not running
#   logs      follow the log of worker 0
#   stop      let main save and exit on every worker
#   status    print the state of the pod
#   delete    delete the pod; the data in the storage stays
#
# --type=v5litepod-256     accelerator type; create and run need it
# --storage=gs://BUCKET[/FOLDER] or HOST:/SHARE
#                          what every worker mounts at /mnt/mi_coding; the work directory is /mnt/mi_coding/NAME
# --runtime=VERSION        TPU software version; by default the one for the type
# --project=PROJECT        by default gcloud's
# --spot                   cheaper, and may be preempted
# --create-flag=FLAG       one more flag for `queued-resources create`, such as --reserved; may be repeated
# --check                  before requesting anything, compile for the type, and refuse a run that does not fit
# --keep                   do not delete the pod after the run
# --dry-run                print every command without running it
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
poll_seconds="${POLL_SECONDS:-30}"
crashes_allowed=3

read_options() {
  while (($#)); do
    case "$1" in
      --name=?*) name="${1#*=}" ;;
      --zone=?*) place+=("$1") zone="${1#*=}" ;;
      --project=?*) place+=("$1") ;;
      --type=?*) type="${1#*=}" ;;
      --runtime=?*) runtime="${1#*=}" ;;
      --storage=gs://?* | --storage=?*:/*) storage="${1#*=}" ;;
      --spot) create_flags+=(--spot) ;;
      --create-flag=?*) create_flags+=("${1#*=}") ;;
      --check) check=true ;;
      --keep) keep=true ;;
      --dry-run) dry_run=true ;;
      --) shift && main=("$@") && return ;;
      *) fail "'$1' is not an option, or lacks its value; --help lists them, and arguments of main follow --" ;;
    esac
    shift
  done
}

check_options() {
  [[ "$name" =~ ^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$ ]] || fail "--name=NAME is needed: small letters, digits, hyphens"
  [[ -n "$zone" ]] || fail "--zone=ZONE is needed, such as --zone=us-central1-a"
  [[ "$step" != create && "$step" != run || -n "$type" ]] || fail "--type=TYPE is needed, such as --type=v5litepod-256"
  [[ "$step" != install && "$step" != run || -n "$storage" ]] ||
    fail "--storage=gs://BUCKET or HOST:/SHARE is needed: disks of workers are deleted with them"
  [[ "${main[*]:-}" != *--workdir* ]] || fail "the work directory is $workdir; choose another with --name"
  ! $check || [[ "$step" == create || "$step" == run ]] || fail "--check goes with create and run, which ask for a pod"
  $dry_run || command -v gcloud >/dev/null || fail "gcloud is needed; see cloud.google.com/sdk/docs/install"
}

runtime_of() {
  case "$1" in
    v5litepod-*) echo v2-alpha-tpuv5-lite ;;
    v5p-*) echo v2-alpha-tpuv5 ;;
    v6e-*) echo v2-alpha-tpuv6e ;;
    *) echo tpu-ubuntu2204-base ;;
  esac
}

queue() {
  run gcloud compute tpus queued-resources "$1" "$name" "${place[@]}" "${@:2}"
}

tpu_ssh() {
  run gcloud compute tpus tpu-vm ssh "$name" "${place[@]}" --quiet "--worker=$1" "--command=$2"
}

# Runs a step of tpu_worker.sh on one worker or on all.
on_worker() {
  local command
  printf -v command '%q ' bash mi_coding/launch/tpu_worker.sh "${@:2}"
  tpu_ssh "$1" "${command% }"
}

create() {
  queue create "--node-id=$name" "--accelerator-type=$type" "--runtime-version=$runtime" "${create_flags[@]}"
}

delete() {
  queue delete --force --quiet
}

state_of_pod() {
  local answer
  if answer="$(queue describe --format='value(state.state)' 2>&1)"; then
    echo "$answer"
  elif [[ "$answer" == *NOT_FOUND* ]]; then
    echo ABSENT
  else
    echo "$answer" >&2
    echo UNKNOWN
  fi
}

ready() {
  local state before='' unknown=0
  if $dry_run; then create && queue describe --format='value(state.state)' && return; fi
  while state="$(state_of_pod)" && [[ "$state" != ACTIVE ]]; do
    [[ "$state" == "$before" ]] || echo "$name: $state" >&2
    before="$state"
    case "$state" in
      ABSENT) create || return ;;
      SUSPENDED) delete || return ;; # preempted: its machines are gone and will not come back
      FAILED) queue describe && fail "the request failed, as told above; delete it and ask for something else" ;;
      UNKNOWN) ((unknown++ < 10)) || fail "gcloud does not say how $name is, as told above" ;;
    esac
    sleep "$poll_seconds"
  done
}

# A worker that is training keeps the code it has.
install() {
  if ! $dry_run && [[ -z "$folder" ]]; then
    folder="$(mktemp -d)"
    trap 'rm -rf -- "$folder"' EXIT
  fi
  local archive="${folder:-FOLDER}/mi_coding.tar.gz"
  run git -C "$root" archive --format=tar.gz --prefix=mi_coding/ "--output=$archive" HEAD &&
    run gcloud compute tpus tpu-vm scp "$archive" "$name:" "${place[@]}" --quiet --worker=all &&
    tpu_ssh all "mkdir -p .mi_coding && flock --nonblock --conflict-exit-code 0 .mi_coding/lock \
sh -c 'rm -rf mi_coding && tar -xzf mi_coding.tar.gz'" &&
    on_worker all prepare "$storage"
}

start() {
  choose_config "${main[@]}"
  # On a worker, main runs in the worker's own copy of the repository.
  on_worker all start "${config[@]/#--config=$root\//--config=}" "--workdir=$workdir" "${main[@]}"
}

# Repeats all steps until the run has finished. A preemption, a lost connection or a stop by the system loses no more
# than the work since the last checkpoint; only failures are counted.
run_to_the_end() {
  local code crashes=0
  while true; do
    code=0
    { ready && install && start && on_worker 0 follow; } || code=$?
    case "$code" in
      0) ! on_worker 0 finished "$workdir" || return 0 ;;
      75 | 255) ;;
      2) fail "refused, as told above, by gcloud, the installation or main; a pod that was there still is" ;;
      130) fail "stopped by hand; the same command continues; the pod is still there" ;;
      *)
        ((++crashes <= crashes_allowed)) || fail "failed $crashes times, last with code $code; the pod is still there"
        on_worker all stop || true
        ;;
    esac
    echo "$name: again from the last checkpoint" >&2
    sleep "$poll_seconds"
  done
}

step="${1:-}"
[[ "$step" != --help && "$step" != -h ]] || { manual && exit; }
shift || true
name='' zone='' type='' runtime='' storage='' keep=false check=false folder='' place=() create_flags=() main=()
read_options "$@"
workdir="/mnt/mi_coding/$name"
runtime="${runtime:-$(runtime_of "$type")}"
case "$step" in
  create | install | start | run | logs | stop | status | delete) check_options ;;
  *) fail "'$step' is not a step; --help lists them" ;;
esac
if $check; then check_fits "$type" "${main[@]}"; fi
trap 'echo "$name goes on, and so do its costs: logs follows it, delete ends it" >&2; exit 130' INT
case "$step" in
  run)
    run_to_the_end
    $keep || delete
    ;;
  create) ready ;;
  logs) on_worker 0 follow ;;
  stop) on_worker all stop ;;
  status) queue describe --format='value(state.state)' ;;
  *) "$step" ;;
esac
