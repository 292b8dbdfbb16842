# SPDX-License-Identifier: Apache-2.0
"""A figure of each study: a panel a quantity, curves over its axis or bars, and what the law expects as a band."""

from math import ceil, isfinite, isnan
from pathlib import Path
from textwrap import fill

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attnlab import text
from attnlab.figures import COLOURS, MARKERS, STYLE
from attnlab.studies import Quantity, Study, StudyRun
from attnlab.tables import provenance

COLUMNS = 3
VERDICT_COLOURS = {"HOLDS": "#009E73", "DEPARTS": "#D55E00", "RECORDED": "#555555"}


def _wide(values: list[float], ratio: float) -> bool:
    """Whether they are positive and spread so far that a logarithmic axis shows more."""
    finite = [v for v in values if isfinite(v)]
    return bool(finite) and min(finite) > 0 and max(finite) > ratio * min(finite)


def _series(quantities: list[Quantity]) -> dict[str, list[Quantity]]:
    of: dict[str, list[Quantity]] = {}
    for quantity in quantities:
        of.setdefault(quantity.series, []).append(quantity)
    return of


def _limits(quantities: list[Quantity]) -> tuple[float, float]:
    """Where an open interval is drawn to: a little beyond the finite bounds and the measured values."""
    finite = [v for q in quantities for v in (q.measured, q.low, q.high) if isfinite(v)]
    least, most = (min(finite), max(finite)) if finite else (0.0, 1.0)
    beyond = 0.08 * (most - least)
    return least - beyond, most + beyond


def _mark(axes: Axes, own: list[Quantity], colour: str) -> None:
    """A recorded point alone is a place on the axis: a line across the panel."""
    axes.axvline(own[0].at, color=colour, linestyle=":", label=f"{own[0].series}: {text.significant(own[0].at, 3)}")


def _curves(axes: Axes, quantities: list[Quantity]) -> None:
    least, most = _limits(quantities)
    drawn = set()
    for n, (series, own) in enumerate(_series(quantities).items()):
        own = sorted(own, key=lambda q: q.at)
        colour, marker = COLOURS[n % len(COLOURS)], MARKERS[n % len(MARKERS)]
        if len(own) == 1 < len(quantities) and series and not own[0].expected:
            _mark(axes, own, colour)
            continue
        marker = marker if len(own) < 40 else ""
        axes.plot([q.at for q in own], [q.measured for q in own], color=colour, marker=marker, label=series or None)
        band = [q for q in own if q.expected]
        low, high = ([least if v == float("-inf") else most if v == float("inf") else v for v in bounds]
                     for bounds in ([q.low for q in band], [q.high for q in band]))  # fmt: skip
        shape = tuple((q.at, q.low, q.high) for q in band)
        if shape in drawn:  # one band for all series that share it
            continue
        drawn.add(shape)
        if len(band) > 1:
            axes.fill_between([q.at for q in band], low, high, color=colour, alpha=0.15, linewidth=0)
        elif band:
            axes.vlines(band[0].at, low, high, color=colour, alpha=0.3, linewidth=6)
    if _wide([q.at for q in quantities], 20):
        axes.set_xscale("log")
    if _wide([q.measured for q in quantities], 50):
        axes.set_yscale("log")
    axes.set_xlabel(quantities[0].axis)
    if len(_series(quantities)) > 1 or quantities[0].series:
        axes.legend(fontsize=7)


def _bars(axes: Axes, quantities: list[Quantity]) -> None:
    names = [fill(q.series or q.claim, 24) for q in quantities]
    places = range(len(quantities))
    least, most = _limits(quantities)
    logarithmic = _wide([q.measured for q in quantities], 50)
    for place, q in zip(places, quantities, strict=True):
        if q.expected:
            low, high = max(q.low, least), min(q.high, most)
            axes.fill_betweenx([place - 0.4, place + 0.4], low, high, color="#0072B2", alpha=0.2, linewidth=0)
        axes.plot([q.measured], [place], marker="o", color=VERDICT_COLOURS[q.law_verdict])
        axes.annotate(f" {text.significant(q.measured, 3, trim=True)}", (q.measured, place), fontsize=7, va="bottom")
    if logarithmic:
        axes.set_xscale("log")
    axes.set_yticks(list(places), names, fontsize=7)
    axes.set_ylim(len(quantities) - 0.4, -0.6)
    axes.margins(x=0.15)


def _panels(study: Study) -> dict[tuple, list[Quantity]]:
    """Quantities of one name and one axis share a panel; numbers that are not finite cannot be drawn."""
    panels: dict[tuple, list[Quantity]] = {}
    for quantity in study.quantities:
        if not isnan(quantity.measured) and isfinite(quantity.measured):
            panels.setdefault((quantity.name, quantity.axis), []).append(quantity)
    return panels


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
                figure.savefig(path, dpi=110)
                written.append(path)
    return written
