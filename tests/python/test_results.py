# SPDX-License-Identifier: Apache-2.0
"""What attnlab makes of result files: of invented ones with known contents, and of one that attnbench just wrote."""

import csv
import io
import subprocess
import sys

import h5py
import numpy as np
import pytest
from synthetic import point, write

from attnlab import ROOT, figures, results, tables

CONFIG = """\
name: tiny
question: Does it read?
inputs: {pattern: normal, seed: 1}
problem: {query_heads: 2, head_dim: 16, mask: {causal: none}}
matrix: {variant: [naive, online_tiled], query_len: [32, 64], threads: 1}
measure: {invocations: 2, min_time: 1 ms, max_time: 20 ms, timeout: 60 s, target_ci: 0.5, seed: 7}
placement: none
baseline: naive
"""


def call(*words):
    return subprocess.run([sys.executable, "-m", "attnlab", *map(str, words)], capture_output=True, text=True)


def made(tmp_path, points, **options):
    path = tmp_path / "results.h5"
    write(path, points, **options)
    return results.read(path)


def rows_of(markdown):
    """The table's rows, each a dict by column."""
    lines = [line.strip("| ").split("|") for line in markdown.splitlines() if line.startswith("|")]
    header, *body = [[cell.strip() for cell in line] for line in lines if not set("".join(line)) <= set("-: ")]
    return [dict(zip(header, line, strict=True)) for line in body]


@pytest.mark.parametrize(
    ("count", "low", "high", "coverage"),
    [(1, 1, 1, 0.0), (2, 1, 2, 0.5), (3, 1, 3, 0.75), (5, 1, 5, 0.9375), (6, 1, 6, 0.96875), (9, 2, 8, 0.9609375)],
)
def test_rank_intervals(count, low, high, coverage):
    estimate = results.estimate_median(np.random.default_rng(1).permutation(np.arange(1, count + 1)))
    assert estimate == results.Estimate((count + 1) / 2, low, high, coverage, count)


def test_the_coverage_is_what_it_says():
    draws = np.sort(np.random.default_rng(2).standard_normal((20000, 9)), axis=1)
    estimate = results.estimate_median(range(9))
    covered = (draws[:, int(estimate.low)] <= 0) & (draws[:, int(estimate.high)] >= 0)
    three_sigma = 3 * np.sqrt(estimate.coverage * (1 - estimate.coverage) / len(draws))
    assert abs(covered.mean() - estimate.coverage) < three_sigma


def mixed():
    """Every status once, the first row being everybody's baseline."""
    return [
        point((4e6, 5e6, 6e6)),
        point((2e6, 2.5e6, 2.2e6), variant="online_tiled", baseline=0, bound_fraction=0.125, weak=1),
        point((1.0,), variant="strip", baseline=0, status="SKIPPED", reason="bf16 is not offered"),
        point((1.0,), variant="tiled", baseline=0, status="REJECTED", reason="out[0, 1, 2, 3] is wrong",
              bound_fraction=7.5),
        point((1.0,), variant="online", baseline=0, status="FAILED", reason="signal 11"),
        point((1e6, 1e6, 1e6), variant="flash", baseline=0, timing_valid=0, timing_reason="oversubscribed"),
        point((), variant="later", baseline=0),
    ]  # fmt: skip


def test_table_shows_every_point(tmp_path):
    run = made(tmp_path, mixed(), name="mixed", question="Which?", complete=False)
    text = tables.markdown(run)
    rows = {row["variant"]: row for row in rows_of(text)}
    assert list(rows) == ["naive", "online_tiled", "strip", "tiled", "online", "flash", "later"]
    fast = rows["online_tiled"]
    assert (fast["median"], fast["interval (75 %)"], fast["invocations"]) == ("2.200 ms", "[2.000, 2.500]", "3")
    assert (fast["speed-up on naive"], fast["naive takes"]) == ("2.27", "5.000 ms")
    flops = 2 * 8 * 512 * 512 * 128
    assert float(fast["GFLOP/s"]) == pytest.approx(flops / 2.2e6, rel=5e-3)
    assert (fast["error / bound"], fast["verdict"]) == ("0.125", "ok, weak check (1)")
    assert {rows["strip"][c] for c in rows["strip"] if c not in ("variant", "verdict")} == {"n/s"}
    assert rows["strip"]["verdict"] == "n/s (2)"
    assert (rows["tiled"]["median"], rows["tiled"]["error / bound"]) == ("-", "7.50")
    assert rows["tiled"]["verdict"] == "REJECTED (3)"
    assert rows["online"]["verdict"] == "FAILED (4)"
    assert rows["flash"]["verdict"] == "ok, timing invalid (5)"
    assert rows["later"]["verdict"] == "PENDING"
    for number, note in enumerate(("no checked row", "bf16 is not offered", "out[0, 1, 2, 3]", "signal 11"), 1):
        assert f"({number}) {note}" in text


