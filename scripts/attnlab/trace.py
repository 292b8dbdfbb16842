# SPDX-License-Identifier: Apache-2.0
"""Attention step by step in float64, on a head of MiniLM-L6 or a worked table, and the same rows by a variant.

>>> heads(Model(), "He sat on the river bank.", layer=0)[4].steps.weights
"""

from dataclasses import dataclass
from difflib import get_close_matches
from math import sqrt

import numpy as np

from attnlab import native
from attnlab.encode import Model, Refused

ROUNDOFF = 2.0**-24
"""Of float32, in which the variants work."""

WORDS = ("the", "cat", "sat", "on", "mat")
QUERIES = np.array([[0.1, 0.3], [0.5, 0.7], [0.6, 0.8], [0.2, 0.4], [0.4, 0.5]])
KEYS = np.array([[0.2, 0.1], [0.3, 0.2], [0.4, 0.3], [0.1, 0.4], [0.7, 0.3]])
VALUES = np.array([[0.1, 0.2], [0.4, 0.6], [0.7, 0.5], [0.5, 0.3], [0.8, 0.5]])
"""The table of "The cat sat on the mat", as core/study/word_table.h has it: d_k = 2."""

MOVED = np.array([[0.9, 0.3], [-0.22024702, 1.70030877]])
"""A word, and the one context word under which attention without weights or scale moves it to [0.5, 0.8]."""


class Disagreement(Exception):  # noqa: N818 - as in encode
    """A variant's rows are not those of the steps within what float32 may cause."""


@dataclass(frozen=True)
class Steps:
    """A head, every query a row: scores q k^T, divided by `divisor`, softmax, weights v. All float64."""

    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    divisor: float
    scores: np.ndarray
    scaled: np.ndarray
    lse: np.ndarray
    weights: np.ndarray
    out: np.ndarray


@dataclass(frozen=True)
class Trace:
    """Steps and what they are of; `query` is the row that a reader wants first."""

    title: str
    note: str
    label: str
    tokens: list[str]
    query: int
    divided_by: str
    steps: Steps


def divisor(scale: str, d_k: int) -> float:
    return {"root": sqrt(d_k), "d_k": float(d_k), "none": 1.0}[scale]


def follow(q: np.ndarray, k: np.ndarray, v: np.ndarray, divisor: float) -> Steps:
    """The steps for q [queries, d], k [keys, d], v [keys, e]."""
    scores = q @ k.T
    scaled = scores / divisor
    top = scaled.max(-1, keepdims=True)
    raised = np.exp(scaled - top)
    total = raised.sum(-1, keepdims=True)
    weights = raised / total
    return Steps(q, k, v, divisor, scores, scaled, (top + np.log(total))[:, 0], weights, weights @ v)


@dataclass(frozen=True)
class Answer:
    """What a variant made of the steps' q, k, v in float32, weights recomputed from its lse, and the largest error of a
    row sum and of an element as a part of what float32 may cause there."""

    out: np.ndarray
    weights: np.ndarray
    sum_error: float
    sum_fraction: float
    out_error: float
    out_fraction: float


def allowed(steps: Steps) -> tuple[np.ndarray, np.ndarray]:
    """Errors that float32 may cause, worst case to first order: of a row's sum of exp(scaled - lse), and of out.

    A score: (d + 2) u |q||k| / divisor, 2 for q and k stored. Then at most five roundings a key in numerator and
    denominator (exp, product, sum, and a streaming softmax's factor), 40 u for exp, division and storage; weights
    below 4u may be lost beside 1."""
    p, v = steps.weights, np.abs(steps.v)
    growth = (steps.q.shape[1] + 2) * (np.abs(steps.q) @ np.abs(steps.k).T) / steps.divisor
    sums = 10 * len(v) + 40
    lost = np.where(p < 4 * ROUNDOFF, p, 0)
    of_score = ROUNDOFF * p * growth + lost
    lse = ROUNDOFF * (growth.max(-1) + sums + 2 * np.abs(steps.lse))
    reach = of_score @ v + of_score.sum(-1, keepdims=True) * np.abs(steps.out)
    return of_score.sum(-1) + lse, reach + ROUNDOFF * sums * (p @ v)


def answer(steps: Steps, variant: str) -> Answer:
    """The same head by a variant of the ladder. Disagreement: weights don't sum to one, or rows differ."""
    q, k, v = (array.astype(np.float32)[None, None] for array in (steps.q, steps.k, steps.v))
    out, lse = native.attention(q, k, v, variant=variant, scale=1 / steps.divisor)
    out, weights = out[0, 0], np.exp(steps.scaled - lse[0, 0, :, None])
    sums, outs = np.abs(weights.sum(-1) - 1), np.abs(out - steps.out)
    sum_bound, out_bound = allowed(steps)
    made = Answer(out, weights, sums.max(), (sums / sum_bound).max(), outs.max(),
                  np.divide(outs, out_bound, out=np.zeros_like(outs), where=outs != 0).max())  # fmt: skip
    if not (made.sum_fraction <= 1 and made.out_fraction <= 1):
        raise Disagreement(f"{variant} departs from the steps: row sums by {made.sum_error:.2g}, "
                           f"{made.sum_fraction:.3g} of the bound; out by {made.out_error:.2g}, "
                           f"{made.out_fraction:.3g} of the bound")  # fmt: skip
    return made


@dataclass(frozen=True)
class Table:
    """A worked example: vectors, the d_k it names, its usual scale, the word it asks for."""

    title: str
    note: str
    words: tuple[str, ...]
    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    d_k: int
    scale: str
    query: int


