"""Discrete codes as bytes: packed bits, or an entropy coder driven by the prior, which needs Ĥ(z) nats per code.

The coder is asymmetric numeral systems (`constriction`): a symbol costs −ln P_Ψ(symbol given those before it), to
within a few bytes for everything together.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import constriction
import jax
import jax.numpy as jnp
import numpy as np

from mi_coding.objectives.codes import CodeModel

_AT_ONCE = 4096  # codes whose probabilities are computed together
_FAMILY = constriction.stream.model.Categorical(perfect=False)
_LEAST = 2.0**-24  # smallest probability, so that every symbol can be stored


def pack(z: np.ndarray, num_values: int) -> np.ndarray:
    """uint8[n, ⌈M·bits / 8⌉]: each code in whole bytes, each of its symbols in ⌈log₂ K⌉ bits, the highest bit first.

    >>> pack(np.array([[1, 0, 2], [3, 3, 3]]), num_values=4).tolist()  # 01 00 10 and 11 11 11, filled up with zeros
    [[72], [252]]

    Args:
        z: int[n, M] in 0 .. K − 1.
        num_values: K.
    Raises:
        ValueError: for symbols out of range.
    """
    z = _checked(z, num_values)
    bits = z[:, :, None] >> np.arange(_width(num_values))[::-1] & 1
    return np.packbits(bits.reshape(len(z), -1).astype(np.uint8), axis=1)


def unpack(packed: np.ndarray, *, num_symbols: int, num_values: int) -> np.ndarray:
    """int32[n, M]: the codes that `pack` packed.

    >>> unpack(np.array([[72], [252]], np.uint8), num_symbols=3, num_values=4).tolist()
    [[1, 0, 2], [3, 3, 3]]

    Raises:
        ValueError: if there are more or fewer bytes than this number of symbols takes.
    """
    width = _width(num_values)
    num_bytes = -(-num_symbols * width // 8)
    if packed.ndim != 2 or packed.shape[1] != num_bytes:
        expected = f"{num_symbols} symbols with {num_values} values take {num_bytes} bytes"
        raise ValueError(f"packed codes of shape {packed.shape}: {expected}")
    bits = np.unpackbits(packed, axis=1)[:, : num_symbols * width].reshape(len(packed), num_symbols, width)
    return (bits.astype(np.int32) << np.arange(width)[::-1]).sum(axis=-1).astype(np.int32)


def compress(prior: CodeModel, psi: Any, z: np.ndarray) -> np.ndarray:
    """uint32[w]: codes in as many words as their information under the prior takes, to be read back by `decompress`.

    >>> from mi_coding.objectives.codes import independent
    >>> prior, z = independent(4, 2), np.random.default_rng(0).integers(0, 2, (800, 4))
    >>> words = compress(prior, prior.init(jax.random.key(0)), z)  # 3,200 fair bits
    >>> 100 <= len(words) <= 102
    True

    Args:
        prior, psi: P_Ψ(z), of codes like these; an impossible code costs no more than 17 nats per symbol.
        z: int[n, M].
    Raises:
        ValueError: for a conditional model, or symbols out of its range.
    """
    if prior.conditional:
        raise ValueError("a conditional model cannot store codes alone; expected a prior")
    z = _checked(z, prior.num_values)
    coder, probabilities = constriction.stream.stack.AnsCoder(), _next_probabilities(prior, psi)
    starts = range(0, len(z), _AT_ONCE)
    for start in reversed(starts):  # the coder is a stack: what is read first is written last
        block = z[start : start + _AT_ONCE]
        for m in reversed(range(prior.num_symbols)):
            coder.encode_reverse(block[:, m].copy(), _FAMILY, probabilities(block, m))
    return coder.get_compressed()


def decompress(prior: CodeModel, psi: Any, words: np.ndarray, count: int) -> np.ndarray:
    """int32[count, M]: the codes that `compress` wrote, all of them, with the same prior on the same kind of machine.

    The probabilities must be the same bit for bit, which another processor or version of JAX does not guarantee.

    Args:
        prior, psi: as they were for `compress`.
        words: what `compress` returned.
        count: n.
    """
    coder, probabilities = constriction.stream.stack.AnsCoder(words), _next_probabilities(prior, psi)
    z = np.zeros((count, prior.num_symbols), np.int32)
    for start in range(0, count, _AT_ONCE):
        block = z[start : start + _AT_ONCE]
        for m in range(prior.num_symbols):
            block[:, m] = coder.decode(_FAMILY, probabilities(block, m))
    return z


def _next_probabilities(prior: CodeModel, psi: Any) -> Callable[[np.ndarray, int], np.ndarray]:
    """(z int32[n, M], m) → float32[n, K], the distribution of symbol m given those before it: one program both ways."""
    logs = jax.jit(partial(prior.next_log_probs, psi))

    def at(z: np.ndarray, m: int) -> np.ndarray:
        known = np.pad(z[:, :m], ((0, _AT_ONCE - len(z)), (0, z.shape[1] - m)))  # all that a decoder has at symbol m
        chosen = np.exp(np.asarray(logs(jnp.asarray(known), None))[: len(z), m], dtype=np.float64)
        chosen = np.maximum(chosen, _LEAST)
        return (chosen / chosen.sum(axis=1, keepdims=True)).astype(np.float32)

    return at


def _width(num_values: int) -> int:
    return max(1, (num_values - 1).bit_length())


def _checked(z: np.ndarray, num_values: int) -> np.ndarray:
    z = np.asarray(z, np.int32)
    if z.ndim != 2 or (z.size and (z.min() < 0 or z.max() >= num_values)):
        raise ValueError(f"codes of shape {z.shape} must be [n, M] with symbols in 0 .. {num_values - 1}")
    return z
