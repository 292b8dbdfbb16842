# SPDX-License-Identifier: Apache-2.0
"""attnlab.native against attention in float64 NumPy: masks, types, layouts, errors."""

import os
import re
import subprocess
import sys
import threading

import ml_dtypes
import numpy as np
import pytest

from attnlab import ROOT, native
from reference import assert_within_bound, attention

INF = np.inf
LADDER = native.variants()
LEVELS = [level for level, objection in native.isa_levels().items() if objection is None]


def draw(batch=2, heads=4, key_heads=2, queries=13, keys=17, head_dim=24, value_dim=10, dtype=np.float32, seed=1):
    random = np.random.default_rng(seed)
    shapes = (
        (batch, heads, queries, head_dim),
        (batch, key_heads, keys, head_dim),
        (batch, key_heads, keys, value_dim),
    )
    return tuple(random.standard_normal(shape).astype(dtype) for shape in shapes)


def bits(array):
    return np.asarray(array).view(np.uint8)


def answer(q, k, v, **options):
    try:
        return native.attention(q, k, v, **options)
    except native.Unsupported as objection:
        pytest.skip(str(objection))


def some_bias(shape, seed=3):
    bias = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    bias[..., ::5] = -INF
    return bias


MASKS = {
    "none": {},
    "top_left": {"causal": "top_left"},
    "bottom_right": {"causal": "bottom_right"},
    "window": {"window": (3, 2)},
    "window_left": {"causal": "bottom_right", "window": (4, 0)},
    "window_one_sided": {"window": (None, 1)},
    "lengths": {"key_lengths": [17, 5]},
    "lengths_zero": {"key_lengths": [0, 1], "causal": "top_left"},
    "boolean": {"mask": np.random.default_rng(5).random((2, 4, 13, 17)) < 0.6},
    "boolean_broadcast": {"mask": np.arange(17) % 3 != 0},
    "boolean_row_dead": {"mask": np.arange(13)[:, None] != np.full(17, 4)},
    "bias": {"bias": some_bias((2, 4, 13, 17))},
    "bias_broadcast": {"bias": some_bias((4, 1, 17))},
    "alibi": {"causal": "bottom_right", "alibi_slopes": [0.5, 0.25, 0.0, 0.0625]},
    "alibi_symmetric": {"alibi_slopes": [0.5, 0.25, 0.125, 0.0625]},
    "softcap": {"softcap": 1.5},
    "sinks": {"sinks": [0.5, -1.0, 3.0, 0.0]},
    "sinks_dead": {"sinks": [0.5, -1.0, 3.0, 0.0], "key_lengths": [0, 3]},
    "sinks_off": {"sinks": [-np.inf, 0.5, -np.inf, 0.0], "key_lengths": [0, 3]},
    "scale": {"scale": 0.75},
    "everything": {
        "causal": "bottom_right",
        "window": (9, 0),
        "key_lengths": [16, 11],
        "mask": np.random.default_rng(6).random((2, 1, 13, 17)) < 0.8,
        "bias": some_bias((1, 4, 1, 17)),
        "alibi_slopes": [0.5, 0.25, 0.125, 0.0625],
        "softcap": 4.0,
        "sinks": [0.5, -1.0, 3.0, 0.0],
        "scale": 0.3,
    },
}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("variant", LADDER)
def test_masks(variant, mask):
    q, k, v = draw()
    options = MASKS[mask]
    assert_within_bound(answer(q, k, v, variant=variant, **options), attention(q, k, v, **options))


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("variant", LADDER)
def test_types(variant, dtype):
    q, k, v = draw(keys=70, dtype=dtype)
    got = answer(q, k, v, variant=variant, causal="bottom_right")
    assert got[0].dtype == dtype
    assert got[1].dtype == np.float32
    # A variant may claim that it rounds its weights; whether it may is checked where claims are, in attnbench check.
    assert_within_bound(got, attention(q, k, v, causal="bottom_right", rounds_weights=True))


