# SPDX-License-Identifier: Apache-2.0
"""attnbench study: its words, its record, and what attnlab makes of it."""

import json
import subprocess
from math import inf, nan

import pytest

from attnlab import ROOT, studies, studyfigures, studytables
from attnlab.results import Unreadable
from attnlab.studies import Claim, Quantity, Study, StudyRun

ATTNBENCH = ROOT / "build/attnbench"


def call(*words, **options):
    return subprocess.run([ATTNBENCH, *map(str, words)], capture_output=True, text=True, timeout=120, **options)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A study measured for real."""
    directory = tmp_path_factory.mktemp("study") / "run"
    ended = call("study", "score_variance", "-o", directory, "--seed", "5")
    assert ended.returncode == 0, ended.stderr
    assert "law HOLDS    claim SUPPORTED" in ended.stdout
    return directory


def test_the_file_says_what_the_journal_says(run):
    line = json.loads((run / "journal.jsonl").read_text())
    read = studies.read(run)
    assert [s.name for s in read.studies] == ["score_variance"]
    study = read.studies[0]
    assert (study.seed, study.claims[0].claim, study.claims[0].law_verdict) == (5, "C11", "HOLDS")
    assert [q.measured for q in study.quantities] == [q["measured"] for q in line["quantities"]]
    assert {q.axis for q in study.quantities} == {"head_dim"}
    assert sum(q.expected for q in study.quantities) * 2 == len(study.quantities)
    assert read.commit != "unknown"


def test_rebuild_gives_the_same_bytes_and_passes_over_a_torn_line(run):
    before = (run / "results.h5").read_bytes()
    (run / "results.h5").unlink()
    journal = (run / "journal.jsonl").read_text()
    (run / "journal.jsonl").write_text(journal + journal[:200])
    assert call("rebuild", run).returncode == 0
    assert (run / "results.h5").read_bytes() == before
    (run / "journal.jsonl").write_text(journal)


@pytest.mark.parametrize("damage", ["{}\n", "nonsense\n", '{"study": {"name": "a"}, "claims": 3}\n', '{"study": 3}\n'])
def test_a_damaged_journal_is_named_by_line(run, tmp_path, damage):
    (tmp_path / "journal.jsonl").write_text((run / "journal.jsonl").read_text() + damage)
    ended = call("rebuild", tmp_path)
    assert ended.returncode == 2
    assert "journal.jsonl:2: " in ended.stderr
    assert not (tmp_path / "results.h5").exists()


WRONG = {
    "misspelt": (["score_varianse"], "unknown study 'score_varianse'; did you mean 'score_variance'?"),
    "nothing": ([], "usage: attnbench study NAME|all"),
    "setting": (["score_variance", "--set", "a=b"], "score_variance has no settings; 'a' cannot be set"),
    "settings": (["polysemy", "--set", "init=random,scael=root"], "no setting 'scael'; did you mean 'scale'"),
    "all": (["all", "--set", "a=b"], "--set belongs to one study"),
    "seed": (["all", "--seed", "x"], "--seed x: it is a whole number from 0 on"),
    "threads": (["all", "--threads", "0"], "--threads 0: it is a whole number from 1 on"),
}


@pytest.mark.parametrize(("words", "says"), WRONG.values(), ids=WRONG.keys())
def test_wrong_words_make_nothing(tmp_path, words, says):
    ended = call("study", *words, "-o", tmp_path / "run")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert says in ended.stderr
    assert not (tmp_path / "run").exists()


def test_what_exists_is_not_overwritten(run):
    ended = call("study", "score_variance", "-o", run)
    assert ended.returncode == 2
    assert "exists" in ended.stderr


def made(quantities, law="HOLDS"):
    study = Study("made", "S1", "A | B.", "a law", "", 0, 1e9, [Claim("C9", law, "DEPENDS", "of 3")], quantities)
    return StudyRun(ROOT, {"date": "2026-01-02T03:04:05.6Z"}, {"git_commit": "abc"}, [study])


def test_tables():
    table = studytables.markdown(
        made(
            [
                Quantity("C9", "within", "s", "x", 2.0, 1.5, 1.0, 2.0, "HOLDS"),
                Quantity("C9", "above", "", "", nan, 3.0, -inf, 2.0, "DEPARTS"),
                Quantity("C9", "below", "", "", nan, 3.0, 2.0, inf, "HOLDS"),
                Quantity("C9", "exact", "", "", nan, 3.0, 3.0, 3.0, "HOLDS"),
                Quantity("C9", "free", "", "", nan, 0.125, nan, nan, "RECORDED"),
            ],
            "DEPARTS",
        )
    )
    assert "| C9 | S1 | A \\| B. | DEPARTS | DEPENDS | of 3 | [made](../../experiments/studies/made.c)" in table
    for row in (
        "| within | s, x 2 | 1 to 2 | 1.5 | HOLDS |",
        "| above |  | <= 2 | 3 | DEPARTS |",
        "| below |  | >= 2 | 3 | HOLDS |",
        "| exact |  | 3 | 3 | HOLDS |",
        "| free |  | - | 0.125 | RECORDED |",
        "1 claim in 1 study: 0 HOLDS, 1 DEPARTS, 0 RECORDED; 1 s",
    ):
        assert row in table, table


def test_claims_are_in_the_order_of_their_numbers():
    run = made([])
    run.studies[0].claims[:] = [Claim(c, "HOLDS", "DEPENDS", "of 3") for c in ("L1", "C11", "C2")]
    lines = studytables.markdown(run).splitlines()
    assert [line.split()[1] for line in lines if line.startswith(("| C", "| L"))] == ["C2", "C11", "L1"]


def test_several_settings_at_once(tmp_path):
    call("study", "polysemy", "--set", "init=random,norm=1", "--set", "draws=1,steps=16", "-o", tmp_path / "run")
    study = studies.read(tmp_path / "run").studies[0]
    assert study.settings == "init=random,norm=1,draws=1,steps=16"
    learned = [q for q in study.quantities if q.axis == "step" and q.series.startswith("learned")]
    assert {q.series for q in learned} == {"learned from random"}
    assert [q.at for q in learned if q.name == "loss, nats"] == list(range(1, 17))


def test_figures(tmp_path):
    quantities = [Quantity("C9", "curve", s, "x", float(x), x * x, 0.0, inf, "HOLDS") for s in "ab" for x in (1, 9, 90)]
    quantities += [Quantity("C9", "bar", s, "", nan, v, 0.0, 2.0, "HOLDS") for s, v in (("a", 1.0), ("b", inf))]
    written = studyfigures.write(made(quantities), tmp_path)
    assert [p.name for p in written] == ["study_made.png"]
    assert written[0].read_bytes().startswith(b"\x89PNG")
    assert studyfigures.write(made([]), tmp_path / "none") == []


def test_a_recorded_point_alone_is_a_line_across_the_panel():
    quantities = [Quantity("C9", "curve", "s", "x", float(x), x * x, nan, nan, "RECORDED") for x in (1, 9, 90)]
    quantities.append(Quantity("C9", "curve", "knee", "x", 8.5, 0.0, nan, nan, "RECORDED"))
    run = made(quantities)
    (axes,) = studyfigures.draw(run.studies[0], run).axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["s", "knee: 8.50"]
    assert set(axes.lines[1].get_xdata()) == {8.5}


def test_other_files_are_refused(tmp_path):
    with pytest.raises(Unreadable, match="is no run directory"):
        studies.read(tmp_path)
    (tmp_path / "results.h5").write_text("no HDF5")
    with pytest.raises(Unreadable, match="not a result file"):
        studies.read(tmp_path)
    assert not studies.is_study_file(tmp_path)
