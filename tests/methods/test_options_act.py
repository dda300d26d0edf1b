"""Every option of a method changes what is trained, in the way that its name says."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mi_coding.encoders import MLP
from mi_coding.methods import METHODS, Method, Parts
from mi_coding.methods.nt_xent import NTXent
from mi_coding.methods.statistics import Statistics
from mi_coding.options import options_of, read, values_of
from mi_coding.pairs import PairSampler
from mi_coding.pairs.sequences import Sequences

SMALL = {
    "encoder.code_dim": 3,
    "encoder.context_dim": 4,
    "encoder.head_width": 5,
    "code.num_symbols": 2,
    "code.num_values": 3,
    "code.num_heads": 2,
    "objective.num_ahead": 2,
}
AUTOREGRESSIVE = {"code.prior": "autoregressive", "code.conditional": "autoregressive", "optimizer.prior_steps": 1}
OF_AUTOREGRESSIVE = {
    "optimizer.prior_steps",
    "optimizer.prior_learning_rate",
    "optimizer.conditional_learning_rate",
    "code.samples",
    "code.prior_hidden",
    "code.conditional_hidden",
}
"""Options of co-training that act on networks alone."""
CHANGED = {
    "critic.temperature": 0.7,
    "critic.precision": "bfloat16",
    "critic.name": "bilinear",
    "objective.num_distractors": 2,
    "objective.num_ahead": 1,
    "objective.num_times": 2,
    "objective.beta": 0.5,
    "objective.betas": (0.5, 0.2),
    "objective.balance": 0.0,
    "encoder.head_layers": 3,
    "encoder.activation": "smelu",
    "encoder.feature": "last",
    "optimizer.probe_learning_rate": 0.3,
    "optimizer.prior_steps": 3,
    "optimizer.prior_learning_rate": 0.3,
    "optimizer.conditional_learning_rate": 0.3,
    "code.spread": 2.0,
    "code.samples": 3,
    "code.prior": "markov",
    "code.conditional": "markov",
    "code.prior_hidden": 4,
    "code.conditional_hidden": 4,
}
SAME_NUMBERS = {"objective.method", "objective.block_size", "microbatch_size"}
"""How something is computed, and not what; `tests/contrast` and `test_contrastive.py` compare the numbers."""
NEED_OTHERS = {
    "objective.clip": "no training: it is of the read-out; see tests/objectives/test_density_ratio.py",
    "objective.freeze": "more than one step; see tests/methods/test_supervised.py",
    "objective.distractors": "several devices; see tests/objectives/test_cpc.py",
    "code.prior_order": "a markov prior; see tests/objectives/test_code_models.py",
    "code.conditional_order": "a markov model; see tests/objectives/test_code_models.py",
}


def built(name, **changes):
    """A tiny method with its parts, and the halves of a batch of 8 pairs as it takes them."""
    kind = METHODS[name]
    sequences = not kind.halves_are_alike
    pairs = Sequences() if sequences else PairSampler()
    shape = (6, 2) if sequences else (4,)
    method = read(kind, SMALL | changes, name=name)
    encoder, num_classes = (
        MLP(widths=(4,), feature_dim=6),
        2 if method.probe_learning_rate or method.learns_labels else 0,
    )
    method = method.made_of(Parts(encoder, pairs, 8, 1, 4, shape, num_classes))
    rng, labels = np.random.default_rng(0), jnp.arange(8) % 2
    x, y = (jnp.asarray(rng.normal(size=(8, *shape)), jnp.float32) for _ in range(2))
    y = () if sequences else x + 0.3 * y
    return method, *(((x, labels), (y, labels)) if method.uses_labels else (x, y))


def shapes(method, x, y):
    """Shapes of parameters and statistics, which need no compilation."""
    return [leaf.shape for leaf in jax.tree.leaves(jax.eval_shape(method.init, jax.random.key(0), x, y))]


def trained(method, x, y):
    """Parameters, statistics and codes after a step."""
    params, stats = method.init(jax.random.key(0), x, y)
    optimizer = method.optimizer(optax.sgd(0.1))
    gradient, (_, stats) = jax.grad(method.loss, has_aux=True)(params, stats, jax.random.key(1), x, y, None)
    updates, _ = optimizer.update(gradient, optimizer.init(params), params)
    params = optax.apply_updates(params, updates)
    encoded = method.encode(params, stats, x[0] if method.uses_labels else x)
    return [np.asarray(leaf) for leaf in jax.tree.leaves((params, stats, encoded))]


@pytest.mark.soak
@pytest.mark.parametrize(("name", "base"), [*((name, {}) for name in METHODS), ("cotraining", AUTOREGRESSIVE)])
def test_every_option_of_a_method_changes_what_is_trained(name, base):
    kind = METHODS[name]
    values, as_it_is = values_of(read(kind, SMALL | base)), built(name, **base)
    shapes_unchanged, unchanged = shapes(*as_it_is), trained(*as_it_is)
    alike = []
    for spec in options_of(kind):
        if spec.key in SAME_NUMBERS or spec.key in NEED_OTHERS or (spec.key in OF_AUTOREGRESSIVE) != bool(base):
            continue
        if issubclass(kind, NTXent) and spec.key in ("critic.name", "critic.normalize"):
            continue  # it takes one value only, which its check tells
        if issubclass(kind, Statistics) and spec.key == "critic.temperature":
            continue  # of the critic of held-out bounds, which these methods do not train
        value = not values[spec.key] if spec.type is bool else CHANGED.get(spec.key, values[spec.key])
        value = values[spec.key] + 1 if value == values[spec.key] else value
        changed = built(name, **base | {spec.key: value})
        if shapes(*changed) != shapes_unchanged:
            continue
        found = trained(*changed)
        same_shapes = [leaf.shape for leaf in found] == [leaf.shape for leaf in unchanged]  # of the codes too
        if same_shapes and all(np.array_equal(*leaves) for leaves in zip(found, unchanged, strict=True)):
            alike.append(spec.key)
    assert alike == []


@pytest.mark.parametrize("kind", METHODS.values(), ids=METHODS)
def test_no_base_hides_an_option_of_another(kind):
    own = {spec.key for spec in options_of(kind)}
    bases = (base for base in kind.__mro__ if issubclass(base, Method))
    of_bases = {spec.key for base in bases for spec in options_of(base)}
    assert own == of_bases
