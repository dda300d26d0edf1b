#!/usr/bin/env bash
# The tests:  bash launch/test.sh [--soak | --accelerators] [arguments of pytest]
#   --soak          only the slow tests, such as a run that is killed at twenty random moments
#   --accelerators  only the tests that compile every config for TPUs and GPUs, whose compilers it installs
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
extras=test marked=()
case "${1:-}" in
  --soak) marked=(-m soak) && shift ;;
  --accelerators) extras=test,tpu,compile-cuda marked=(-m accelerators) && shift ;;
esac
prepare_environment "$extras"
cd "$root"
exec "$python" -m pytest "${marked[@]}" "$@"
