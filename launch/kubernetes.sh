#!/usr/bin/env bash
# A run on a Kubernetes cluster with JobSet installed, by kubectl.
#   bash launch/kubernetes.sh STEP [options] [-- arguments of main]
#
#   apply    start the run, or resume it after a failure
#   logs     follow the log of the first process
#   status   show the JobSet and its pods
#   delete   stop the run: every process saves and exits; the data in the claim stays
#
# --name=NAME           mi-coding by default; the work directory is /runs/NAME
# --namespace=SPACE     by default kubectl's
# --image=IMAGE         the image that was built from kubernetes/Dockerfile and pushed
# --claim=CLAIM         a PersistentVolumeClaim that many nodes may write to; it becomes /runs
# --hosts=N             number of pods, one per host
# --gpus=N              GPUs per host, or
# --tpu=ACCELERATOR --topology=4x4 --chips=4
#                       GKE's names for a TPU slice, such as tpu-v5-lite-podslice, and the chips per host
# --select=LABEL=VALUE  only nodes with this label; may be repeated
# --exclusive=LABEL     one run per group of nodes with this label; cloud.google.com/gke-nodepool for a TPU
# --check[=GPU]         before applying, compile for the TPU, or for a GPU such as h100; refuse a run that does not fit
# --dry-run             print every command, and the manifest that would be applied
set -euo pipefail
shopt -s inherit_errexit

source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

read_options() {
  while (($#)); do
    case "$1" in
      --name=?*) name="${1#*=}" ;;
      --namespace=?*) space=("$1") ;;
      --image=?*) image="${1#*=}" ;;
      --claim=?*) claim="${1#*=}" ;;
      --hosts=[1-9]*) hosts="${1#*=}" ;;
      --gpus=[1-9]*) gpus="${1#*=}" ;;
      --tpu=?*) tpu="${1#*=}" exclusive="${exclusive:-cloud.google.com/gke-nodepool}" ;;
      --topology=?*) topology="${1#*=}" ;;
      --chips=[1-9]*) chips="${1#*=}" ;;
      --select=?*=?*) select+=("${1#*=}") ;;
      --exclusive=?*) exclusive="${1#*=}" ;;
      --check) check=tpu ;;
      --check=?*) check="${1#*=}" ;;
      --dry-run) dry_run=true ;;
      --) shift && main=("$@") && return ;;
      *) fail "'$1' is not an option, or lacks its value; --help lists them, and arguments of main follow --" ;;
    esac
    shift
  done
}

check_options() {
  [[ "$name" =~ ^[a-z]([a-z0-9-]{0,40}[a-z0-9])?$ ]] || fail "--name=$name must be small letters, digits and hyphens"
  $dry_run || command -v kubectl >/dev/null || fail "kubectl is needed; see kubernetes.io/docs/tasks/tools"
  [[ "$step" == apply || -z "$check" ]] || fail "--check goes with apply"
  [[ "$step" == apply ]] || return 0
  [[ -n "$image" && -n "$claim" ]] || fail "--image=IMAGE and --claim=CLAIM are needed"
  [[ "$hosts" =~ ^[0-9]+$ ]] || fail "--hosts=N is needed: how many pods, one a host"
  if [[ -n "$tpu" ]]; then
    [[ -z "$gpus" && -n "$topology" && "$chips" =~ ^[0-9]+$ ]] || fail "with --tpu go --topology and --chips, not --gpus"
  else
    [[ "$gpus" =~ ^[0-9]+$ ]] || fail "--gpus=N or --tpu=ACCELERATOR is needed"
  fi
  [[ "${main[*]:-}" != *--workdir* ]] || fail "the work directory is /runs/$name; choose another with --name"
}

# The machines of a run, as named by mi_coding.benchmarks.compiled.
target_of() {
  case "$tpu" in
    tpu-v5-lite-podslice) echo "v5e:$topology" ;;
    tpu-v5p-slice) echo "v5p:$topology" ;;
    tpu-v6e-slice) echo "v6e:$topology" ;;
    '')
      [[ "$check" != tpu ]] || fail "--check=GPU is needed, such as --check=h100"
      echo "$check:${hosts}x$gpus"
      ;;
    *) fail "--check knows no --tpu=$tpu" ;;
  esac
}

