# SPDX-License-Identifier: Apache-2.0
"""A trace for the terminal, its numbers readable without colour, and as a picture of each head."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from textwrap import fill

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from rich.text import Text

from attnlab.figures import STYLE, save
from attnlab.trace import Answer, Trace

WHOLE, SHOWN = 4, 2
"""Features up to which a vector is printed whole, and how many of a longer one are."""
NAME = 8
"""Letters of a token above a column."""
NUMBERED = 16
"""Tokens up to which a picture has numbers in its cells, and half of those up to which it names them."""


def _vector(values: np.ndarray) -> str:
    if len(values) <= WHOLE:
        return " ".join(f"{value:z.6f}" for value in values)
    return " ".join([*(f"{value:z.3f}" for value in values[:SHOWN]), ".."])


def _features(values: np.ndarray) -> str:
    """What a title says of vectors that are not printed whole."""
    return f" ({SHOWN} of {values.shape[1]} features)" if values.shape[1] > WHOLE else ""


def table_of(columns: Sequence[str], rows: Iterable[Sequence]) -> Table:
    """The first column to the left, the others to the right; no cell is read as markup, for tokens look like it."""
    table = Table(box=None, pad_edge=False, header_style="")
    for n, name in enumerate(columns):
        table.add_column(Text(name), justify="right" if n else "left", overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in row))
    return table


def print_table(console: Console, title: str, table: Table) -> None:
    console.print(Text(title, style="bold"))
    console.print(table, end="\n\n")


def _cell(weight: float) -> Text:
    """White to blue, the letters in whichever of black and white stands out."""
    red, green = round(255 * (1 - weight)), round(255 - 141 * weight)
    letters = "#ffffff" if weight > 0.5 else "#000000"
    return Text(f"{weight:.3f}", style=f"{letters} on #{red:02x}{green:02x}ff")


def _heat(console: Console, title: str, corner: str, rows: list[str], columns: list[str], weights: np.ndarray) -> None:
    """Rows of weights; where the terminal is too narrow, how wide it would have to be."""
    cells = ([name, *map(_cell, row)] for name, row in zip(rows, weights, strict=True))
    table = table_of([corner, *(column[:NAME] for column in columns)], cells)
    need = console.measure(table, options=console.options.update(max_width=100_000)).maximum
    if need > console.width:
        console.print(Text(f"{title}: needs {need} columns here; -o DIR draws it"), end="\n\n")
    else:
        print_table(console, title, table)


def _named(trace: Trace) -> list[str]:
    return [f"{n} {token}" for n, token in enumerate(trace.tokens)]


def overview(console: Console, traces: list[Trace], followed: int) -> None:
    """How each head of a layer spreads the query's weight, and why one is followed."""
    tokens, at = traces[0].tokens, traces[0].query
    weights = np.stack([trace.steps.weights[at] for trace in traces])
    heads = [str(n) for n in range(len(traces))]
    _heat(console, f"Weights of '{tokens[at]}' in every head", "head", heads, tokens, weights)
    reason = "its query gives a word most beyond what the others give at that distance"
    console.print(Text(f"Head {followed} is followed: {reason}."), end="\n\n")


def _tokens(console: Console, trace: Trace) -> None:
    steps = trace.steps
    rows = zip(_named(trace), *(map(_vector, vectors) for vectors in (steps.q, steps.k, steps.v)), strict=True)
    title = f"1. Tokens, and the query, key and value of each{_features(steps.v)}"
    print_table(console, title, table_of(["token", "query", "key", "value"], rows))


def _query(console: Console, trace: Trace, answer: Answer) -> None:
    steps, at = trace.steps, trace.query
    rows = []
    for n, name in enumerate(_named(trace)):
        weight = steps.weights[at, n]
        numbers = (steps.scores[at, n], steps.scaled[at, n], weight, answer.weights[at, n])
        rows.append((name, *(f"{number:z.6f}" for number in numbers), _vector(weight * steps.v[n])))
    sums = (steps.weights[at].sum(), answer.weights[at].sum())
    rows.append(("sum", "", "", *(f"{total:.6f}" for total in sums), _vector(steps.out[at])))
    rows.append(("variant", "", "", "", "", _vector(answer.out[at])))
    title = f"2. Scores of '{trace.tokens[at]}', scaling, softmax, and the weighted sum of values{_features(steps.v)}"
    columns = ["key", "q . k", trace.divided_by, "weight", "from lse", "weight x value"]
    print_table(console, title, table_of(columns, rows))


def _checked(variant: str, answer: Answer) -> str:
    sums = f"{answer.sum_error:.1e} ({answer.sum_fraction:.2g} of the bound)"
    rows = f"{answer.out_error:.1e} ({answer.out_fraction:.2g} of the bound)"
    return f"variant {variant}: exp(scaled - lse) sums to 1 within {sums}, its rows are these within {rows}"


def show(console: Console, trace: Trace, variant: str, answer: Answer) -> None:
    """Every step: tokens, scores, scaling, weights, weighted sum."""
    console.print(Text(trace.title, style="bold"))
    console.print(Text(f"{trace.note}; log-sum-exp of the row {trace.steps.lse[trace.query]:.6f}"))
    _tokens(console, trace)
    _query(console, trace, answer)
    names = _named(trace)
    _heat(console, "3. Weights, a query a row", "query", names, trace.tokens, trace.steps.weights)
    console.print(Text(_checked(variant, answer)))


def _picture(trace: Trace, variant: str) -> Figure:
    steps = trace.steps
    count = len(trace.tokens)
    side = min(1.6 + 0.5 * count, 9.0)
    figure = Figure(figsize=(side + 1.2, side + 0.6), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(steps.weights, cmap="Blues", vmin=0, vmax=1)
    if count <= NUMBERED:
        for (row, column), weight in np.ndenumerate(steps.weights):
            colour = "white" if weight > 0.6 else "black"
            axes.text(column, row, f"{weight:.2f}", ha="center", va="center", fontsize=7, color=colour)
    if count <= 2 * NUMBERED:
        axes.set_xticks(range(count), trace.tokens, rotation=90 if count > 5 else 0)
        axes.set_yticks(range(count), trace.tokens)
    axes.set(xlabel="key", ylabel="query")
    axes.spines[:].set_visible(False)
    figure.colorbar(image, ax=axes, shrink=0.7, label="weight")
    width = int(13 * figure.get_figwidth())
    figure.suptitle(fill(trace.title, width), x=0.01, ha="left", fontsize=11, fontweight="bold")
    footer = f"{trace.note}. softmax(q . k {trace.divided_by}), each row sums to 1; checked against {variant}."
    figure.supxlabel(fill(footer, int(1.2 * width)), x=0.01, ha="left", fontsize=6.5, color="#555555")
    return figure


def write(traces: list[Trace], variant: str, directory: Path) -> list[Path]:
    """A picture of each as trace_LABEL.png."""
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    with mpl.rc_context(STYLE | {"axes.grid": False}):
        for trace in traces:
            path = directory / f"trace_{trace.label}.png"
            save(_picture(trace, variant), path, 110, colours=256)
            written.append(path)
    return written
