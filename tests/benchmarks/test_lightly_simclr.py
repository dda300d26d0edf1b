"""The run of lightly beside ours: what it refuses, which needs no lightly."""

import pytest

from mi_coding.benchmarks import lightly_simclr


@pytest.mark.parametrize(
    ("arguments", "is_there", "words"),
    [
        (["--config=simclr_cifar10_cpu"], False, "lightly is not installed: pip install lightly torch torchvision"),
        (["--config=simclr_cifar10_cpu", "--minutes=0"], True, "--minutes=0 --workers=2; expected minutes > 0"),
        (
            ["--config=simclr_cifar10_cpu"],
            True,
            "config.optimizer.name='muon' has no counterpart here",
        ),
        (["--config=cpc"], True, "config.objective.name='cpc' has no counterpart here; expected 'nt_xent'"),
        (["--config=simclr"], True, "config.pairs.preset='gray28' has no counterpart here"),
        (["--config=simclr_cifar10_cpu", "--config.pairs.views=4"], True, "config.pairs.views=4 has no counterpart"),
        (["--config=simclr_cifar10"], True, "config.encoder.dtype='bfloat16' has no counterpart here"),
    ],
)
def test_what_lightly_cannot_do_alike_is_one_line(monkeypatch, capsys, arguments, is_there, words):
    monkeypatch.setattr(lightly_simclr, "find_spec", lambda name: is_there or None)
    assert lightly_simclr.main(["lightly_simclr", *arguments]) == 2
    assert words in capsys.readouterr().err