def test_table_says_where_it_comes_from(tmp_path):
    text = tables.markdown(made(tmp_path, mixed(), name="mixed", question="Which?", complete=False))
    assert text.startswith("# mixed: Which?\n")
    for line in (
        "- run: mixed-20260203T040506-feedface",
        "- commit: 0123456789ab",
        "- machine: Example CPU 9000, 4 cores",
        "- config: mixed.yaml",
        "1 with a weak check, 1 with an invalid timing; the run is not finished",
        "- the same in every row: pattern normal, seed 1, batch 1, query_heads 8",
    ):
        assert line in text
    assert "somebody" not in text


def test_columns_are_the_factors_that_tell_rows_apart(tmp_path):
    points = [
        point((1e6,), tensor=tensor, query_len=length, batch=batch, variant=variant, threads=threads)
        for tensor, length, batch in (("a/x", 203, 1), ("b/y", 26, 12))
        for variant, threads in (("naive", 1), ("parallel_heads", 2))
    ]
    run = made(tmp_path, points, invocations=1)
    assert run.varying == ["tensor", "variant", "threads"]
    text = tables.markdown(run)
    assert "- tensor b/y: batch 12, query_len 26, key_len 26" in text
    run = made(tmp_path, [point((1e6,), query_len=n) for n in (64, 128)])
    assert run.varying == ["query_len"]
    assert "- key_len is query_len" in tables.markdown(run)


def roofed(times_ns, gflops, gbs, memory, **given):
    """A point under a roof; its fraction follows."""
    row = point(times_ns, roof_gflops=gflops, roof_gbs=gbs, roof_memory=memory, roof_arithmetic="multiply-add", **given)
    least = max(row["flops"] / gflops, row["min_bytes"] / gbs)
    for trial in row["trials"]:
        trial["roof_fraction"] = least / trial["median_ns"]
    return row


def test_roofs_have_columns_where_they_are_recorded(tmp_path):
    points = [
        roofed((4e6, 5e6, 6e6), 100.0, 50.0, "L2"),
        roofed((2e6, 2e6, 2e6), 100.0, 0.5, "DRAM", variant="flash"),
    ]
    run = made(tmp_path, points)
    rows = rows_of(tables.markdown(run))
    flops, size = points[0]["flops"], points[0]["min_bytes"]
    assert rows[0]["roof"] == "100 GFLOP/s"
    assert float(rows[0]["of roof"]) == pytest.approx(flops / 100 / 5e6, rel=5e-3)
    assert rows[1]["roof"] == "0.500 GB/s DRAM"
    assert float(rows[1]["of roof"]) == pytest.approx(size / 0.5 / 2e6, rel=5e-3)
    (row, _) = csv.DictReader(io.StringIO(tables.comma_separated(run)))
    assert (row["roof_memory"], float(row["roof_gbs"])) == ("L2", 50.0)
    assert drawn(tmp_path, points) == ["time_by_variant", "accuracy_against_speed", "roofline"]
    assert "roof" not in tables.markdown(made(tmp_path, [point((1e6,))])).lower()


def test_coverage_has_a_column_where_it_differs(tmp_path):
    rows = rows_of(tables.markdown(made(tmp_path, [point((1e6,) * 3), point((1e6,) * 6, variant="online")])))
    assert [row["coverage"] for row in rows] == ["75 %", "96.9 %"]


def test_worst_invocation_counts(tmp_path):
    spoilt = point((1e6, 1e6, 1e6))
    spoilt["trials"][1] |= {"status": "REJECTED", "reason": "wrong once", "check_bound_fraction": float("nan")}
    (only,) = made(tmp_path, [spoilt]).points
    assert (only.status, only.reason, only.time_ns) == ("REJECTED", "wrong once", None)
    assert np.isnan(only.checks["bound_fraction"])


