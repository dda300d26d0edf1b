"""Codes by brute force in float64: every code, every pair of codes, one after another."""

import itertools

import numpy as np


def log_softmax(logits):
    logits = np.asarray(logits, np.float64)
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def listed(num_symbols, num_values):
    return np.array(list(itertools.product(range(num_values), repeat=num_symbols)))


def law(log_q):
    """float[b, K^M]: what an encoder says of every code."""
    codes = listed(*log_q.shape[1:])
    return np.array([[np.exp(sum(row[m, z[m]] for m in range(len(z)))) for z in codes] for row in log_q])


def cross_entropy(logs, log_q_x):
    """E −ln P(z) for logs[z] = ln P(z) of every code."""
    return -np.mean(law(log_q_x) @ logs)


def conditional_cross_entropy(logs, log_q_x, log_q_y):
    """E −ln P(z|z′) for logs[z′, z]."""
    return -np.mean(np.einsum("ba,bc,ca->b", law(log_q_x), law(log_q_y), logs))


def numeric_gradient(value, logits, step=1e-5):
    """Central differences of a float64 function of logits."""
    gradient = np.zeros(logits.shape)
    for place in np.ndindex(logits.shape):
        up, down = logits.copy(), logits.copy()
        up[place] += step
        down[place] -= step
        gradient[place] = (value(up) - value(down)) / (2 * step)
    return gradient
