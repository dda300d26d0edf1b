# shellcheck shell=bash
# Sourced by the scripts beside it. Sets `root` to the repository and `python` to an interpreter that has mi_coding with
# the extras in $1 (such as "test", or "" for none): that of the active virtual environment, else of .venv, which is
# made on first use. Installs only when setup.py has changed since the last time.

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
dry_run=false

fail() {
  echo "$(basename "$0"): $1" >&2
  exit 2
}

# The comment at the head of the script, which is its manual.
manual() {
  sed -n '2,$ { /^#/!q; s/^# \{0,1\}//p; }' "$0"
}

# Runs a command, or with --dry-run prints it as it could be pasted into a shell.
run() {
  if $dry_run; then
    printf '%q ' "$@"
    echo
  else
    "$@"
  fi
}

# Sets `config` to the flag for the main job's config, or to nothing where the arguments name one.
# shellcheck disable=SC2034  # those who source this read it
choose_config() {
  config=("--config=$root/configs/cpc.py")
  local argument
  for argument in "$@"; do
    case "$argument" in
      --config | --config=* | -config | -config=*) config=() ;;
    esac
  done
}

# Compiles the training step of a run for the target machines, and refuses a run that does not fit into them.
#   check_fits TARGET [arguments of main]
check_fits() {
  local target="$1" extras=tpu
  case "$target" in a100* | h100* | h200* | b200*) extras=compile-cuda ;; esac
  shift
  choose_config "$@"
  if $dry_run; then python=python; else prepare_environment "$extras"; fi
  run "$python" -m mi_coding.benchmarks.compiled --check "--target=$target" "${config[@]}" "$@" ||
    fail "nothing was started: the line above says why"
}

prepare_environment() {
  local extras="$1" environment="${VIRTUAL_ENV:-${CONDA_PREFIX:-$root/.venv}}"
  if [[ ! -x "$environment/bin/python" ]]; then
    local base="${PYTHON:-python3}"
    "$base" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
      fail "Python 3.11 or newer is needed and '$base' is not; name one: PYTHON=python3.12 bash launch/$(basename "$0")"
    echo "making a virtual environment in $environment"
    "$base" -m venv "$environment" ||
      fail "no virtual environment could be made; on Debian and Ubuntu: apt-get install python3-venv"
  fi
  python="$environment/bin/python"

  # One stamp per installed set of extras; an installation with extras also serves a request for none.
  local wanted stamps=("$environment/.mi_coding-$extras")
  wanted="$root $(cksum <"$root/setup.py")"
  [[ -n "$extras" ]] || stamps=("$environment"/.mi_coding*)
  if ! grep -qsxF "$wanted" "${stamps[@]}"; then
    echo "installing mi_coding and what it needs into $environment (a minute or two, once)"
    "$python" -m pip install --quiet --disable-pip-version-check -e "$root${extras:+[$extras]}" ||
      fail "the installation failed; the lines above say why"
    echo "$wanted" >"$environment/.mi_coding${extras:+-$extras}"
  fi
}
