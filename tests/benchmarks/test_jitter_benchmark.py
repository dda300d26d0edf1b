"""What checkpoints cost the steps, on steps that are over at once."""

import json

from commands import CPC, SHORT

from mi_coding.benchmarks import jitter


def test_a_save_blocks_the_loop_for_a_part_of_its_time(capsys):
    small = [*SHORT, "--config.encoder.widths=(4,)"]
    assert jitter.main(["jitter", f"--config={CPC}", "--every=3", "--steps=7", "--rounds=1", *small]) == 0
    table, found = capsys.readouterr().out.rsplit("\n{", 1)
    found = json.loads("{" + found)
    assert "a step, with checkpoints" in table
    checkpoint = found["checkpoint"]
    assert 0 < checkpoint["blocks_ms"] <= checkpoint["blocks_most_ms"] <= found["with"]["most_ms"]
    for spread in (found["without"], found["with"]):
        assert 0 < spread["median_ms"] <= spread["95_percent_ms"] <= spread["most_ms"]


def test_what_cannot_be_timed_is_told(capsys):
    assert jitter.main(["jitter", "--every=10", "--steps=10"]) == 2
    assert "more --steps than --every" in capsys.readouterr().err
