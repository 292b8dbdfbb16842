# SPDX-License-Identifier: Apache-2.0
"""How quantities are written."""

from math import isfinite

from attnlab.results import Estimate

UNITS = ((1e9, "s"), (1e6, "ms"), (1e3, "us"), (1.0, "ns"))


def significant(value: float | None, digits: int = 3, *, trim: bool = False) -> str:
    """That many digits, zeros at the end included unless `trim`; no exponent where a person reads better without."""
    if value is None or value != value:
        return "-"
    if not isfinite(value):
        return str(value)
    if value != 0 and not 1e-4 <= abs(value) < 1e7:
        return f"{value:.{digits - 1}e}"
    text = f"{value:.{digits}g}" if trim else f"{value:#.{digits}g}"
    return f"{value:.0f}" if "e" in text else text.removesuffix(".")


def unit_for(ns: float) -> tuple[float, str]:
    """The unit that leaves one to three digits before the point."""
    return next(((size, unit) for size, unit in UNITS if ns >= size), UNITS[-1])


def time(ns: float | None) -> str:
    if ns is None or not isfinite(ns):
        return "-"
    size, unit = unit_for(ns)
    return f"{significant(ns / size, 4)} {unit}"


def interval(estimate: Estimate) -> str:
    """Its bounds in the unit of its median."""
    size, _ = unit_for(estimate.median)
    return f"[{significant(estimate.low / size, 4)}, {significant(estimate.high / size, 4)}]"


def percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def count(number: int, singular: str, plural: str | None = None) -> str:
    return f"{number} {singular if number == 1 else plural or singular + 's'}"
