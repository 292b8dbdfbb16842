# SPDX-License-Identifier: Apache-2.0
"""Attention in float64 NumPy, written from its definition, and the bound that an answer must keep.

The bound is the one core/README.md points to, written a second time: per element, from the magnitudes that entered it.
"""

from dataclasses import dataclass

import ml_dtypes
import numpy as np

ROUNDOFF = {np.dtype(np.float32): 2.0**-24, np.dtype(np.float16): 2.0**-11, np.dtype(ml_dtypes.bfloat16): 2.0**-8}
SMALLEST = {np.dtype(np.float32): 2.0**-149, np.dtype(np.float16): 2.0**-24, np.dtype(ml_dtypes.bfloat16): 2.0**-133}


@dataclass
class Answer:
    out: np.ndarray
    lse: np.ndarray
    allowed_out: np.ndarray
    allowed_lse: np.ndarray


def live_pairs(queries, keys, *, causal="none", window=None, query_offsets=None, key_offsets=None):
    """Boolean [queries, keys] and the position difference pos(query) - pos(key)."""
    query_offsets = [0, queries] if query_offsets is None else list(query_offsets)
    key_offsets = [0, keys] if key_offsets is None else list(key_offsets)
    live = np.zeros((queries, keys), bool)
    distance = np.zeros((queries, keys))
    for n in range(len(query_offsets) - 1):
        rows = slice(query_offsets[n], query_offsets[n + 1])
        columns = slice(key_offsets[n], key_offsets[n + 1])
        count_q, count_k = rows.stop - rows.start, columns.stop - columns.start
        start = count_k - count_q if causal == "bottom_right" else 0
        apart = (np.arange(count_q)[:, None] + start) - np.arange(count_k)[None, :]
        keep = np.ones((count_q, count_k), bool)
        if causal != "none":
            keep &= apart >= 0
        if window is not None:
            left, right = window
            keep &= apart <= (np.inf if left is None else left)
            keep &= -apart <= (np.inf if right is None else right)
        live[rows, columns] = keep
        distance[rows, columns] = apart
    return live, distance


def attention(
    q,
    k,
    v,
    *,
    key_lengths=None,
    mask=None,
    bias=None,
    alibi_slopes=None,
    softcap=0.0,
    sinks=None,
    scale=None,
    rounds_weights=False,
    **positions,
) -> Answer:
    kind = q.dtype
    u = ROUNDOFF[np.dtype(np.float32)]
    q, k, v = (np.asarray(x, np.float64) for x in (q, k, v))
    batch, heads, queries, head_dim = q.shape
    keys = k.shape[2]
    group = heads // k.shape[1]
    k, v = np.repeat(k, group, axis=1), np.repeat(v, group, axis=1)
    scale = float(np.float32(1 / np.sqrt(head_dim) if scale is None else scale))

    live, distance = live_pairs(queries, keys, **positions)
    live = np.broadcast_to(live, (batch, heads, queries, keys)).copy()
    if key_lengths is not None:
        live &= np.arange(keys) < np.asarray(key_lengths)[:, None, None, None]
    if mask is not None:
        live &= mask
    added = np.zeros(live.shape) if bias is None else np.broadcast_to(np.float64(bias), live.shape).copy()
    live &= added != -np.inf
    added[~live] = 0
    k, v = (np.where(live.any(axis=2)[..., None], x, 0) for x in (k, v))  # what nobody may read is not read here

    score = scale * np.einsum("bhqd,bhkd->bhqk", q, k)
    magnitude = scale * np.einsum("bhqd,bhkd->bhqk", abs(q), abs(k)) + abs(added)
    if softcap:
        score = softcap * np.tanh(score / softcap)
    score = score + added
    if alibi_slopes is not None:
        slope = np.float64(alibi_slopes)[None, :, None, None] * abs(distance)
        score, magnitude = score - slope, magnitude + slope
    score = np.where(live, score, -np.inf)
    sink = np.full((1, heads, 1), -np.inf) if sinks is None else np.float64(sinks)[None, :, None]
    top = np.maximum(score.max(axis=-1), sink)
    base = np.where(np.isfinite(top), top, 0)
    weight = np.exp(score - base[..., None])
    total = weight.sum(axis=-1) + np.exp(sink - base)
    with np.errstate(divide="ignore"):
        lse = np.log(total) + base
    p = weight / np.where(total > 0, total, 1)[..., None]
    out = p @ v

    count = live.sum(axis=-1).astype(np.float64)
    small = np.where(p < 4 * u, p, 0)
    carried = (p * magnitude) @ abs(v) + abs(out) * (p * magnitude).sum(-1)[..., None]
    allowed = u * (2 * np.sqrt(head_dim) * carried + (4 * np.sqrt(count) + 40)[..., None] * (p @ abs(v)))
    allowed += small @ abs(v) + small.sum(-1)[..., None] * abs(out) + (count + 2)[..., None] * 2.0**-149
    if kind != np.float32:
        allowed += ROUNDOFF[kind] * abs(out) + SMALLEST[kind]
        if rounds_weights:
            allowed += ROUNDOFF[kind] * (p @ abs(v))
    largest = np.where(live, magnitude, 0).max(axis=-1)
    finite_lse = np.where(np.isfinite(lse), lse, 0)
    allowed_lse = u * (2 * largest * np.sqrt(head_dim) + 2 * np.sqrt(count) + 20 + 2 * abs(finite_lse)) + small.sum(-1)
    return Answer(out, lse, allowed, allowed_lse)


def assert_within_bound(answer, expected: Answer) -> None:
    """Every element of (out, lse) is within its own bound; a NaN is not."""
    for name, got, want, allowed in (
        ("out", answer[0], expected.out, expected.allowed_out),
        ("lse", answer[1], expected.lse, expected.allowed_lse),
    ):
        got = np.asarray(got, np.float64)
        assert got.shape == want.shape, f"{name} has shape {got.shape}, not {want.shape}"
        with np.errstate(invalid="ignore"):
            right = (abs(got - want) <= allowed) | (got == want)
        if not right.all():
            worst = np.unravel_index(np.argmin(right), right.shape)
            raise AssertionError(
                f"{name}{list(map(int, worst))} is {got[worst]!r}, wanted {want[worst]!r} +- {allowed[worst]:.3g}; "
                f"{(~right).sum()} of {right.size} are outside the bound"
            )
