"""critic.precision: what "auto" chooses, and what the line before training says."""

import dataclasses

import pytest
from small_experiment import make_experiment

from mi_coding.encoders import ENCODERS
from mi_coding.methods import METHODS

WORDS = {"highest": "scores in float32", "high": "scores in three passes of bfloat16", "bfloat16": "scores in bfloat16"}


@pytest.mark.parametrize("name", ["cpc", "nt_xent", "sigmoid", "supcon"])
def test_auto_is_that_of_the_encoder_and_told(name):
    parts = make_experiment()[1].parts
    method = METHODS[name](name, parts)
    assert method.score_precision == "highest"
    assert WORDS["highest"] in method.forecast()
    in_bfloat16 = method.made_of(parts._replace(encoder=ENCODERS["resnet18"](dtype="bfloat16")))
    assert in_bfloat16.score_precision == "bfloat16"
    assert WORDS["bfloat16"] in in_bfloat16.forecast()
    for precision, words in WORDS.items():
        chosen = dataclasses.replace(in_bfloat16, precision=precision)
        assert chosen.score_precision == precision
        assert words in chosen.forecast()
