# SPDX-License-Identifier: Apache-2.0
"""A run as its result file tells it. Schema: results/README.md."""

from dataclasses import dataclass, field
from functools import cached_property
from math import isnan
from pathlib import Path

import h5py
import numpy as np

from attnlab import ROOT

SCHEMA, SCHEMA_VERSION = "attnbench-results", 1
STATUSES = ("MEASURED", "SKIPPED", "REJECTED", "FAILED")  # a point shows the worst of its invocations
NOT_FACTORS = {"point_id", "capture_digest", "label", "baseline", "flops", "min_bytes", "memory_bytes", "live_pairs",
               "block", "improves_on"}  # fmt: skip
IDENTITY = ("variant", "isa", "threads", "placement", "cache", "parameters")  # what answers; the rest is the problem


class Unreadable(Exception):  # noqa: N818 - the text says what is wrong and what would be right
    """Not a result file that this program understands."""


@dataclass(frozen=True)
class Estimate:
    """A median, and the order statistics [low, high] around it that cover the true one with probability `coverage`."""

    median: float
    low: float
    high: float
    coverage: float
    count: int


def estimate_median(values, confidence: float = 0.95) -> Estimate:
    """The narrowest symmetric rank interval that covers at least `confidence`, by exact binomial ranks; [min, max] and
    what it really covers when even that is less: 3 values 75 %, 6 values 96.9 %."""
    ordered = np.sort(np.asarray(values, float))
    count = len(ordered)

    ways, outside, dropped = 1, 2, 0  # of 2^count: with exactly `dropped` values below the median; beyond the interval
    while dropped + 1 < (count + 1) // 2:
        more = ways * (count - dropped) // (dropped + 1)
        if 1 - (outside + 2 * more) / 2**count < confidence:
            break
        ways, outside, dropped = more, outside + 2 * more, dropped + 1
    return Estimate(
        float(np.median(ordered)),
        float(ordered[dropped]),
        float(ordered[count - 1 - dropped]),
        max(0.0, 1 - outside / 2**count),
        count,
    )


@dataclass(frozen=True)
class Roof:
    """The most that the machine could do for a point, as its invocations measured it: medians of them."""

    fraction: float  # least possible time by the time taken
    gflops: float
    gbs: float
    arithmetic: str  # what reaches `gflops`: "multiply-add" or "tiles"
    memory: str  # what delivers `gbs`: where the operands lie


@dataclass
class Point:
    """One row: a variant on a problem at a place, and what came of it over all invocations."""

    id: str
    label: str
    factors: dict
    flops: float
    min_bytes: float = 0.0
    baseline: "Point | None" = None
    improves_on: str = ""  # the rung below this point's variant
    below: "Point | None" = None  # that rung on the same inputs, with as many threads if it can, else with one
    status: str = "PENDING"
    reason: str = ""
    timing_notes: tuple[str, ...] = ()
    timing_valid: bool = True
    time_ns: Estimate | None = None
    medians_ns: dict[int, float] = field(default_factory=dict)  # by invocation
    roof: Roof | None = None
    checks: dict = field(default_factory=dict)  # of the invocation with the largest error
    workspace_bytes: int = 0

    @property
    def gflop_per_s(self) -> float | None:
        return self.flops / self.time_ns.median if self.time_ns else None

    @property
    def intensity(self) -> float:
        """Operations for each byte that must be read or written at least once."""
        return self.flops / self.min_bytes

    @property
    def bound_by_memory(self) -> bool:
        return self.intensity * self.roof.gbs < self.roof.gflops

    @property
    def speedup(self) -> float | None:
        return self.baseline.time_ns.median / self.time_ns.median if self.time_ns and self.baseline_ns else None

    @property
    def gain(self) -> float | None:
        """The time of the rung below by this one's."""
        return self.below.time_ns.median / self.time_ns.median if self.time_ns and self._below_measured else None

    @property
    def gains(self) -> bool:
        """Whether the whole interval lies below that of the rung below, both more likely than not to cover."""
        if self.gain is None or min(self.time_ns.coverage, self.below.time_ns.coverage) <= 0.5:
            return False
        return self.time_ns.high < self.below.time_ns.low

    @property
    def _below_measured(self) -> bool:
        return self.below is not None and self.below.time_ns is not None

    @property
    def baseline_ns(self) -> float | None:
        return self.baseline.time_ns.median if self.baseline and self.baseline.time_ns else None


