"""The losses once more, in float64 NumPy with loops over single pairs and gradients in closed form."""

from typing import NamedTuple

import numpy as np


class Case(NamedTuple):
    """One loss of the table."""

    distractors: str  # "all", "other_devices", or "pool" for NT-Xent
    normalize: bool = False
    symmetric: bool = False


CASES = {
    "all-inner": Case("all"),
    "all-cosine": Case("all", normalize=True),
    "all-symmetric-inner": Case("all", symmetric=True),
    "all-symmetric-cosine": Case("all", normalize=True, symmetric=True),
    "other_devices-inner": Case("other_devices"),
    "other_devices-symmetric-cosine": Case("other_devices", normalize=True, symmetric=True),
    "pool-cosine": Case("pool", normalize=True),
}


def oracle(case, x, y, temperature, num_devices):
    """Loss, N, accuracy, and the gradients of the loss to x, y and the temperature."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if case.distractors == "pool":
        n = len(x)
        pool = np.concatenate([x, y])
        true = (np.arange(2 * n) + n) % (2 * n)
        loss, num, accuracy, d_queries, d_keys, d_temperature = _oracle(case, pool, pool, true, temperature, 1)
        d_pool = d_queries + d_keys
        return loss, num, accuracy, d_pool[:n], d_pool[n:], d_temperature
    return _oracle(case, x, y, np.arange(len(x)), temperature, num_devices)


def _oracle(case, x, y, true, temperature, num_devices):
    n = len(x)
    u, v = (_unit(x), _unit(y)) if case.normalize else (x, y)
    scores = u @ v.T / temperature
    rows = [[j for j in range(n) if _is_candidate(case, i, j, true, n // num_devices)] for i in range(n)]
    columns = [[i for i in range(n) if j in rows[i]] for j in range(n)]
    d_scores, losses, right = np.zeros((n, n)), [], []
    for i, candidates in enumerate(rows):
        weight = 0.5 if case.symmetric else 1.0
        loss, gradient = _cross_entropy(scores[i], candidates, true[i])
        d_scores[i] += weight * gradient / n
        losses.append(weight * loss)
        right.append(all(scores[i, j] < scores[i, true[i]] for j in candidates if j != true[i]))
    for j, candidates in enumerate(columns if case.symmetric else []):
        loss, gradient = _cross_entropy(scores[:, j], candidates, np.flatnonzero(true == j)[0])
        d_scores[:, j] += 0.5 * gradient / n
        losses.append(0.5 * loss)
    du, dv = d_scores @ v / temperature, d_scores.T @ u / temperature
    d_temperature = -np.sum(d_scores * scores) / temperature
    if case.normalize:
        du, dv = _unit_back(x, du), _unit_back(y, dv)
    return sum(losses) / n, len(rows[0]), np.mean(right), du, dv, d_temperature


def _is_candidate(case, i, j, true, per_device):
    if case.distractors == "pool":
        return i != j
    return case.distractors == "all" or j == true[i] or i // per_device != j // per_device


def _cross_entropy(scores, candidates, true):
    """−ln softmax at `true` among the candidates, and its gradient to all scores."""
    peak = max(scores[c] for c in candidates)
    total = sum(np.exp(scores[c] - peak) for c in candidates)
    gradient = np.zeros_like(scores)
    for c in candidates:
        gradient[c] = np.exp(scores[c] - peak) / total - (c == true)
    return np.log(total) + peak - scores[true], gradient


def _unit(z):
    return z / np.linalg.norm(z, axis=1, keepdims=True)


def _unit_back(z, gradient):
    u = _unit(z)
    return (gradient - u * np.sum(u * gradient, axis=1, keepdims=True)) / np.linalg.norm(z, axis=1, keepdims=True)
