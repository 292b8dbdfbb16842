# SPDX-License-Identifier: Apache-2.0
"""Tables of a run, every point a row: Markdown for people, CSV for programs."""

import csv
import io
from dataclasses import astuple

from attnlab.results import Point, Run
from attnlab.text import count, interval, percent, significant, time

MISSING = "n/s"  # not supported: the variant, the ISA level or the machine objected


def provenance(run: Run) -> list[tuple[str, str]]:
    """What every table and figure says of where it comes from."""
    return [("run", run.id), ("commit", run.commit), ("machine", run.machine), ("config", run.config)]


def value_text(factor: str, value) -> str:
    """A factor's value as a table shows it; of a file its name, for where it lies is nobody's business."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if factor == "tensor" and value == "":
        return "drawn"
    text = str(value)
    return (text.rsplit("/", 1)[-1] if factor == "capture" else text) or "-"


def state(run: Run) -> str:
    """The counts that a reader needs before the first number."""
    of = {s: sum(p.status == s for p in run.points) for s in ("MEASURED", "SKIPPED", "REJECTED", "FAILED", "PENDING")}
    weak = sum(p.checks.get("weak", 0) == 1 for p in run.points if p.status == "MEASURED")
    invalid = sum(p.status == "MEASURED" and not p.timing_valid for p in run.points)
    parts = [f"{of['MEASURED']} measured", f"{of['SKIPPED']} not supported", f"{of['REJECTED']} rejected",
             f"{of['FAILED']} failed"]  # fmt: skip
    parts += [f"{of['PENDING']} pending"] if of["PENDING"] else []
    parts += [f"{weak} with a weak check"] if weak else []
    parts += [f"{invalid} with an invalid timing"] if invalid else []
    return f"{count(len(run.points), 'point')} x {count(run.invocations, 'invocation')}: {', '.join(parts)}"


EXPLANATION = """\
Median: of the medians of the invocations, each a process of its own. Interval: the range of ranks around it, with the
probability that it covers the true median. GFLOP/s: operations that the mathematics asks for, by the time. Error /
bound: the largest error of an element as a part of what rounding may cause there; above 1 it is rejected."""


ROOF = """\
Roof: what the machine delivers at best at the row's ISA level and threads, measured in the same processes: operations,
or bytes from the memory that the operands lie in, whichever takes longer. Of roof: that time by the row's."""


class Notes:
    """Numbered remarks under a table; equal ones are told once."""

    def __init__(self):
        self.texts: list[str] = []

    def mark(self, text: str) -> str:
        if text not in self.texts:
            self.texts.append(text)
        return f"({self.texts.index(text) + 1})"


def verdict_text(point: Point, notes: Notes) -> str:
    """What came of a point; what there is to say of it becomes a note."""
    if point.status != "MEASURED":
        word = MISSING if point.status == "SKIPPED" else point.status
        return f"{word} {notes.mark(point.reason)}" if point.reason else word
    remarks = ["ok"]
    if point.checks.get("weak", 0) == 1:
        remarks.append("weak check " + notes.mark("no checked row would have shown the loss of its heaviest key"))
    if not point.timing_valid:
        remarks.append("timing invalid " + notes.mark("; ".join(point.timing_notes)))
    elif point.timing_notes:
        remarks.append("timing " + notes.mark("; ".join(point.timing_notes)))
    return ", ".join(remarks)


def _gain(point: Point) -> str:
    """What a rung is worth over the one below it; one that is worth nothing says so."""
    if point.gain is None:
        return "-"
    word = "" if point.gains else ", no gain" if point.gain <= 1 else ", not certain"
    return f"{significant(point.gain)} on {point.improves_on}{word}"


def _roof(point: Point) -> list[str]:
    """The one of its two roofs that is lower where the point stands, and how near it came."""
    roof = point.roof
    if not roof:
        return ["-", "-"]
    bandwidth, rate = f"{significant(roof.gbs)} GB/s {roof.memory}", f"{significant(roof.gflops)} GFLOP/s"
    return [bandwidth if point.bound_by_memory else rate, significant(roof.fraction)]


