#!/usr/bin/env bash
# One worker of a TPU pod. tpu_pod.sh copies it there and calls it; each step may be repeated.
#   bash tpu_worker.sh prepare STORAGE     mount STORAGE, install mi_coding
#   bash tpu_worker.sh start [arguments]   start main if it is not running, detached from this connection
#   bash tpu_worker.sh follow              print the log until main has ended; exit with its code, or
#                                          with 75 if it was cut off, 130 if `stop` ended it
#   bash tpu_worker.sh stop                let main save and exit; kill it after a minute
#   bash tpu_worker.sh finished WORKDIR    succeed if the run there has finished and written its summary
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
mount=/mnt/mi_coding
state="$HOME/.mi_coding" # lock: held while main runs; pid, code, stopped, log: of the last start
export VIRTUAL_ENV="$state/environment"

mount_storage() {
  ! mountpoint --quiet "$mount" || return 0
  sudo mkdir -p "$mount"
  case "$1" in
    gs://*)
      command -v gcsfuse >/dev/null || install_gcsfuse
      sudo chown "$(id -u):$(id -g)" "$mount"
      local bucket="${1#gs://}" folder=()
      [[ "$bucket" != */?* ]] || folder=(--only-dir "${bucket#*/}")
      gcsfuse --implicit-dirs "${folder[@]}" "${bucket%%/*}" "$mount"
      ;;
    *)
      command -v mount.nfs >/dev/null || { sudo apt-get update && sudo apt-get install --yes nfs-common; }
      sudo mount -t nfs -o hard "$1" "$mount"
      [[ -w "$mount" ]] || sudo chmod a+rwx "$mount" # only root may write to a new share of Filestore
      ;;
  esac
}

# As described at cloud.google.com/storage/docs/cloud-storage-fuse/install.
install_gcsfuse() {
  local host=https://packages.cloud.google.com/apt key=/usr/share/keyrings/cloud.google.asc
  curl --fail --silent --show-error "$host/doc/apt-key.gpg" | sudo tee "$key" >/dev/null
  echo "deb [signed-by=$key] $host gcsfuse-$(lsb_release --codename --short) main" |
    sudo tee /etc/apt/sources.list.d/gcsfuse.list >/dev/null
  sudo apt-get update
  sudo apt-get install --yes gcsfuse
}

# The images of TPU VMs have Python 3.10. uv installs its own, without the package manager, which is busy after boot.
find_python() {
  if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    python3 -m pip install --quiet --user uv
    python3 -m uv python install --quiet 3.12
    PYTHON="$(python3 -m uv python find 3.12)"
    export PYTHON
  fi
}

is_running() {
  ! flock --nonblock "$state/lock" true
}

start() {
  ! is_running || return 0
  prepare_environment "tpu"
  rm -f "$state/pid" "$state/code" "$state/stopped"
  setsid nohup bash "$root/launch/tpu_worker.sh" attend "$@" </dev/null >>"$state/log" 2>&1 &
  local tries=100
  until [[ -e "$state/pid" ]]; do
    ((tries--)) || fail "main did not start; the end of $state/log may say why"
    sleep 0.1
  done
}

# The process that holds the lock for as long as main runs, and records its exit code.
attend() {
  exec 9>"$state/lock"
  flock --nonblock 9 || return 0
  cd "$root"
  export TFDS_DATA_DIR="${TFDS_DATA_DIR:-$mount/tensorflow_datasets}"
  "$VIRTUAL_ENV/bin/python" -u -m mi_coding.main "$@" 9>&- &
  echo $! >"$state/pid"
  local code=0
  wait $! || code=$?
  echo "$code" >"$state/code"
}

follow() {
  tail --lines=100 --follow=name --retry "$state/log" 2>/dev/null &
  flock --shared "$state/lock" true
  sleep 1 # the last lines
  kill $! || true
  [[ ! -e "$state/stopped" ]] || return 130
  [[ -e "$state/code" ]] || return 75 # the machine went down while main was running
  return "$(<"$state/code")"
}

stop() {
  is_running || return 0
  touch "$state/stopped"
  kill -TERM "$(<"$state/pid")"
  flock --wait 60 "$state/lock" true || kill -KILL "$(<"$state/pid")"
}

mkdir -p "$state"
case "${1:-}" in
  prepare)
    mount_storage "$2"
    find_python
    prepare_environment "tpu"
    ;;
  start | attend) "$@" ;;
  follow | stop) "$1" ;;
  finished) [[ -s "$2/summary.json" ]] ;;
  *) manual && exit 2 ;;
esac
