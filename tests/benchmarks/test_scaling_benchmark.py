"""What a step sends, against a count by hand, and what it needs, against what the methods promise."""

import jax
import jax.numpy as jnp
import pytest
from commands import SHORT, read_config
from jax import lax

from mi_coding.benchmarks import scaling
from mi_coding.benchmarks.hlo import Program
from mi_coding.training.devices import AXIS, data_parallel

DEVICES = 4
ALL = [(i, (i + 1) % DEVICES) for i in range(DEVICES)]


def sent(fn):
    """Bytes by a function of float32[3, 5] on each of four devices."""
    way = data_parallel("shard_map", jax.devices()[:DEVICES])
    step = way.parallel(lambda state, x: (state, {"out": lax.psum(jnp.sum(fn(x)), AXIS)}), sharded=True)
    compiled = step.lower(jnp.zeros(()), jax.ShapeDtypeStruct((DEVICES * 3, 5), "float32")).compile()
    of_the_sum = 2 * 4 * 3 / 4
    return Program(compiled.as_text(), DEVICES).work().sent - of_the_sum


@pytest.mark.parametrize(
    ("fn", "expected"),
    [
        (lambda x: lax.all_gather(x, AXIS) ** 2, 4 * 60 * 3 / 4),
        (lambda x: lax.psum(x, AXIS) ** 2, 2 * 60 * 3 / 4),
        (lambda x: lax.ppermute(x, AXIS, ALL) ** 2, 60),
        (lambda x: lax.fori_loop(0, 7, lambda _, x: jnp.sin(lax.ppermute(x, AXIS, ALL)), x), 7 * 60),
    ],
    ids=["all_gather", "psum", "ppermute", "loop"],
)
def test_bytes_are_those_of_a_ring(fn, expected):
    assert sent(fn) == expected


def test_an_exchange_in_a_loop_of_unknown_length_is_refused():
    def until_small(x):
        return lax.while_loop(lambda x: lax.pmax(jnp.max(x), AXIS) > 1, lambda x: lax.ppermute(x, AXIS, ALL) / 2, x)

    with pytest.raises(ValueError, match="unknown length"):
        sent(until_small)


def test_a_ring_needs_less_memory_than_gathering():
    config = read_config(*SHORT, "--config.encoder.widths=(4,)")
    gather, ring = (scaling.cost(config, method, 2, 2**15) for method in ("gather", "ring"))
    assert ring.memory < gather.memory / 4
    assert gather.sent > 0 < ring.sent
    assert gather.batch == ring.batch == 2**15


def test_the_least_time_is_by_the_data_sheet():
    machine = scaling.Machine("pod", 4, 1e12, 1e9, 10**9)
    least = scaling.least_seconds(scaling.Cost("ring", 4, 64, sent=5 * 10**8, memory=10**8, flops=2 * 10**12), machine)
    assert least == {"computing": 2.0, "sending": 0.5, "memory": 0.1}
