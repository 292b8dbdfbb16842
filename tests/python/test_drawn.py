# SPDX-License-Identifier: Apache-2.0
"""attnlab.drawn: problems drawn by the library, answers judged by its oracle."""

import numpy as np
import pytest

from attnlab import native
from attnlab.drawn import Drawn
from reference import attention

FACTORS = {
    "batch": 2,
    "query_heads": 4,
    "key_heads": 2,
    "query_len": 33,
    "key_len": 33,
    "head_dim": 16,
    "value_dim": 16,
    "type": "f32",
    "mask": "causal=top_left",
    "pattern": "normal",
    "pass": "forward",
    "seed": 3,
}


def test_arrays_are_the_problem():
    drawn = Drawn(FACTORS)
    drawn.answer("naive", threads=1)
    want = attention(*map(drawn.array, "qkv"), causal="top_left").out
    assert np.abs(drawn.array("out") - want).max() < 1e-5
    assert drawn.judge().accepted


def test_the_same_seed_draws_the_same_bits():
    first, again, other = Drawn(FACTORS), Drawn(FACTORS, threads=2), Drawn(FACTORS | {"seed": 4})
    assert (first.array("q") == again.array("q")).all()
    assert (first.array("q") != other.array("q")).any()


def test_a_wrong_answer_is_rejected_where_it_is_wrong():
    drawn = Drawn(FACTORS)
    drawn.answer("naive", threads=1)
    answer = drawn.array("out").copy()
    answer[1, 2, 30, 5] += 0.25
    verdict = drawn.judge({"out": answer})
    assert not verdict.accepted
    assert "bound" in verdict.reason
    place = [verdict.numbers[f"worst_{axis}"] for axis in ("batch", "head", "position", "feature")]
    assert place == [1, 2, 30, 5]
    assert verdict.numbers["max_abs"] == pytest.approx(0.25, rel=1e-3)


def test_what_was_not_written_is_seen():
    drawn = Drawn(FACTORS)
    drawn.answer("naive", threads=1)
    drawn.poison()
    verdict = drawn.judge()
    assert not verdict.accepted
    assert verdict.numbers["unwritten"] == drawn.array("out").size


def test_an_input_that_was_written_to_is_seen():
    drawn = Drawn(FACTORS)
    drawn.answer("naive", threads=1)
    drawn.array("k")[0, 0, 0, 0] += 1
    verdict = drawn.judge()
    assert not verdict.accepted
    assert verdict.reason == "modifies an input: k"


def test_an_answerer_tells_its_workspace_and_takes_parameters():
    drawn = Drawn(FACTORS)
    small, large = (drawn.answer("tiled", 1, parameters={"block_keys": keys}) for keys in (8, 32))
    assert 0 < small.workspace_bytes < large.workspace_bytes
    drawn.poison()
    small.run()
    assert drawn.judge().accepted


def test_gradients():
    drawn = Drawn(FACTORS | {"pass": "backward"})
    drawn.answer("naive", threads=1)
    assert drawn.judge().accepted
    drawn.array("dv")[...] *= 1.01
    assert not drawn.judge().accepted


def test_lengths_are_told():
    assert Drawn(FACTORS).key_lengths is None
    lengths = Drawn(FACTORS | {"mask": "lengths=ragged"}).key_lengths
    assert lengths.shape == (2,)
    assert (lengths <= 33).all()


@pytest.mark.parametrize("dtype", ["f16", "bf16"])
def test_16_bit_arrays(dtype):
    drawn = Drawn(FACTORS | {"type": dtype})
    drawn.answer("naive", threads=1)
    assert drawn.array("q").dtype.itemsize == 2
    assert drawn.judge().accepted


BAD = {
    "type": ({"type": "f31"}, "unknown type 'f31'; did you mean 'f32'"),
    "pattern": ({"pattern": "norml"}, "unknown pattern 'norml'; did you mean 'normal'"),
    "mask": ({"mask": "casual=top_left"}, "casual"),
    "heads": ({"key_heads": 3}, "key_heads"),
    "size": ({"query_len": 0}, "query_len"),
}


@pytest.mark.parametrize(("change", "says"), BAD.values(), ids=BAD.keys())
def test_refusals(change, says):
    with pytest.raises(ValueError, match=says):
        Drawn(FACTORS | change)


def test_threads_must_be_positive():
    with pytest.raises(ValueError, match="threads is 0"):
        Drawn(FACTORS, threads=0)
    with pytest.raises(KeyError):
        Drawn(FACTORS).array("dq")
    with pytest.raises(native.Unsupported):
        Drawn(FACTORS | {"type": "f16"}).answer("tiled", threads=1)
