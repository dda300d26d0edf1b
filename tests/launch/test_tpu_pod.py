"""A run on a TPU pod: what gcloud is asked, and what each worker does."""

import re
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest
from commands import ROOT
from recorders import executable

PLACE = ["--zone=us-central1-a", "--project=mine"]
OPTIONS = ["--name=cpc", *PLACE]
RUN = [*OPTIONS, "--type=v5litepod-256", "--storage=gs://bucket/runs", "--spot", "--create-flag=--internal-ips"]
CREATE = [
    "--node-id=cpc",
    "--accelerator-type=v5litepod-256",
    "--runtime-version=v2-alpha-tpuv5-lite",
    "--spot",
    "--internal-ips",
]


def queue(step, *flags):
    return ["gcloud", "compute", "tpus", "queued-resources", step, "cpc", *PLACE, *flags]


def on(worker, command):
    return ["gcloud", "compute", "tpus", "tpu-vm", "ssh", "cpc", *PLACE, "--quiet", f"--worker={worker}", command]


def worker_step(worker, *words):
    return on(worker, f"--command={shlex.join(['bash', 'mi_coding/launch/tpu_worker.sh', *words])}")


STATE = queue("describe", "--format=value(state.state)")
ARCHIVE = ["git", "-C", str(ROOT), "archive", "--format=tar.gz", "--prefix=mi_coding/", "--output=ARCHIVE", "HEAD"]
COPY = ["gcloud", "compute", "tpus", "tpu-vm", "scp", "ARCHIVE", "cpc:", *PLACE, "--quiet", "--worker=all"]
UNPACK = on(
    "all",
    "--command=mkdir -p .mi_coding && flock --nonblock --conflict-exit-code 0 .mi_coding/lock "
    "sh -c 'rm -rf mi_coding && tar -xzf mi_coding.tar.gz'",
)
START = worker_step("all", "start", "--config=configs/cpc.py", "--workdir=/mnt/mi_coding/cpc")
BEGIN = [ARCHIVE, COPY, UNPACK, worker_step("all", "prepare", "gs://bucket/runs"), START]
FOLLOW = worker_step(0, "follow")
FINISHED = worker_step(0, "finished", "/mnt/mi_coding/cpc")
STOP = worker_step("all", "stop")
DELETE = queue("delete", "--force", "--quiet")


def cleaned(calls):
    """The archive lies in a folder whose name changes."""
    return [[re.sub(r"[^ =]*/mi_coding\.tar\.gz", "ARCHIVE", word) for word in call] for call in calls]


@pytest.fixture
def pod(launch):
    launch.record("gcloud", "git")
    launch.states = lambda *states: [launch.answer("queued-resources describe", output=state) for state in states]
    launch.absent = lambda: launch.answer("queued-resources describe", 1, "ERROR: NOT_FOUND: no such resource")
    return launch


def test_one_command_does_all_from_asking_to_deleting(pod):
    pod.absent()
    pod.states("WAITING_FOR_RESOURCES", "PROVISIONING", "ACTIVE")
    done = pod.run("tpu_pod.sh", "run", *RUN)
    assert done.returncode == 0, done.stderr
    assert cleaned(pod.calls()) == [
        STATE,
        queue("create", *CREATE),
        *[STATE] * 3,
        *BEGIN,
        FOLLOW,
        FINISHED,
        DELETE,
    ]
    assert "cpc: WAITING_FOR_RESOURCES" in done.stderr


def test_dry_run_prints_the_commands_of_a_run_and_calls_nothing(pod):
    done = pod.run("tpu_pod.sh", "run", *RUN, "--dry-run")
    assert pod.calls() == []
    printed = cleaned(shlex.split(line) for line in done.stdout.splitlines())
    assert printed == [queue("create", *CREATE), STATE, *BEGIN, FOLLOW, FINISHED, DELETE]


