"""Every mistake of a user: one clear line on stderr, exit code 2, no traceback, nothing written."""

import errno
import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from commands import CPC, read_config, start

from mi_coding import main
from mi_coding.command import check_output, run_command
from mi_coding.errors import InputError, SaveError
from mi_coding.runs import build


def refused(capsys, *arguments, config=CPC):
    """The one line that `main` says before it ends with code 2."""
    assert main.main(["main", *([f"--config={config}"] if config else []), *map(str, arguments)]) == 2
    printed = capsys.readouterr()
    lines = printed.err.strip().splitlines()
    assert len(lines) == 1, printed.err
    assert printed.out == ""
    return lines[0].removeprefix("mi_coding: error: ")


def plan(*arguments):
    """The objects that a command line describes, as the command makes them before it reads data or writes."""
    command = build.parse(["main", *arguments])
    return build.plan(command.config, command.typed)


COTRAINING = "--config.objective.name=cotraining"


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("--config.pairs=3", ["group of keys", "config.pairs.gap"]),
        ("--batch_size=64", ["batch_size"]),
        ("--wrokdir=/tmp/x", ["wrokdir", "workdir"]),
        ("--config.batch_size=many", ["config.batch_size='many'", "a whole number", "256"]),
        ("--config.batch_size=100", ["must be a multiple of 8, the number of devices", "96 and 104"]),
        ("--config.batch_size=1", ["at least 2"]),
        ("--config.evaluation.num_pairs=1", ["evaluation.num_pairs=1", "2"]),
        ("--config.batch_size=4", ["must be a multiple of 8, the number of devices", "nearest are 8"]),
        ("--config.microbatch_size=5", ["must divide the 32 pairs of each of 8 device(s)", "4 and 8"]),
        ("--config.objective.num_distractors=256", ["more than the 255", "at most 255"]),
        ("--config.encoder.widths=(8,0)", ["config.encoder.widths=(8, 0)"]),
        ("--config.pairs.window=6", ["smaller than the images of 8 × 8"]),
        ("--config.pairs.gap=4.0", ["longer than a clip of 4.0 s", "at most 3.9"]),
        ("--config.objective.method=dense", ["1 device, not 8"]),
        ("--config.critic.name=biliner", ["did you mean 'bilinear'?"]),
        ("--config.microbatch_size=1000000007", ["config.microbatch_size=1000000007", "nearest are 32"]),
        ("--config.encoder.widths=__import__('os').system('touch pwned')", ["whole numbers > 0"]),
        ("--config.objective.name=\n", [r"config.objective.name='\n'"]),
        ("--config.data.source=☃\u202e", ["config.data.source", "is unknown"]),
        ("--config.data.source=\0", [r"'\x00'"]),
        ("--config.data.source=folder:/dev/null", ["is a file"]),
        ("--config.data.source=folder:../../../../../../proc/self/fd", ["holds no image"]),
        ("--config.data.source=npz:/dev/zero", [".npz"]),
        ("--config.data.source=npz:/proc/self/mem", [".npz"]),
        ("--config.data.source=tfds:../../etc/passwd", ["not a data set"]),
        ("--config.data.source=tfds:;touch pwned", ["not a data set"]),
        ("--num_processes=many", ["num_processes"]),
        ("stray", ["unexpected argument 'stray'"]),
        ("--config.batch_size=٣٣", ["batch_size 33 must be a multiple of 8, the number of devices"]),
        ("--config.batch_size=0x21", ["batch_size 33 must be a multiple of 8, the number of devices"]),
        ("--config.data.source=npz:\n/etc/passwd", [r"\n"]),
        ("--config.data.source=video:[", ["["]),
    ],
)
def test_a_wrong_override_is_told_with_what_would_work(capsys, tmp_path, override, words):
    message = refused(capsys, override, f"--workdir={tmp_path / 'run'}")
    assert [word for word in words if word not in message] == [], message
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("--config.batch_siz=64", ["config.batch_siz", "did you mean config.batch_size?"]),
        ("--config.gap=1.0", ["config.gap", "config.pairs.gap"]),
        ("--config.optimizer.lr=1.0", ["did you mean config.optimizer.learning_rate?"]),
        ("--config.pairs.gapp=1.0", ["did you mean config.pairs.gap?"]),
        ("--config.zzzzzz=1", ["keys are", "config.zzzzzz"]),
        ("--config.batch_size=64.5", ["config.batch_size='64.5'", "a whole number"]),
        ("--config.pairs.gap=soon", ["config.pairs.gap='soon'", "a number"]),
        ("--config.pairs.distinct=perhaps", ["config.pairs.distinct='perhaps'", "True or False"]),
        ("--config.batch_size=0", ["config.batch_size=0", "> 0"]),
        ("--config.batch_size=-8", ["config.batch_size=-8", "> 0"]),
        ("--config.microbatch_size=-2", ["config.microbatch_size=-2", "≥ 0"]),
        ("--config.num_steps=0", ["config.num_steps=0", "> 0"]),
        ("--config.encoder.code_dim=-1", ["config.encoder.code_dim=-1"]),
        ("--config.pairs.window=0", ["config.pairs.window=0"]),
        ("--config.seed=-1", ["config.seed=-1", "≥ 0"]),
        ("--config.seed=99999999999999999999", ["config.seed", "at most 4,294,967,295"]),
        ("--config.critic.temperature=0", ["config.critic.temperature=0.0", "> 0"]),
        ("--config.critic.temperature=-0.5", ["config.critic.temperature=-0.5", "> 0"]),
        ("--config.critic.temperature=nan", ["config.critic.temperature=nan", "finite"]),
        ("--config.optimizer.learning_rate=inf", ["finite"]),
        ("--config.pairs.gap=100", ["longer than a clip"]),
        ("--config.pairs.gap=0.01", ["less than half a frame", "at least 0.1"]),
        ("--config.pairs.clip_seconds=0.05", ["longer than a clip"]),
        (
            "--config.data.source=/nowhere/photos",
            ["webdataset; did you mean 'folder:/nowhere/photos'?"],
        ),
        ("--config.data.source=digit", ["config.data.source='digit'", "did you mean 'digits'?"]),
        ("--config.data.source=nowhere:there", ["config.data.source='nowhere:there'", "digits"]),
        ("--config.spmd=threads", ["config.spmd='threads'", "shard_map, pmap"]),
        ("--config.optimizer.momentum=1", ["config.optimizer.momentum=1.0", "less than 1"]),
        ("--config.objective.name=simclr", ["config.objective.name='simclr'", "cpc, nt_xent"]),
        ("--config.objective.method=magic", ["config.objective.method='magic'", "gather"]),
        ("--config.optimizer.name=adam", ["config.optimizer.name='adam'", "adamw"]),
        ("--config.encoder.name=resnet", ["config.encoder.name='resnet'", "convnet"]),
        ("--config.encoder.stem=cifar10", ["config.encoder.stem='cifar10'", "did you mean 'cifar'?"]),
        ("--config.encoder.dtype=float16", ["config.encoder.dtype='float16'", "bfloat16"]),
        ("--config.encoder.activation=smeluu", ["config.encoder.activation='smeluu'", "did you mean 'smelu'?"]),
        ("--config.encoder.head_layers=4", ["config.encoder.head_layers=4", "1, 2, 3"]),
        ("--config.encoder.width_multiplier=0.01", ["config.encoder.width_multiplier=0.01", "1/64"]),
        ("--config.batch_size=2147483648", ["config.batch_size=2147483648", "at most 2,147,483,647"]),
        ("--config.num_steps=99999999999999999999999", ["config.num_steps", "at most 2,147,483,647"]),
        ("--config.encoder.head_width=10000000000", ["config.encoder.head_width", "at most"]),
        ("--config.pairs.window=1000000000", ["config.pairs.window=1000000000", "at most 8,192"]),
        ("--config.pairs.clip_seconds=1e300", ["config.pairs.clip_seconds=1e+300", "at most 1,000,000 frames"]),
        ("--config.data.image_size=1000000000", ["config.data.image_size=1000000000", "at most 8,192"]),
        ("--config.data.num_workers=1000000000", ["config.data.num_workers=1000000000", "at most 1,024"]),
        ("--config.optimizer.learning_rate=1e400", ["finite"]),
        ("--config.batch_size=1e3", ["a whole number"]),
        ("--config.encoder.widths=()", ["whole numbers > 0"]),
        ("--config.encoder.widths=[[1]]", ["whole numbers > 0"]),
        ("--config.encoder.name='\"$(touch pwned)", ["is unknown"]),
        ("--config.data.source=folder:", ["names nothing"]),
        ("--config.data.source=video:", ["names nothing"]),
        ("--config.☃=1", ["config.☃"]),
        ("--profile=perhaps", ["profile"]),
        ("-", ["unexpected argument '-'"]),
        ("--config.batch_size", ["config.batch_size"]),
        ("--config.batch_size=", ["config.batch_size=''", "a whole number"]),
        ("--config.pairs.gap=1,5", ["config.pairs.gap='1,5'", "a number"]),
        ("--config.critic.temperature=-nan", ["finite"]),
        ("--config.encoder.widths=(1e9,)", ["whole numbers > 0"]),
        ("--config.encoder.widths=(8,", ["a tuple"]),
        ("--config.encoder.name=", ["config.encoder.name=''"]),
        ("--config.data.source=", ["config.data.source=''"]),
        ("--config..seed=1", ["config."]),
        ("--config.__class__=1", ["config.__class__"]),
        ("--config.seed=True", ["config.seed"]),
        ("--coordinator=", ["--coordinator"]),
    ],
)
def test_a_value_that_an_option_cannot_have_is_told_before_data_is_read(override, words):
    with pytest.raises(InputError) as error:
        plan("--config=" + CPC, override)
    message = str(error.value)
    assert "\n" not in message
    assert [word for word in words if word not in message] == [], message


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["--config.pairs.distinct=True", "--config.batch_size=2000"], ["1250 training examples", "batch_size ≤ 1250"]),
        (
            ["--config.num_steps=0", "--config.num_epochs=1e300"],
            ["config.num_epochs=1e+300", "2,147,483,647 steps"],
        ),
        (["--config.objective.name=nt_xent", "--config.critic.name=bilinear"], ["cosine", "'inner_product'"]),
        (["--config.objective.name=nt_xent", "--config.critic.normalize=False"], ["cosine", "normalize=True"]),
        (["--config.objective.num_distractors=3", "--config.objective.method=ring"], ["method 'auto'", "'ring'"]),
        (["--config.objective.name=nt_xent", "--config.objective.distractors=other_devices"], ["takes 'all'"]),
        (["--config.objective.name=nnclr", "--config.critic.normalize=False"], ["normalize=False", "directions"]),
        (
            ["--config.spmd=pmap", "--config.optimizer.all_reduce_dtype=bfloat16"],
            ["all_reduce_dtype='bfloat16' is for shard_map", "config.spmd='pmap'"],
        ),
        (
            [COTRAINING, "--config.code.prior=autoregressive", "--config.code.prior_hidden=8"],
            ["code.prior_hidden=8 is learnt by Adam", "optimizer.prior_steps"],
        ),
        (
            [COTRAINING, "--config.objective.betas=(0.0,0.5)", "--config.code.num_heads=1"],
            ["has 2 prices for 1 codes; expected one each: raise config.code.num_heads"],
        ),
    ],
)
def test_choices_that_do_not_go_together_are_told(capsys, tmp_path, overrides, words):
    message = refused(capsys, *overrides, f"--workdir={tmp_path / 'run'}")
    assert [word for word in words if word not in message] == [], message
    assert not (tmp_path / "run").exists()


