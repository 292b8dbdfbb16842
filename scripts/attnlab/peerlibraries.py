# SPDX-License-Identifier: Apache-2.0
"""The peers: PyTorch, ONNX Runtime and OpenVINO on CPUs."""

import os

import numpy as np

from attnlab.drawn import Drawn
from attnlab.peer import MASKS, Peer, library, need
from attnlab.peertorch import TorchFlash, TorchMath


class _Masked(Peer):
    """These two promise nothing for a sequence without keys (one averages values it was told to leave out, the other
    gives inf): they are asked with one key there, and the rows count as 0."""

    def lengths(self, drawn: Drawn) -> np.ndarray | None:
        self.empty = None if drawn.key_lengths is None else drawn.key_lengths == 0
        return None if drawn.key_lengths is None else np.maximum(drawn.key_lengths, 1)

    def settled(self, out: np.ndarray) -> dict[str, np.ndarray]:
        if self.empty is not None:
            out[self.empty] = 0
        return {"out": out}


def _tasks() -> int:
    return len(os.listdir("/proc/self/task"))


class OnnxRuntime(_Masked):
    """MultiHeadAttention, and GroupQueryAttention for the causal prompts that it knows. They take [batch, position,
    head x feature]: copies of that layout are made before the clock."""

    package = "onnxruntime"

    def __init__(self, drawn: Drawn, threads: int):
        runtime, onnx = library("onnxruntime"), library("onnx")
        grouped, causal = drawn.query_heads != drawn.key_heads, drawn.mask == "causal=top_left"
        need(not drawn.backward, "no backward pass")
        need(drawn.type == "f32", "MultiHeadAttention on CPUs takes f32 alone")
        need(not grouped or causal, "grouped heads are asked for causal prompts alone")
        need(drawn.mask in MASKS, f"not asked for mask {drawn.mask}")
        need(not causal or drawn.query_len == drawn.key_len, "causal with as many keys as queries alone")
        self.drawn = drawn
        self.feeds = {name: self._packed(drawn.array(name)) for name in "qkv"}
        self.out = self._packed(drawn.array("out"))
        node = self._grouped(onnx, drawn) if grouped else self._plain(onnx, drawn, causal)
        before = _tasks()
        self.session = runtime.InferenceSession(self._model(onnx, node), self.options(runtime, threads),
                                                ["CPUExecutionProvider"])  # fmt: skip
        self.threads = 1 + _tasks() - before  # the caller works too
        self.binding = self.session.io_binding()
        for name, array in self.feeds.items():
            self.binding.bind_input(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        self.binding.bind_output("out", "cpu", 0, np.float32, self.out.shape, self.out.ctypes.data)
        for name in node.output[1:]:
            self.binding.bind_output(name)

    def _plain(self, onnx, drawn: Drawn, causal: bool):
        names, lengths = ["q", "k", "v"], self.lengths(drawn)
        if lengths is not None:
            self.feeds["lengths"] = lengths.astype(np.int32)
            names += ["", "lengths"]  # the bias between them is left out
        return onnx.helper.make_node("MultiHeadAttention", names, ["out"], domain="com.microsoft",
                                     num_heads=drawn.query_heads, unidirectional=int(causal))  # fmt: skip

    def _grouped(self, onnx, drawn: Drawn):
        """Without a past; the present that it copies its keys and values into belongs to the operator."""
        self.lengths(drawn)
        self.feeds["last"] = np.full(drawn.batch, drawn.key_len - 1, np.int32)
        self.feeds["total"] = np.array([drawn.key_len], np.int32)
        return onnx.helper.make_node("GroupQueryAttention", ["q", "k", "v", "", "", "last", "total"],
                                     ["out", "present_keys", "present_values"], domain="com.microsoft",
                                     num_heads=drawn.query_heads, kv_num_heads=drawn.key_heads)  # fmt: skip

    def _model(self, onnx, node) -> bytes:
        types, value = onnx.TensorProto, onnx.helper.make_tensor_value_info
        inputs = [value(n, types.INT32 if a.dtype == np.int32 else types.FLOAT, a.shape) for n, a in self.feeds.items()]
        outputs = [value("out", types.FLOAT, self.out.shape), *(value(n, types.FLOAT, None) for n in node.output[1:])]
        graph = onnx.helper.make_graph([node], "attention", inputs, outputs)
        opsets = [onnx.helper.make_opsetid("", 18), onnx.helper.make_opsetid("com.microsoft", 1)]
        return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()

    @staticmethod
    def options(runtime, threads: int):
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        passive = os.environ.get("OMP_WAIT_POLICY") == "passive"
        options.add_session_config_entry("session.intra_op.allow_spinning", str(int(not passive)))
        return options

    @staticmethod
    def _packed(array: np.ndarray) -> np.ndarray:
        batch, _, positions, _ = array.shape
        return np.ascontiguousarray(array.transpose(0, 2, 1, 3)).reshape(batch, positions, -1)

    def load(self) -> None:
        for name in "qkv":
            self.feeds[name][...] = self._packed(self.drawn.array(name))

    def run(self) -> None:
        self.session.run_with_iobinding(self.binding)

    def poison(self, drawn: Drawn) -> None:
        self.out[...] = self._packed(drawn.array("out"))

    def answers(self) -> dict[str, np.ndarray]:
        shape = (self.drawn.batch, self.drawn.query_len, self.drawn.query_heads, self.drawn.value_dim)
        return self.settled(np.ascontiguousarray(self.out.reshape(shape).transpose(0, 2, 1, 3)))

    def threads_read_back(self) -> int:
        return self.threads


class OpenVino(_Masked):
    package = "openvino"

    def __init__(self, drawn: Drawn, threads: int):
        openvino = library("openvino")
        opset = library("openvino.opset13")
        need(not drawn.backward, "no backward pass")
        need(drawn.type == "f32", "measured in f32 alone")
        need(drawn.query_heads == drawn.key_heads, "ScaledDotProductAttention has no grouped heads")
        need(drawn.mask in MASKS, f"not asked for mask {drawn.mask}")
        self.arrays = [drawn.array(n) for n in "qkv"]
        parameters = [opset.parameter(a.shape, np.float32) for a in self.arrays]
        lengths, mask = self.lengths(drawn), ()
        if lengths is not None:
            mask = (opset.constant((np.arange(drawn.key_len) < lengths[:, None])[:, None, None, :]),)
        node = opset.scaled_dot_product_attention(*parameters, *mask, causal="causal" in drawn.mask)
        self.compiled = openvino.Core().compile_model(
            openvino.Model([node], parameters, "attention"),
            "CPU",
            {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY",
             "ENABLE_CPU_PINNING": False},
        )  # fmt: skip
        self.request = self.compiled.create_infer_request()
        for n, array in enumerate(self.arrays):
            self.request.set_input_tensor(n, openvino.Tensor(array, shared_memory=True))
        self.out = np.empty_like(drawn.array("out"))
        self.request.set_output_tensor(0, openvino.Tensor(self.out, shared_memory=True))

    def run(self) -> None:
        self.request.infer()

    def poison(self, drawn: Drawn) -> None:
        self.out[...] = drawn.array("out")

    def answers(self) -> dict[str, np.ndarray]:
        return self.settled(self.out)

    def threads_read_back(self) -> int:
        return int(self.compiled.get_property("INFERENCE_NUM_THREADS"))


PEERS = (TorchFlash, TorchMath, OnnxRuntime, OpenVino)