def test_check_compiles_for_the_type_before_a_pod_is_asked_for(pod):
    done = pod.run("tpu_pod.sh", "run", "--check", *RUN, "--dry-run")
    first = shlex.split(done.stdout.splitlines()[0])
    kind = next(word for word in CREATE if word.startswith("--accelerator-type=")).partition("=")[2]
    assert first[1:5] == ["-m", "mi_coding.benchmarks.compiled", "--check", f"--target={kind}"]
    refused = pod.run("tpu_pod.sh", "delete", "--check", *OPTIONS, "--dry-run")
    assert (refused.returncode, "--check goes with create and run" in refused.stderr) == (2, True)


def test_nothing_is_left_behind_on_this_machine(pod):
    pod.states("ACTIVE")
    pod.run("tpu_pod.sh", "run", *RUN, TMPDIR=str(pod.bin))
    archive = next(word for word in pod.calls()[1] if "--output=" in word).partition("=")[2]
    assert archive.startswith(str(pod.bin))
    assert not Path(archive).parent.exists()


def test_a_pod_that_is_there_is_used_and_may_be_kept(pod):
    pod.states("ACTIVE")
    assert pod.run("tpu_pod.sh", "run", *RUN, "--keep").returncode == 0
    assert cleaned(pod.calls()) == [STATE, *BEGIN, FOLLOW, FINISHED]


@pytest.mark.parametrize("code", [0, 75, 255])
def test_a_preempted_pod_is_replaced_and_its_run_continued(pod, code):
    pod.states("ACTIVE")
    pod.answer("follow", code)
    if code == 0:  # it saved before its machine was taken away
        pod.answer("finished", 1)
    pod.states("SUSPENDING", "SUSPENDED")
    pod.absent()
    pod.states("ACTIVE")
    done = pod.run("tpu_pod.sh", "run", *RUN)
    assert done.returncode == 0, done.stderr
    again = [STATE, STATE, DELETE, STATE, queue("create", *CREATE), STATE, *BEGIN, FOLLOW, FINISHED, DELETE]
    assert cleaned(pod.calls()) == [STATE, *BEGIN, FOLLOW, *[FINISHED] * (code == 0), *again]


def test_a_crash_stops_every_worker_and_is_tried_again_three_times(pod):
    pod.states(*["ACTIVE"] * 4)
    for _ in range(4):
        pod.answer("follow", 134)
    done = pod.run("tpu_pod.sh", "run", *RUN)
    assert done.returncode == 2
    assert "failed 4 times, last with code 134; the pod is still there" in done.stderr
    calls = cleaned(pod.calls())
    assert (calls.count(FOLLOW), calls.count(STOP), calls.count(DELETE)) == (4, 3, 0)


def test_a_pod_that_is_not_granted_is_asked_for_four_times(pod):
    for _ in range(4):
        pod.absent()
        pod.answer("queued-resources create", 1, "ERROR: no quota")
    done = pod.run("tpu_pod.sh", "run", *RUN)
    assert done.returncode == 2
    assert done.stdout.count("ERROR: no quota") == 4
    assert "failed 4 times" in done.stderr


@pytest.mark.parametrize(("code", "said"), [(2, "refused, as told above"), (130, "stopped by hand")])
def test_what_no_repetition_mends_ends_the_run_and_keeps_the_pod(pod, code, said):
    pod.states("ACTIVE")
    pod.answer("follow", code)
    done = pod.run("tpu_pod.sh", "run", *RUN)
    assert done.returncode == 2
    assert said in done.stderr
    assert cleaned(pod.calls())[-1] == FOLLOW


def test_a_request_that_failed_is_told(pod):
    pod.states("FAILED")
    done = pod.run("tpu_pod.sh", "create", *RUN)
    assert done.returncode == 2
    assert "the request failed" in done.stderr
    assert pod.calls() == [STATE, queue("describe")]


def test_gcloud_that_cannot_answer_is_asked_ten_times(pod):
    for _ in range(11):
        pod.answer("queued-resources describe", 1, "ERROR: no network")
    done = pod.run("tpu_pod.sh", "create", *RUN)
    assert done.returncode == 2
    assert "ERROR: no network" in done.stderr
    assert pod.calls() == [STATE] * 11