def test_csv_has_every_factor_and_the_provenance(tmp_path):
    rows = list(csv.DictReader(io.StringIO(tables.comma_separated(made(tmp_path, mixed(), name="mixed")))))
    assert [row["status"] for row in rows][2:5] == ["SKIPPED", "REJECTED", "FAILED"]
    assert {row["run"] for row in rows} == {"mixed-20260203T040506-feedface"}
    assert float(rows[1]["median_ns"]) == 2.2e6
    assert float(rows[1]["speedup"]) == pytest.approx(5 / 2.2, rel=1e-12)
    assert (rows[2]["median_ns"], rows[2]["reason"]) == ("", "bf16 is not offered")
    assert {"query_len", "placement", "mask", "bound_fraction", "commit", "machine", "config"} <= set(rows[0])


def is_drawing(path):
    return path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 3_000


def drawn(tmp_path, points, **options):
    written = figures.write(made(tmp_path, points, name="pictures", **options), tmp_path / "out")
    assert all(map(is_drawing, written))
    return [path.stem.removeprefix("pictures_") for path in written]


def test_figures_of_a_sweep(tmp_path):
    points = [
        point((n * n, n * n * 1.1), query_len=n, threads=t, variant=v)
        for n in (64, 128, 256)
        for v in ("naive", "online")
        for t in (1, 2)
    ]
    assert drawn(tmp_path, points) == ["time_against_length", "scaling", "accuracy_against_speed"]


def test_figures_of_a_ladder(tmp_path):
    assert drawn(tmp_path, mixed()) == ["time_by_variant", "accuracy_against_speed"]


def test_lengths_of_different_problems_are_no_sweep(tmp_path):
    passes = {64: "forward", 128: "backward"}
    points = [point((n * n,), query_len=n, variant=v, **{"pass": passes[n]}) for n in passes for v in ("a", "b")]
    assert drawn(tmp_path, points) == ["time_by_variant", "accuracy_against_speed"]


def test_figures_of_weak_scaling(tmp_path):
    points = [point((1e6, 2e6), batch=t, threads=t, variant=v) for t in (1, 2, 4) for v in ("a", "b")]
    assert drawn(tmp_path, points) == ["scaling", "accuracy_against_speed"]


def test_many_panels_go_on_further_pages(tmp_path):
    points = [point((1e6,), mask=f"softcap={n}", variant=v) for n in range(1, 15) for v in ("naive", "online")]
    assert drawn(tmp_path, points) == ["time_by_variant", "time_by_variant_2", "accuracy_against_speed"]


def visible_labels(axis):
    low, high = sorted(axis.get_view_interval())
    return [t.label1 for t in axis.get_major_ticks() if low <= t.get_loc() <= high and t.label1.get_text()]


@pytest.mark.parametrize("kind", figures.KINDS)
def test_no_text_is_cut_off_or_overlaps(tmp_path, kind):
    """Every text lies inside its figure, and no two of an axis or a legend cover each other."""
    names = ["naive", "parallel_query_tiles", "parallel_key_splits", "online_tiled", "blas_unfused", "tiled"]
    by_variant = kind is figures.time_by_variant
    lengths = (512,) if by_variant else (128, 512, 2048, 8192)
    kinds = [(4, 64, "f32"), (4, 128, "bf16"), (32, 64, "bf16"), (32, 128, "f32")] if by_variant else [(8, 64, "f32")]
    points = [
        roofed(
            (n * n * (1 + i) / t, n * n * (900 if v == "tiled" else 2) / t),
            100.0 * t,
            50.0 if n > 2048 else 10.0,
            "DRAM" if n > 2048 else "L2",
            query_len=n,
            threads=t,
            variant=v,
            query_heads=heads,
            head_dim=dim,
            type=element,
            bound_fraction=0.01 * (i + 1),
        )
        for n in lengths
        for heads, dim, element in kinds
        for i, v in enumerate(names)
        for t in (1, 2, 16)
    ]
    run = made(tmp_path, points, name="a_long_name_of_a_config", question="Is everything legible?")
    with figures.mpl.rc_context(figures.STYLE):
        pages = list(kind(run))
        assert pages
        for _, figure in pages:
            figure.savefig(io.BytesIO())
            whole = figure.bbox
            groups = [figure.legends[0].get_texts()] if figure.legends else []
            for axes in figure.axes:
                groups += [visible_labels(axis) for axis in (axes.xaxis, axes.yaxis)]
            singles = [t for t in (figure._suptitle, figure._supxlabel, *(a.title for a in figure.axes)) if t]
            for t in [*singles, *(t for group in groups for t in group)]:
                box = t.get_window_extent()
                assert box.x0 >= whole.x0 - 1, t
                assert box.x1 <= whole.x1 + 1, t
            for group in groups:
                boxes = [t.get_window_extent() for t in group]
                inside = [b for b in boxes if b.width]
                assert not any(a.overlaps(b) for n, a in enumerate(inside) for b in inside[n + 1 :]), group