def _row(run: Run, point: Point, coverages: set, roofs: bool, baseline: bool, ladder: bool, notes: Notes) -> list[str]:
    cells = [value_text(f, point.factors[f]) for f in run.varying]
    verdict = verdict_text(point, notes)
    estimate = point.time_ns
    if not estimate:
        nothing = MISSING if point.status == "SKIPPED" else "-"
        numbers = [nothing] * (4 + (len(coverages) > 1) + 2 * roofs + 2 * baseline + ladder)
        error = significant(point.checks["bound_fraction"]) if "bound_fraction" in point.checks else nothing
        return [*cells, *numbers, error, verdict]
    cells += [time(estimate.median), interval(estimate)]
    cells += [percent(estimate.coverage)] if len(coverages) > 1 else []
    cells += [str(estimate.count), significant(point.gflop_per_s)]
    cells += _roof(point) if roofs else []
    if baseline:
        cells += [significant(point.speedup), time(point.baseline_ns)]
    cells += [_gain(point)] if ladder else []
    return [*cells, significant(point.checks.get("bound_fraction")), verdict]


def grid(header: list[str], rows: list[list[str]], left: int) -> str:
    """Pipes and padding: a table for Markdown that reads as well without it. `left` columns and the last are texts."""
    texts = {*range(left), len(header) - 1}
    width = [max(len(line[n]) for line in (header, *rows)) for n in range(len(header))]

    def line(cells):
        return "| " + " | ".join(c.ljust(w) if n in texts else c.rjust(w)
                                 for n, (c, w) in enumerate(zip(cells, width, strict=True))) + " |"  # fmt: skip

    rule = "|" + "|".join("-" * (w + 2) if n in texts else "-" * (w + 1) + ":" for n, w in enumerate(width)) + "|"
    return "\n".join([line(header), rule, *map(line, rows)])


def _dependent(run: Run) -> list[str]:
    """Factors that have no column, because one that has tells them."""
    dependent = [f for f in run.factor_names if f not in run.fixed and f not in run.varying]
    lines = []
    if "tensor" in run.varying:
        sizes = [f for f in dependent if run.determines("tensor", f)]
        dependent = [f for f in dependent if f not in sizes]
        for tensor in run.values("tensor"):
            own = next(p.factors for p in run.points if p.factors["tensor"] == tensor)
            unused = ("pattern", "seed") if tensor else ("capture",)
            told = [f"{f} {value_text(f, own[f])}" for f in sizes if f not in unused]
            lines.append(f"tensor {value_text('tensor', tensor)}: {', '.join(told)}")
    for factor in dependent:
        teller = next(f for f in run.varying if run.determines(f, factor))
        same = all(p.factors[factor] == p.factors[teller] for p in run.points)
        lines.append(f"{factor} is {teller}" if same else _followed(run, factor, teller))
    return lines


def _followed(run: Run, factor: str, teller: str) -> str:
    """How a factor follows from another; value by value where they are few."""
    pairs = {p.factors[teller]: p.factors[factor] for p in run.points}
    told = ", ".join(f"{value_text(factor, f)} at {value_text(teller, t)}" for t, f in pairs.items())
    return f"{factor} follows from {teller}" + (f": {told}" if len(pairs) <= 4 else "")


def _fixed(run: Run) -> str:
    """Factors that are the same in every row; those that say "not used" are left out."""
    unsaid = {"capture": "", "tensor": "", "parameters": "auto", "mask": "none", "lse": 0, "cache": "warm",
              "layout": "dense", "pass": "forward"}  # fmt: skip
    told = {f: v for f, v in run.fixed.items() if unsaid.get(f) != v}
    return ", ".join(f"{f} {value_text(f, v)}" for f, v in told.items())


