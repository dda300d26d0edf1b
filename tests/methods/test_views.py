"""More than two views: how they lie in a batch, the loss over all pairs of them, its N, and who refuses them."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P
from small_experiment import make_experiment

import mi_coding
from mi_coding.encoders import ConvNet
from mi_coding.errors import InputError
from mi_coding.methods import METHODS
from mi_coding.pairs import PAIRS

AXIS, VIEWS, BATCH, SIDE = "devices", 4, 8, 6
PAIRS_OF_VIEWS = PAIRS["augmentations"](preset="gray28", size=SIDE, num_views=VIEWS)


def made(name, devices=1, **options):
    parts = make_experiment()[1].parts._replace(
        encoder=ConvNet(widths=(4,), feature_dim=6), pairs=PAIRS_OF_VIEWS, batch_size=BATCH, num_devices=devices
    )
    return METHODS[name](name, parts, code_dim=3, **options)


@pytest.fixture
def batch(key, images):
    """x and y of a batch on one device."""
    return PAIRS_OF_VIEWS.training_batch(key, images, jnp.arange(BATCH), batch_size=BATCH)


def test_the_views_of_an_example_lie_a_batch_apart_and_all_differ(key):
    constant = jnp.broadcast_to(jnp.linspace(0.1, 1, 6)[:, None, None, None], (6, 8, 8, 1))
    pairs = PAIRS["augmentations"](preset="gray28", size=8, num_views=VIEWS, mask=0.0, jitter=0.0)
    labels = jnp.arange(6)
    halves = pairs.streamed_batch(key, (constant, labels), jnp.arange(6), with_labels=True)
    for views, of_views in halves:
        assert views.shape == (2 * 6, 8, 8, 1)
        np.testing.assert_array_equal(of_views, [*labels, *labels])
        np.testing.assert_allclose(views[:, 4, 4, 0], np.tile(constant[:, 0, 0, 0], 2), rtol=1e-5)
    image = jnp.asarray(np.random.default_rng(0).random((1, 8, 8, 1)), jnp.float32)
    views = jnp.concatenate(pairs.streamed_batch(key, image, jnp.arange(1)))
    assert len({bytes(np.asarray(view).tobytes()) for view in views}) == VIEWS


def test_a_view_is_the_same_whichever_device_draws_it(key, images):
    whole = PAIRS_OF_VIEWS.training_batch(key, images, jnp.arange(BATCH), batch_size=BATCH)
    part = PAIRS_OF_VIEWS.training_batch(key, images, jnp.arange(2, 4), batch_size=BATCH)
    for all_of_them, some in zip(whole, part, strict=True):
        np.testing.assert_array_equal(
            all_of_them.reshape(2, BATCH, SIDE, SIDE, 1)[:, 2:4].reshape(-1, SIDE, SIDE, 1), some
        )


@pytest.mark.parametrize("name", ["cpc", "nt_xent"])
def test_loss_and_bound_are_means_over_all_pairs_of_views(name, key, batch):
    method = made(name, temperature=0.5)
    params, stats = method.init(key, *batch)
    loss, (metrics, _) = jax.jit(lambda: method.loss(params, stats, key, *batch, None))()
    codes = method.encoder.apply(params["encoder"], stats, jnp.concatenate(batch), True)[0][1]
    codes = codes.reshape(VIEWS, BATCH, 3)
    function = {"cpc": partial(mi_coding.cpc, normalize=True, symmetric=True), "nt_xent": mi_coding.nt_xent}[name]
    found = [function(codes[v], codes[w], temperature=0.5) for v in range(VIEWS) for w in range(v + 1, VIEWS)]
    assert float(loss) == pytest.approx(np.mean([out.loss for out in found]), rel=1e-5)
    count = BATCH if name == "cpc" else 2 * BATCH - 1
    assert method.num_candidates == found[0].num_candidates == count
    assert float(metrics["mi_lower_bound"]) == pytest.approx(np.log(count) - float(loss), abs=1e-5)


def test_four_devices_have_the_loss_of_one(key, images):
    method, alone = made("cpc", devices=4), made("cpc")
    draw = partial(PAIRS_OF_VIEWS.training_batch, key, images, batch_size=BATCH)
    x, y = draw(jnp.arange(BATCH))
    params, stats = alone.init(key, x, y)
    mesh = jax.make_mesh((4,), (AXIS,), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:4])

    def run(params, rows):
        return method.loss(params, stats, key, *draw(rows), AXIS)[0]

    loss = jax.jit(jax.shard_map(run, mesh=mesh, in_specs=(P(), P(AXIS)), out_specs=P()))(params, jnp.arange(BATCH))
    assert float(loss) == pytest.approx(float(alone.loss(params, stats, key, x, y, None)[0]), rel=1e-5)


def test_views_that_cannot_be_are_refused():
    with pytest.raises(InputError, match=r"pairs.views=3 is odd; expected 2 or 4"):
        PAIRS["augmentations"](num_views=3)
    for name in ("nnclr", "cotraining"):
        with pytest.raises(InputError, match=rf"pairs.views=4; objective '{name}' is of two views, expected 2"):
            METHODS[name](name).check(PAIRS_OF_VIEWS, ConvNet(), BATCH, 1)
