"""What is done with a trained run: it goes on to a later end, and another starts from its encoder."""

import json
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from commands import CPC, SHORT, begun, fitting, lines, parameters, read_config
from finished_runs import COTRAINING, RECIPES

from mi_coding import finetune, main
from mi_coding.errors import InputError
from mi_coding.evaluation.probes import FEATURES, RAW, TRAINED, UNTRAINED
from mi_coding.runs.evaluate import _started
from mi_coding.runs.restore import restore
from mi_coding.runs.run import prepare
from mi_coding.runs.transfer import start_from, transferred
from mi_coding.runs.workdir import note_start, noted_start


def go_on(run, workdir, *overrides, name="arrays"):
    return main.main(["main", f"--config={RECIPES[name].config}", f"--workdir={workdir}", *run.overrides, *overrides])


def test_a_finished_run_goes_on_to_a_later_end_and_keeps_its_old_summary(finished_runs, tmp_path, capsys):
    run = finished_runs("arrays")
    workdir = run.copy(tmp_path / "run")
    assert go_on(run, workdir, "--config.num_steps=9") == 0
    output = capsys.readouterr().out
    # A warm-up of 2 steps, then a cosine that was stretched from 6 to 9 steps.
    rate = json.loads((workdir / "config.json").read_text())["optimizer"]["learning_rate"]
    rate *= (1 + np.cos(np.pi * 4 / 7)) / 2
    assert "num_steps was 6 and is 9: the schedule of the learning rate is stretched to 9 steps" in output
    assert f"at step 6 it is {rate:.3g}\n" in output
    assert json.loads((workdir / "config.json").read_text())["num_steps"] == 9
    assert json.loads((workdir / "summary.json").read_text())["train/steps"] == 9
    assert json.loads((workdir / "summary_6.json").read_text()) == run.summary
    assert [line["step"] for line in lines(workdir) if "train/loss" in line][-1] == 9

    assert go_on(run, workdir, "--config.num_steps=8") == 2
    told = "has trained 9 steps already, more than the 8 asked for; expected at least as many"
    assert told in capsys.readouterr().err
    assert go_on(run, workdir, "--config.num_steps=9", "--config.seed=1") == 2
    assert (
        "these differ: config.seed (0 then, 1 now); set them as they were to continue it, or choose another"
        in capsys.readouterr().err
    )