def markdown(run: Run) -> str:
    estimates = [p.time_ns for p in run.points if p.time_ns]
    coverages = {e.coverage for e in estimates}
    baseline = any(p.baseline for p in run.points)
    ladder = any(p.gain for p in run.points)
    roofs = any(p.roof for p in run.points)
    named = run.plan.get("baseline") or "the baseline"
    notes = Notes()
    covered = f"interval ({percent(next(iter(coverages)))})" if len(coverages) == 1 else "interval"
    header = [*run.varying, "median", covered, *(["coverage"] if len(coverages) > 1 else []), "invocations", "GFLOP/s"]
    header += ["roof", "of roof"] if roofs else []
    header += [f"speed-up on {named}", f"{named} takes"] if baseline else []
    header += ["gain on the rung below"] if ladder else []
    header += ["error / bound", "verdict"]
    rows = [_row(run, p, coverages, roofs, baseline, ladder, notes) for p in run.points]
    text = [f"# {run.name}" + (f": {run.plan['question']}" if run.plan.get("question") else ""), ""]
    text += [f"- {key}: {value}" for key, value in provenance(run)]
    text += [f"- {state(run)}" + ("" if run.root.get("status") == "complete" else "; the run is not finished")]
    text += [f"- the same in every row: {_fixed(run)}", *(f"- {line}" for line in _dependent(run))]
    text += ["", grid(header, rows, len(run.varying)), ""]
    text += [f"({n}) {note}  " for n, note in enumerate(notes.texts, 1)] + ([""] if notes.texts else [])
    text += [EXPLANATION]
    text += [ROOF] if roofs else []
    if baseline:
        text += [f"Speed-up: the time of {named} on the same inputs, which stands beside it, by the time of the row."]
        rows = {p.baseline.label for p in run.points if p.baseline}
        text += [f"{named} is {rows.pop()}."] if len(rows) == 1 else []
    if ladder:
        text += ["Gain: the time of the rung that a variant improves on, with as many threads if it can, by its own;"]
        text += ["certain when the two intervals do not meet and each covers more likely than not."]
    return "\n".join(text) + "\n"


CSV_NUMBERS = ("median_ns", "low_ns", "high_ns", "coverage", "invocations", "gflop_per_s", "baseline_ns", "speedup")
CSV_ROOF = ("of_roof", "roof_gflops", "roof_gbs", "roof_arithmetic", "roof_memory")


def _csv_numbers(point: Point) -> dict:
    if not point.time_ns:
        return {}
    e = point.time_ns
    numbers = (e.median, e.low, e.high, e.coverage, e.count, point.gflop_per_s, point.baseline_ns, point.speedup)
    roof = dict(zip(CSV_ROOF, astuple(point.roof), strict=True)) if point.roof else {}
    return dict(zip(CSV_NUMBERS, numbers, strict=True)) | roof


def comma_separated(run: Run) -> str:
    """One row per point, every factor a column, the provenance in each row; numbers in full, empty where there is
    none."""
    named = ["point", *(key for key, _ in provenance(run)), *run.factor_names, "status", "reason", *CSV_NUMBERS]
    named += CSV_ROOF if any(p.roof for p in run.points) else ()
    checks = list(dict.fromkeys(name for p in run.points for name in p.checks))
    out = io.StringIO()
    writer = csv.DictWriter(
        out,
        [*named, "baseline", "timing_valid", "timing_reason", "workspace_bytes", *checks],
        lineterminator="\n",
        restval="",
    )
    writer.writeheader()
    for p in run.points:
        factors = {f: value_text(f, v) if f == "capture" and v else v for f, v in p.factors.items()}
        row = {"point": p.id, **dict(provenance(run)), **factors, "status": p.status, "reason": p.reason}
        row |= {"baseline": p.baseline.id if p.baseline else "", "workspace_bytes": p.workspace_bytes, **p.checks}
        row |= {"timing_valid": int(p.timing_valid), "timing_reason": "; ".join(p.timing_notes), **_csv_numbers(p)}
        writer.writerow(row)
    return out.getvalue()
