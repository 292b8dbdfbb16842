# SPDX-License-Identifier: Apache-2.0
"""The table of a run with peers: how much faster our variant is than each, beside what it set out to be."""

from dataclasses import dataclass

from attnlab.results import Estimate, Point, Run, estimate_median
from attnlab.tables import EXPLANATION, Notes, grid, provenance, state, verdict_text
from attnlab.text import count, interval, percent, significant, time

SHORT = 256  # keys: a sentence

EXPLANATION_OF_RATIOS = """\
Faster by: the time of the peer by ours, the median over the invocations, each of which ran both in one process; its
interval likewise. A goal is met when that median reaches it; "not certain": the interval has it inside."""


@dataclass(frozen=True)
class Goal:
    ratio: float
    rivals: str  # the best of the peers whose names begin so


def goal_of(factors: dict) -> Goal | None:
    """What flash set out to reach: 1.2 times the best peer on dense f32 problems, 1.5 on causal ones, where few of them
    leave out what is masked, 1.3 on short ones; 4 times PyTorch on one query, for it splits by head alone; backward
    passes against PyTorch, which alone has them. None: no goal was set."""
    if factors["type"] != "f32":
        return None
    causal = "causal" in factors["mask"]
    if factors["pass"] == "backward":
        return Goal(1.5 if causal else 1.2, "peer:torch")
    if factors["query_len"] == 1:
        return Goal(4.0, "peer:torch")
    return Goal(1.5 if causal else 1.3 if factors["key_len"] <= SHORT else 1.2, "peer:")


def is_peer(point: Point) -> bool:
    return point.factors["variant"].startswith("peer:")


def has_peers(run: Run) -> bool:
    return any(map(is_peer, run.points))


def faster(ours: Point, other: Point) -> Estimate | None:
    """Of the invocations that measured both; None: there is none."""
    both = ours.medians_ns.keys() & other.medians_ns.keys()
    return estimate_median([other.medians_ns[i] / ours.medians_ns[i] for i in both]) if both else None


def problem_text(factors: dict) -> str:
    """What is asked, in few words."""
    f, heads, length = factors, str(factors["query_heads"]), str(factors["query_len"])
    heads += f"/{f['key_heads']}" if f["key_heads"] != f["query_heads"] else ""
    length += f" x {f['key_len']}" if f["key_len"] != f["query_len"] else ""
    sizes = f"{heads} heads, {length}, d {f['head_dim']}"
    others = [f"batch {f['batch']}" if f["batch"] > 1 else "", "" if f["mask"] == "none" else f["mask"]]
    others += ["" if f["type"] == "f32" else f["type"], "" if f["pass"] == "forward" else f["pass"]]
    others += ["cold" if f["cache"] == "cold" else ""]
    return ", ".join([sizes, *filter(None, others)])


def rate_text(point: Point) -> str:
    """One query reads keys and does little with them: its rate is that of memory."""
    if not point.time_ns:
        return "-"
    if point.factors["query_len"] == 1:
        return f"{significant(point.min_bytes / point.time_ns.median)} GB/s"
    return f"{significant(point.gflop_per_s)} GFLOP/s"


def groups(run: Run) -> list[list[Point]]:
    """Contestants on one problem with as many threads, in plan order."""
    found: dict[tuple, list[Point]] = {}
    for point in run.points:
        found.setdefault((problem_text(point.factors), point.factors["threads"]), []).append(point)
    return list(found.values())


def ours_of(group: list[Point]) -> Point | None:
    """The highest rung of ours."""
    return next((p for p in reversed(group) if not is_peer(p)), None)


def best_of(group: list[Point], rivals: str) -> Point | None:
    measured = [p for p in group if p.time_ns and p.factors["variant"].startswith(rivals)]
    return min(measured, key=lambda p: p.time_ns.median, default=None)


def judged(goal: Goal | None, ratio: Estimate | None) -> str:
    if goal is None:
        return "-"
    text = f"{goal.ratio:g} x {'the best' if goal.rivals == 'peer:' else goal.rivals.removeprefix('peer:')}"
    if ratio is None:
        return f"{text}: not measured"
    short = "met" if ratio.median >= goal.ratio else f"missed by {percent(round(1 - ratio.median / goal.ratio, 3))}"
    return f"{text}: {short}" + (", not certain" if ratio.low < goal.ratio <= ratio.high else "")


