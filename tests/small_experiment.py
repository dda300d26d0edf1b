"""A very small experiment that goes through every part of a real one."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mi_coding
from mi_coding.encoders import ConvNet, HeadOptions
from mi_coding.methods import Parts
from mi_coding.methods.base import with_own_rate
from mi_coding.methods.cpc import CPC
from mi_coding.pairs.frames import Frames
from mi_coding.training.devices import data_parallel
from mi_coding.training.experiment import Experiment
from mi_coding.training.optimizers import OptimizerOptions
from mi_coding.training.step import init_state, make_step


@dataclass(frozen=True, eq=False)
class WithLoss(CPC):
    """CPC with another loss; it is called with the axis name, and with the key if it takes one."""

    other_loss: Any = None

    def training_loss(self, z_x, z_y, *, key, axis_name, **options):
        del options  # the other loss has its own temperature
        takes_key = not isinstance(self.other_loss, partial)
        return self.other_loss(z_x, z_y, axis_name=axis_name, **({"key": key} if takes_key else {}))


class TwoEncoders(Frames):
    """Frames whose x and y have an encoder each."""

    two_encoders = True


def make_experiment(
    loss=None,
    *,
    batch_size=16,
    distinct=False,
    learning_rate=0.05,
    microbatch_size=0,
    num_classes=0,
    average_decay=0.0,
    streamed=False,
    separate=False,
):
    """Returns the experiment, and its method."""
    loss = loss or partial(mi_coding.cpc, normalize=True, temperature=0.2, symmetric=True)
    pairs = (TwoEncoders if separate else Frames)(window=10, distinct=distinct)
    encoder = ConvNet(widths=(4, 8), feature_dim=12)
    method = WithLoss(
        parts=Parts(encoder, pairs, batch_size, 1, 100, (6, 6, 1), num_classes),
        head=HeadOptions(width=8),
        temperature=0.2,
        code_dim=4,
        critic_name="bilinear",
        microbatch_size=microbatch_size,
        other_loss=loss,
    )
    sgd = OptimizerOptions("sgd", learning_rate, warmup_steps=0, weight_decay=1e-3, momentum=0.9, gradient_clip=1.0)
    optimizer = sgd.build(batch_size, num_steps=100)
    sample = pairs.streamed_batch if streamed else partial(pairs.training_batch, batch_size=batch_size)
    return Experiment(
        partial(sample, with_labels=num_classes > 0),
        method.init,
        method.loss,
        with_own_rate(optimizer, "probe", 0.05) if num_classes else optimizer,
        batch_size,
        average_decay,
    ), method


def run(experiment, key, images, *, how, devices, steps=3):
    """State and the last metrics after a few steps on some of the eight virtual devices."""
    way = data_parallel(how, jax.local_devices()[:devices])
    step = way.parallel(make_step(experiment, key, devices))
    state = jax.jit(partial(init_state, experiment))(jax.random.key(0), images)
    state, data = way.replicate(state), way.replicate(images)
    for _ in range(steps):
        state, metrics = jax.block_until_ready(step(state, data))  # as the loop does on virtual devices
    return jax.device_get((way.fetch(state), way.fetch(metrics)))


@pytest.fixture(scope="session")
def images():
    return jnp.asarray(np.random.default_rng(0).random((30, 6, 6, 1)), jnp.float32)


@pytest.fixture(scope="module")
def key():
    return jax.random.key(3)
