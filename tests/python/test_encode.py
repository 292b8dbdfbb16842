# SPDX-License-Identifier: Apache-2.0
"""MiniLM-L6 in C against a float64 implementation in NumPy, and against what PyTorch left in the capture."""

import h5py
import minilm_reference as reference
import numpy as np
import pytest
from typer.testing import CliRunner

from attnlab import ROOT, encode
from attnlab.__main__ import app

pytest.importorskip("tokenizers", reason="scripts/setup --model installs it")
pytest.importorskip("safetensors", reason="scripts/setup --model installs it")

STATE_BOUND = 2e-5
"""On hidden states, whose largest element is near 10. Each of 12 residual sums of a block's inputs may be off by some 8
roundings of that size, 2^-24 x 10 x 8 x sqrt(12); seen: 4.4e-6 on queries and keys, 2.3e-6 on states."""

WORDS = [
    "the",
    "bank",
    "by",
    "a",
    "river",
    "lends",
    "money",
    "and",
    "phones",
    "to",
    "seven",
    "patient",
    "orange",
    "orchards",
]


@pytest.fixture(scope="module")
def texts():
    """50 sentences, of 1 to 90 words and a few symbols."""
    draw = np.random.default_rng(5)
    return [" ".join(draw.choice(WORDS, 1 + n * n // 28)) + ("", "!", " 42%", " naïve")[n % 4] for n in range(50)]


@pytest.fixture(scope="module")
def wanted(model, weights, texts):
    return [reference.states(ids, weights) for ids in model.tokens(texts)]


@pytest.mark.parametrize("variant", ["naive", "blas_unfused", "flash"])
def test_states_and_vectors_of_a_ragged_batch(model, texts, wanted, variant):
    ids = model.tokens(texts)
    assert len({len(text) for text in ids}) > 20
    vectors, states = model.run(ids, variant=variant, threads=2, states=True)
    start = 0
    for number, (text, want) in enumerate(zip(ids, wanted, strict=True)):
        got = states[:, start : start + len(text)]
        start += len(text)
        np.testing.assert_allclose(got, want, rtol=0, atol=STATE_BOUND)
        vector = want[-1].mean(0)
        vector /= np.linalg.norm(vector)
        np.testing.assert_allclose(vectors[number], vector, rtol=0, atol=1e-5)
        assert vectors[number] @ vector / np.linalg.norm(vectors[number]) >= 0.99999


def ladder():
    """The variants' names, from the build: a line each between the brackets of `ladder = [...]`."""
    listed = (ROOT / "variants/meson.build").read_text().split("ladder = [")[1].split("]")[0]
    return [line.strip(" ',") for line in listed.split("\n") if line.strip()]


def test_every_variant_gives_the_same_vectors(model, texts, wanted):
    want = np.array([states[-1].mean(0) for states in wanted])
    want /= np.linalg.norm(want, axis=1, keepdims=True)
    for variant in ladder():
        np.testing.assert_allclose(model.encode(texts, variant, threads=2), want, rtol=0, atol=1e-5)


def test_a_text_does_not_see_its_batch_mates(model, texts):
    together = model.encode(texts, "naive")
    for number in (0, 17, 49):
        alone = model.encode([texts[number]], "naive")[0]
        np.testing.assert_allclose(alone, together[number], rtol=0, atol=1e-6)


@pytest.mark.parametrize(("group", "block"), [("paragraph", 3), ("sentences", 5)])
def test_projections_are_those_of_the_capture(model, weights, group, block):
    with h5py.File(ROOT / "experiments/inputs/minilm_l6.h5") as file:
        texts = [text.decode() for text in file[f"{group}/texts"][:]]
        captured = {name: file[f"{group}/layer{block}/{name}"][:] for name in "qkv"}
        token_ids = file[f"{group}/token_ids"][:]
    ids = model.tokens(texts)
    _, states = model.run(ids, states=True)
    start = 0
    for number, text in enumerate(ids):
        assert text == token_ids[number][: len(text)].tolist()
        before = states[block, start : start + len(text)].astype(np.float64)
        start += len(text)
        for name, projected in zip("qkv", reference.projections(before, weights, block), strict=True):
            np.testing.assert_allclose(projected, captured[name][number][:, : len(text)], rtol=0, atol=STATE_BOUND)


def test_vectors_have_unit_norm_and_tell_meanings_apart(model):
    bank, river, money = model.encode(["He sat on the river bank.", "A stream's edge.", "She opened an account."])
    np.testing.assert_allclose([np.linalg.norm(bank), np.linalg.norm(river)], 1, atol=1e-6)
    assert bank @ river > bank @ money


def test_batches_keep_the_order_and_the_limit():
    assert list(encode.batches([3, 3, 3, 9, 1], 6)) == [[0, 1], [2], [3], [4]]
    assert list(encode.batches([], 6)) == []


def test_refusals(model):
    with pytest.raises(encode.Refused, match=r"text 2 has \d+ tokens; the model takes 512"):
        model.encode(["fine", "word " * 600])
    with pytest.raises(ValueError, match="token 1 has id 30522; the table holds ids 0 to 30521"):
        model.run([[101, 30522, 102]])
    with pytest.raises(ValueError, match="sequence 1 is empty"):
        model.run([[101], [], [102]])
    with pytest.raises(ValueError, match="longer than the 512 positions"):
        model.run([[101] * 513])
    with pytest.raises(ValueError, match="there must be a sequence"):
        model.run([])
    with pytest.raises(ValueError, match="did you mean 'flash'"):
        model.run([[101]], variant="flush")
    with pytest.raises(ValueError, match="threads is 0"):
        model.run([[101]], threads=0)


def test_damaged_weights_are_refused(model, tmp_path):
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((model.directory / name).read_bytes())
    with pytest.raises(encode.Refused, match=r"model\.safetensors"):
        encode.Model(tmp_path).encode(["text"])
    (tmp_path / "model.safetensors").write_bytes((model.directory / "model.safetensors").read_bytes()[:100_000])
    with pytest.raises(encode.Refused, match=r"model\.safetensors"):
        encode.Model(tmp_path).encode(["text"])
    (tmp_path / "config.json").unlink()
    with pytest.raises(encode.Refused, match=r"config\.json"):
        encode.Model(tmp_path)


def test_threads_that_take_batches_change_no_bit(model):
    lines = [" ".join(["river"] * (1 + n % 40)) for n in range(60)]
    one, heard = model.encode(lines, threads=1), []
    np.testing.assert_array_equal(model.encode(lines, threads=3, advance=heard.append), one)
    assert sum(heard) == len(lines)
    assert len(heard) > 1


def _run(*words):
    return CliRunner().invoke(app, ["encode", *map(str, words)])


def test_the_command(model, tmp_path):
    lines = ["He sat on the river bank.", "money bank grows", "the cat sat"]
    (tmp_path / "in.txt").write_text("\n".join(lines) + "\n")
    result = _run(tmp_path / "in.txt", "-o", tmp_path / "out.npy", "--variant", "naive", "--threads", 2)
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), model.encode(lines, "naive", threads=2))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty; it must hold one text per line"),
        (b"fine\n\nfine\n", "in.txt:2: an empty line"),
        (b"fine\n\xff\n", "in.txt:2: not UTF-8"),
        (None, "cannot read: No such file"),
    ],
)
def test_the_command_refuses(tmp_path, content, says):
    if content is not None:
        (tmp_path / "in.txt").write_bytes(content)
    result = _run(tmp_path / "in.txt", "-o", tmp_path / "out.npy")
    assert result.exit_code == 2
    assert says in result.output
    assert not (tmp_path / "out.npy").exists()
