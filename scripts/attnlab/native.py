# SPDX-License-Identifier: Apache-2.0
"""The variants on NumPy arrays, in this process, through libattnbench.so.

>>> out, lse = attention(q, k, v, causal="bottom_right", threads=2)
"""

import operator
import os
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import cffi
import ml_dtypes
import numpy as np

from attnlab import ROOT

HEADER = ROOT / "core/api/attnbench_api.h"
PLACES = (ROOT / "build/core/api/libattnbench.so", ROOT / "build/libattnbench.so")
TYPES = {np.dtype(np.float32): "f32", np.dtype(np.float16): "f16", np.dtype(ml_dtypes.bfloat16): "bf16"}
UNBOUNDED = 2**63 - 1

ffi = cffi.FFI()
ffi.cdef(HEADER.read_text())
_local = threading.local()


class Unsupported(Exception):  # noqa: N818 - it is an answer as much as an error
    """A well-formed problem that this variant, ISA level or machine does not offer; the text says why."""


ERRORS = {1: ValueError, 2: Unsupported, 3: MemoryError}
"""By status, as core/api/attnbench_api.h numbers them."""


def library_path() -> Path:
    """$ATTNBENCH_LIBRARY if set, else what scripts/setup built."""
    named = os.environ.get("ATTNBENCH_LIBRARY")
    places = (Path(named),) if named else PLACES
    for place in places:
        if place.is_file():
            return place
    tried = " and ".join(map(str, places))
    raise FileNotFoundError(f"libattnbench.so is not at {tried}; run scripts/setup, or set ATTNBENCH_LIBRARY")


@cache
def open_library():
    return ffi.dlopen(str(library_path()))


def new_session():
    created = open_library().attnbench_create()
    if not created:
        raise MemoryError("no memory for a session")
    return ffi.gc(created, open_library().attnbench_destroy)


def open_session():
    """This thread's session: it keeps the workspace between calls."""
    if not hasattr(_local, "session"):
        _local.session = new_session()
    return _local.session


def _text(pointer) -> str | None:
    return ffi.string(pointer).decode() if pointer else None


def succeed(session, status: int) -> None:
    if status:
        raise ERRORS.get(status, RuntimeError)(_text(open_library().attnbench_error(session)))


def variants() -> list[str]:
    """Names, in ladder order."""
    library = open_library()
    return [_text(library.attnbench_variant_name(n)) for n in range(library.attnbench_variant_count())]


def parameters(variant: str) -> dict[str, str]:
    """The names and meanings of a variant's parameters."""
    library = open_library()
    if variant not in variants():
        raise ValueError(f"unknown variant {variant!r}; known: {', '.join(variants())}")
    rung = variants().index(variant)
    return {
        _text(library.attnbench_parameter_name(rung, n)): _text(library.attnbench_parameter_meaning(rung, n))
        for n in range(library.attnbench_parameter_count(rung))
    }


def isa_levels() -> dict[str, str | None]:
    """Every level compiled in, ascending, with the reason why this machine can't run it; None: it can."""
    library = open_library()
    return {
        _text(library.attnbench_isa_name(n)): _text(library.attnbench_isa_objection(n))
        for n in range(library.attnbench_isa_count())
    }


def _in_place(array: np.ndarray, dense_axis: bool) -> np.ndarray:
    """The array itself when the library can read it where it lies, else a dense copy."""
    item = array.dtype.itemsize
    usable = array.flags.aligned and array.dtype.isnative and all(s >= 0 and s % item == 0 for s in array.strides)
    if dense_axis:
        usable = usable and (array.strides[-1] == item or array.shape[-1] == 1)
    return array if usable else np.array(array, dtype=array.dtype.newbyteorder("="), order="C")


def _pointer(array: np.ndarray, kind: str = "void *"):
    return ffi.cast(kind, array.ctypes.data)


