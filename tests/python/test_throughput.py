# SPDX-License-Identifier: Apache-2.0
"""`attnlab throughput` on a few texts: who is compared with whom, and who is rejected. No time is judged."""

import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from attnlab import peers, throughput
from attnlab.__main__ import app
from attnlab.peer import library

pytest.importorskip("tokenizers", reason="scripts/setup --model installs it")
pytest.importorskip("safetensors", reason="scripts/setup --model installs it")

TEXTS = [" ".join(["river", "bank"] * n) for n in (1, 9, 2, 2, 30, 4, 1, 5)]


@pytest.fixture(scope="module")
def ids(model):
    return model.tokens(TEXTS)


def _table(contestants, ids):
    return throughput.markdown(contestants, ids, ["told"])


def test_other_libraries_and_ours_agree(model, ids):
    for name in ("torch", "onnxruntime", "onnx"):
        pytest.importorskip(name, reason="a rival")
    contestants = throughput.ours(model, ids, ["naive", "flash"], [1, 2]) + throughput.rivals(model, ids, [1, 2])
    throughput.measure(contestants, 2)
    assert [c.status for c in contestants] == ["MEASURED"] * 8
    assert all(len(c.elapsed_ns) == 2 for c in contestants)
    assert max(c.difference for c in contestants) > 0  # other roundings: the rivals did not hand back ours
    text = _table(contestants, ids)
    assert text.count("goal ") == 4 + 1  # the explanation names it too
    assert "the fastest of 6 ways" in text


@pytest.mark.parametrize(
    "spoil",
    [
        lambda vectors: vectors[::-1],
        lambda vectors: vectors + np.float32(3e-5) * (np.arange(vectors.shape[1]) == 7),
        lambda vectors: np.where(np.arange(len(vectors))[:, None] == 3, np.float32("nan"), vectors),
    ],
)
def test_wrong_vectors_are_rejected(model, ids, spoil):
    """By whoever is wrong, and no ratio refers to a rival that is."""
    mine = throughput.ours(model, ids, ["flash"], [1])
    wrong = throughput.Contestant("torch", 1, lambda: spoil(model.encode_ids(ids)))
    throughput.measure([*mine, wrong], 2)
    assert [mine[0].status, wrong.status] == ["MEASURED", "REJECTED"]
    assert throughput.by_rivals(mine[0], [*mine, wrong]) == {}
    assert "REJECTED" in _table([*mine, wrong], ids)


def test_a_later_round_is_compared_too(model, ids):
    good = model.encode_ids(ids)
    answers = iter([good, good, -good])
    late = throughput.Contestant("late", 1, lambda: next(answers))
    throughput.measure([*throughput.ours(model, ids, ["flash"], [1]), late], 2)
    assert late.status == "REJECTED"


def test_without_torch_its_row_says_so(model, ids, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    library.cache_clear()
    try:
        contestants = throughput.ours(model, ids, ["flash"], [1]) + throughput.rivals(model, ids, [1])
    finally:
        library.cache_clear()
    throughput.measure(contestants, 1)
    text = _table(contestants, ids)
    assert "SKIPPED (1)" in text
    assert "(1) torch cannot be imported" in text


def test_ratios_are_of_one_round():
    ours = throughput.Contestant("flash", 1, list, elapsed_ns=[10, 20])
    torch = throughput.Contestant("torch", 1, list, elapsed_ns=[20, 30])
    other = throughput.Contestant("torch", 2, list, elapsed_ns=[1, 1])
    assert throughput.by_rivals(ours, [ours, other, torch]) == {"torch": [2.0, 1.5]}


@pytest.mark.parametrize(
    ("ratios", "says"),
    [
        ((1.5, 1.25, 2.0), "goal met by 50 %"),
        ((0.5, 0.75, 0.8), "goal missed by 25 %"),
        ((0.9, 1.1, 1.2), "goal met by 10 %, not certain"),
    ],
)
def test_goals_are_of_the_faster_rival(ratios, says):
    both = {"torch": list(ratios), "onnxruntime": [3 * r for r in ratios]}
    assert throughput.verdict(throughput.Contestant("flash", 1, list), both, throughput.Notes()) == says


def test_drawn_texts_are_ragged_and_the_same_each_time(model):
    texts = throughput.default_texts()
    assert texts == throughput.default_texts()
    lengths = [len(ids) for ids in model.tokens(texts)]
    assert len(texts) == 406
    assert len(set(lengths)) > 20
    assert max(lengths) > 150


def test_the_command(model, tmp_path, monkeypatch):
    wanted = peers.environment(True)
    for name in peers.UNSET:
        monkeypatch.delenv(name, raising=False)
    for name, value in wanted.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "in.txt").write_text("\n".join(TEXTS) + "\n")

    def run(*more):
        return CliRunner().invoke(app, ["throughput", str(tmp_path / "in.txt"), *map(str, more)])

    result = run("-o", tmp_path / "encode.md", "--variants", "flash", "--threads", 1, "--rounds", 2)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "encode.md").read_text() in result.output
    assert "- texts: in.txt: 8 of 4 to 62 tokens" in result.output
    refused = run("--threads", "0")
    assert refused.exit_code == 2
    assert "--threads 0" in refused.output
    assert "did you mean 'flash'" in run("--variants", "flush").output


def test_another_environment_begins_the_command_again(monkeypatch):
    begun = []
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    monkeypatch.setattr("os.execve", lambda *words: begun.append(words))
    throughput.settle_environment(True)
    assert begun[0][2]["OMP_WAIT_POLICY"] == "passive"
