#!/usr/bin/env bash
# The tests:  bash launch/test.sh [arguments of pytest]
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
prepare_environment "test"

cd "$root"
exec "$python" -m pytest "$@"