def test_crops_of_two_sizes_need_an_encoder_of_both(capsys, tmp_path):
    small = "--config.pairs.small_views=2", "--config.pairs.small_size=4"
    message = refused(capsys, "--config.encoder.name=mlp", *small, f"--workdir={tmp_path / 'run'}", config="simclr")
    assert "config.encoder.name='mlp' cannot encode both (16, 16, 1) and (4, 4, 1) with the same" in message
    assert not (tmp_path / "run").exists()


def test_a_missing_config_is_told_with_its_siblings(capsys, tmp_path):
    assert "no --config given" in refused(capsys, config=None)
    assert "no --config given" in refused(capsys, "--config=", config=None)
    assert "--confg is not an option; did you mean --config?" in refused(capsys, "--confg=cpc", config=None)
    assert "--config is given 2 times" in refused(capsys, f"--config={CPC}")
    (tmp_path / "simclr.py").touch()
    assert "simclr.py" in refused(capsys, config=tmp_path / "simclear.py")
    assert "not a file" in refused(capsys, config=tmp_path)
    assert "not a file" in refused(capsys, config=tmp_path / "nowhere" / "cpc.py")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("batch_size = 3\n", "no function get_config"),
        ("def get_config(:\n", "SyntaxError"),
        ("import no_such_package\n", "no_such_package"),
        ("def get_config():\n    return {}\n", "returns dict"),
        ("def get_config():\n    raise KeyError('x')\n", "KeyError"),
    ],
)
def test_a_config_file_that_is_none_is_told(capsys, tmp_path, source, words):
    path = tmp_path / "broken.py"
    path.write_text(source)
    assert words in refused(capsys, config=path)


