"""A run on Kubernetes: the JobSet against its schema, what kubectl is asked, and what a container does."""

import json
import re
import signal
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml
from commands import ROOT
from recorders import executable

HERE = ROOT / "launch" / "kubernetes"
SCHEMA = json.loads(Path(__file__).with_name("jobset_schema.json").read_text())
SOME = ["--image=me/mi_coding:1.0", "--claim=runs", "--hosts=4"]
GPUS = [*SOME, "--gpus=8", "--select=gpu.example/model=h200"]
TPU = [*SOME, "--tpu=tpu-v5-lite-podslice", "--topology=4x4", "--chips=4"]


def rendered(launch, *options):
    done = launch.run("kubernetes.sh", "apply", "--dry-run", *options)
    assert done.returncode == 0, done.stderr
    command, _, manifest = done.stdout.partition("\n")
    assert command.split() == ["kubectl", "apply", "--filename=-"]
    return yaml.safe_load(manifest)


def job_of(jobset):
    return jobset["spec"]["replicatedJobs"][0]["template"]["spec"]


def pod_of(jobset):
    return job_of(jobset)["template"]["spec"]


@pytest.mark.parametrize("options", [GPUS, TPU, [*GPUS, "--name=second", "--exclusive=rack"]])
def test_the_jobset_fits_its_schema(launch, options):
    jobset = rendered(launch, *options)
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(jobset, SCHEMA)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda jobset: jobset["spec"].update(maxRestarts=3),
        lambda jobset: job_of(jobset).update(parallelism="4"),
        lambda jobset: pod_of(jobset).update(restartPolicy="OnFailure"),
        lambda jobset: pod_of(jobset)["containers"][0].pop("image"),
        lambda jobset: pod_of(jobset)["containers"][0]["args"].append(3),
        lambda jobset: jobset["metadata"].update(name="Not_Small"),
    ],
)
def test_the_schema_sees_what_is_wrong(launch, spoil):
    jobset = rendered(launch, *GPUS)
    spoil(jobset)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(jobset, SCHEMA)


def test_processes_on_gpus_are_told_where_they_meet(launch):
    jobset = rendered(launch, *GPUS, "--name=second")
    container = pod_of(jobset)["containers"][0]
    workers = jobset["spec"]["replicatedJobs"][0]
    # JobSet names pods <jobset>-<replicated job>-<job>-<pod>, in the subdomain of the JobSet's name.
    first = f"{jobset['metadata']['name']}-{workers['name']}-0-0.{jobset['metadata']['name']}"
    port = container["ports"][0]["containerPort"]
    assert container["args"] == [
        "--config=configs/cpc.py",
        "--workdir=/runs/second",
        f"--coordinator={first}:{port}",
        "--num_processes=4",
        "--process_id=$(JOB_COMPLETION_INDEX)",
    ]
    assert job_of(jobset)["completionMode"] == "Indexed"  # which sets that variable
    assert job_of(jobset)["parallelism"] == job_of(jobset)["completions"] == 4
    assert container["resources"] == {"limits": {"nvidia.com/gpu": 8}}
    assert container["securityContext"]["runAsNonRoot"]
    assert pod_of(jobset)["nodeSelector"] == {"gpu.example/model": "h200"}
    assert jobset["metadata"]["annotations"] == {}


def test_processes_on_a_tpu_have_their_slice_for_themselves(launch):
    jobset = rendered(launch, *TPU)
    assert pod_of(jobset)["containers"][0]["args"] == ["--config=configs/cpc.py", "--workdir=/runs/mi-coding"]
    assert pod_of(jobset)["containers"][0]["resources"] == {"limits": {"google.com/tpu": 4}}
    assert pod_of(jobset)["nodeSelector"] == {
        "cloud.google.com/gke-tpu-accelerator": "tpu-v5-lite-podslice",
        "cloud.google.com/gke-tpu-topology": "4x4",
    }
    exclusive = {"alpha.jobset.sigs.k8s.io/exclusive-topology": "cloud.google.com/gke-nodepool"}
    assert jobset["metadata"]["annotations"] == exclusive


