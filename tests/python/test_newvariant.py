# SPDX-License-Identifier: Apache-2.0
"""attnlab new-variant: one file, one line; refused otherwise; and, slowly, what the build makes of it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from attnlab import ROOT, newvariant

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