def test_a_config_that_chooses_no_kind_is_told_which_there_are(capsys, tmp_path):
    path = tmp_path / "short.py"
    path.write_text("from ml_collections import ConfigDict\n\ndef get_config():\n    return ConfigDict({'seed': 0})\n")
    assert "config.pairs.name is missing in the config; expected one of frames" in refused(capsys, config=path)


def test_a_work_directory_that_is_a_file_or_lies_in_one_is_told(capsys, tmp_path):
    file = tmp_path / "file"
    file.write_text("precious")
    assert "is a file" in refused(capsys, f"--workdir={file}")
    assert "which is a file" in refused(capsys, f"--workdir={file / 'run'}")
    assert file.read_text() == "precious"


@pytest.mark.parametrize(
    "name", ["a\0b", "x" * 300, "loop/run", "\udcff", "a\\b", "a[b]\nc", "a[!b]/run", "gs://bucket/run"]
)
def test_a_work_directory_that_is_no_path_is_told(capsys, tmp_path, name):
    (tmp_path / "loop").symlink_to("loop")
    assert "--workdir=" in refused(capsys, f"--workdir={tmp_path}/{name}")
    assert [path.name for path in tmp_path.iterdir()] == ["loop"]


def test_a_work_directory_with_other_things_in_it_is_told(capsys, tmp_path):
    (tmp_path / "notes.txt").write_text("precious")
    assert "holds no run" in refused(capsys, f"--workdir={tmp_path}")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.fixture