@dataclass
class Origin:
    """Where the numbers of a file come from, as every table and figure says it."""

    path: Path
    root: dict
    provenance: dict

    @property
    def date(self) -> str:
        return "".join(c for c in self.root.get("date", "unknown").split(".")[0] if c.isalnum())

    @property
    def commit(self) -> str:
        dirty = {"yes": ", with uncommitted changes", "no": ""}.get(self.provenance.get("git_dirty"), ", state unknown")
        return self.provenance.get("git_commit", "unknown")[:12] + dirty

    @property
    def machine(self) -> str:
        cores = self.provenance.get("cores")
        return self.provenance.get("cpu_model", "unknown CPU") + (f", {cores} cores" if cores else "")


@dataclass
class Run(Origin):
    """Everything a table or figure says about a run comes from its file."""

    plan: dict
    points: list[Point]

    @property
    def name(self) -> str:
        return self.plan.get("name") or "run"

    @property
    def id(self) -> str:
        """From the file alone: its name, when its first trial began, what was planned."""
        return f"{self.name}-{self.date}-{self.root.get('plan_hash', '')[:8]}"

    @property
    def config(self) -> str:
        """Relative to the checkout, or its name alone: where a home directory lies is nobody's business."""
        path = Path(self.plan.get("config_path", ""))
        return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name or "command line"

    @property
    def invocations(self) -> int:
        return int(self.plan.get("invocations", 0))

    @cached_property
    def factor_names(self) -> list[str]:
        return list(self.points[0].factors) if self.points else []

    def values(self, factor: str) -> list:
        """Distinct values, in plan order."""
        return list(dict.fromkeys(p.factors[factor] for p in self.points))

    @cached_property
    def fixed(self) -> dict:
        return {f: self.values(f)[0] for f in self.factor_names if len(self.values(f)) == 1}

    @cached_property
    def varying(self) -> list[str]:
        """Factors that tell rows apart: the problem's, then the variant, then where it ran. One that another already
        tells (key_len beside query_len, sizes beside a captured tensor) is left out."""
        changing = [f for f in self.factor_names if f not in self.fixed]
        kept = []
        for factor in sorted(changing, key=lambda f: (f in IDENTITY, f == "capture")):
            if factor in IDENTITY or not any(self.determines(other, factor) for other in kept):
                kept.append(factor)
        return kept

    def determines(self, one: str, other: str) -> bool:
        """Whether equal values of `one` always stand beside equal values of `other`."""
        return len({(p.factors[one], p.factors[other]) for p in self.points}) == len(self.values(one))


def _plain(value):
    if isinstance(value, bytes):
        return value.rstrip(b"\0").decode()
    return value.item() if isinstance(value, np.generic) else value


def attributes(item) -> dict:
    return {name: _plain(value) for name, value in item.attrs.items()}


def columns(group) -> dict[str, list]:
    return {name: [_plain(v) for v in group[name][()]] for name in group}


