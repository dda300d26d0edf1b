"""What the benchmarks read from their command lines, and the one line for a mistake in them, before they measure."""

import pytest
from commands import make_folder

from mi_coding.benchmarks import compiled, compiled_loss, contrast, scaling, step
from mi_coding.benchmarks.arguments import split_arguments
from mi_coding.errors import InputError


def test_a_config_in_two_words_is_checked_like_one_in_one(monkeypatch):
    checked = []
    monkeypatch.setattr(compiled, "find_target", lambda name: name)
    monkeypatch.setattr(compiled, "compile_step", lambda config, name, target: checked.append(name) or Checked())
    for config in (["--config", "simclr"], ["--config=simclr"], ["-config", "simclr"]):
        assert compiled.main(["compiled", "--check", "--target=v5e:2x4", *config]) == 0
    assert checked == ["simclr"] * 3


class Checked:
    line = "fits"


@pytest.mark.parametrize(
    ("main", "argv", "words"),
    [
        (compiled.main, ["--target=v5e:2x4", "--config"], "--config names nothing"),
        (compiled.main, ["--target=v5e:2x4", "--output=no/found.json"], "--output=no/found.json is not a file"),
        (compiled_loss.main, ["--target=h100:1", "--pair=5"], "--pair is not an option; did you mean --pairs?"),
        (compiled_loss.main, ["--target=h100:1", "--output=no/found.json"], "--output=no/found.json is not a file"),
        (compiled_loss.main, ["--pairs=8"], "no --target given"),
        (scaling.main, ["--output=no/found.json"], "--output=no/found.json is not a file"),
        (contrast.main, ["--output=no/found.json"], "--output=no/found.json is not a file"),
        (step.main, ["--config=cpc_arrays"], "config.pairs.name='given' is not timed here; expected 'frames'"),
        (contrast.main, ["--only=cpu"], "--only=cpu is in no group's name; expected part of one of memory"),
        (contrast.main, ["--repeats=many"], "--repeats=many; expected a whole number"),
    ],
)
def test_a_mistake_is_one_line_before_anything_is_measured(main, argv, words, capsys):
    assert main(["benchmark", *argv]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert words in line


def test_a_step_is_not_timed_on_a_stream(tmp_path, capsys):
    source = f"--config.data.source=folder:{make_folder(tmp_path, count=10, side=8)}"
    small = ["--config.data.image_size=8", "--config.batch_size=8", "--config.data.placement=stream"]
    assert step.main(["step", "--config=simclr_photos", source, *small]) == 2
    assert "is streamed; expected data that fits in memory" in capsys.readouterr().err


def test_a_value_of_another_type_is_refused():
    with pytest.raises(InputError, match="--steps: invalid int value: 'many'"):
        split_arguments(["step", "--steps=many"], steps=10)