def read_only(tmp_path):
    """A directory that even root may not write to."""
    folder = tmp_path / "read only"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", folder], capture_output=True, check=False)
    if mounted.returncode:
        folder.chmod(0o555)
    if os.access(folder, os.W_OK):
        pytest.skip("root may write anywhere, and may not mount here")
    yield folder
    if mounted.returncode == 0:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("name", ["", "run", "two/levels"])
def test_a_work_directory_that_cannot_be_written_to_is_told(capsys, read_only, name):
    assert "cannot be written to" in refused(capsys, f"--workdir={read_only / name}")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no /proc")
@pytest.mark.parametrize("place", ["/proc/run", "/proc/self/fd/two/levels"])
def test_a_work_directory_where_nothing_can_be_made_is_told(capsys, place):
    assert re.search("cannot be (used|written to)", refused(capsys, f"--workdir={place}"))


def test_an_empty_work_directory_and_one_named_twice_are_told(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "--workdir= names nothing" in refused(capsys, "--workdir=")
    assert list(tmp_path.iterdir()) == []


def test_a_name_with_a_line_break_is_told_in_one_line(capsys, tmp_path):
    (tmp_path / "a\nb").touch()
    assert r"a\nb is a file" in refused(capsys, f"--workdir={tmp_path}/a\nb")


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_a_config_that_is_no_file_and_a_lock_that_is_none_are_told(capsys, tmp_path, make):
    (tmp_path / "begun").mkdir()
    make(tmp_path / "begun" / "config.json")
    assert "is not the config of a run" in refused(capsys, f"--workdir={tmp_path / 'begun'}")


def test_a_lock_that_is_a_directory_is_told(capsys, tmp_path):
    (tmp_path / ".lock").mkdir()
    assert "cannot be used: Is a directory" in refused(capsys, f"--workdir={tmp_path}")


def test_a_disk_that_refuses_while_a_run_goes_on_is_told_in_one_line(capsys, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", "run/metrics.jsonl")

    monkeypatch.setattr(main, "execute", refuse)
    assert main.main(["main", f"--config={CPC}"]) == 1
    assert capsys.readouterr().err == "mi_coding: error: [Errno 13] Permission denied: 'run/metrics.jsonl'\n"


def test_a_config_may_have_any_name(capsys, tmp_path):
    """What is refused is the batch, which is read from the file."""
    folder = tmp_path / "a b'c\"d $(touch pwned)" / "ünï⊥\n[x]"
    folder.mkdir(parents=True)
    (folder / "my config;-x.py").write_text(Path(CPC).read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "link").symlink_to(folder)
    config = tmp_path / "link" / ".." / folder.name / "my config;-x.py"
    assert "must be a multiple of 8, the number of devices" in refused(capsys, "--config.batch_size=100", config=config)
    assert {path.name for path in tmp_path.iterdir()} == {"link", folder.parent.name}


def test_a_work_directory_of_another_config_names_the_keys_that_differ(capsys, tmp_path):
    began = build.plan(read_config("--config.pairs.gap=2.5", "--config.seed=3")).nested_config
    (tmp_path / "config.json").write_text(json.dumps(began))
    message = refused(capsys, f"--workdir={tmp_path}")
    assert "differ: config.pairs.gap (2.5 then, 2.0 now), config.seed (3 then, 0 now); set them" in message
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
    (tmp_path / "config.json").write_text("{broken")
    assert "is not the config of a run" in refused(capsys, f"--workdir={tmp_path}")


def test_the_command_itself_exits_with_2_and_one_line(tmp_path):
    process = start("--config.batch_siz=64", f"--workdir={tmp_path / 'run'}", short=False)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 2
    assert output == ""
    assert re.fullmatch(r"mi_coding: error: .*did you mean config\.batch_size\?\n", errors)


def test_help_is_not_a_mistake(capsys):
    assert main.main(["main", "--help"]) == 0
    assert "--config.KEY=VALUE" in capsys.readouterr().out


def test_help_beside_a_config_is_its_options(capsys):
    assert main.main(["main", "--config=cpc", "-h"]) == 0
    output = capsys.readouterr().out
    assert re.search(r"config\.batch_size +256 +file +B, pairs per step .* int > 0", output)
    assert main.main(["main", "--config=cpx", "--help"]) == 2
    assert "did you mean --config=cpc?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (["--coordinator=here:1"], "--num_processes and --process_id missing"),
        (["--coordinator=here", "--num_processes=2", "--process_id=0"], "--coordinator=here; expected HOST:PORT"),
        (["--coordinator=a:1", "--num_processes=2", "--process_id=2"], "--process_id=2 of --num_processes=2"),
        (["--coordinator=a:1", "--num_processes=9999999999999", "--process_id=0"], "at most 1,000,000 processes"),
        (["--coordinator=a:1", "--num_processes=2", "--process_id=-1"], "--process_id=-1 of --num_processes=2"),
    ],
)
def test_a_place_among_processes_that_cannot_be_is_refused(capsys, place, words):
    assert words in refused(capsys, *place)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (SaveError("a checkpoint cannot be written"), "a checkpoint cannot be written"),
        (PermissionError(errno.EACCES, "Permission denied", "/shared/run"), "Permission denied: '/shared/run'"),
        (RuntimeError("RESOURCE_EXHAUSTED: 3 GiB\nmore"), "RESOURCE_EXHAUSTED: 3 GiB; lower batch_size"),
    ],
)
def test_what_no_command_can_help_is_one_line_in_every_command(capsys, error, line):
    def run(argv):
        raise error

    assert run_command(["some"], "", run) == 1
    message = capsys.readouterr().err
    assert line in message
    assert len(message.splitlines()) == 1


def test_bugs_are_not_disguised():
    def run(argv):
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        run_command(["some"], "", run)


def test_an_output_that_cannot_be_written_is_told_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write everywhere
    with pytest.raises(InputError, match="which cannot be written to; expected another --output"):
        check_output(tmp_path / "a.json")