@pytest.mark.parametrize("heads", [(1, 1), (6, 6), (6, 3), (6, 2), (6, 1)], ids=str)
@pytest.mark.parametrize("variant", LADDER)
def test_grouped_heads(variant, heads):
    q, k, v = draw(heads=heads[0], key_heads=heads[1])
    assert_within_bound(answer(q, k, v, variant=variant), attention(q, k, v))


@pytest.mark.parametrize("causal", ["none", "top_left", "bottom_right"])
@pytest.mark.parametrize("variant", LADDER)
def test_packed_sequences(variant, causal):
    q, k, v = draw(batch=1, queries=20, keys=27)
    offsets = {"query_offsets": [0, 1, 1, 8, 20], "key_offsets": np.array([0, 3, 7, 7, 27], np.int32)}
    got = answer(q, k, v, variant=variant, causal=causal, **offsets)
    assert_within_bound(got, attention(q, k, v, causal=causal, **offsets))


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("variant", LADDER)
def test_levels_and_threads(variant, level, threads):
    q, k, v = draw(queries=67, keys=131, head_dim=33, value_dim=17)
    got = answer(q, k, v, variant=variant, isa=level, threads=threads, causal="bottom_right")
    assert_within_bound(got, attention(q, k, v, causal="bottom_right"))


def test_the_reference_notices_a_lost_key():
    q, k, v = draw()
    got = native.attention(q, k, v, variant="naive", key_lengths=[17, 16])
    with pytest.raises(AssertionError, match="outside the bound"):
        assert_within_bound(got, attention(q, k, v))


def test_dead_row_is_zero_and_masked_nan_stays_out():
    q, k, v = draw()
    k[0, :, 9:] = v[0, :, 9:] = np.nan
    out, lse = native.attention(q, k, v, variant="naive", key_lengths=[9, 0])
    assert np.isfinite(out).all()
    assert (out[1] == 0).all()
    assert (lse[1] == -INF).all()


def test_a_live_nan_is_not_hidden():
    q, k, v = draw()
    k[0, 0, 3, 0] = np.nan
    out, _ = native.attention(q, k, v, variant="naive")
    assert np.isnan(out[0, :2]).all()
    assert np.isfinite(out[1]).all()


def test_views_are_read_in_place():
    q, k, v = draw()
    as_projected = [np.ascontiguousarray(x.transpose(0, 2, 1, 3)).transpose(0, 2, 1, 3) for x in (q, k, v)]
    for x in as_projected:
        assert native._tensor("x", x) is x
    want = native.attention(q, k, v, variant="naive")
    got = native.attention(*as_projected, variant="naive")
    assert (bits(got[0]) == bits(want[0])).all()


def test_other_layouts_are_copied():
    q, k, v = draw()
    want = native.attention(q, k, v, variant="naive")
    odd = [q[..., ::-1][..., ::-1], np.asfortranarray(k), v.astype(">f4")]
    backwards = np.ascontiguousarray(q[:, :, ::-1])[:, :, ::-1]
    for given in (odd, [backwards, k, v]):
        got = native.attention(*given, variant="naive")
        assert (bits(got[0]) == bits(want[0])).all()


def test_inputs_stay_untouched():
    given = draw()
    kept = [x.copy() for x in given]
    for x in given:
        x.flags.writeable = False
    native.attention(*given, variant="naive", causal="top_left")
    assert all((bits(x) == bits(y)).all() for x, y in zip(given, kept, strict=True))


def test_nothing_is_remembered_from_the_call_before():
    q, k, v = draw()
    want = native.attention(q, k, v, variant="naive")
    native.attention(q, k, v, variant="naive", **MASKS["everything"])
    with pytest.raises(ValueError, match="softcap"):
        native.attention(q, k, v, variant="naive", softcap=-1)
    got = native.attention(q, k, v, variant="naive")
    assert (bits(got[0]) == bits(want[0])).all()


def test_workspace_is_kept():
    session, library = native.open_session(), native.open_library()
    native.attention(*draw(queries=200, keys=200), variant="naive")
    large = library.attnbench_workspace_bytes(session)
    native.attention(*draw(), variant="naive")
    assert library.attnbench_workspace_bytes(session) == large >= 200 * 200 * 4