def ratio_text(ratio: Estimate | None) -> str:
    return f"{significant(ratio.median)} [{significant(ratio.low)}, {significant(ratio.high)}]" if ratio else "-"


def _goals(run: Run) -> str:
    peers = [v for v in run.values("variant") if v.startswith("peer:")]
    names = [v.removeprefix("peer:") for v in peers]
    header = ["problem", "threads", "ours", "median", "rate", *(f"on {n}" for n in names), "best peer", "goal"]
    rows = []
    for group in groups(run):
        ours = ours_of(group)
        if ours is None:
            continue
        by_name = {p.factors["variant"]: p for p in group}
        ratios = [faster(ours, by_name[v]) if v in by_name else None for v in peers]
        goal, best = goal_of(ours.factors), best_of(group, "peer:")
        rival = best_of(group, goal.rivals) if goal else None
        rows.append([
            problem_text(ours.factors), str(ours.factors["threads"]), ours.factors["variant"],
            time(ours.time_ns.median) if ours.time_ns else "-", rate_text(ours),
            *(significant(r.median) if r else "-" for r in ratios),
            best.factors["variant"].removeprefix("peer:") if best else "-",
            judged(goal, faster(ours, rival) if rival else None),
        ])  # fmt: skip
    return grid(header, rows, 3)


def _every(run: Run, notes: Notes) -> str:
    header = ["problem", "threads", "contestant", "median", "interval", "rate", "faster by", "error / bound",
              "workspace", "verdict"]  # fmt: skip
    rows = []
    for group in groups(run):
        ours = ours_of(group)
        for p in (p for p in group if p.status != "SKIPPED"):
            ratio = faster(ours, p) if ours is not None and is_peer(p) else None
            rows.append([
                problem_text(p.factors), str(p.factors["threads"]), p.factors["variant"],
                time(p.time_ns.median) if p.time_ns else "-", interval(p.time_ns) if p.time_ns else "-", rate_text(p),
                ratio_text(ratio), significant(p.checks.get("bound_fraction")),
                f"{p.workspace_bytes / 1e6:.3g} MB" if p.time_ns and not is_peer(p) else "-", verdict_text(p, notes),
            ])  # fmt: skip
    return grid(header, rows, 3)


def _left_out(run: Run) -> list[str]:
    reasons: dict[tuple[str, str], int] = {}
    for point in run.points:
        if point.status == "SKIPPED":
            told = (point.factors["variant"], point.reason)
            reasons[told] = reasons.get(told, 0) + 1
    return [f"- {variant}, {count(points, 'point')}: {reason}" for (variant, reason), points in reasons.items()]


def _facts(run: Run) -> list[str]:
    """Of the contestants, and of what their threads do while they wait."""
    told = {name.removeprefix("peer_"): value for name, value in run.provenance.items() if name.startswith("peer_")}
    lines = [f"- {', '.join(f'{name} {value}' for name, value in told.items())}"] if told else []
    spins = {n.removeprefix("spin_"): v for n, v in run.provenance.items() if n.startswith("spin_")}
    threads, problem = spins.pop("threads", None), spins.pop("problem", None)
    if spins:
        effects = ", ".join(f"{name} {significant(value)}" for name, value in spins.items())
        lines += [f"- threads wait passively; time when they wait as by themselves, by that time, on {problem}, "
                  f"{threads} threads: {effects}"]  # fmt: skip
    return lines


def markdown(run: Run) -> str:
    notes = Notes()
    coverages = {p.time_ns.coverage for p in run.points if p.time_ns}
    every = _every(run, notes)
    text = [f"# {run.name}" + (f": {run.plan['question']}" if run.plan.get("question") else ""), ""]
    text += [f"- {key}: {value}" for key, value in provenance(run)] + _facts(run)
    text += [f"- {state(run)}" + ("" if run.root.get("status") == "complete" else "; the run is not finished")]
    text += ["- intervals cover the true median with probability " + ", ".join(map(percent, sorted(coverages)))]
    text += ["", "## Ratios and goals", "", _goals(run), "", "## Every contestant", "", every, ""]
    text += [f"({n}) {note}  " for n, note in enumerate(notes.texts, 1)] + ([""] if notes.texts else [])
    left_out = _left_out(run)
    text += ["Not offered, or not here:", "", *left_out, ""] if left_out else []
    return "\n".join([*text, EXPLANATION, EXPLANATION_OF_RATIOS]) + "\n"
