# SPDX-License-Identifier: Apache-2.0
"""SIGKILL at random moments: no acknowledged line may be lost, and the run must end as an undisturbed one.

usage: kills.py PROGRAM N [SEED]
PROGRAM is attnbench_saboteurs, so that every status occurs. h5py compares the result files; without it their
exports are compared, and the last line says so.
"""

import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

try:
    import h5py
except ImportError:
    h5py = None

CONFIG = """\
name: kills
problem: {query_heads: 2, head_dim: 16, mask: {causal: top_left}}
matrix: {variant: [honest, zeros, crashes, drops_last_key], query_len: 3-33+3, type: [f32, bf16]}
measure: {invocations: 3, min_time: 2 ms, max_time: 4 ms, timeout: 20 s, seed: 11}
"""
# What does not depend on time or chance: all of the plan, and of each trial these and the check columns.
TRIAL_COLUMNS = ("point_id", "invocation", "position", "status", "reason", "workspace_bytes")


def command(program, *words):
    return [program, *map(str, words)]


def complete(program, *words):
    """Runs to the end; the exit code is 4, because the config has variants that are rejected."""
    result = subprocess.run(command(program, *words), capture_output=True, text=True, timeout=300)
    if result.returncode != 4:
        sys.exit(f"{' '.join(map(str, words))} exited {result.returncode}\n{result.stderr}")


def whole_lines(run):
    journal = run / "journal.jsonl"
    data = journal.read_bytes() if journal.exists() else b""
    return data[: data.rfind(b"\n") + 1]


def die_at_random(program, run, dice):
    """Starts or resumes, and kills: one time in five at any moment from the start, else some lines later and a little
    more, so that slow machines make progress too. True: it had ended already."""
    words = ("resume", run) if run.exists() else ("run", run.parent / "c.yaml", "-o", run)
    wanted = len(whole_lines(run).splitlines()) + dice.randrange(8)
    process = subprocess.Popen(command(program, *words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if dice.random() < 0.2:
        time.sleep(dice.uniform(0, 0.2))
    else:
        while process.poll() is None and len(whole_lines(run).splitlines()) < wanted:
            time.sleep(0.001)
        time.sleep(dice.uniform(0, 0.03))
    late = process.poll() is not None
    process.send_signal(signal.SIGKILL)
    process.wait()
    return late


def columns(run):
    with h5py.File(run / "results.h5") as file:
        kept = {f"plan/{name}": file["plan"][name][...].tolist() for name in file["plan"]}
        for name in file["trial"]:
            if name in TRIAL_COLUMNS or name.startswith(("check_", "parameter_")):
                kept[f"trial/{name}"] = file["trial"][name][...].tolist()
        return kept


def exported(program, run):
    text = subprocess.run(command(program, "export", run, "--format", "jsonl"), capture_output=True, text=True,
                          check=True).stdout  # fmt: skip
    rows = [json.loads(line) for line in text.splitlines()]
    timed = ("median_ns", "low_ns", "high_ns", "gflop_per_s", "of_roof", "baseline_ns", "speedup", "timing_valid",
             "timing_reason")  # fmt: skip
    return {row["point"]: {key: value for key, value in row.items() if key not in timed} for row in rows}


def compare(undisturbed, run, what):
    """Both as a dictionary of columns; repr tells NaN from NaN like nothing else."""
    for name in sorted(undisturbed.keys() | run.keys()):
        expected, found = repr(undisturbed.get(name)), repr(run.get(name))
        if expected != found:
            sys.exit(f"{what}: {name} differs from the undisturbed run\n{expected[:400]}\n{found[:400]}")


def check_end(program, run, held):
    journal = (run / "journal.jsonl").read_bytes()
    if not journal.startswith(held):
        sys.exit("lines that the journal held when the process was killed are gone or changed")
    lines = [json.loads(line) for line in journal.splitlines()]
    seen = [(line["point"], line["invocation"]) for line in lines]
    if len(set(seen)) != len(seen):
        sys.exit("a point was measured twice")
    partial = list(run.parent.glob("run.partial-*"))
    for path in partial:
        shutil.rmtree(path)
    undisturbed = run.parent / "undisturbed"
    for what in ("as resumed", "as rebuilt"):
        if h5py:
            compare(columns(undisturbed), columns(run), what)
        compare(exported(program, undisturbed), exported(program, run), what)
        (run / "results.h5").unlink()
        if subprocess.run(command(program, "rebuild", run)).returncode:
            sys.exit("rebuild failed")
    return len(lines)


def main():
    program, kills = os.path.abspath(sys.argv[1]), int(sys.argv[2])
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.randrange(1 << 32)
    print(f"{kills} kills, seed {seed}", flush=True)
    dice = random.Random(seed)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="attnbench-kills-"))
    try:
        (folder / "c.yaml").write_text(CONFIG)
        complete(program, "run", folder / "c.yaml", "-o", folder / "undisturbed")
        run, made, runs, early = folder / "run", 0, 0, 0
        while made < kills:
            held = b""
            while made < kills:
                late = die_at_random(program, run, dice)
                now = whole_lines(run)
                if not now.startswith(held):
                    sys.exit("lines that the journal held are gone or changed")
                held = now
                if late:
                    break
                made += 1
                early += not run.exists()
            if run.exists():
                complete(program, "resume", run)
            else:
                complete(program, "run", folder / "c.yaml", "-o", run)
            lines = check_end(program, run, held)
            shutil.rmtree(run)
            runs += 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    how = "plan, statuses and check columns of results.h5" if h5py else "exports (no h5py here)"
    print(f"{made} kills over {runs} runs of {lines} lines, {early} before the run directory stood: no line lost, "
          f"no point twice, {how} equal")  # fmt: skip


if __name__ == "__main__":
    main()
