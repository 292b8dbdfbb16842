# SPDX-License-Identifier: Apache-2.0
"""A trial of functions of no arguments. Warm-up, end and `unstable` are those of core/measure/trial.h."""

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter_ns, process_time_ns

import numpy as np

from attnlab.results import estimate_median

WARMUP_SHARE = 0.1  # of min_time
UNSTABLE_SPREAD = 0.25  # interquartile range over median
FEWEST_JUDGED = 8
FEWEST_FOR_TARGET = 6  # samples: what the confidence needs
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Rules:
    """Of the header of a plan, under its names."""

    min_time_ns: float
    max_time_ns: float
    target_ci: float
    max_iterations: int


@dataclass
class Trial:
    samples_ns: list[int]
    last: int  # which of the functions was timed last
    ended_by: str
    unstable: bool
    summary: dict


def is_unstable(samples: Sequence[int], target_ci: float) -> bool:
    if len(samples) < FEWEST_JUDGED:
        return False
    half = len(samples) // 2
    parts = (samples, samples[:half], samples[half:])
    (low, median, high), *halves = (np.quantile(part, (0.25, 0.5, 0.75)) for part in parts)
    drift = abs(halves[1][1] - halves[0][1])
    spread = max(h[2] - h[0] for h in halves)
    return not high - low <= UNSTABLE_SPREAD * median or (drift > target_ci * median and drift > spread)


def _timed(run: Callable[[], None]) -> int:
    begin = perf_counter_ns()
    run()
    return perf_counter_ns() - begin


def _warm_up(runs: Sequence[Callable[[], None]], rules: Rules) -> int:
    begin = perf_counter_ns()
    first_call_ns = _timed(runs[0])
    for n in range(1, rules.max_iterations):
        if perf_counter_ns() - begin >= WARMUP_SHARE * rules.min_time_ns:
            break
        runs[n % len(runs)]()
    return first_call_ns


def _ending(samples: list[int], sum_ns: int, rules: Rules) -> str:
    if sum_ns >= rules.min_time_ns and len(samples) >= FEWEST_FOR_TARGET:
        within = estimate_median(samples, CONFIDENCE)
        if (within.high - within.low) / 2 <= rules.target_ci * within.median:
            return "target"
    if sum_ns >= rules.max_time_ns:
        return "max_time"
    return "max_iterations" if len(samples) >= rules.max_iterations else ""


def measure(runs: Sequence[Callable[[], None]], rules: Rules, warm_values: Callable[[], None],
            real_values: Callable[[], None], before_each: Callable[[int], None]) -> Trial:  # fmt: skip
    """Times `runs`, which answer one problem on different copies of its arrays, in rotation. The collector rests."""
    warm_values()
    first_call_ns = _warm_up(runs, rules)
    real_values()
    samples: list[int] = []
    sum_ns, busy_ns, judged, ended_by = 0, 0, 0, ""
    gc.collect()
    gc.disable()
    try:
        while not ended_by:
            which = len(samples) % len(runs)
            before_each(which)
            busy_ns -= process_time_ns()
            samples.append(_timed(runs[which]))
            busy_ns += process_time_ns()
            sum_ns += samples[-1]
            due = sum_ns >= rules.min_time_ns and len(samples) >= judged + judged // 2
            if due or sum_ns >= rules.max_time_ns or len(samples) >= rules.max_iterations:
                ended_by, judged = _ending(samples, sum_ns, rules), len(samples)
    finally:
        gc.enable()
    within = estimate_median(samples, CONFIDENCE)
    summary = {
        "median_ns": within.median,
        "within_process_low_ns": within.low,
        "within_process_high_ns": within.high,
        "within_process_coverage": within.coverage,
        "min_ns": float(min(samples)),
        "max_ns": float(max(samples)),
        "first_call_ns": float(first_call_ns),
        "cpus_busy": busy_ns / sum_ns,
    }
    return Trial(samples, which, ended_by, is_unstable(samples, rules.target_ci), summary)
