"""Codes as bytes: back without loss, and as short as the prior says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi_coding import stored_codes
from mi_coding.objectives import codes


@pytest.mark.parametrize(("symbols", "values"), [(1, 10), (3, 5), (9, 2), (64, 2), (2, 16)])
def test_packed_codes_come_back_in_whole_bytes(symbols, values):
    z = np.random.default_rng(0).integers(0, values, (31, symbols))
    packed = stored_codes.pack(z, values)
    width = int(np.ceil(np.log2(values)))
    assert packed.shape == (31, -(-symbols * width // 8))
    np.testing.assert_array_equal(stored_codes.unpack(packed, num_symbols=symbols, num_values=values), z)


def lopsided_prior(name):
    prior = {
        "markov": codes.markov(5, 3, order=2),
        "autoregressive": codes.autoregressive(12, 2, hidden=6),
        "one symbol": codes.independent(1, 10),
    }[name]
    leaves, tree = jax.tree.flatten(prior.init(jax.random.key(0)))
    rng = np.random.default_rng(0)
    psi = tree.unflatten([jnp.float32(leaf + 1.5 * rng.normal(size=leaf.shape)) for leaf in leaves])
    return prior, psi._replace(mean=jax.nn.softmax(psi.mean)) if hasattr(psi, "_replace") else psi


@pytest.mark.parametrize("name", ["markov", "autoregressive", "one symbol"])
def test_codes_of_a_prior_take_their_entropy_in_bytes_and_come_back(name, monkeypatch):
    monkeypatch.setattr(stored_codes, "_AT_ONCE", 1024)  # several blocks, the last one short
    prior, psi = lopsided_prior(name)
    z = np.asarray(codes.sample(prior, psi, jax.random.key(1), 5000))
    words = stored_codes.compress(prior, psi, z)
    information = -float(np.sum(np.asarray(codes.log_prob(prior, psi, jnp.asarray(z)), np.float64))) / np.log(2) / 8
    assert 4 * len(words) == pytest.approx(information, rel=0.005)
    assert 4 * len(words) < 0.9 * len(z) * prior.num_symbols * np.log2(prior.num_values) / 8
    np.testing.assert_array_equal(stored_codes.decompress(prior, psi, words, len(z)), z)


def test_a_code_that_the_prior_finds_impossible_is_stored_all_the_same():
    prior = codes.independent(2, 3)
    psi = jnp.array([[[0.0, -200.0, 0.0]], [[0.0, 0.0, -200.0]]])
    z = np.array([[1, 2], [0, 0], [1, 1]])
    np.testing.assert_array_equal(stored_codes.decompress(prior, psi, stored_codes.compress(prior, psi, z), 3), z)


def test_no_codes_take_no_words():
    prior, psi = lopsided_prior("markov")
    words = stored_codes.compress(prior, psi, np.zeros((0, 5), int))
    assert len(words) == 0
    assert stored_codes.decompress(prior, psi, words, 0).shape == (0, 5)


def test_what_cannot_be_stored_is_refused():
    with pytest.raises(ValueError, match=r"symbols in 0 \.\. 2"):
        stored_codes.pack(np.array([[3]]), 3)
    with pytest.raises(ValueError, match=r"shape \(2,\) must be \[n, M\]"):
        stored_codes.pack(np.array([1, 2]), 3)
    with pytest.raises(ValueError, match="9 symbols with 2 values take 2 bytes"):
        stored_codes.unpack(np.zeros((4, 1), np.uint8), num_symbols=9, num_values=2)
    with pytest.raises(ValueError, match="expected a prior"):
        stored_codes.compress(codes.independent(2, 2, conditional=True), None, np.zeros((1, 2), int))
