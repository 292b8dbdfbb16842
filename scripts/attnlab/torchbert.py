# SPDX-License-Identifier: Apache-2.0
"""A BERT encoder of PyTorch's functions on the weights of `encode.Model`: what `attnlab throughput` compares with.

Texts are sorted by length and padded to the longest of their batch; a batch without padding gets no mask.
"""

from collections.abc import Sequence

import numpy as np

from attnlab.encode import Model
from attnlab.peer import library


class TorchBert:
    def __init__(self, model: Model):
        """Raises peer.Absent where there is no PyTorch. The weights are shared, not copied."""
        self.torch, self.config = library("torch"), model.config
        with self.torch.inference_mode():
            self.weights = {n: self.torch.from_numpy(a) for n, a in model.weights.items() if a.dtype == np.float32}
            for block in range(self.config["num_hidden_layers"]):
                name = f"encoder.layer.{block}.attention.self"
                for kind in ("weight", "bias"):  # one product for queries, keys and values
                    parts = [self.weights.pop(f"{name}.{part}.{kind}") for part in ("query", "key", "value")]
                    self.weights[f"{name}.qkv.{kind}"] = self.torch.cat(parts)

    def _map(self, x, name: str):
        return self.torch.nn.functional.linear(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def _norm(self, x, name: str):
        scale, shift = (self.weights[f"{name}.{kind}"] for kind in ("weight", "bias"))
        return self.torch.nn.functional.layer_norm(x, x.shape[-1:], scale, shift, self.config["layer_norm_eps"])

    def _block(self, x, name: str, mask):
        functional, heads = self.torch.nn.functional, self.config["num_attention_heads"]
        split = self._map(x, f"{name}.attention.self.qkv").view(*x.shape[:2], 3, heads, -1)
        q, k, v = split.permute(2, 0, 3, 1, 4)
        context = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        joined = context.transpose(1, 2).reshape(x.shape)
        x = self._norm(x + self._map(joined, f"{name}.attention.output.dense"), f"{name}.attention.output.LayerNorm")
        wide = functional.gelu(self._map(x, f"{name}.intermediate.dense"))
        return self._norm(x + self._map(wide, f"{name}.output.dense"), f"{name}.output.LayerNorm")

    def _batch(self, ids: Sequence[Sequence[int]]):
        """Vectors [texts, features] at unit norm: the mean over the tokens that are no padding."""
        torch, lengths = self.torch, [len(text) for text in ids]
        padded = np.zeros((len(ids), max(lengths)), np.int64)
        for row, text in zip(padded, ids, strict=True):
            row[: len(text)] = text
        live = torch.from_numpy(np.arange(max(lengths)) < np.array(lengths)[:, None])
        mask = None if min(lengths) == max(lengths) else live[:, None, None, :]
        table = {part: self.weights[f"embeddings.{part}_embeddings.weight"]
                 for part in ("word", "position", "token_type")}  # fmt: skip
        x = torch.nn.functional.embedding(torch.from_numpy(padded), table["word"])
        x = self._norm(x + table["position"][: max(lengths)] + table["token_type"][0], "embeddings.LayerNorm")
        for block in range(self.config["num_hidden_layers"]):
            x = self._block(x, f"encoder.layer.{block}", mask)
        return torch.nn.functional.normalize((x * live[:, :, None]).sum(1), dim=1)  # the sum points where the mean does

    def encode_ids(self, ids: Sequence[Sequence[int]], threads: int, batch_texts: int) -> np.ndarray:
        """A vector per text, in their order."""
        self.torch.set_num_threads(threads)
        order = sorted(range(len(ids)), key=lambda index: -len(ids[index]))
        vectors = np.empty((len(ids), self.config["hidden_size"]), np.float32)
        with self.torch.inference_mode():
            for start in range(0, len(ids), batch_texts):
                chosen = order[start : start + batch_texts]
                vectors[chosen] = self._batch([ids[index] for index in chosen]).numpy()
        return vectors
