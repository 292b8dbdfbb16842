# SPDX-License-Identifier: Apache-2.0
"""Result files with known contents, written by the schema in results/README.md."""

import h5py
import numpy as np

FACTORS = {
    "capture": "", "tensor": "", "pattern": "normal", "seed": 1, "batch": 1, "query_heads": 8, "key_heads": 8,
    "query_len": 512, "key_len": 512, "head_dim": 64, "value_dim": 64, "scale": 0.125, "type": "f32", "pass": "forward",
    "lse": 0, "layout": "dense", "mask": "none", "variant": "naive", "isa": "avx2", "threads": 1,
    "placement": "compact", "cache": "warm", "parameters": "auto",
}  # fmt: skip
PROVENANCE = {"cpu_model": "Example CPU 9000", "cores": 4, "git_commit": "0123456789abcdef0123", "git_dirty": "no"}


def point(times_ns=(), **given) -> dict:
    """A point and its trials: a time per invocation, and `status`, `reason`, `bound_fraction`, ... if not the usual."""
    improves_on = given.pop("improves_on", "")
    factors = {name: given.pop(name, usual) for name, usual in FACTORS.items()}
    if "key_len" not in given and factors["key_len"] == FACTORS["key_len"]:
        factors["key_len"] = factors["query_len"]
    pairs = factors["batch"] * factors["query_heads"] * factors["query_len"] * factors["key_len"]
    trial = {
        "status": "MEASURED", "reason": "", "timing_valid": 1, "timing_reason": "", "workspace_bytes": 4096,
        "check_bound_fraction": 0.05, "check_weak": 0, "check_max_abs": 1e-7,
    }  # fmt: skip
    trial |= {f"check_{k}" if f"check_{k}" in trial else k: v for k, v in given.items() if k != "baseline"}
    return {
        "factors": factors,
        "flops": 2.0 * pairs * (factors["head_dim"] + factors["value_dim"]),
        "min_bytes": 4.0 * factors["batch"] * factors["query_heads"] * (
            factors["query_len"] + factors["key_len"]) * (factors["head_dim"] + factors["value_dim"]),
        "baseline": given.get("baseline"),
        "improves_on": improves_on,
        "trials": [{**trial, "invocation": n, "median_ns": float(t)} for n, t in enumerate(times_ns)],
    }


def _column(group, name, values):
    if isinstance(values[0], str):
        encoded = [v.encode() for v in values]
        kind = h5py.string_dtype("utf-8", max(1, *map(len, encoded)))
        group.create_dataset(name, data=np.array(encoded, dtype=kind))
    else:
        group.create_dataset(name, data=np.asarray(values))


def write(path, points, *, name="synthetic", question="", baseline="naive", complete=True, invocations=3) -> None:
    """`baseline` of a point is the index of another."""
    ids = [f"{n:016x}" for n in range(len(points))]
    with h5py.File(path, "w", track_order=True) as file:
        file.attrs.update({
            "schema": "attnbench-results", "schema_version": 1, "date": "2026-02-03T04:05:06.789Z",
            "status": "complete" if complete else "partial", "plan_hash": "feedface01234567",
        })  # fmt: skip
        plan, trial = file.create_group("plan", track_order=True), file.create_group("trial", track_order=True)
        file.create_group("provenance").attrs.update(PROVENANCE)
        plan.attrs.update({
            "name": name, "question": question, "config_path": f"/home/somebody/{name}.yaml", "baseline": baseline,
            "invocations": invocations,
        })  # fmt: skip
        _column(plan, "point_id", ids)
        for factor in FACTORS:
            _column(plan, factor, [p["factors"][factor] for p in points])
        _column(plan, "label", [f"{p['factors']['variant']}/{p['factors']['query_len']}" for p in points])
        _column(plan, "baseline", ["" if p["baseline"] is None else ids[p["baseline"]] for p in points])
        _column(plan, "improves_on", [p["improves_on"] for p in points])
        _column(plan, "flops", [p["flops"] for p in points])
        _column(plan, "min_bytes", [p["min_bytes"] for p in points])
        rows = [(ids[n], t) for n, p in enumerate(points) for t in p["trials"]]
        _column(trial, "point_id", [own for own, _ in rows])
        for column in rows[0][1]:
            _column(trial, column, [t[column] for _, t in rows])
