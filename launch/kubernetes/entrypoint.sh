#!/usr/bin/env bash
# The first process of a container: runs main and returns an exit code that Kubernetes can act on. When its
# pod is terminated, main saves and exits with 0 although its work is not done; 75 instead of 0 has the pod restarted.
set -euo pipefail

# TPU drivers lock more memory than is allowed by default. Only the TPU variant may raise the limit, and needs to.
ulimit -l 68719476736 2>/dev/null || true

told_to_go=false main=''
trap 'told_to_go=true; [[ -z "$main" ]] || kill -TERM "$main" || true' TERM INT
python -m mi_coding.main "$@" &
main=$!
! $told_to_go || kill -TERM "$main"

code=0
wait "$main" || code=$?
while kill -0 "$main" 2>/dev/null; do # the wait was interrupted by the trap
  code=0
  wait "$main" || code=$?
done
if $told_to_go && ((code == 0)); then exit 75; fi
exit "$code"
