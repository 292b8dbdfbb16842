# SPDX-License-Identifier: Apache-2.0
"""attnlab new-variant: one file, one line; refused otherwise; and, slowly, what the build makes of it."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from attnlab import ROOT, newvariant, results

LADDER = newvariant.read_ladder(ROOT)


def call(cwd, *words):
    return subprocess.run(
        [sys.executable, "-m", "attnlab", "new-variant", *words], cwd=cwd, capture_output=True, text=True
    )


def contents(root):
    return {p.relative_to(root): p.read_text() for p in Path(root).rglob("*") if p.is_file()}


@pytest.fixture
def checkout(tmp_path):
    """A copy of what new-variant looks at."""
    (tmp_path / "variants").mkdir()
    for path in (ROOT / "variants").glob("*"):
        if path.is_file():
            shutil.copy(path, tmp_path / "variants")
    return tmp_path


@pytest.mark.parametrize("origin", LADDER)
def test_one_file_and_one_line(checkout, origin):
    before = contents(checkout)
    ended = call(checkout, "demo", "--from", origin)
    assert ended.returncode == 0, ended.stderr
    after = contents(checkout)
    assert {p for p in after if after[p] != before.get(p)} == {Path("variants/demo.c"), Path("variants/meson.build")}
    assert newvariant.read_ladder(checkout)[LADDER.index(origin) :][:2] == [origin, "demo"]
    assert len(newvariant.read_ladder(checkout)) == len(LADDER) + 1
    source = after[Path("variants/demo.c")]
    assert source.startswith("/* SPDX-License-Identifier: Apache-2.0 */\n/* A copy of ")
    assert re.search(r"^ATTN_VARIANT\(demo\) = \{$", source, re.M)
    assert '.name = "demo"' in source
    assert re.findall(r"\.improves_on = (.*),", source) == [f'"{origin}"']
    assert len(re.findall(r"\.idea =", source)) == 1


REFUSED = {
    "upper": (["Demo", "--from", "naive"], "'Demo' is not a variant's name"),
    "dash": (["my-demo", "--from", "naive"], "'my-demo' is not a variant's name"),
    "path": (["../demo", "--from", "naive"], "'../demo' is not a variant's name"),
    "digit": (["2nd", "--from", "naive"], "'2nd' is not a variant's name"),
    "empty": (["", "--from", "naive"], "'' is not a variant's name"),
    "listed": (["naive", "--from", "naive"], "'naive' is in the ladder already"),
    "origin": (["demo", "--from", "nave"], "'nave' is not in the ladder; choose one of: naive"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_change_nothing(checkout, case):
    words, text = REFUSED[case]
    before = contents(checkout)
    ended = call(checkout, *words)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert text in ended.stderr
    assert contents(checkout) == before


def test_a_file_in_the_way_is_not_overwritten(checkout):
    (checkout / "variants/demo.c").write_text("mine\n")
    before = contents(checkout)
    ended = call(checkout, "demo", "--from", "naive")
    assert ended.returncode == 2
    assert "variants/demo.c exists already" in ended.stderr
    assert contents(checkout) == before


def test_outside_a_checkout(tmp_path):
    ended = call(tmp_path, "demo", "--from", "naive")
    assert ended.returncode == 2
    assert "go to the top of a checkout" in ended.stderr


BREAK = """\
static void run_wrong(const struct attn_problem *problem, const struct attn_operands *operands,
                      const struct attn_execution *execution) {
    run(problem, operands, execution);
    attn_store(operands->out.data, operands->out.type, 0, 0.0f);
}

ATTN_VARIANT(demo)"""


def outcomes(build, ladder):
    """Names of the variants' own tests: those that passed, and the others."""
    named = [f"{kind} {name}" for name in ladder for kind in ("variant", "shapes")]
    ran = subprocess.run(["meson", "test", "-C", build, "--no-rebuild", *named], capture_output=True, text=True)
    log = (build / "meson-logs/testlog.json").read_text()
    each = {entry["name"]: entry["result"] for entry in map(json.loads, log.splitlines())}
    assert each, ran.stdout + ran.stderr
    return sorted(n for n, r in each.items() if r == "OK"), sorted(n for n, r in each.items() if r != "OK")


@pytest.mark.slow
def test_a_demo_is_built_tested_measured_and_broken(tmp_path):
    """One file and one line make a variant that is listed, tested by its name and measured; broken, it fails alone."""
    copy, build = tmp_path / "checkout", tmp_path / "checkout/build"
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, tracked.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    assert call(copy, "demo", "--from", "online_tiled").returncode == 0

    def compiled():
        needed = ("attnbench:executable", "variant_exam", "test_shapes")
        subprocess.run(["meson", "compile", "-C", build, *needed], check=True, stdout=subprocess.DEVNULL)

    # One ISA level: this is about the build, and the exams of all variants are run twice.
    subprocess.run(["meson", "setup", build, copy, "-Disa_levels=baseline"], check=True, stdout=subprocess.DEVNULL)
    compiled()
    listed = subprocess.run([build / "attnbench", "list", "variants"], check=True, capture_output=True, text=True)
    names = listed.stdout.split()
    assert names == newvariant.read_ladder(copy)
    assert names[names.index("online_tiled") + 1] == "demo"
    passed, failed = outcomes(build, names)
    own = [name for name in passed if "demo" in re.split(r"\W+", name)]
    assert own
    assert not failed
    words = ("query_len=32", "query_heads=2", "head_dim=16", "-o", tmp_path / "run")
    subprocess.run([build / "attnbench", "time", "demo", *words], check=True, stdout=subprocess.DEVNULL)
    rows = results.read(tmp_path / "run").points
    assert [(p.factors["variant"], p.status) for p in rows if p.factors["variant"] == "demo"] == [("demo", "MEASURED")]

    source = (copy / "variants/demo.c").read_text()
    broken = source.replace("ATTN_VARIANT(demo)", BREAK).replace(".run = run", ".run = run_wrong")
    (copy / "variants/demo.c").write_text(broken)
    compiled()
    assert outcomes(build, names) == (sorted(set(passed) - set(own)), sorted(own))