@pytest.mark.parametrize(
    ("step", "call"), [("logs", FOLLOW), ("stop", STOP), ("status", STATE), ("delete", DELETE), ("start", START)]
)
def test_single_steps_are_single_calls(pod, step, call):
    assert pod.run("tpu_pod.sh", step, *OPTIONS).returncode == 0
    assert pod.calls() == [call]


def test_arguments_of_main_reach_the_worker_as_they_were(pod):
    words = ["--config=a b.py", "--config.data.source=folder:/x/it's $HOME", "--config.w=(4,8)"]
    pod.run("tpu_pod.sh", "start", *OPTIONS, "--", *words)
    command = pod.calls()[0][-1].removeprefix("--command=")
    said = subprocess.run(["bash", "-c", f"printf '%s\\n' {command}"], capture_output=True, text=True).stdout
    assert said.splitlines()[3:] == ["--workdir=/mnt/mi_coding/cpc", *words]


@pytest.mark.parametrize(
    ("kind", "runtime"),
    [("v6e-8", "v2-alpha-tpuv6e"), ("v5p-128", "v2-alpha-tpuv5"), ("v4-32", "tpu-ubuntu2204-base")],
)
def test_the_software_version_follows_the_type(pod, kind, runtime):
    done = pod.run("tpu_pod.sh", "create", *OPTIONS, f"--type={kind}", "--dry-run")
    assert f"--runtime-version={runtime}" in done.stdout.splitlines()[0].split()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fly"], "'fly' is not a step"),
        ([], "'' is not a step"),
        (["run", "--zone=z", "--type=v4-8", "--storage=gs://b"], "--name=NAME is needed"),
        (["run", "--name=Mine", "--zone=z"], "--name=NAME is needed"),
        (["logs", "--name=cpc"], "--zone=ZONE is needed"),
        (["create", *OPTIONS], "--type=TYPE is needed"),
        (["run", *OPTIONS, "--type=v4-8"], "--storage=gs://BUCKET or HOST:/SHARE is needed"),
        (["run", *OPTIONS, "--storage=/here"], "'--storage=/here' is not an option, or lacks its value"),
        (["logs", *OPTIONS, "--config.seed=1"], "arguments of main follow --"),
        (["start", *OPTIONS, "--", "--workdir=/x"], "the work directory is /mnt/mi_coding/cpc"),
    ],
)
def test_a_mistake_is_told_in_one_line_before_anything_is_called(pod, words, said):
    done = pod.run("tpu_pod.sh", *words)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
    assert pod.calls() == []


# One worker, for real: only Python, mounts and the package manager are stand-ins.

WORKER = ROOT / "launch" / "tpu_worker.sh"
MAIN = r"""
echo "began $*" | tee -a "$HOME/began"
trap 'echo saved; exit 0' TERM
while [[ -e "$HOME/wait" ]]; do sleep 0.05; done
echo last words
exit "${CODE:-0}"
"""


@pytest.fixture
def worker(launch):
    launch.environment["VIRTUAL_ENV"] = str(Path(launch.environment["HOME"]) / ".mi_coding" / "environment")
    launch.python(MAIN)
    launch.home = Path(launch.environment["HOME"])
    yield launch
    launch.run("tpu_worker.sh", "stop")


def test_a_worker_starts_once_prints_its_log_and_ends_with_mains_code(worker):
    (worker.home / "wait").touch()
    for _ in range(2):
        assert worker.run("tpu_worker.sh", "start", "--config=a b", CODE="7").returncode == 0
    following = worker.start("tpu_worker.sh", "follow")
    (worker.home / "wait").unlink()
    output, _ = following.communicate(timeout=60)
    assert following.returncode == 7
    assert output.splitlines() == ["began -u -m mi_coding.main --config=a b", "last words"]
    assert (worker.home / "began").read_text().count("\n") == 1


