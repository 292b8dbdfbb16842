# SPDX-License-Identifier: Apache-2.0
"""What encoders of other libraries have in common: texts sorted by length and padded to the longest of their batch."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np


class PaddedBert:
    package = ""

    def _prepare(self, threads: int) -> None:
        """Sets how many threads the batches of the calling thread get."""
        raise NotImplementedError

    def _batch(self, padded: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Vectors [texts, features] at unit norm of ids [texts, tokens]; `lengths` falls."""
        raise NotImplementedError

    def encode_ids(self, ids: Sequence[Sequence[int]], threads: int, batch_texts: int, workers: int = 1) -> np.ndarray:
        """A vector per text, in their order; `workers` take a batch each, with their part of the threads."""
        order = sorted(range(len(ids)), key=lambda index: -len(ids[index]))
        vectors = np.empty((len(ids), self.config["hidden_size"]), np.float32)

        def answer(start: int) -> None:
            chosen = order[start : start + batch_texts]
            lengths = np.array([len(ids[index]) for index in chosen], np.int32)
            padded = np.zeros((len(chosen), lengths[0]), np.int64)
            for row, index in zip(padded, chosen, strict=True):
                row[: len(ids[index])] = ids[index]
            vectors[chosen] = self._batch(padded, lengths)

        with ThreadPoolExecutor(workers, initializer=self._prepare, initargs=(threads // workers,)) as pool:
            list(pool.map(answer, range(0, len(ids), batch_texts)))
        return vectors