# A JSON string, which is also a YAML string.
quote() {
  local text="${1//\\/\\\\}"
  [[ "$text" != *[[:cntrl:]]* ]] || fail "an argument may not hold control characters"
  printf '"%s"' "${text//\"/\\\"}"
}

# LABEL=VALUE pairs as a one-line YAML mapping.
mapping() {
  local pair separator='' text=''
  for pair in "$@"; do
    text+="$separator$(quote "${pair%%=*}"): $(quote "${pair#*=}")"
    separator=', '
  done
  echo "{$text}"
}

# Strings as a one-line YAML list. In arguments, Kubernetes replaces $(VARIABLE), and reads $$ as one $.
list() {
  local item separator='' text=''
  for item in "$@"; do
    text+="$separator$(quote "$item")"
    separator=', '
  done
  echo "[$text]"
}

# On a TPU, main finds its peers from what GKE provides; on GPUs they are passed as arguments. A TPU's device files
# belong to root, and its driver locks memory.
render() {
  local text limits security place=()
  if [[ -n "$tpu" ]]; then
    select+=("cloud.google.com/gke-tpu-accelerator=$tpu" "cloud.google.com/gke-tpu-topology=$topology")
    limits="{google.com/tpu: $chips}"
    security='{allowPrivilegeEscalation: false, capabilities: {add: [SYS_RESOURCE], drop: [ALL]}, runAsUser: 0}'
  else
    # shellcheck disable=SC2016  # Kubernetes fills this in
    place=("--coordinator=$name-workers-0-0.$name:8476" "--num_processes=$hosts" '--process_id=$(JOB_COMPLETION_INDEX)')
    limits="{nvidia.com/gpu: $gpus}"
    security='{allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}, runAsNonRoot: true, runAsUser: 1000}'
  fi
  choose_config "${main[@]}"
  local arguments
  arguments="$(list "${config[@]/#--config=$root\//--config=}" "--workdir=/runs/$name" "${place[@]}" "${main[@]//\$/\$\$}")"

  text="$(<"$root/launch/kubernetes/jobset.yaml")"
  text="${text//\$NAME/$name}"
  text="${text//\$EXCLUSIVE/$(mapping ${exclusive:+"alpha.jobset.sigs.k8s.io/exclusive-topology=$exclusive"})}"
  text="${text//\$HOSTS/$hosts}"
  text="${text//\$SELECTOR/$(mapping "${select[@]}")}"
  text="${text//\$IMAGE/$(quote "$image")}"
  text="${text//\$LIMITS/$limits}"
  text="${text//\$SECURITY/$security}"
  text="${text//\$CLAIM/$(quote "$claim")}"
  echo "${text//\$ARGUMENTS/"$arguments"}"
}

kube() {
  run kubectl "${space[@]}" "$@"
}

delete() {
  kube delete jobset "$name" --ignore-not-found
}

apply() {
  local manifest end=''
  manifest="$(render)"
  $dry_run || end="$(kube get jobset "$name" --ignore-not-found --output='jsonpath={.status.terminalState}')"
  [[ "$end" != Failed ]] || delete # applying a failed JobSet again does not restart it
  kube apply --filename=- <<<"$manifest"
  ! $dry_run || echo "$manifest"
}

step="${1:-}"
[[ "$step" != --help && "$step" != -h ]] || { manual && exit; }
shift || true
name=mi-coding image='' claim='' hosts='' gpus='' tpu='' topology='' chips='' check='' exclusive='' space=() select=() main=()
read_options "$@"
pods="jobset.sigs.k8s.io/jobset-name=$name"
case "$step" in
  apply | logs | status | delete) check_options ;;
  *) fail "'$step' is not a step; --help lists them" ;;
esac
if [[ -n "$check" ]]; then
  target="$(target_of)"
  check_fits "$target" "${main[@]}"
fi
case "$step" in
  logs) kube logs --follow --tail=-1 --container=main "--selector=$pods,batch.kubernetes.io/job-completion-index=0" ;;
  status) kube get jobset "$name" && kube get pods "--selector=$pods" ;;
  *) "$step" ;;
esac
