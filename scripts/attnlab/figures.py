# SPDX-License-Identifier: Apache-2.0
"""Figures of a run, from its file alone: each carries where it comes from in its footer."""

from collections.abc import Iterator
from io import BytesIO
from itertools import cycle
from math import ceil
from pathlib import Path
from statistics import median
from textwrap import fill

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator
from PIL import Image

from attnlab import text
from attnlab.results import IDENTITY, Point, Run
from attnlab.tables import provenance, value_text

# Okabe and Ito: told apart with any colour vision; markers and dashes tell them apart without colour.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h", "*")
PANELS = 12  # on one page
LENGTHS = ("query_len", "key_len")
SIZES = (*LENGTHS, "batch", "query_heads", "key_heads", "head_dim", "value_dim", "scale")
STYLE = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "lines.markersize": 5,
    "lines.linewidth": 1.3,
    "svg.hashsalt": "attnlab",
}


def save(figure: Figure, path: Path, dpi: int, colours: int = 64) -> None:
    """As a palette, whose 64 colours drawings do not exceed visibly, but for shades: a third of the bytes."""
    drawn = BytesIO()
    figure.savefig(drawn, dpi=dpi)
    image = Image.open(drawn).convert("RGB")
    image.quantize(colours, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(path, optimize=True)


class Looks:
    """The same colour and marker for a variant in every figure of a run."""

    def __init__(self, run: Run):
        pairs = zip(cycle(COLOURS), cycle(MARKERS), strict=False)
        self.of = {v: {"color": c, "marker": m} for v, (c, m) in zip(run.values("variant"), pairs, strict=False)}

    def legend(self, shown: set) -> list[Line2D]:
        return [Line2D([], [], label=v, **look) for v, look in self.of.items() if v in shown]


def _measured(run: Run) -> list[Point]:
    return [p for p in run.points if p.time_ns]


def _groups(points: list[Point], factors: list[str]) -> dict[tuple, list[Point]]:
    """Points by their values of `factors`, in plan order."""
    groups: dict[tuple, list[Point]] = {}
    for p in points:
        groups.setdefault(tuple(p.factors[f] for f in factors), []).append(p)
    return groups


def _title(factors: list[str], values: tuple) -> str:
    return fill(", ".join(f"{f} {value_text(f, v)}" for f, v in zip(factors, values, strict=True)), 34)


def _pages(panels: dict) -> Iterator[dict]:
    items = list(panels.items())
    for first in range(0, len(items), PANELS):
        yield dict(items[first : first + PANELS])


def _page(run: Run, what: str, count: int, height: float, legend: list[Line2D]) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels with a title above, the legend beside and the provenance below them."""
    columns = min(count, 3)
    rows = ceil(count / columns)
    figure = Figure(figsize=(4.0 * columns + 1.9, height * rows + 1.0), layout="constrained")
    axes = [figure.add_subplot(rows, columns, n + 1) for n in range(count)]
    heading = f"{run.name}: {what}"
    figure.suptitle(heading, x=0.01, ha="left", fontsize=11, fontweight="bold")
    footer = "   ".join(f"{key} {value}" for key, value in provenance(run))
    figure.supxlabel(fill(footer, int(17 * figure.get_figwidth())), x=0.01, ha="left", fontsize=6.5, color="#555555")
    if legend:
        figure.legend(handles=legend, loc="outside right upper")
    return figure, axes


def _plain_log(axis, values=()) -> None:
    """Numbers without exponents: at `values` when they are few, else at powers, and between them where there is room.
    Called after plotting."""
    distinct = sorted(set(values))
    axis.set_major_formatter(FuncFormatter(lambda v, _: text.significant(v, trim=True)))
    axis.set_minor_formatter(NullFormatter())
    if 0 < len(distinct) <= 8:
        axis.set_ticks(distinct)
        axis.set_minor_locator(NullLocator())
    else:
        low, high = axis.get_view_interval()
        axis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0) if high < 30 * low else (1.0,)))


def _time_axis(axis, ns: list[float]) -> float:
    """One unit for an axis; returns its size in nanoseconds."""
    size, unit = text.unit_for(sorted(ns)[len(ns) // 2])
    axis.set_label_text(f"time ({unit})")
    return size


def _line(axes: Axes, points: list[Point], x: str, size: float, **look) -> None:
    points = sorted(points, key=lambda p: p.factors[x])
    times = [p.time_ns for p in points]
    spans = [[max(0.0, t.median - t.low) / size for t in times], [max(0.0, t.high - t.median) / size for t in times]]
    xs, ys = [p.factors[x] for p in points], [t.median / size for t in times]
    axes.errorbar(xs, ys, yerr=spans, capsize=2, elinewidth=0.8, **look)


def _grows_with_threads(run: Run) -> list[str]:
    """Factors tied to the threads: what grows in a weak-scaling run."""
    if "threads" not in run.varying:
        return []
    return [f for f in run.varying if f not in ("threads", "variant") and run.determines("threads", f)]


def _swept_length(run: Run) -> str | None:
    """A length that varies while all else but sizes tied to it stays; one that comes with another pass is no axis."""

    def is_swept(length: str) -> bool:
        rest = [f for f in run.factor_names if f != length and (f in run.varying or f not in SIZES)]
        return any(len(own) > 1 for own in _groups(run.points, rest).values())

    candidates = [f for f in LENGTHS if f in run.varying and f not in _grows_with_threads(run)]
    return next(filter(is_swept, candidates), None)


def time_against_length(run: Run) -> Iterator[tuple[str, Figure]]:
    length = _swept_length(run)
    if not length:
        return
    looks = Looks(run)
    others = [f for f in run.varying if f not in (length, "variant")]
    for panels in _pages(_groups(_measured(run), others)):
        shown = {p.factors["variant"] for group in panels.values() for p in group}
        every = [p.time_ns.median for group in panels.values() for p in group]
        figure, axes = _page(run, f"time against {length}", len(panels), 3.4, looks.legend(shown))
        for ax, (values, group) in zip(axes, panels.items(), strict=True):
            ax.sharey(axes[0])
            size = _time_axis(ax.yaxis, every)
            for variant, own in _groups(group, ["variant"]).items():
                _line(ax, own, length, size, **looks.of[variant[0]])
            ax.set(xscale="log", yscale="log", xlabel=f"{length} (positions)", title=_title(others, values))
            _plain_log(ax.xaxis, [p.factors[length] for p in group])
            _plain_log(ax.yaxis)
        yield "time_against_length", figure


def scaling(run: Run) -> Iterator[tuple[str, Figure]]:
    """Ideal: the time on the fewest threads, with the work shared; where the work grows with the threads, that too."""
    if "threads" not in run.varying:
        return
    looks = Looks(run)
    tied = _grows_with_threads(run)
    others = [f for f in run.varying if f not in ("threads", "variant", *tied)]
    scaled = [p for own in _groups(_measured(run), [*others, "variant"]).values() if len(own) > 1 for p in own]
    for panels in _pages(_groups(scaled, others)):
        shown = {p.factors["variant"] for group in panels.values() for p in group}
        ideal = Line2D([], [], color="#777777", linestyle=":", label="ideal")
        figure, axes = _page(run, "time against threads", len(panels), 3.4, [*looks.legend(shown), ideal])
        for ax, (values, group) in zip(axes, panels.items(), strict=True):
            size = _time_axis(ax.yaxis, [p.time_ns.median for p in group])
            for variant, own in _groups(group, ["variant"]).items():
                own = sorted(own, key=lambda p: p.factors["threads"])
                base = own[0].time_ns.median * own[0].factors["threads"] / own[0].flops / size
                threads = [p.factors["threads"] for p in own]
                look = looks.of[variant[0]]
                ax.plot(threads, [base * p.flops / p.factors["threads"] for p in own], ":", color=look["color"], lw=1)
                _line(ax, own, "threads", size, **look)
            ax.set(xscale="log", yscale="log", xlabel=" and ".join(["threads", *tied]), title=_title(others, values))
            _plain_log(ax.xaxis, [p.factors["threads"] for p in group])
            _plain_log(ax.yaxis)
        yield "scaling", figure


def time_by_variant(run: Run) -> Iterator[tuple[str, Figure]]:
    """The ladder, rung by rung: for runs that sweep neither lengths nor what grows with the threads."""
    if _swept_length(run) or _grows_with_threads(run) or len(run.values("variant")) < 2:
        return
    looks = Looks(run)
    ladder = run.values("variant")
    inner = [f for f in ("isa", "threads", "placement", "cache", "parameters") if f in run.varying]
    others = [f for f in run.varying if f not in ("variant", *inner)]
    for panels in _pages(_groups(_measured(run), others)):
        rows = max(len(_groups(g, ["variant", *inner])) for g in panels.values())
        figure, axes = _page(run, "time by variant", len(panels), 0.9 + 0.24 * rows, [])
        for ax, (values, group) in zip(axes, panels.items(), strict=True):
            ordered = sorted(group, key=lambda p: ladder.index(p.factors["variant"]))
            size = _time_axis(ax.xaxis, [p.time_ns.median for p in group])
            for n, p in enumerate(ordered):
                t = p.time_ns
                span = [[max(0.0, t.median - t.low) / size], [max(0.0, t.high - t.median) / size]]
                ax.errorbar(t.median / size, n, xerr=span, capsize=2, linestyle="", **looks.of[p.factors["variant"]])
            tells = [f for f in inner if len({p.factors[f] for p in group}) > 1]
            names = [", ".join([p.factors["variant"], *(f"{f} {p.factors[f]}" for f in tells)]) for p in ordered]
            ax.set(xscale="log", yticks=range(len(ordered)), yticklabels=names, title=_title(others, values))
            ax.set_ylim(len(ordered) - 0.4, -0.6)
            _plain_log(ax.xaxis)
        yield "time_by_variant", figure


def accuracy_against_speed(run: Run) -> Iterator[tuple[str, Figure]]:
    points = [p for p in _measured(run) if p.checks.get("bound_fraction", 0) > 0]
    if not points:
        return
    looks = Looks(run)
    others = [f for f in run.varying if f not in IDENTITY]
    if len(_groups(points, others)) > PANELS // 2:
        others = [f for f in ("type",) if f in run.varying]
    panels = _groups(points, others)
    shown = {p.factors["variant"] for p in points}
    bound = Line2D([], [], color="#777777", linestyle="--", label="the bound")
    figure, axes = _page(run, "accuracy against speed", len(panels), 3.4, [*looks.legend(shown), bound])
    for ax, (values, group) in zip(axes, panels.items(), strict=True):
        for p in group:
            look = looks.of[p.factors["variant"]]
            ax.plot(p.gflop_per_s, p.checks["bound_fraction"], linestyle="", alpha=0.8, **look)
        ax.axhline(1, color="#777777", linestyle="--", lw=1)
        ax.set(xscale="log", yscale="log", xlabel="GFLOP/s", title=_title(others, values))
        ax.set_ylabel("largest error / its bound")
        _plain_log(ax.xaxis)
        _plain_log(ax.yaxis)
    yield "accuracy_against_speed", figure


def roofline(run: Run) -> Iterator[tuple[str, Figure]]:
    """Each row by its arithmetic intensity, under the roofs that were measured beside it (Williams, Waterman and
    Patterson, CACM 52(4), 2009)."""
    points = [p for p in _measured(run) if p.roof]
    looks = Looks(run)
    others = [f for f in ("isa", "threads", "placement") if f in run.varying]
    for panels in _pages(_groups(points, others)):
        shown = {p.factors["variant"] for group in panels.values() for p in group}
        figure, axes = _page(run, "roofline", len(panels), 3.4, looks.legend(shown))
        for ax, (values, group) in zip(axes, panels.items(), strict=True):
            ax.sharey(axes[0])
            ax.set(xscale="log", yscale="log", xlabel="operations / byte", title=_title(others, values))
            ax.set_ylabel("GFLOP/s")
            _roofs(ax, group)
            for p in group:
                ax.plot(p.intensity, p.gflop_per_s, linestyle="", alpha=0.8, **looks.of[p.factors["variant"]])
            _plain_log(ax.xaxis)
            _plain_log(ax.yaxis)
        yield "roofline", figure


def _roofs(axes: Axes, points: list[Point]) -> None:
    """A slope for each memory and a level for each arithmetic that some point stands under."""
    arithmetics, memories = {p.roof.arithmetic for p in points}, {p.roof.memory for p in points}
    levels = {a: median(p.roof.gflops for p in points if p.roof.arithmetic == a) for a in arithmetics}
    slopes = {m: median(p.roof.gbs for p in points if p.roof.memory == m) for m in memories}
    ridges = [gflops / gbs for gflops in levels.values() for gbs in slopes.values()]
    low, *_, high = sorted([*ridges, *(p.intensity for p in points)])
    low, high = low / 2, high * 2
    line, label = {"color": "#777777", "lw": 1}, {"xytext": (0, 2), "textcoords": "offset points", "fontsize": 7}
    for arithmetic, gflops in levels.items():
        axes.plot([gflops / max(slopes.values()), high], [gflops, gflops], **line)
        axes.annotate(f"{arithmetic} {text.significant(gflops)} GFLOP/s", (high, gflops), ha="right", **label)
    for memory, gbs in slopes.items():
        ridge = max(levels.values()) / gbs
        axes.plot([low, ridge], [gbs * low, gbs * ridge], linestyle="--", **line)
        axes.annotate(f"{memory} {text.significant(gbs)} GB/s", (low, gbs * low), **label | {"xytext": (10, 2)})
    axes.set_xlim(low, high)


KINDS = (time_against_length, scaling, time_by_variant, accuracy_against_speed, roofline)


def write(run: Run, directory: Path) -> list[Path]:
    """Every figure that the run has something to say in, as NAME_KIND.png; further pages are numbered."""
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    with mpl.rc_context(STYLE):
        for kind in KINDS:
            for number, (name, figure) in enumerate(kind(run), 1):
                path = directory / f"{run.name}_{name}{f'_{number}' if number > 1 else ''}.png"
                save(figure, path, 150)
                written.append(path)
    return written