def test_reading_what_attnbench_wrote(tmp_path):
    program = next(p for p in (ROOT / "build/attnbench", ROOT / "build/core/cli/attnbench") if p.is_file())
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    ended = subprocess.run([program, "run", "tiny.yaml", "-o", "run"], cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    run = results.read(tmp_path / "run")
    assert [p.factors["variant"] for p in run.points] == ["naive", "online_tiled"] * 2
    assert all(p.status == "MEASURED" and p.time_ns.count == 2 and p.baseline_ns for p in run.points)
    shown = call("tables", tmp_path / "run")
    assert shown.returncode == 0, shown.stderr
    rows = rows_of(shown.stdout)
    assert len(rows) == 4
    assert all(0 < float(row["error / bound"]) <= 1 and row["verdict"].startswith("ok") for row in rows)
    exported = subprocess.run([program, "export", tmp_path / "run"], check=True, capture_output=True, text=True).stdout
    medians = [float(row["median_ns"]) for row in csv.DictReader(io.StringIO(exported))]
    assert medians == [p.time_ns.median for p in run.points]
    written = call("tables", tmp_path / "run", "-o", tmp_path / "out", "--format", "csv")
    assert (tmp_path / "out/tiny.csv").is_file(), written.stderr
    assert call("figures", tmp_path / "run", "-o", tmp_path / "out").returncode == 0
    assert sorted(p.name for p in (tmp_path / "out").glob("*.png")) == [
        "tiny_accuracy_against_speed.png",
        "tiny_time_against_length.png",
    ]


@pytest.mark.parametrize("command", ["tables", "figures"])
def test_where_nothing_can_be_written_is_told(tmp_path, command):
    write(tmp_path / "results.h5", mixed())
    (tmp_path / "file").write_text("in the way")
    ended = call(command, tmp_path / "results.h5", "-o", tmp_path / "file")
    assert ended.returncode == 1
    assert ended.stderr.startswith("attnlab: ")
    assert "Traceback" not in ended.stderr


def test_files_that_are_not_results(tmp_path):
    (tmp_path / "text.h5").write_text("no")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.attrs["schema"] = "attnbench-results"
        file.attrs["schema_version"] = 99
    cut = tmp_path / "cut"
    cut.mkdir()
    (cut / "journal.jsonl").write_text("")
    cases = {
        tmp_path / "none": "is no run directory and no result file",
        tmp_path: "is no run directory and no result file",
        cut: "is not there; finish the run",
        tmp_path / "text.h5": "is not a result file of attnbench",
        tmp_path / "other.h5": "has schema attnbench-results 99; this program reads attnbench-results 1",
    }
    for where, text in cases.items():
        for verb in ("tables", "figures"):
            ended = call(verb, where)
            assert (ended.returncode, ended.stdout) == (2, "")
            assert text in ended.stderr


def test_a_rung_that_gains_nothing_says_so(tmp_path):
    points = [
        point([4e6, 4.1e6, 4.2e6]),
        point([1e6, 1.1e6, 1.2e6], variant="better", improves_on="naive"),
        point([2e6, 2.1e6, 2.2e6], variant="worse", improves_on="better"),
        point([0.9e6, 1.0e6, 1.3e6], variant="unclear", threads=2, improves_on="better"),
        point([1e6, 1.1e6, 1.2e6], variant="alone", improves_on="elsewhere"),
    ]
    gains = {r["variant"]: r["gain on the rung below"] for r in rows_of(tables.markdown(made(tmp_path, points)))}
    assert gains == {
        "naive": "-", "better": "3.73 on naive", "worse": "0.524 on better, no gain",
        "unclear": "1.10 on better, not certain", "alone": "-",
    }  # fmt: skip