def test_a_typed_end_of_training_that_is_not_reached_is_warned_of(tmp_path):
    warnings = []
    config = read_config(*fitting(CPC, *SHORT, "--config.num_epochs=3"))
    prepare(config, tmp_path / "run", warnings.append, typed=["num_epochs"])
    actual = "training ends after 6 because config.num_steps=6; set config.num_steps=0 to train for all of them"
    assert warnings == [f"config.num_epochs=3.0 amounts to 234 steps, but {actual}"]
    prepare(config, tmp_path / "run", warnings.append, typed=["num_epochs", "num_steps"])
    assert len(warnings) == 1


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A work directory of CPC on moving digits whose parameters are unlike those that any run begins with."""

    def change(state):
        params, stats = jax.tree.map(lambda leaf: np.asarray(leaf + 1, leaf.dtype), state.variables)
        return state._replace(params=params, stats=stats)

    return begun(tmp_path_factory.mktemp("trained") / "run", change=change)


def prepared(tmp_path, *overrides, config=CPC, warn=print):
    return prepare(read_config(*fitting(config, *SHORT, *overrides), config=config), tmp_path / "new", warn)


def test_a_run_of_another_objective_starts_from_the_encoder_up_to_its_features(trained, tmp_path):
    given, state = trained
    run = prepared(tmp_path, "--config.data.source=digits", config=COTRAINING)
    started, line = start_from(run.method, run.initial_state, restore(given.workdir, print))
    own = started.params["encoder"]
    jax.tree.map(np.testing.assert_array_equal, own["backbone"], state.params["encoder"]["backbone"])
    jax.tree.map(np.testing.assert_array_equal, own["head"], run.initial_state.params["encoder"]["head"])
    assert f"the encoder is that of {given.workdir} after step 0" in line
    assert "its projection head is initialised anew" in line
    jax.tree.map(np.testing.assert_array_equal, started.opt_state, run.initial_state.opt_state)


def test_parameters_that_would_compute_other_features_are_warned_of(trained, tmp_path):
    warnings, digits = [], "--config.data.source=digits"
    for same in ([], ["--config.encoder.activation=smelu"]):
        init = f"--config.init_from={trained[0].workdir}"
        prepared(tmp_path, digits, init, *same, config=COTRAINING, warn=warnings.append)
    differ = "config.encoder.activation='smelu' there and 'relu' here"
    warned = f"--init_from={trained[0].workdir}: {differ}: the same parameters compute other features"
    assert [one for one in warnings if "init_from" in one] == [warned]


def test_the_projection_head_is_taken_where_it_has_the_same_shapes(trained, tmp_path):
    given, state = trained
    run = prepared(tmp_path, "--config.optimizer.average_decay=0.9")
    started, line = start_from(run.method, run.initial_state, restore(given.workdir, print))
    jax.tree.map(np.testing.assert_array_equal, started.params["encoder"], state.params["encoder"])
    jax.tree.map(np.testing.assert_array_equal, started.average[0]["encoder"], state.params["encoder"])
    jax.tree.map(np.testing.assert_array_equal, started.params["critic"], run.initial_state.params["critic"])
    assert "anew" not in line


def test_each_half_takes_the_encoder_of_a_run_with_one_and_gives_that_of_x(trained):
    method, (params, stats) = trained[0].method, trained[1].variables
    two = {"encoder": {half: params["encoder"] for half in "xy"}}, {half: stats for half in "xy"}
    of_x_alone = {"encoder": {"x": params["encoder"], "y": jax.tree.map(np.zeros_like, params["encoder"])}}, two[1]
    for given, expected in (((params, stats), two), (of_x_alone, (params, stats))):
        other = SimpleNamespace(workdir="other", method=method, variables=given)
        new = jax.tree.map(np.zeros_like, expected)
        taken = transferred(method, new, other).variables
        jax.tree.map(np.testing.assert_array_equal, taken[0]["encoder"], expected[0]["encoder"])


@pytest.mark.parametrize("change", ["--config.encoder.widths=(4,16)", "--config.encoder.feature_dim=8"])
def test_another_encoder_is_refused_before_anything_is_written(trained, tmp_path, change):
    with pytest.raises(InputError, match=r"has another encoder: backbone\.\S+ \(.* here, \(.* there.*; expected"):
        prepared(tmp_path, change, f"--config.init_from={trained[0].workdir}")
    assert not (tmp_path / "new").exists()


def test_the_flag_names_the_run_and_the_untrained_baseline_stays_untrained(finished_runs, tmp_path, capsys):
    run = finished_runs("arrays")
    workdir, arguments = tmp_path / "new", ["main", f"--config={RECIPES['arrays'].config}", *run.overrides]
    assert main.main([*arguments, f"--init_from={tmp_path}", f"--workdir={workdir}"]) == 2
    assert f"--init_from={tmp_path} holds no config.json, so it is not a run" in capsys.readouterr().err
    assert main.main([*arguments, f"--init_from={run.workdir}", f"--workdir={workdir}"]) == 0
    assert f"the encoder is that of {run.workdir} after step 6" in capsys.readouterr().out
    assert json.loads((workdir / "config.json").read_text())["init_from"] == str(run.workdir)
    assert noted_start(workdir) == 6
    summary = json.loads((workdir / "summary.json").read_text())
    baseline = FEATURES[UNTRAINED]
    assert [summary[key] for key in baseline] == [run.summary[key] for key in baseline]
    moved = zip(parameters(workdir).values(), parameters(run.workdir).values(), strict=True)
    assert any(np.any(one != other) for one, other in moved)


def test_another_run_that_is_gone_is_warned_of_once_where_it_is_asked_for(tmp_path):
    warnings = []
    plan = SimpleNamespace(run=SimpleNamespace(init_from=str(tmp_path / "gone")))
    started = _started(SimpleNamespace(plan=plan, warn=warnings.append))
    assert warnings == []
    assert [started(), started()] == [None, None]
    assert len(warnings) == 1
    assert "is gone, so the encoder that this run started from has no probe" in warnings[0]


@pytest.mark.parametrize(("now", "words"), [(9, "was at step 6 and is now at 9"), (None, "no checkpoint")])
def test_an_encoder_that_was_trained_on_is_no_start_to_compare_with(tmp_path, now, words):
    class Begun:
        plan, workdir, warnings = SimpleNamespace(run=SimpleNamespace(init_from=str(tmp_path))), tmp_path, []
        warn, starting_state = warnings.append, (SimpleNamespace(variables=({}, {})), "")

        @property
        def other_run(self):
            if now is None:
                raise InputError("there is no checkpoint")
            return SimpleNamespace(step=now)

    (tmp_path / "config.json").write_text("{}")
    note_start(tmp_path, 6)
    run = Begun()
    assert _started(run)() is None
    assert words in run.warnings[0]
    note_start(tmp_path, now or 0)
    assert _started(run)() == (None if now is None else ({}, {}))


def test_labels_are_learnt_on_an_encoder_and_compared_with_a_probe_and_from_scratch(finished_runs, tmp_path, capsys):
    run, output = finished_runs("arrays"), tmp_path / "labels"
    source = next(one for one in run.overrides if "data.source" in one).partition("=")[2]
    typed = [f"--workdir={run.workdir}", f"--source={source}", f"--output={output}", "--num_steps=4"]
    assert finetune.main(["finetune", *typed, "--freeze"]) == 0
    printed = capsys.readouterr().out
    found = json.loads((output / "finetune_frozen.json").read_text())
    assert found["linear_probe/accuracy"] == run.summary[FEATURES[TRAINED][0]]
    assert found["raw_input/accuracy"] == run.summary[FEATURES[RAW][0]]
    for name in ("frozen", "from_scratch"):
        summary = json.loads((output / name / "summary.json").read_text())
        assert found[f"{name}/accuracy"] == summary["classifier/accuracy"]
    assert "frozen encoder, classifier trained" in printed
    frozen = parameters(output / "frozen")
    given = parameters(run.workdir)
    names = [name for name in frozen if name.startswith("params/encoder/backbone")]
    same = [np.array_equal(frozen[name], given[name.replace("encoder/", "encoder/x/")]) for name in names]
    assert same
    assert all(same)
    assert finetune.main(["finetune", f"--workdir={run.workdir}", "--source=npz:/nowhere.npz"]) == 2
    assert "--source='npz:/nowhere.npz' does not exist" in capsys.readouterr().err
    assert finetune.main(["finetune", *typed, "--batch_size=-1"]) == 2
    assert "--batch_size=-1; expected" in capsys.readouterr().err
