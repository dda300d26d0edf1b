import os
import signal

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_experiment import make_experiment

import mi_coding
from mi_coding.errors import NonFiniteLossError
from mi_coding.training.checkpoints import Checkpoints
from mi_coding.training.devices import data_parallel
from mi_coding.training.feed import from_device_data
from mi_coding.training.loop import Hook, train
from mi_coding.training.step import TrainState, init_state, make_step

NOTHING = Hook(10**9, lambda step, state, metrics: None)


def go(experiment, key, images, *, num_steps, state=None, hooks=(), save=NOTHING, steps_per_call=2):
    way = data_parallel("shard_map", jax.local_devices()[:1])
    state = init_state(experiment, jax.random.key(0), images) if state is None else state
    feed = from_device_data(make_step(experiment, key, 1), state, images, way, steps_per_call=steps_per_call)
    return train(
        feed.advance, state, parallel=way, num_steps=num_steps, steps_per_call=steps_per_call, hooks=hooks, save=save
    )


@pytest.mark.parametrize("steps_per_call", [1, 5])
@pytest.mark.parametrize(
    ("begin", "shown", "saved"), [(0, [1, 3, 6, 9, 10], [4, 8, 10]), (3, [6, 9, 10], [4, 8, 10]), (9, [10], [10])]
)
def test_hooks_get_the_number_of_finished_steps_also_when_resumed(begin, shown, saved, steps_per_call):
    def advance(state, count):
        assert 1 <= count <= steps_per_call
        return state._replace(step=state.step + count), {"finished": state.step + count}

    def note(calls):
        return lambda step, state, metrics: calls.append((step, int(state.step), int(metrics["finished"])))

    state = TrainState(jnp.int32(begin), (), (), (), jnp.int32(0), ())
    way, of_hook, of_save = data_parallel("shard_map", jax.local_devices()[:1]), [], []
    options = {"parallel": way, "num_steps": 10, "steps_per_call": steps_per_call}
    trained = train(advance, state, hooks=[Hook(3, note(of_hook))], save=Hook(4, note(of_save)), **options)
    assert of_hook == [(step,) * 3 for step in shown]
    assert of_save == [(step,) * 3 for step in saved]
    assert trained.state.step == 10
    assert trained.stopped_by is None


@pytest.mark.parametrize("steps_per_call", [1, 2, 3, 50])
def test_many_steps_in_one_call_stop_for_every_hook(key, images, steps_per_call):
    experiment, _ = make_experiment()
    counts, seen = [], []
    way = data_parallel("shard_map", jax.local_devices()[:1])
    state = init_state(experiment, jax.random.key(0), images)
    feed = from_device_data(make_step(experiment, key, 1), state, images, way, steps_per_call=11)

    def advance(state, count):
        counts.append(count)
        return feed.advance(state, count)

    hook = Hook(4, lambda step, state, metrics: seen.append((step, float(metrics["loss"]))))
    save = Hook(6, lambda step, state, metrics: seen.append(step))
    options = {"parallel": way, "num_steps": 11, "hooks": [hook], "save": save}
    together = train(advance, state, steps_per_call=steps_per_call, **options).state
    assert sum(counts) == 11
    assert max(counts) == min(steps_per_call, 3)  # from 1 to 4, and from 8 to 11, is the farthest
    together_seen = seen.copy()
    seen.clear()
    alone = train(feed.advance, state, steps_per_call=1, **options).state
    assert [s if isinstance(s, int) else s[0] for s in together_seen] == [1, 4, 6, 8, 11, 11]
    assert together_seen == seen
    chex.assert_trees_all_equal(jax.tree.map(np.array, together), jax.tree.map(np.array, alone))


def test_a_resumed_run_ends_with_the_very_same_state(key, images, tmp_path):
    experiment, _ = make_experiment()
    straight = go(experiment, key, images, num_steps=6).state
    first = Checkpoints(tmp_path / "checkpoints", keep=2)
    go(experiment, key, images, num_steps=3, save=Hook(3, lambda step, state, _: first.save(state, 1.5)))
    first.close()
    restored, seconds = Checkpoints(tmp_path / "checkpoints", keep=2).restore(
        init_state(experiment, jax.random.key(9), images), print
    )
    assert seconds == 1.5
    resumed = go(experiment, key, images, num_steps=6, state=restored).state
    chex.assert_trees_all_equal(jax.tree.map(np.array, resumed), jax.tree.map(np.array, straight))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_the_step_it_met_and_stops(key, images, number):
    saved = []
    kill = Hook(2, lambda step, state, metrics: os.kill(os.getpid(), number) if step == 2 else None)
    before = signal.getsignal(number)
    save = Hook(100, lambda step, state, metrics: saved.append(step))
    trained = go(make_experiment()[0], key, images, num_steps=9, hooks=[kill], save=save, steps_per_call=1)
    assert trained.stopped_by is number
    assert saved == [3] == [int(trained.state.step)]
    assert signal.getsignal(number) is before


def test_a_signal_during_the_last_step_is_not_lost(key, images):
    kill = Hook(2, lambda step, state, metrics: os.kill(os.getpid(), signal.SIGTERM) if step == 2 else None)
    trained = go(make_experiment()[0], key, images, num_steps=2, hooks=[kill], steps_per_call=1)
    assert (trained.stopped_by, int(trained.state.step)) == (signal.SIGTERM, 2)


def test_a_non_finite_loss_stops_the_run_at_its_step_and_is_not_saved(key, images):
    def breaks(z_x, z_y, *, key, axis_name):
        out = mi_coding.cpc(z_x, z_y, axis_name=axis_name)
        return out._replace(loss=out.loss * jnp.nan)

    def breaks_at_step_five(state, count):
        assert count == 1
        bad = (state.step == 4).astype(jnp.int32)
        step = state.step + 1
        return state._replace(step=step, non_finite_at=jnp.maximum(state.non_finite_at, bad * step)), {}

    experiment, _ = make_experiment(breaks)
    with pytest.raises(NonFiniteLossError, match="step 1 "):
        go(experiment, key, images, num_steps=9)

    way, saved = data_parallel("shard_map", jax.local_devices()[:1]), []
    save = Hook(2, lambda step, state, metrics: saved.append(step))
    with pytest.raises(NonFiniteLossError, match="step 5 "):
        train(
            breaks_at_step_five,
            init_state(make_experiment()[0], key, images),
            parallel=way,
            num_steps=9,
            hooks=[],
            save=save,
        )
    assert saved == [2, 4]


def test_only_the_newest_checkpoints_stay(key, images, tmp_path):
    checkpoints = Checkpoints(tmp_path / "c", keep=2)
    go(
        make_experiment()[0],
        key,
        images,
        num_steps=5,
        save=Hook(1, lambda step, state, _: checkpoints.save(state, 0.0)),
    )
    checkpoints.close()
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == ["4", "5"]


def test_an_empty_folder_has_nothing_to_restore(key, images, tmp_path):
    assert Checkpoints(tmp_path / "c", keep=1).restore(init_state(make_experiment()[0], key, images), print) is None
