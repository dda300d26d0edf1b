"""A run on a SLURM cluster: what is submitted, what a job starts, and when it goes back into the queue."""

import shutil
import signal

import pytest
from commands import ROOT

SCRIPT = ROOT / "launch" / "slurm.sbatch"


@pytest.fixture
def job(launch):
    """Inside the 77th job, which runs a copy of the script in a spool directory, in a folder with the run's."""
    launch.record("srun", "scontrol", "scancel")
    launch.python("")
    launch.script = shutil.copy(SCRIPT, launch.folder / "slurm_script")
    launch.environment |= {"SLURM_JOB_ID": "77", "SLURM_SUBMIT_DIR": str(ROOT)}
    launch.workdir = launch.folder / "run"
    launch.workdir.mkdir()
    (launch.workdir / "config.json").write_text("{}")
    return launch


def srun(launch, *words):
    python = f"{launch.environment['VIRTUAL_ENV']}/bin/python"
    flags = ["--label", "--kill-on-bad-exit=1", "--cpu-bind=none"]
    return ["srun", *flags, python, "-u", "-m", "mi_coding.main", *words]


REQUEUE = ["scontrol", "requeue", "77"]


def test_a_login_node_installs_and_submits(launch):
    launch.record("sbatch")
    launch.python('[[ "$2" != pip ]]')
    words = ["--workdir=/scratch/a b", "--config.seed=1"]
    done = launch.run("slurm.sbatch", "--nodes=8", "--gpus-per-node=8", "--", *words)
    assert done.returncode == 0, done.stderr
    assert launch.calls() == [["sbatch", "--nodes=8", "--gpus-per-node=8", str(SCRIPT), *words]]
    assert (launch.folder / "environment" / ".mi_coding-cuda").exists()


def test_dry_run_prints_what_would_be_submitted(launch):
    launch.record("sbatch")
    done = launch.run("slurm.sbatch", "--dry-run", "--nodes=2", "--", "--workdir=/x")
    assert done.stdout.split() == ["sbatch", "--nodes=2", str(SCRIPT), "--workdir=/x"]
    assert launch.calls() == []


def test_check_compiles_for_as_many_gpus_before_anything_is_submitted(launch):
    launch.record("sbatch")
    words = ["--check=h100", "--dry-run", "--nodes=2", "--gpus-per-node=8", "--", "--workdir=/x"]
    done = launch.run("slurm.sbatch", *words)
    first, second = done.stdout.splitlines()
    assert first.split()[1:5] == ["-m", "mi_coding.benchmarks.compiled", "--check", "--target=h100:2x8"]
    assert second.split() == ["sbatch", "--nodes=2", "--gpus-per-node=8", str(SCRIPT), "--workdir=/x"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--nodes=2"], "arguments of main follow --"),
        (["--"], "--workdir=DIR is needed"),
        (["--check=h100", "--", "--workdir=/x"], "--check needs --nodes=N and --gpus-per-node=N"),
    ],
)
def test_a_mistake_is_told_before_anything_is_submitted(launch, words, said):
    launch.record("sbatch")
    done = launch.run("slurm.sbatch", *words)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
    assert launch.calls() == []


def test_sbatch_finds_its_options_before_the_first_command():
    lines = SCRIPT.read_text().splitlines()
    first_command = next(i for i, line in enumerate(lines) if line and not line.startswith("#"))
    options = [i for i, line in enumerate(lines) if line.startswith("#SBATCH")]
    assert options
    assert max(options) < first_command
    for needed in ("--requeue", "--open-mode=append", "--signal=B:USR1@300", "--ntasks-per-node=1"):
        assert f"#SBATCH {needed}" in lines


def test_a_job_that_finishes_leaves_the_queue(job):
    (job.workdir / "summary.json").write_text("{}")
    done = job.run(job.script, "--workdir=run", "--config.seed=a b")
    assert done.returncode == 0, done.stderr
    assert job.calls() == [srun(job, f"--config={ROOT}/configs/cpc.py", "--workdir=run", "--config.seed=a b")]


def test_one_process_drives_all_gpus_of_its_node(job):
    (job.workdir / "summary.json").write_text("{}")
    (job.bin / "srun").write_text('#!/usr/bin/env bash\necho "devices ${JAX_LOCAL_DEVICE_IDS-unset}"\n')
    assert "devices unset" in job.run(job.script, "--workdir=run").stdout
    assert "devices 0,1,2,3" in job.run(job.script, "--workdir=run", SLURM_GPUS_ON_NODE="4").stdout


WAIT = """
touch "$HOME/began"
until [[ -e "$HOME/told" ]]; do sleep 0.05; done
sleep 0.3
echo every process saved
exit "$(cat "${0%/*}/code" 2>/dev/null || echo 0)"
"""


def begun(job):
    """A job whose processes train until scancel tells them to go."""
    (job.bin / "scancel").write_text((job.bin / "scancel").read_text() + 'touch "$HOME/told"\n')
    (job.bin / "srun").write_text((job.bin / "srun").read_text() + WAIT)
    process = job.start(job.script, "--workdir=run", LEAVE_SECONDS="0.5")
    while not (job.folder / "home" / "began").exists():
        assert process.poll() is None
    return process


def test_near_its_end_a_job_lets_its_processes_save_and_is_requeued(job):
    process = begun(job)
    process.send_signal(signal.SIGUSR1)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    saved, back = output.index("every process saved"), output.index("ended with code 0")
    assert saved < back
    assert "stopped by scancel or preemption" not in output
    assert job.calls()[1:] == [["scancel", "--signal=TERM", "77"], REQUEUE]


@pytest.mark.parametrize("code", [0, 143])
def test_a_cancelled_job_waits_for_the_end_of_its_processes(job, code):
    (job.bin / "code").write_text(str(code))
    process = begun(job)
    process.terminate()  # as SLURM does, which tells the processes too
    (job.folder / "home" / "told").touch()
    until_said(process, "stopped by scancel or preemption")
    assert len(job.calls()) == 1  # neither a second TERM, which would kill, nor the queue, which would undo the cancel
    process.kill()
    process.communicate()
    assert len(job.calls()) == 1


def until_said(process, words):
    for line in process.stdout:
        if words in line:
            return
    raise AssertionError(f"the job ended and did not say: {words}")


def test_a_job_that_nobody_takes_away_goes_back_into_the_queue(job):
    done = job.run(job.script, "--workdir", "run", LEAVE_SECONDS="0")
    assert done.returncode == 0, done.stderr
    assert job.calls()[1:] == [REQUEUE]


def test_a_crash_goes_back_into_the_queue_three_times(job):
    for crash in range(4):
        job.answer("srun", 134)
        done = job.run(job.script, "--workdir=run")
        assert done.returncode == (0 if crash < 3 else 134)
    assert job.calls().count(REQUEUE) == 3
    job.answer("srun", 134)  # another job has three of its own
    assert job.run(job.script, "--workdir=run", SLURM_JOB_ID="78").returncode == 0


def test_wrong_arguments_and_a_crash_before_the_run_are_not_requeued(job):
    job.answer("srun", 2)
    assert job.run(job.script, "--workdir=run").returncode == 2
    job.answer("srun", 1)
    assert job.run(job.script, "--workdir=nowhere").returncode == 1
    assert REQUEUE not in job.calls()
    assert not (job.folder / "nowhere").exists()