def test_arguments_reach_main_as_they_were(launch):
    words = ["--config=a b.py", r"""--x="it's" \ & # $NAME ü: {}"""]
    args = pod_of(rendered(launch, *GPUS, "--", *words))["containers"][0]["args"]
    assert [arg.replace("$$", "$") for arg in args[-2:]] == words
    assert "$$NAME" in args[-1]  # or Kubernetes would take $(…) for a variable
    assert not any("configs/cpc.py" in arg for arg in args)


def test_what_the_jobset_refers_to_is_there(launch):
    for options in (GPUS, TPU):
        jobset = rendered(launch, *options)
        (container,) = pod_of(jobset)["containers"]
        assert {mount["name"] for mount in container["volumeMounts"]} == {v["name"] for v in pod_of(jobset)["volumes"]}
        (rule,) = job_of(jobset)["podFailurePolicy"]["rules"]
        assert rule["onExitCodes"]["containerName"] == container["name"]
        assert pod_of(jobset)["terminationGracePeriodSeconds"] >= 120
        assert not pod_of(jobset)["automountServiceAccountToken"]


@pytest.fixture
def cluster(launch):
    launch.record("kubectl")
    return launch


GET = ["kubectl", "get", "jobset", "mi-coding", "--ignore-not-found", "--output=jsonpath={.status.terminalState}"]
DELETE = ["kubectl", "delete", "jobset", "mi-coding", "--ignore-not-found"]


def test_a_run_is_applied_and_applied_again(cluster):
    (cluster.bin / "kubectl").write_text((cluster.bin / "kubectl").read_text() + '[[ "$1" != apply ]] || cat\n')
    first, second = (cluster.run("kubernetes.sh", "apply", *GPUS) for _ in range(2))
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout
    jsonschema.validate(yaml.safe_load(first.stdout), SCHEMA)
    assert cluster.calls() == [GET, ["kubectl", "apply", "--filename=-"]] * 2


def test_a_run_that_failed_makes_way_for_its_continuation(cluster):
    cluster.answer("get jobset", output="Failed")
    assert cluster.run("kubernetes.sh", "apply", *GPUS).returncode == 0
    assert cluster.calls() == [GET, DELETE, ["kubectl", "apply", "--filename=-"]]


def test_the_other_steps_are_calls_in_the_namespace(cluster):
    for step in ("logs", "status", "delete"):
        assert cluster.run("kubernetes.sh", step, "--namespace=ours").returncode == 0
    selector = "--selector=jobset.sigs.k8s.io/jobset-name=mi-coding"
    index = ",batch.kubernetes.io/job-completion-index=0"
    assert cluster.calls() == [
        ["kubectl", "--namespace=ours", "logs", "--follow", "--tail=-1", "--container=main", selector + index],
        ["kubectl", "--namespace=ours", "get", "jobset", "mi-coding"],
        ["kubectl", "--namespace=ours", "get", "pods", selector],
        ["kubectl", "--namespace=ours", *DELETE[1:]],
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fly"], "'fly' is not a step"),
        (["apply", *GPUS[1:]], "--image=IMAGE and --claim=CLAIM are needed"),
        (["apply", *GPUS, "--hosts=4x"], "--hosts=N is needed"),
        (["apply", *SOME], "--gpus=N or --tpu=ACCELERATOR is needed"),
        (["apply", *TPU, "--gpus=8"], "with --tpu go --topology and --chips"),
        (["apply", *GPUS, "--name=Mine"], "--name=Mine must be"),
        (["apply", *GPUS, "--", "--workdir=/x"], "the work directory is /runs/mi-coding"),
        (["apply", *GPUS, "--", "a\nb"], "may not hold control characters"),
        (["apply", *GPUS, "--config.seed=1"], "arguments of main follow --"),
    ],
)
def test_a_mistake_is_told_in_one_line_before_anything_is_called(cluster, words, said):
    done = cluster.run("kubernetes.sh", *words)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
    assert cluster.calls() == []


