#!/usr/bin/env bash
# The main job on this machine: CPC on pairs of frames of moving digits, unless --config says otherwise.
#   bash launch/local.sh [--config=FILE] [--workdir=DIR] [--config.KEY=VALUE …]
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
prepare_environment ""
choose_config "$@"
exec "$python" -m mi_coding.main "${config[@]}" "$@"