def _layout(array: np.ndarray):
    """Shape and strides as the library wants them: four axes, in elements."""
    strides = [s // array.dtype.itemsize for s in array.strides]
    return ffi.new("int64_t[4]", array.shape), ffi.new("int64_t[4]", strides)


def _tensor(name: str, given) -> np.ndarray:
    array = np.asarray(given)
    if array.ndim != 4:
        raise ValueError(f"{name} has {array.ndim} axes; it must be [batch, heads, positions, features]")
    if array.dtype.newbyteorder("=") not in TYPES:
        raise ValueError(f"{name} is {array.dtype}; attention takes float32, float16 or bfloat16")
    return _in_place(array, dense_axis=True)


def _list(name: str, given, dtype, kinds: str) -> np.ndarray:
    array = np.asarray(given)
    if array.ndim != 1:
        raise ValueError(f"{name} has {array.ndim} axes; it must have one")
    if array.dtype.kind not in kinds and array.size:
        raise ValueError(f"{name} is {array.dtype}; it must hold {'numbers' if 'f' in kinds else 'whole numbers'}")
    return np.ascontiguousarray(array, dtype=dtype)


def _grid(name: str, given, dtype) -> np.ndarray:
    """A mask or bias of up to four axes, aligned at the last one; missing axes broadcast."""
    array = np.asarray(given)
    if array.ndim > 4:
        raise ValueError(f"{name} has {array.ndim} axes; it has at most batch, heads, queries, keys")
    if dtype is np.bool_ and array.dtype != np.bool_:
        raise ValueError(f"{name} is {array.dtype}; it must be boolean, True may attend (additive masks go to bias)")
    if dtype is np.float32 and array.dtype.kind not in "fiuV":
        raise ValueError(f"{name} is {array.dtype}; it must hold numbers")
    array = np.asarray(array, dtype=dtype)
    return _in_place(array.reshape((1,) * (4 - array.ndim) + array.shape), dense_axis=False)


def _name(argument: str, given) -> bytes:
    if not isinstance(given, str):
        raise ValueError(f"{argument} is {given!r}; it must be a string")
    return given.encode()


def _whole(argument: str, given) -> int:
    try:
        return operator.index(given)
    except TypeError:
        raise ValueError(f"{argument} is {given!r}; it must be a whole number") from None


def _window(given) -> list[int]:
    if not isinstance(given, Sequence) or len(given) != 2:
        raise ValueError(f"window is {given!r}; it must be (left, right)")
    return [UNBOUNDED if side is None else _whole("a side of window", side) for side in given]


def attention(
    q,
    k,
    v,
    *,
    variant: str = "online_tiled",
    causal: str = "none",
    window: tuple[int | None, int | None] | None = None,
    key_lengths=None,
    query_offsets=None,
    key_offsets=None,
    mask=None,
    bias=None,
    alibi_slopes=None,
    softcap: float = 0.0,
    sinks=None,
    scale: float | None = None,
    threads: int = 1,
    isa: str | None = None,
    parameters: dict[str, int] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """softmax(scale q k^T, masked) v, and the natural logarithm of each row's softmax denominator.

    q [batch, query_heads, query_len, head_dim], k [batch, key_heads, key_len, head_dim] and v [batch, key_heads,
    key_len, value_dim] are float32, float16 or ml_dtypes.bfloat16, and are read where they lie if features are
    dense. Returns out [batch, query_heads, query_len, value_dim] in the same type, and lse [batch, query_heads,
    query_len] in float32: -inf, with out 0, for a row that may attend to nothing.

    causal        "none", "top_left" (query 0 stands at key 0) or "bottom_right" (the last stands at the last)
    window        (left, right) positions around the query's own, None: no limit; without causal counted from top-left
    key_lengths   [batch]; query_offsets, key_offsets [n + 1]: n packed sequences in a batch of 1
    mask, bias    broadcast to [batch, query_heads, query_len, key_len]; boolean, True may attend; added to the score
    alibi_slopes, sinks   [query_heads], a sink of -inf: none; softcap: 0 is none; scale: None is 1/sqrt(head_dim)
    threads       the most a parallel variant may use; isa: None is the highest level this machine runs
    parameters    of the variant, 0 is automatic

    Raises Unsupported when the variant objects, ValueError for a problem that can't be.
    """
    library, session = open_library(), open_session()
    tensors = {"q": _tensor("q", q), "k": _tensor("k", k), "v": _tensor("v", v)}
    out = np.empty((*tensors["q"].shape[:3], tensors["v"].shape[3]), tensors["q"].dtype)
    lse = np.empty((*tensors["q"].shape[:3], 1), np.float32)
    kept = []  # what the library borrows until the call is over

    def lend(array: np.ndarray, kind: str):
        kept.append(array)
        return _pointer(array, kind), len(array)

    library.attnbench_begin(session)
    for name, array in (*tensors.items(), ("out", out), ("lse", lse)):
        status = library.attnbench_operand(
            session, name.encode(), TYPES[array.dtype].encode(), _pointer(array), *_layout(array)
        )
        succeed(session, status)
    succeed(session, library.attnbench_causal(session, _name("causal", causal)))
    if window is not None:
        library.attnbench_window(session, *_window(window))
    if key_lengths is not None:
        library.attnbench_key_lengths(session, *lend(_list("key_lengths", key_lengths, np.int64, "iu"), "int64_t *"))
    if query_offsets is not None or key_offsets is not None:
        offsets = []
        for name, given in (("query_offsets", query_offsets), ("key_offsets", key_offsets)):
            array = None if given is None else _list(name, given, np.int64, "iu")
            offsets += (ffi.NULL, 0) if array is None else lend(array, "int64_t *")
        library.attnbench_packed(session, *offsets)
    if mask is not None:
        grid = _grid("mask", mask, np.bool_)
        library.attnbench_mask(session, lend(grid, "bool *")[0], *_layout(grid))
    if bias is not None:
        grid = _grid("bias", bias, np.float32)
        library.attnbench_bias(session, lend(grid, "float *")[0], *_layout(grid))
    if alibi_slopes is not None:
        library.attnbench_alibi(session, *lend(_list("alibi_slopes", alibi_slopes, np.float32, "fiu"), "float *"))
    if sinks is not None:
        library.attnbench_sinks(session, *lend(_list("sinks", sinks, np.float32, "fiu"), "float *"))
    library.attnbench_softcap(session, softcap)
    if scale is not None:
        if scale == 0:
            raise ValueError("scale is 0, which would make all keys alike; leave it out for 1/sqrt(head_dim)")
        library.attnbench_scale(session, scale)
    library.attnbench_threads(session, _whole("threads", threads))
    level = ffi.NULL if isa is None else _name("isa", isa)
    succeed(session, library.attnbench_variant(session, _name("variant", variant), level))
    for name, value in dict(parameters or {}).items():
        succeed(session, library.attnbench_parameter(session, _name("a parameter", name), _whole(name, value)))
    succeed(session, library.attnbench_forward(session))
    return out, lse[..., 0]
