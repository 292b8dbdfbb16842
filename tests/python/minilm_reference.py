# SPDX-License-Identifier: Apache-2.0
"""BERT's encoder in NumPy, float64, one sentence at a time, straight from the papers: the second opinion."""

import numpy as np
from scipy.special import erf


def _norm(x, weights, name):
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def _map(x, weights, name):
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def projections(x, weights, block, heads=12):
    """Queries, keys and values of one block, [heads, tokens, head_dim], given the states before it."""
    name = f"encoder.layer.{block}.attention.self"
    return [
        _map(x, weights, f"{name}.{part}").reshape(len(x), heads, -1).transpose(1, 0, 2)
        for part in ("query", "key", "value")
    ]


def states(ids, weights, blocks=6):
    """[blocks + 1, tokens, features]: the embeddings and every block's output. Weights in float64."""
    table = {part: weights[f"embeddings.{part}_embeddings.weight"] for part in ("word", "position", "token_type")}
    x = table["word"][ids] + table["position"][: len(ids)] + table["token_type"][0]
    found = [_norm(x, weights, "embeddings.LayerNorm")]
    for block in range(blocks):
        x, name = found[-1], f"encoder.layer.{block}"
        q, k, v = projections(x, weights, block)
        scores = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])
        weight = np.exp(scores - scores.max(-1, keepdims=True))
        context = (weight / weight.sum(-1, keepdims=True)) @ v
        joined = context.transpose(1, 0, 2).reshape(x.shape)
        x = _norm(x + _map(joined, weights, f"{name}.attention.output.dense"), weights,
                  f"{name}.attention.output.LayerNorm")  # fmt: skip
        wide = _map(x, weights, f"{name}.intermediate.dense")
        active = wide * (1 + erf(wide / np.sqrt(2))) / 2
        found.append(_norm(x + _map(active, weights, f"{name}.output.dense"), weights, f"{name}.output.LayerNorm"))
    return np.stack(found)


def vector(ids, weights):
    """The mean of the last states, at unit norm."""
    mean = states(ids, weights)[-1].mean(0)
    return mean / np.linalg.norm(mean)
