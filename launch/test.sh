#!/usr/bin/env bash
# The tests:  bash launch/test.sh [--soak] [arguments of pytest]
#   --soak    instead of the others those that take long, such as a run that is killed at twenty random moments
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
prepare_environment "test"

marked=()
[[ "${1:-}" != --soak ]] || { marked=(-m soak) && shift; }
cd "$root"
exec "$python" -m pytest "${marked[@]}" "$@"