def _finish(point: Point, trials: list[dict]) -> None:
    """Sums up the trials of a point; numbers of time only where every invocation was measured."""
    worst = max(trials, key=lambda t: STATUSES.index(t["status"]))
    point.status, point.reason = worst["status"], worst["reason"]
    measured = [t for t in trials if t["status"] == "MEASURED"]
    point.timing_valid = all(t["timing_valid"] for t in measured)
    point.timing_notes = tuple(dict.fromkeys(t["timing_reason"] for t in measured if t["timing_reason"]))
    point.workspace_bytes = max(t["workspace_bytes"] for t in trials)
    judged = [t for t in trials if t["status"] in ("MEASURED", "REJECTED")]
    if judged:  # a fraction that is not a number is worse than any
        shown = max(judged, key=lambda t: (isnan(t["check_bound_fraction"]), t["check_bound_fraction"]))
        point.checks = {n.removeprefix("check_"): v for n, v in shown.items() if n.startswith("check_")}
    if point.status == "MEASURED":
        point.time_ns = estimate_median([t["median_ns"] for t in measured])
        point.medians_ns = {t["invocation"]: t["median_ns"] for t in measured}
        point.roof = _roof(measured)


def _roof(measured: list[dict]) -> Roof | None:
    """None where no peaks were asked for."""
    if not all(t.get("roof_fraction", float("nan")) > 0 for t in measured):
        return None
    medians = (float(np.median([t[f"roof_{name}"] for t in measured])) for name in ("fraction", "gflops", "gbs"))
    return Roof(*medians, measured[0]["roof_arithmetic"], measured[0]["roof_memory"])


def open_file(where: Path) -> tuple[Path, h5py.File]:
    """The result file of a run directory, or the file itself. Unreadable: there is none."""
    path = where / "results.h5" if where.is_dir() else where
    if not path.is_file():
        if not (where / "journal.jsonl").is_file():
            raise Unreadable(f"{where} is no run directory and no result file")
        raise Unreadable(f"{path} is not there; finish the run with 'attnbench resume', or 'attnbench rebuild' it")
    try:
        return path, h5py.File(path, "r")
    except OSError as error:
        raise Unreadable(f"{path} is not a result file of attnbench: {error}") from error


def check_schema(path: Path, root: dict, schema: str, version: int) -> None:
    if root.get("schema") != schema or root.get("schema_version") != version:
        found = f"{root.get('schema', 'none')} {root.get('schema_version', '')}".strip()
        raise Unreadable(f"{path} has schema {found}; this program reads {schema} {version}")


def read(where: Path) -> Run:
    """Of a run directory, or of a result file."""
    path, opened = open_file(where)
    with opened as file:
        try:
            return _read(path, file)
        except (OSError, KeyError) as error:
            raise Unreadable(f"{path} is not a result file of attnbench: {error}") from error


def _rung_below(point: Point, points: list[Point]) -> Point | None:
    def alike(other: Point, threads: int) -> bool:
        wanted = {**point.factors, "variant": point.improves_on, "threads": threads, "parameters": "auto"}
        return other.factors == wanted

    return next((p for threads in (point.factors["threads"], 1) for p in points if alike(p, threads)), None)


def _read(path: Path, file: h5py.File) -> Run:
    root = attributes(file)
    check_schema(path, root, SCHEMA, SCHEMA_VERSION)
    plan, trial = columns(file["plan"]), columns(file["trial"])
    factors = [name for name in plan if name not in NOT_FACTORS]
    points = [
        Point(id, label, {f: plan[f][n] for f in factors}, plan["flops"][n], plan["min_bytes"][n])
        for n, (id, label) in enumerate(zip(plan["point_id"], plan["label"], strict=True))
    ]
    by_id = {p.id: p for p in points}
    for point, baseline in zip(points, plan["baseline"], strict=True):
        point.baseline = by_id.get(baseline)
    for point, rung in zip(points, plan.get("improves_on", [""] * len(points)), strict=True):
        point.improves_on = rung
        point.below = _rung_below(point, points) if rung else None
    trials: dict[str, list[dict]] = {}
    for n, point_id in enumerate(trial["point_id"]):
        trials.setdefault(point_id, []).append({name: column[n] for name, column in trial.items()})
    for point_id, own in trials.items():
        _finish(by_id[point_id], own)
    return Run(path, root, attributes(file["provenance"]), attributes(file["plan"]), points)