def test_a_worker_that_is_stopped_saves_and_says_that_it_was_stopped(worker):
    (worker.home / "wait").touch()
    worker.run("tpu_worker.sh", "start")
    assert worker.run("tpu_worker.sh", "stop").returncode == 0
    done = worker.run("tpu_worker.sh", "follow")
    assert done.returncode == 130
    assert "saved" in done.stdout
    (worker.home / "wait").unlink()
    worker.run("tpu_worker.sh", "start")  # and starts anew
    assert worker.run("tpu_worker.sh", "follow").returncode == 0


def test_a_worker_whose_machine_went_down_says_that_it_was_cut_off(worker):
    (worker.home / "wait").touch()
    worker.run("tpu_worker.sh", "start")
    main = int((worker.home / ".mi_coding" / "pid").read_text())
    keeper = int(Path(f"/proc/{main}/stat").read_text().split()[3])
    following = worker.start("tpu_worker.sh", "follow")
    time.sleep(0.2)
    subprocess.run(["kill", f"-{signal.SIGKILL}", str(keeper), str(main)], check=True)
    following.communicate(timeout=60)
    assert following.returncode == 75


def test_storage_that_cannot_be_mounted_installs_nothing(worker):
    worker.record("mountpoint", "sudo", "gcsfuse")
    worker.answer("mountpoint", 1)
    worker.answer("gcsfuse", 1)
    assert worker.run("tpu_worker.sh", "prepare", "gs://bucket").returncode == 1
    assert not list((worker.home / ".mi_coding" / "environment").glob(".mi_coding*"))


def test_a_worker_has_finished_when_the_summary_is_written(worker, tmp_path):
    assert worker.run("tpu_worker.sh", "finished", tmp_path / "run").returncode == 1
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "summary.json").write_text("{}")
    assert worker.run("tpu_worker.sh", "finished", tmp_path / "run").returncode == 0


MOUNT = "/mnt/mi_coding"


@pytest.mark.parametrize(
    ("storage", "mounted"),
    [
        ("gs://bucket/some/folder", ["gcsfuse", "--implicit-dirs", "--only-dir", "some/folder", "bucket", MOUNT]),
        ("gs://bucket", ["gcsfuse", "--implicit-dirs", "bucket", MOUNT]),
        ("10.0.0.2:/share", ["sudo", "mount", "-t", "nfs", "-o", "hard", "10.0.0.2:/share", MOUNT]),
    ],
)
def test_a_worker_mounts_its_storage_once(worker, storage, mounted):
    worker.record("mountpoint", "sudo", "gcsfuse", "mount.nfs")
    worker.answer("mountpoint", 1)
    assert worker.run("tpu_worker.sh", "prepare", storage).returncode == 0
    calls = [call for call in worker.calls() if call[1:2] not in (["chown"], ["chmod"])]
    assert calls == [["mountpoint", "--quiet", MOUNT], ["sudo", "mkdir", "-p", MOUNT], mounted]
    assert worker.run("tpu_worker.sh", "prepare", storage).returncode == 0
    assert worker.calls()[-1] == ["mountpoint", "--quiet", MOUNT]


def test_a_worker_with_an_old_python_brings_a_newer_one(worker):
    worker.record("mountpoint")
    executable(worker.bin / "newer", '#!/usr/bin/env bash\n[[ "$2" != venv ]] || mkdir -p "$3"\n')
    python = Path(worker.environment["VIRTUAL_ENV"]) / "bin" / "python"
    python.unlink()
    worker.record("python3")
    worker.answer("python3 -c", 1)
    worker.answer("uv python find", 0, str(worker.bin / "newer"))
    worker.run("tpu_worker.sh", "prepare", "gs://bucket")
    steps = [call[:4] for call in worker.calls() if call[0] == "python3"]
    assert steps[1:] == [
        ["python3", "-m", "pip", "install"],
        ["python3", "-m", "uv", "python"],
        ["python3", "-m", "uv", "python"],
    ]
    assert Path(worker.environment["VIRTUAL_ENV"]).is_dir()
