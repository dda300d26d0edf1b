"""What a program for other machines is said to do: its text read against a count by hand, and every config compiled."""

import json
from importlib.util import find_spec

import pytest
from config_data import CONFIGS, data_for, make_images

from mi_coding.benchmarks import compiled, compiled_loss, targets
from mi_coding.benchmarks.hlo import Program, Work
from mi_coding.errors import InputError

PROGRAM = """
%add (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  ROOT %b = f32[] parameter(1)
}

%sliced (p: f32[10,4], i: s32[]) -> f32[4] {
  %p = f32[10,4]{1,0} parameter(0)
  %i = s32[] parameter(1)
  %row = f32[1,4]{1,0} dynamic-slice(%p, %i, %i), dynamic_slice_sizes={1,4}
  ROOT %exp = f32[4]{0} exponential(%row), metadata={op_name="jit(step)/jvp(loss)/exp"}
}

%body (t: (f32[10,4], s32[])) -> (f32[10,4], s32[]) {
  %t = (f32[10,4]{1,0}, s32[]) parameter(0)
  %all = f32[10,4]{1,0} get-tuple-element(%t), index=0
  %n = s32[] get-tuple-element(%t), index=1
  %fusion = f32[4]{0} fusion(%all, %n), kind=kLoop, calls=%sliced
  %near = f32[4]{0:S(1)} copy(%fusion), metadata={op_name="jit(step)/transpose(jvp(loss))/encoder/copy"}
  ROOT %next = (f32[10,4]{1,0}, s32[]) tuple(%all, %n)
}

ENTRY %main (x: f32[10,4]) -> f32[8] {
  %x = f32[10,4]{1,0} parameter(0)
  %zero = s32[] constant(0)
  %start = (f32[10,4]{1,0}, s32[]) tuple(%x, %zero)
  %loop = (f32[10,4]{1,0}, s32[]) while(%start), body=%body, backend_config={"known_trip_count":{"n":"6"}}
  %made = f32[8]{0} negate(%x), metadata={op_name="jit(step)/gradients/neg"}
  %reduced = f32[8]{0} all-reduce-start(%made), to_apply=%add
  %whole = f32[8]{0} all-reduce-done(%reduced)
  ROOT %cut = f32[8]{0} slice(%whole), slice={[0:8]}
}
"""


def test_bytes_kernels_and_exchanges_are_counted_by_part():
    found = Program(PROGRAM, 4).by_part(compiled.part_of)
    sliced = 16 + 4 + 16  # a row of four numbers, its place, and the result
    assert found["loss"] == Work(6 * sliced, 6, 0, 0)
    assert found["encoder, backward"] == Work(6 * 16, 6, 0, 0)  # what it writes is not in the main memory
    assert found["gradient exchange"] == Work(160 + 32 + 2 * 32, 2, 1, 2 * 32 * 3 / 4)
    assert Program(PROGRAM, 4).work().kernels == 14


def test_a_loop_of_unknown_length_is_told():
    program = Program(PROGRAM.replace("known_trip_count", "unknown"), 4)
    assert program.by_part(compiled.part_of)["loss"].kernels == 1
    assert program.loops_of_unknown_length == 1


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("h10:8", "did you mean h100:8"),
        ("cerebras", "expected one such as v5e:2x4"),
        ("v5e", "has no shape"),
        ("v5e:2x0", "has no shape"),
        ("h100:8x", "has no shape"),
    ],
)
def test_unknown_targets_are_one_line(name, words):
    with pytest.raises(InputError, match=words):
        targets.find_target(name)


def test_a_compiler_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(targets, "find_spec", lambda name: None)
    for name, extra in (("v5e:2x4", "tpu"), ("h100:8", "compile-cuda")):
        with pytest.raises(InputError, match=rf"install it: pip install -e '\.\[{extra}\]'"):
            targets.find_target(name)


def test_accelerator_types_are_slices():
    found = {name: targets._slice_of_type(name) for name in ("v5litepod-8", "v5litepod-256", "v6e-4", "v5p-128")}
    assert list(found.values()) == ["v5e:2x4", "v5e:16x16", "v6e:2x2", "v5p:4x4x4"]


def test_without_a_target_nothing_is_compiled(capsys):
    assert compiled.main(["compiled"]) == 2
    assert "expected one such as --target=v5e:2x4" in capsys.readouterr().err


UNREAD = {"cotraining_bits", "cotraining_fashion_mnist"} | {f"simclr_{name}" for name in ("cifar10", "fashion_mnist")}
UNREAD |= {"simclr_imagenet", "simclr_photos"}  # whose examples have a shape that the config or TFDS tells


def need_compilers():
    for module, extra in (("libtpu", "tpu"), ("jax_cuda13_plugin", "compile-cuda")):
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed; pip install -e '.[{extra}]'")


@pytest.mark.accelerators
@pytest.mark.parametrize("target", ["v5e:2x4", "h100:8"])
@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_compiles_and_fits(name, target, tmp_path):
    need_compilers()
    overrides = [] if name in UNREAD else data_for(name, tmp_path)
    if (name, target) == ("simclr_imagenet", "v5e:2x4"):  # 4,096 pairs are for more chips
        overrides = ["--config.batch_size=1024"]
    argv = [f"--target={target}", f"--config={name}", f"--output={tmp_path / 'found.json'}", *overrides]
    assert compiled.main(["compiled", *argv]) == 0
    (found,) = json.loads((tmp_path / "found.json").read_text())
    assert 0 < found["share_of_memory"] < 0.8
    assert found["parts"]["encoder, forward"]["flops"] > 0
    assert sum(part["exchanges"] for part in found["parts"].values()) > 0


@pytest.mark.accelerators
@pytest.mark.parametrize("target", ["v5e:2x4", "h100:8"])
def test_what_does_not_fit_is_refused_with_what_would(target, tmp_path, capsys):
    need_compilers()
    data = [make_images(tmp_path, count=4, side=8), "--config.data.image_size=224", "--config.data.channels=3"]
    large = ["--config.encoder.name=resnet50", "--config.batch_size=65536"]
    assert compiled.main(["compiled", f"--target={target}", "--config=simclr_photos", "--check", *data, *large]) == 2
    assert "GiB of each device; expected about --config.batch_size=" in capsys.readouterr().err


@pytest.mark.accelerators
@pytest.mark.parametrize("precision", ["bfloat16", "high"])
@pytest.mark.parametrize("target", ["h100:1", "a100:8"])
def test_the_loss_of_a_gpu_keeps_its_scores(target, precision, tmp_path):
    need_compilers()
    output = tmp_path / "found.json"
    argv = [f"--target={target}", "--pairs=8192", f"--precision={precision}", f"--output={output}"]
    assert compiled_loss.main(["compiled_loss", *argv]) == 0
    by_kernels, by_xla = json.loads(output.read_text())
    assert by_kernels["moved"] < by_xla["moved"] / 3
    assert by_kernels["kernels"] < by_xla["kernels"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "no --target given"),
        (["--target=h100:1", "--precision=low"], "--precision=low is unknown; expected one of highest, high, bfloat16"),
        (["--target=h1000:1"], "did you mean h100:1?"),
    ],
)
def test_wrong_arguments_of_the_loss_are_one_line(argv, message, capsys):
    assert compiled_loss.main(["compiled_loss", *argv]) == 2
    assert message in capsys.readouterr().err
