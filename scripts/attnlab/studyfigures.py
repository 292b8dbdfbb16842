# SPDX-License-Identifier: Apache-2.0
"""A figure of each study: a panel a quantity, curves over its axis or bars, and what the law expects as a band."""

from itertools import pairwise
from math import ceil, isfinite, log
from pathlib import Path
from statistics import fmean, pstdev
from textwrap import fill

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attnlab import text
from attnlab.figures import COLOURS, MARKERS, STYLE, save
from attnlab.studies import Quantity, Study, StudyRun
from attnlab.tables import provenance

COLUMNS = 3
VERDICT_COLOURS = {"HOLDS": "#009E73", "DEPARTS": "#D55E00", "RECORDED": "#555555"}


def _wide(values: list[float], ratio: float) -> bool:
    """Whether they are positive and spread so far that a logarithmic axis shows more."""
    finite = [v for v in values if isfinite(v)]
    return bool(finite) and min(finite) > 0 and max(finite) > ratio * min(finite)


def _uneven(values: list[float]) -> float:
    """How much the steps between them differ: 0 where all are equal."""
    steps = [b - a for a, b in pairwise(values)]
    return pstdev(steps) / fmean(steps)


def _geometric(places: list[float]) -> bool:
    """Whether places along x reach far, and stand at equal ratios rather than at equal steps."""
    values = sorted(set(places))
    if values[0] <= 0 or values[-1] < 8 * values[0]:
        return False
    return _uneven([log(v) for v in values]) < _uneven(values) or len(values) == 2


def _series(quantities: list[Quantity]) -> dict[str, list[Quantity]]:
    of: dict[str, list[Quantity]] = {}
    for quantity in quantities:
        of.setdefault(quantity.series, []).append(quantity)
    return of


def _bounds(quantities: list[Quantity]) -> list[float]:
    """The finite bounds of what is expected."""
    return [bound for q in quantities for bound in (q.low, q.high) if isfinite(bound)]


def _mark(axes: Axes, own: list[Quantity], colour: str) -> None:
    """A recorded point alone is a place on the axis: a line across the panel."""
    axes.axvline(own[0].at, color=colour, linestyle=":", label=f"{own[0].series}: {text.significant(own[0].at, 3)}")


def _curves(axes: Axes, quantities: list[Quantity]) -> None:
    curves = {series: sorted(own, key=lambda q: q.at) for series, own in _series(quantities).items()}
    for n, (series, own) in enumerate(curves.items()):
        colour, marker = COLOURS[n % len(COLOURS)], MARKERS[n % len(MARKERS)] if len(own) < 40 else ""
        if len(own) == 1 < len(quantities) and series and not own[0].expected:
            _mark(axes, own, colour)
        else:
            axes.plot([q.at for q in own], [q.measured for q in own], color=colour, marker=marker, label=series or None)
    if _geometric([q.at for q in quantities]):
        axes.set_xscale("log")
    if _wide([q.measured for q in quantities], 20):
        axes.set_yscale("log")
    bounds = _bounds(quantities)
    axes.plot([quantities[0].at] * len(bounds), bounds, linestyle="", marker="")  # so that the axis reaches them
    bottom, top = axes.get_ylim()
    drawn = set()
    for n, own in enumerate(curves.values()):  # an interval without an end reaches to the frame
        band = [q for q in own if q.expected]
        low, high = [max(q.low, bottom) for q in band], [min(q.high, top) for q in band]
        colour = COLOURS[n % len(COLOURS)]
        shape = tuple((q.at, q.low, q.high) for q in band)
        if shape in drawn:  # one band for all series that share it
            continue
        drawn.add(shape)
        if len(band) > 1:
            axes.fill_between([q.at for q in band], low, high, color=colour, alpha=0.15, linewidth=0)
        elif band:
            axes.vlines(band[0].at, low, high, color=colour, alpha=0.3, linewidth=6)
    axes.set_ylim(bottom, top)
    axes.set_xlabel(quantities[0].axis)
    if len(curves) > 1 or quantities[0].series:
        axes.legend(fontsize=7)


def _bars(axes: Axes, quantities: list[Quantity]) -> None:
    names = [fill(q.series or q.claim, 24) for q in quantities]
    places = range(len(quantities))
    for place, q in zip(places, quantities, strict=True):
        axes.plot([q.measured], [place], marker="o", color=VERDICT_COLOURS[q.law_verdict])
        axes.annotate(f" {text.significant(q.measured, 3, trim=True)}", (q.measured, place), fontsize=7, va="bottom")
    if _wide([q.measured for q in quantities], 50):
        axes.set_xscale("log")
    bounds = _bounds(quantities)
    axes.plot(bounds, [0] * len(bounds), linestyle="", marker="")
    axes.margins(x=0.15)
    left, right = axes.get_xlim()
    for place, q in zip(places, quantities, strict=True):
        if q.expected:
            low, high = max(q.low, left), min(q.high, right)
            axes.fill_betweenx([place - 0.4, place + 0.4], low, high, color="#0072B2", alpha=0.2,
                               linewidth=2 if q.low == q.high else 0)  # fmt: skip
    axes.set_xlim(left, right)
    axes.set_yticks(list(places), names, fontsize=7)
    axes.set_ylim(len(quantities) - 0.4, -0.6)


def _panels(study: Study) -> dict[tuple, list[Quantity]]:
    """Quantities of one name and one axis share a panel. What is not finite is a gap in a curve, and no bar."""
    panels: dict[tuple, list[Quantity]] = {}
    for quantity in study.quantities:
        if quantity.axis or isfinite(quantity.measured):
            panels.setdefault((quantity.name, quantity.axis), []).append(quantity)
    return {place: own for place, own in panels.items() if any(isfinite(q.measured) for q in own)}


def draw(study: Study, run: StudyRun) -> Figure | None:
    """None: it has nothing to draw."""
    panels = _panels(study)
    if not panels:
        return None
    columns = min(len(panels), COLUMNS)
    rows = ceil(len(panels) / columns)
    figure = Figure(figsize=(4.2 * columns + 0.6, 3.0 * rows + 1.5), layout="constrained")
    for n, ((name, axis), quantities) in enumerate(panels.items()):
        axes = figure.add_subplot(rows, columns, n + 1)
        (_curves if axis else _bars)(axes, quantities)
        axes.set_title(fill(name, 48))
    verdicts = "; ".join(f"{c.claim}: law {c.law_verdict}, claim {c.claim_verdict}" for c in study.claims)
    heading = fill(f"{study.name}: {study.law}", int(12 * figure.get_figwidth()))
    figure.suptitle(f"{heading}\n{verdicts}", x=0.01, ha="left", fontsize=9)
    footer = "   ".join(f"{key} {value}" for key, value in provenance(run))
    figure.supxlabel(fill(footer, int(17 * figure.get_figwidth())), x=0.01, ha="left", fontsize=6.5, color="#555555")
    return figure


def write(run: StudyRun, directory: Path) -> list[Path]:
    """study_NAME.png of every study that measured something."""
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    with mpl.rc_context(STYLE):
        for study in run.studies:
            figure = draw(study, run)
            if figure:
                path = directory / f"study_{study.name}.png"
                save(figure, path, 110)
                written.append(path)
    return written