@pytest.mark.parametrize("code", [0, 1, 2, 134])
def test_a_container_ends_with_mains_code(launch, code):
    executable(launch.bin / "python", f'#!/usr/bin/env bash\necho "$*"\nexit {code}\n')
    done = launch.run("kubernetes/entrypoint.sh", "--config=a b", "c")
    assert done.returncode == code
    assert done.stdout == "-m mi_coding.main --config=a b c\n"


@pytest.mark.parametrize(("code", "ends_with"), [(0, 75), (1, 1)])
def test_a_container_that_is_told_to_go_is_not_done(launch, code, ends_with):
    main = f"#!/usr/bin/env bash\ntrap 'sleep 0.2; exit {code}' TERM\necho began\nwhile true; do sleep 0.05; done\n"
    executable(launch.bin / "python", main)
    process = launch.start("kubernetes/entrypoint.sh")
    assert process.stdout.readline() == "began\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == ends_with
    process.communicate()


def instructions():
    text = re.sub(r"^#.*\n", "", (HERE / "Dockerfile").read_text(), flags=re.MULTILINE)
    return [line.split(maxsplit=1) for line in text.splitlines() if line]


def test_the_image_has_a_pinned_base_and_no_root():
    lines = instructions()
    assert re.fullmatch(r"python:3\.1[12]\.\d+-slim-bookworm", dict(lines)["FROM"])
    users = [i for i, (word, _) in enumerate(lines) if word == "USER"]
    assert lines[users[-1]][1] == "1000:1000"
    assert users[-1] < [word for word, _ in lines].index("ENTRYPOINT")


def test_the_image_copies_files_that_are_there_and_that_its_context_has():
    kept = [line[1:] for line in (HERE / "Dockerfile.dockerignore").read_text().splitlines() if line[0] == "!"]
    copied = [path for word, rest in instructions() if word == "COPY" for path in rest.split()[:-1]]
    assert sorted(copied) == sorted(kept)
    assert all((ROOT / path).exists() for path in copied)


def test_packages_are_copied_before_they_are_installed():
    lines = instructions()
    install = next(i for i, (word, rest) in enumerate(lines) if word == "RUN" and "pip install" in rest)
    before = {path for word, rest in lines[:install] if word == "COPY" for path in rest.split()[:-1]}
    assert {"setup.py", "README.md", "mi_coding", "configs"} <= before  # what setup.py reads


def test_the_images_extras_are_those_of_setup():
    extras = re.search(r"extras_require=\{(.*?)\n    \}", (ROOT / "setup.py").read_text(), re.DOTALL).group(1)
    for name in re.findall(r"EXTRAS=(\w+)", (HERE / "Dockerfile").read_text()):
        assert f'"{name}":' in extras


def test_shell_of_the_image_takes_no_extras_for_none():
    (install,) = [rest for word, rest in instructions() if word == "RUN" and "pip install" in rest]
    for extras, wanted in (("", "."), ("tpu", ".[tpu]")):
        command = install.replace("pip install", "printf '%s\\n'")
        said = subprocess.run(["sh", "-c", command], env={"EXTRAS": extras}, capture_output=True, text=True).stdout
        assert said.splitlines()[-1] == wanted


@pytest.mark.parametrize(
    ("options", "target"), [(["--check", *TPU], "v5e:4x4"), (["--check=h100", *GPUS], "h100:4x8")], ids=["tpu", "gpu"]
)
def test_check_compiles_for_the_machines_before_anything_is_applied(launch, options, target):
    done = launch.run("kubernetes.sh", "apply", "--dry-run", *options)
    words = done.stdout.splitlines()[0].split()
    assert words[1:5] == ["-m", "mi_coding.benchmarks.compiled", "--check", f"--target={target}"]


@pytest.mark.parametrize(
    ("step", "options", "said"),
    [
        ("apply", ["--check", *GPUS], "--check=GPU is needed"),
        ("delete", ["--check", *TPU], "--check goes with apply"),
    ],
)
def test_a_check_that_cannot_be_is_refused(launch, step, options, said):
    done = launch.run("kubernetes.sh", step, "--dry-run", *options)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert said in done.stderr
