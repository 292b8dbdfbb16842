# SPDX-License-Identifier: Apache-2.0
"""Problems drawn by pattern and seed as the instrument draws them, and answers judged by its float64 oracle."""

from dataclasses import dataclass

import ml_dtypes
import numpy as np

from attnlab import native

DTYPES = {"f32": np.float32, "f16": np.float16, "bf16": ml_dtypes.bfloat16}
SIZES = ("batch", "query_heads", "key_heads", "query_len", "key_len", "head_dim", "value_dim")


@dataclass(frozen=True)
class Verdict:
    """How an answer compares with the float64 one: the columns check_* of a result file."""

    accepted: bool
    reason: str
    numbers: dict


class Answerer:
    """A variant of the ladder on a drawn problem, with a workspace of its own."""

    def __init__(self, drawn: "Drawn", variant: str, threads: int, isa: str | None, parameters: dict[str, int]):
        library, session = native.open_library(), native.new_session()
        library.attnbench_begin(session)
        library.attnbench_threads(session, threads)
        level = native.ffi.NULL if isa is None else isa.encode()
        native.succeed(session, library.attnbench_variant(session, variant.encode(), level))
        for name, value in parameters.items():
            native.succeed(session, library.attnbench_parameter(session, name.encode(), value))
        self._session, self._drawn, self._answer = session, drawn._drawn, library.attnbench_drawn_answer

    def run(self) -> None:
        status = self._answer(self._session, self._drawn)
        if status:
            native.succeed(self._session, status)

    @property
    def workspace_bytes(self) -> int:
        return native.open_library().attnbench_workspace_bytes(self._session)


class Drawn:
    """A problem with its arrays, which are views of the library's memory and live as long as this object."""

    def __init__(self, factors: dict, threads: int = 1):
        """`factors` as a plan names them. ValueError, MemoryError: as the library says."""
        library, session = native.open_library(), native.open_session()
        sizes = native.ffi.new("int64_t[7]", [factors[name] for name in SIZES])
        place = native.ffi.new("struct attnbench_drawn **")
        texts = [factors[name].encode() for name in ("type", "mask", "pattern")]
        backward = factors["pass"] == "backward"
        native.succeed(session, library.attnbench_draw(session, sizes, texts[0], backward, texts[1], texts[2],
                                                       factors["seed"], threads, place))  # fmt: skip
        self._drawn = native.ffi.gc(place[0], library.attnbench_drawn_destroy)
        for name in SIZES:
            setattr(self, name, factors[name])
        self.type, self.mask, self.backward = factors["type"], factors["mask"], backward
        lengths = library.attnbench_drawn_key_lengths(self._drawn)
        self.key_lengths = np.array(native.ffi.unpack(lengths, self.batch)) if lengths else None

    def array(self, name: str) -> np.ndarray:
        """A view of q, k, v, out, lse, dout, dq, dk or dv. KeyError: the problem has none."""
        shape = native.ffi.new("int64_t[4]")
        data = native.open_library().attnbench_drawn_array(self._drawn, name.encode(), shape)
        if not data:
            raise KeyError(name)
        dtype = np.dtype(np.float32 if name == "lse" else DTYPES[self.type])
        count = int(np.prod(list(shape))) * dtype.itemsize
        return np.frombuffer(native.ffi.buffer(data, count), dtype).reshape(list(shape))

    def answer(self, variant: str, threads: int, isa: str | None = None, parameters: dict[str, int] | None = None):
        """Answers with a variant of the ladder; returns an Answerer that does it again. Unsupported: it objects."""
        answerer = Answerer(self, variant, threads, isa, parameters or {})
        answerer.run()
        return answerer

    def poison(self) -> None:
        """Marks every element of the answer as unwritten."""
        native.open_library().attnbench_drawn_poison(self._drawn)

    def judge(self, answers: dict[str, np.ndarray] | None = None, rounds_weights: bool = False) -> Verdict:
        """Of what the arrays hold, or of `answers`, which are copied there first."""
        for name, given in (answers or {}).items():
            place = self.array(name)
            place[...] = given.view(place.dtype).reshape(place.shape)
        verdict = native.ffi.new("struct attnbench_verdict *")
        native.open_library().attnbench_drawn_judge(self._drawn, rounds_weights, verdict)
        numbers = {}
        for name, member in native.ffi.typeof(verdict[0]).fields:
            if member.type.kind == "primitive" and name != "accepted":
                numbers[name] = int(getattr(verdict, name)) if name == "weak" else getattr(verdict, name)
        axes = ("batch", "head", "position", "feature")
        numbers |= {f"worst_{axis}": verdict.worst[n] for n, axis in enumerate(axes)}
        return Verdict(bool(verdict.accepted), native.ffi.string(verdict.reason).decode(), numbers)
