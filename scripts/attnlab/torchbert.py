# SPDX-License-Identifier: Apache-2.0
"""A BERT encoder of PyTorch's functions on the weights of `encode.Model`: what `attnlab throughput` compares with.
A batch without padding gets no mask."""

import numpy as np

from attnlab.encode import Model
from attnlab.paddedbert import PaddedBert
from attnlab.peer import library


class TorchBert(PaddedBert):
    package = "torch"

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

    def _prepare(self, threads: int) -> None:
        self.torch.set_num_threads(threads)

    def _batch(self, padded: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        with self.torch.inference_mode():
            live = self.torch.from_numpy(np.arange(lengths[0]) < lengths[:, None])
            mask = None if lengths[-1] == lengths[0] else live[:, None, None, :]
            table = {part: self.weights[f"embeddings.{part}_embeddings.weight"]
                     for part in ("word", "position", "token_type")}  # fmt: skip
            x = self.torch.nn.functional.embedding(self.torch.from_numpy(padded), table["word"])
            x = self._norm(x + table["position"][: lengths[0]] + table["token_type"][0], "embeddings.LayerNorm")
            for block in range(self.config["num_hidden_layers"]):
                x = self._block(x, f"encoder.layer.{block}", mask)
            sums = (x * live[:, :, None]).sum(1)  # they point where the means do
            return self.torch.nn.functional.normalize(sums, dim=1).numpy()
