#!/usr/bin/env bash
# The first process of a container: main, with an exit code that Kubernetes can act on. A pod that is told to go saves
# and ends well, but its work is not done: 75 in place of 0 has it started again.
set -euo pipefail

# TPU drivers lock more memory than is allowed by default. Only the TPU variant may raise it, and only it must.
ulimit -l 68719476736 2>/dev/null || true

told_to_go=false main=''
trap 'told_to_go=true; [[ -z "$main" ]] || kill -TERM "$main" || true' TERM INT
python -m mi_coding.main "$@" &
main=$!
! $told_to_go || kill -TERM "$main"

code=0
wait "$main" || code=$?
while kill -0 "$main" 2>/dev/null; do # it was the trap that ended the wait
  code=0
  wait "$main" || code=$?
done
if $told_to_go && ((code == 0)); then exit 75; fi
exit "$code"