def _cat(title: str, note: str, rows: tuple[int, ...], d_k: int, query: int) -> Table:
    at = list(rows)
    return Table(title, note, tuple(WORDS[n] for n in rows), QUERIES[at], KEYS[at], VALUES[at], d_k, "root", query)


def _weightless(title: str, note: str, words: tuple[str, ...], x: np.ndarray, query: int) -> Table:
    return Table(title, note, words, x, x, x, x.shape[1], "none", query)


TABLES = {
    "cat5": _cat("The cat sat on the mat, in 5 words", "'the' once, as its table prints it", (0, 1, 2, 3, 4), 2, 1),
    "cat6": _cat("The cat sat on the mat, in 6 words", "'the' twice, as its sentence has it", (0, 1, 2, 3, 0, 4), 2, 1),
    "s4": _cat("the cat sat", "d_k = 4 as its text says, hence divided by 2; vectors of cat5", (0, 1, 2), 4, 0),
    "weightless": _weightless("softmax(X X^T) X", "X: the values of cat5", WORDS, VALUES, 1),
    "moved": _weightless("[0.9, 0.3] becomes [0.5, 0.8]", "softmax(X X^T) X with the context word that does it",
                         ("word", "context"), MOVED, 0),
}  # fmt: skip


def _place(tokens: list[str], query: str) -> int:
    """Where a token stands, named or by its position."""
    if query.lower() in tokens:
        return tokens.index(query.lower())
    if query.isdecimal() and int(query) < len(tokens):
        return int(query)
    raise Refused(f"no token '{query}'; tokens are {', '.join(f'{n} {token}' for n, token in enumerate(tokens))}")


def table(name: str, scale: str | None = None, query: str | None = None) -> Trace:
    """The steps of a worked table. Refused: no such table or word."""
    if name not in TABLES:
        nearest = get_close_matches(name, TABLES, 1, 0)[0]
        raise Refused(f"unknown table '{name}'; did you mean '{nearest}'? Tables are {', '.join(TABLES)}")
    chosen = TABLES[name]
    scale = scale or chosen.scale
    words = list(chosen.words)
    steps = follow(chosen.q, chosen.k, chosen.v, divisor(scale, chosen.d_k))
    at = chosen.query if query is None else _place(words, query)
    return Trace(chosen.title, chosen.note, name, words, at, _divided_by(scale, chosen.d_k), steps)


def _divided_by(scale: str, d_k: int) -> str:
    return {"root": f"/ sqrt({d_k})", "d_k": f"/ {d_k}", "none": "/ 1"}[scale]


def pieces(model: Model, text: str, name: str = "the text") -> tuple[list[int], list[str]]:
    """Ids and word pieces of a text. Refused by `name`: it is empty, not UTF-8, or too long."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Refused(f"{name} is not UTF-8 (character {error.start})") from error
    ids = model.tokens([text], name)[0]
    if len(ids) <= 2:
        raise Refused(f"{name} is empty")
    return ids, [model.tokenizer.id_to_token(token) for token in ids]


def within(name: str, number: int, count: int) -> int:
    if not 0 <= number < count:
        raise Refused(f"{name} {number} is not there; the model has {name}s 0 to {count - 1}")
    return number


def projections(model: Model, states: np.ndarray, layer: int) -> list[np.ndarray]:
    """Queries, keys and values [heads, tokens, head_dim] of the states [tokens, features] that enter a layer."""
    made = []
    for part in ("query", "key", "value"):
        name = f"encoder.layer.{layer}.attention.self.{part}"
        weight, bias = (model.weights[f"{name}.{kind}"].astype(np.float64) for kind in ("weight", "bias"))
        mapped = states.astype(np.float64) @ weight.T + bias
        made.append(mapped.reshape(len(states), model.config["num_attention_heads"], -1).swapaxes(0, 1))
    return made


def heads(model: Model, text: str, layer: int, scale: str = "root", query: str | None = None,
          variant: str = "flash") -> list[Trace]:  # fmt: skip
    """The steps of every head of a layer, on the states that the model in C gives with `variant` inside.

    Without `query` the row is that of the last piece of a word. Refused: as `pieces`, no such layer or token."""
    within("layer", layer, model.config["num_hidden_layers"])
    ids, tokens = pieces(model, text)
    words = [n for n, token in enumerate(tokens[:-1]) if token[-1].isalnum()]
    at = (words or [1])[-1] if query is None else _place(tokens, query)
    _, states = model.run([ids], variant, states=True)
    q, k, v = projections(model, states[layer], layer)
    count, d_k = len(q), q.shape[-1]
    return [
        Trace(text, f"MiniLM-L6, layer {layer}, head {n} of 0 to {count - 1}", f"layer{layer}_head{n}", tokens, at,
              _divided_by(scale, d_k), follow(q[n], k[n], v[n], divisor(scale, d_k)))
        for n in range(count)
    ]  # fmt: skip


def _beyond_distance(weights: np.ndarray, at: int, key: int) -> float:
    """What query `at` gives to `key` more than the others give, on average, at the same distance."""
    alike = np.diagonal(weights, key - at)
    others = np.delete(alike, min(at, key))
    return weights[at, key] - (others.mean() if len(others) else 0.0)


def most_telling(traces: list[Trace]) -> int:
    """The head whose query gives most to another word than [CLS] and [SEP], position heads set aside: they give as much
    to whatever stands there."""
    at, words = traces[0].query, range(1, len(traces[0].tokens) - 1)
    given = [
        max((_beyond_distance(trace.steps.weights, at, key) for key in words if key != at), default=0.0)
        for trace in traces
    ]
    return int(np.argmax(given))
