# SPDX-License-Identifier: Apache-2.0
"""A BERT encoder as a graph for ONNX Runtime, of the operators that its optimiser would fuse the model into. The last
states leave the graph; their mean is taken here."""

import numpy as np

from attnlab.encode import Model
from attnlab.paddedbert import PaddedBert
from attnlab.peer import library
from attnlab.peerlibraries import OnnxRuntime

FUSED = "com.microsoft"


class OnnxBert(PaddedBert):
    package = "onnxruntime"

    def __init__(self, model: Model):
        """Raises peer.Absent where there is no ONNX Runtime."""
        self.runtime, self.onnx, self.config = library("onnxruntime"), library("onnx"), model.config
        self.nodes, self.constants, self.sessions = [], {}, {}
        self.model = self._model(model.weights)

    def _node(self, kind: str, inputs: list[str], domain: str = "", **attributes) -> str:
        made = f"{kind}{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(kind, inputs, [made], domain=domain, **attributes))
        return made

    def _constant(self, name: str, array: np.ndarray) -> str:
        self.constants[name] = np.ascontiguousarray(array)
        return name

    def _map(self, x: str, weights: dict, name: str) -> str:
        return self._node("MatMul", [x, self._constant(f"{name}.weight", weights[f"{name}.weight"].T)])

    def _bias(self, weights: dict, name: str) -> str:
        return self._constant(f"{name}.bias", weights[f"{name}.bias"])

    def _norm(self, x: str, weights: dict, name: str, *more: str) -> str:
        """Of `x` alone, or of `x`, what is added to it and a bias."""
        scale = self._constant(f"{name}.weight", weights[f"{name}.weight"]), self._bias(weights, name)
        epsilon = self.config["layer_norm_eps"]
        if not more:
            return self._node("LayerNormalization", [x, *scale], epsilon=epsilon)
        return self._node("SkipLayerNormalization", [more[0], x, *scale, more[1]], FUSED, epsilon=epsilon)

    def _block(self, x: str, weights: dict, name: str) -> str:
        parts = [f"{name}.attention.self.{part}" for part in ("query", "key", "value")]
        bias = np.concatenate([weights[f"{part}.bias"] for part in parts])
        inputs = [*(self._map(x, weights, part) for part in parts), self._constant(f"{name}.bias", bias), "lengths"]
        context = self._node("MultiHeadAttention", inputs, FUSED, num_heads=self.config["num_attention_heads"])
        after = f"{name}.attention.output"
        joined = self._map(context, weights, f"{after}.dense"), self._bias(weights, f"{after}.dense")
        x = self._norm(x, weights, f"{after}.LayerNorm", *joined)
        wide = self._map(x, weights, f"{name}.intermediate.dense")
        active = self._node("BiasGelu", [wide, self._bias(weights, f"{name}.intermediate.dense")], FUSED)
        narrow = self._map(active, weights, f"{name}.output.dense"), self._bias(weights, f"{name}.output.dense")
        return self._norm(x, weights, f"{name}.output.LayerNorm", *narrow)

    def _model(self, weights: dict) -> bytes:
        table = {part: weights[f"embeddings.{part}_embeddings.weight"] for part in ("word", "position", "token_type")}
        words = self._node("Gather", [self._constant("words", table["word"]), "ids"])
        known = self._constant("places", table["position"] + table["token_type"][0])
        places = self._node("Gather", [known, "positions"])
        x = self._norm(self._node("Add", [words, places]), weights, "embeddings.LayerNorm")
        for block in range(self.config["num_hidden_layers"]):
            x = self._block(x, weights, f"encoder.layer.{block}")
        types, helper = self.onnx.TensorProto, self.onnx.helper
        value = helper.make_tensor_value_info
        inputs = [value("ids", types.INT64, ["texts", "tokens"]), value("positions", types.INT64, ["tokens"]),
                  value("lengths", types.INT32, ["texts"])]  # fmt: skip
        outputs = [value(x, types.FLOAT, ["texts", "tokens", self.config["hidden_size"]])]
        stored = [self.onnx.numpy_helper.from_array(array, name) for name, array in self.constants.items()]
        graph = helper.make_graph(self.nodes, "bert", inputs, outputs, stored)
        opsets = [helper.make_opsetid("", 18), helper.make_opsetid(FUSED, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()

    def _prepare(self, threads: int) -> None:
        if threads not in self.sessions:
            options = OnnxRuntime.options(self.runtime, threads)
            self.sessions[threads] = self.runtime.InferenceSession(self.model, options, ["CPUExecutionProvider"])
        self.session = self.sessions[threads]

    def _batch(self, padded: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        feeds = {"ids": padded, "positions": np.arange(lengths[0], dtype=np.int64), "lengths": lengths}
        states = self.session.run(None, feeds)[0]
        sums = np.stack([text[:length].sum(0) for text, length in zip(states, lengths, strict=True)])
        return sums / np.linalg.norm(sums, axis=1, keepdims=True)
