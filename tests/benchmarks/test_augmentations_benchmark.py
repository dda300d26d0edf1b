"""The benchmark: every augmentation is in it, pairs count twice, and the bar is met from the right side."""

import json

import pytest

from mi_coding.benchmarks import augmentations as bench
from mi_coding.pairs.augmentations import AUGMENTATIONS, PRESETS


def test_every_preset_and_augmentation_is_measured_and_printed(capsys):
    bench.main(["--batch_size=2", "--side=12", "--repeats=1"])
    *_, line = capsys.readouterr().out.strip().splitlines()
    result = json.loads(line)
    assert set(result["rows"]) == set(PRESETS) | set(AUGMENTATIONS)
    assert (result["batch_size"], result["side"]) == (2, 12)
    assert all(0 < row["images_per_second"] <= row["highest"] for row in result["rows"].values())


def test_a_pair_counts_as_two_images(monkeypatch):
    pair = lambda key, image: (image, image)  # noqa: E731
    monkeypatch.setattr(bench, "programs", lambda: [("one", lambda key, image: image, 1), ("pair", pair, 2)])
    monkeypatch.setattr(bench, "take_turns", lambda runs, repeats: {name: [1.0, 2.0, 4.0] for name in runs})
    rows = bench.measure(batch_size=8, side=4, repeats=3)
    assert rows["one"] == {"images_per_second": 4.0, "highest": 8.0}
    assert rows["pair"] == {"images_per_second": 8.0, "highest": 16.0}


@pytest.mark.parametrize(("speed", "side", "verdict"), [(25_000, 32, " met"), (24_999, 32, "NOT MET"), (9, 64, "")])
def test_the_bar_is_for_cifar_sized_images_only(speed, side, verdict, capsys):
    row = {"images_per_second": float(speed), "highest": 1e6}
    machine = {"device": "cpu", "cpus": 2, "jax": "0"}
    bench.print_table({bench.BAR_ROW: row}, {"batch_size": 1, "side": side}, machine)
    out = capsys.readouterr().out
    assert verdict in out
    assert ("≥" in out) == (side == 32)


def test_a_batch_of_none_is_refused(capsys):
    with pytest.raises(SystemExit):
        bench.main(["--batch_size=0"])
    assert "--batch_size 0; expected at least 1" in capsys.readouterr().err