def test_python_threads_have_their_own_sessions():
    problems = [draw(seed=s, queries=50 + s) for s in range(6)]
    answers = [None] * len(problems)

    def work(n):
        for _ in range(20):
            answers[n] = native.attention(*problems[n], variant="naive", causal="top_left")

    workers = [threading.Thread(target=work, args=(n,)) for n in range(len(problems))]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    for got, given in zip(answers, problems, strict=True):
        assert_within_bound(got, attention(*given, causal="top_left"))


def test_threads_are_never_bound():
    program = """
import os, threading, numpy as np
from attnlab import native
before = os.sched_getaffinity(0)
x = np.ones((1, 2, 64, 8), np.float32)
for variant in native.variants():
    try:
        native.attention(x, x, x, variant=variant, threads=2)
    except native.Unsupported:
        pass
tasks = [int(t) for t in os.listdir("/proc/self/task")]
assert all(os.sched_getaffinity(t) == before for t in tasks), tasks
seen = []
threading.Thread(target=lambda: seen.append(os.sched_getaffinity(0))).start()
assert seen == [before]
maps = open("/proc/self/maps").read()
for foreign in ("hdf5", "jansson", "libfyaml"):
    assert foreign not in maps, foreign
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_a_closed_library_stays_under_its_threads():
    """OpenMP's threads outlive a call; unloaded under them, the process crashes, one exit in a few."""
    program = """
import os, numpy as np
from attnlab import native
x = np.ones((1, 2, 64, 8), np.float32)
native.attention(x, x, x, variant="flash", threads=2)
native.ffi.dlclose(native.open_library())
maps = open("/proc/self/maps").read()
assert "libattnbench" in maps
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_only_the_flat_functions_leave_the_library():
    path = native.library_path()
    listing = subprocess.run(["nm", "-D", "--defined-only", path], check=True, capture_output=True, text=True).stdout
    exported = {line.split()[-1] for line in listing.splitlines()}
    headers = sorted(native.HEADER.parent.glob("*_api.h"))
    declared = "".join(header.read_text().split("struct attnbench;")[-1] for header in headers)
    assert exported == set(re.findall(r"\b(attnbench_\w+)\(", declared))


def test_variants_come_in_ladder_order():
    listed = re.search(r"ladder = \[(.*?)\]", (ROOT / "variants/meson.build").read_text(), re.S)[1]
    assert re.findall(r"'(\w+)'", listed) == LADDER


BAD = {
    "variant": ({"variant": "nave"}, "unknown variant 'nave'; did you mean 'naive'"),
    "isa": ({"isa": "avx3"}, "unknown isa 'avx3'"),
    "causal": ({"causal": "bottom"}, "unknown causal mode 'bottom'; did you mean 'bottom_right'"),
    "parameter": ({"parameters": {"speed": 1}}, "naive has no parameter 'speed'"),
    "threads": ({"threads": 0}, "threads is 0; it must be at least 1"),
    "window": ({"window": (-1, 0)}, "negative side"),
    "softcap": ({"softcap": -2.0}, "softcap is -2"),
    "softcap_nan": ({"softcap": float("nan")}, "softcap is nan"),
    "scale": ({"scale": 0.0}, "scale is 0"),
    "lengths_count": ({"key_lengths": [1]}, "key_lengths has 1 entries; it must have 2"),
    "lengths_far": ({"key_lengths": [1, 18]}, "key_lengths[1] is 18; it must be in 0..key_len = 17"),
    "lengths_real": ({"key_lengths": [1.0, 2.0]}, "key_lengths is float64; it must hold whole numbers"),
    "lengths_axes": ({"key_lengths": [[1, 2]]}, "key_lengths has 2 axes"),
    "mask_shape": ({"mask": np.ones((3, 17), bool)}, "mask has shape [1, 1, 3, 17]; the problem needs [2, 4, 13, 17]"),
    "mask_type": ({"mask": np.ones((13, 17))}, "mask is float64; it must be boolean"),
    "mask_axes": ({"mask": np.ones((1, 1, 1, 1, 17), bool)}, "mask has 5 axes"),
    "bias_shape": ({"bias": np.zeros((2, 2, 13, 17))}, "bias has shape [2, 2, 13, 17]"),
    "slopes": ({"alibi_slopes": [1.0]}, "alibi_slopes has 1 entries; it must have 4"),
    "sinks": ({"sinks": [1.0] * 5}, "sinks has 5 entries; it must have 4"),
    "sinks_all": ({"sinks": [1.0, -np.inf, np.inf, 0.0]}, "sinks[2] is inf; a sink is a logit, or -inf"),
    "causal_flag": ({"causal": True}, "causal is True; it must be a string"),
    "variant_none": ({"variant": None}, "variant is None; it must be a string"),
    "isa_number": ({"isa": 3}, "isa is 3; it must be a string"),
    "window_one": ({"window": (3,)}, "window is (3,); it must be (left, right)"),
    "window_number": ({"window": 3}, "window is 3; it must be (left, right)"),
    "window_real": ({"window": (1.5, 2)}, "a side of window is 1.5; it must be a whole number"),
    "threads_real": ({"threads": 2.0}, "threads is 2.0; it must be a whole number"),
    "packed_half": ({"query_offsets": [0, 13]}, "key_offsets is missing"),
    "packed_batch": ({"query_offsets": [0, 13], "key_offsets": [0, 17]}, "packed sequences need batch 1"),
    "packed_counts": ({"query_offsets": [0, 13], "key_offsets": [0, 3, 17]}, "key_offsets has 3 entries"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_options_say_what_is_wrong(case):
    options, text = BAD[case]
    with pytest.raises(ValueError, match=re.escape(text)):
        native.attention(*draw(), **{"variant": "naive", **options})


BAD_TENSORS = {
    "batch": (lambda q, k, v: (q, k[:1], v), "k has shape [1, 2, 17, 24]; the problem needs [2, 2, 17, 24]"),
    "keys": (lambda q, k, v: (q, k, v[:, :, 1:]), "v has shape [2, 2, 16, 10]; the problem needs [2, 2, 17, 10]"),
    "head_dim": (lambda q, k, v: (q, k[..., 1:], v), "k has shape [2, 2, 17, 23]"),
    "heads": (lambda q, k, v: (q[:, :3], k, v), "query_heads 3 is not a multiple of key_heads 2"),
    "empty": (lambda q, k, v: (q[:, :, :0], k, v), "q has 0 positions; there must be at least 1"),
    "mixed": (lambda q, k, v: (q, k, v.astype(np.float16)), "v is f16; the problem needs f32"),
    "double": (lambda q, k, v: (q.astype(float), k, v), "q is float64; attention takes float32"),
    "axes": (lambda q, k, v: (q[0], k, v), "q has 3 axes"),
}


@pytest.mark.parametrize("case", BAD_TENSORS)
def test_bad_tensors_say_what_is_wrong(case):
    change, text = BAD_TENSORS[case]
    with pytest.raises(ValueError, match=re.escape(text)):
        native.attention(*change(*draw()), variant="naive")


def test_what_is_not_offered_is_unsupported():
    lacking = [level for level, objection in native.isa_levels().items() if objection] + ["neon"]
    for level in lacking:
        with pytest.raises(native.Unsupported, match=f"isa '{level}': "):
            native.attention(*draw(), variant="naive", isa=level)


def test_more_memory_than_there_is_is_refused():
    x = np.broadcast_to(np.float32(0), (1, 1, 2**24, 1))
    with pytest.raises(MemoryError, match="naive needs a workspace of 1125899"):
        native.attention(x, x, x, variant="naive")


def test_the_library_is_named_when_it_is_not_there():
    program = "from attnlab import native; native.variants()"
    environment = {**os.environ, "ATTNBENCH_LIBRARY": "/nowhere/libattnbench.so"}
    ended = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert ended.returncode == 1
    assert "libattnbench.so is not at /nowhere/libattnbench.so; run scripts/setup" in ended.stderr
