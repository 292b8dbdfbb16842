# SPDX-License-Identifier: Apache-2.0
"""Attention as other libraries offer it on CPUs, one class a library and back end.

A peer is given a drawn problem and leaves behind a function of no arguments that answers it once, and one that returns
the answer as arrays. Whatever the library wants of layouts, masks and graphs is made outside that function: the clock
sees the library alone. What it does not offer raises Absent, whose text becomes the reason of a skipped row.
"""

import warnings
from functools import cache
from importlib import import_module, metadata

import numpy as np

from attnlab.drawn import Drawn


class Absent(Exception):  # noqa: N818 - an answer as much as an error
    """This library is not installed, or does not offer this problem; the text says which."""


@cache
def _library(name: str):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return import_module(name)
    except Exception as error:  # noqa: BLE001 - an installed library may fail to load in many ways
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise Absent(f"{name} cannot be imported: {text}") from error


def version(package: str) -> str:
    """Two places of the installed version; "absent" without one."""
    try:
        return ".".join(metadata.version(package).split("+")[0].split(".")[:2])
    except metadata.PackageNotFoundError:
        return "absent"


class Peer:
    """One library on one drawn problem."""

    package = ""
    suffix = ""

    @classmethod
    def name(cls) -> str:
        return f"peer:{cls.package}-{version(cls.package)}{cls.suffix}"

    def __init__(self, drawn: Drawn, threads: int):
        """Makes ready, or raises Absent."""
        raise NotImplementedError

    def run(self) -> None:
        """Answers once; this is what is timed."""
        raise NotImplementedError

    def answers(self) -> dict[str, np.ndarray]:
        """What the last run gave, by operand."""
        raise NotImplementedError

    def threads_read_back(self) -> int:
        raise NotImplementedError


def _need(condition: bool, otherwise: str) -> None:
    if not condition:
        raise Absent(otherwise)


class TorchFlash(Peer):
    package, suffix, backend = "torch", "-flash", "FLASH_ATTENTION"

    def __init__(self, drawn: Drawn, threads: int):
        torch = self.torch = _library("torch")
        torch.set_num_threads(threads)
        mask = drawn.mask
        _need(mask in ("none", "causal=top_left", "lengths=ragged"), f"not asked for mask {mask}")
        self.backward = drawn.backward
        self.inputs = [self._tensor(drawn.array(n)).requires_grad_(drawn.backward) for n in "qkv"]
        self.options = {"is_causal": mask == "causal=top_left", "enable_gqa": drawn.query_heads != drawn.key_heads}
        if drawn.key_lengths is not None:
            live = np.arange(drawn.key_len) < drawn.key_lengths[:, None]
            self.options["attn_mask"] = torch.from_numpy(live)[:, None, None, :]
        self.kernel = getattr(torch.nn.attention.SDPBackend, self.backend)
        try:
            self._forward()
        except RuntimeError as error:
            raise Absent(f"no kernel of this back end: {str(error).splitlines()[0]}") from error
        if self.backward:
            self.gradient = self._tensor(drawn.array("dout"))

    def _tensor(self, array: np.ndarray):
        if array.dtype.itemsize == 4:
            return self.torch.from_numpy(array)
        kind = self.torch.bfloat16 if array.dtype.name == "bfloat16" else self.torch.float16
        return self.torch.from_numpy(array.view(np.int16)).view(kind)

    def _forward(self) -> None:
        attention = self.torch.nn.functional.scaled_dot_product_attention
        with warnings.catch_warnings(), self.torch.nn.attention.sdpa_kernel(self.kernel):
            warnings.simplefilter("ignore")
            if self.backward:
                self.out = attention(*self.inputs, **self.options)
            else:
                with self.torch.no_grad():
                    self.out = attention(*self.inputs, **self.options)

    def run(self) -> None:
        """Backward: the gradients alone; the forward pass they belong to ran before the clock."""
        if self.backward:
            self.gradients = self.torch.autograd.grad(self.out, self.inputs, self.gradient, retain_graph=True)
        else:
            self._forward()

    def answers(self) -> dict[str, np.ndarray]:
        results = dict(zip(("dq", "dk", "dv"), self.gradients, strict=True)) if self.backward else {"out": self.out}
        arrays = {}
        for name, tensor in results.items():
            dense = tensor.detach().contiguous()
            arrays[name] = dense.numpy() if dense.element_size() == 4 else dense.view(self.torch.int16).numpy()
        return arrays

    def threads_read_back(self) -> int:
        return self.torch.get_num_threads()


class TorchMath(TorchFlash):
    suffix, backend = "-math", "MATH"


class OnnxRuntime(Peer):
    """MultiHeadAttention takes [batch, position, head x feature]: copies of that layout are made before the clock."""

    package = "onnxruntime"

    def __init__(self, drawn: Drawn, threads: int):
        runtime, onnx = _library("onnxruntime"), _library("onnx")
        _need(not drawn.backward, "no backward pass")
        _need(drawn.type == "f32", "MultiHeadAttention on CPUs takes f32 alone")
        _need(drawn.query_heads == drawn.key_heads, "MultiHeadAttention has no grouped heads")
        _need(drawn.mask in ("none", "causal=top_left", "lengths=ragged"), f"not asked for mask {drawn.mask}")
        _need("causal" not in drawn.mask or drawn.query_len == drawn.key_len, "causal with as many keys as queries only")
        self.shape = (drawn.batch, drawn.query_len, drawn.query_heads, drawn.value_dim)
        feeds = {name: self._packed(drawn.array(name)) for name in "qkv"}
        names = ["q", "k", "v"]
        if drawn.key_lengths is not None:
            feeds["lengths"] = drawn.key_lengths.astype(np.int32)
            names += ["", "lengths"]  # the bias between them is left out
        types = onnx.TensorProto
        value = onnx.helper.make_tensor_value_info
        inputs = [value(n, types.INT32 if n == "lengths" else types.FLOAT, a.shape) for n, a in feeds.items()]
        node = onnx.helper.make_node("MultiHeadAttention", names, ["out"], domain="com.microsoft",
                                     num_heads=drawn.query_heads, unidirectional=int("causal" in drawn.mask))  # fmt: skip
        out = value("out", types.FLOAT, (*self.shape[:2], self.shape[2] * self.shape[3]))
        graph = onnx.helper.make_graph([node], "attention", inputs, [out])
        opsets = [onnx.helper.make_opsetid("", 18), onnx.helper.make_opsetid("com.microsoft", 1)]
        model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9)
        self.options = runtime.SessionOptions()
        self.options.intra_op_num_threads = threads
        self.options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = runtime.InferenceSession(model.SerializeToString(), self.options, ["CPUExecutionProvider"])
        self.binding = self.session.io_binding()
        for name, array in feeds.items():
            self.binding.bind_ortvalue_input(name, runtime.OrtValue.ortvalue_from_numpy(array))
        self.binding.bind_output("out")

    @staticmethod
    def _packed(array: np.ndarray) -> np.ndarray:
        batch, _, positions, _ = array.shape
        return np.ascontiguousarray(array.transpose(0, 2, 1, 3)).reshape(batch, positions, -1)

    def run(self) -> None:
        self.session.run_with_iobinding(self.binding)

    def answers(self) -> dict[str, np.ndarray]:
        out = self.binding.get_outputs()[0].numpy().reshape(self.shape)
        return {"out": np.ascontiguousarray(out.transpose(0, 2, 1, 3))}

    def threads_read_back(self) -> int:
        return self.options.intra_op_num_threads


class OpenVino(Peer):
    package = "openvino"

    def __init__(self, drawn: Drawn, threads: int):
        openvino = _library("openvino")
        opset = _library("openvino.opset13")
        _need(not drawn.backward, "no backward pass")
        _need(drawn.type == "f32", "measured in f32 alone")
        _need(drawn.query_heads == drawn.key_heads, "ScaledDotProductAttention has no grouped heads")
        _need(drawn.mask in ("none", "causal=top_left"), f"not asked for mask {drawn.mask}")
        arrays = [drawn.array(n) for n in "qkv"]
        parameters = [opset.parameter(a.shape, np.float32) for a in arrays]
        node = opset.scaled_dot_product_attention(*parameters, causal="causal" in drawn.mask)
        self.compiled = openvino.Core().compile_model(
            openvino.Model([node], parameters, "attention"),
            "CPU",
            {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"},
        )
        self.request = self.compiled.create_infer_request()
        for n, array in enumerate(arrays):
            self.request.set_input_tensor(n, openvino.Tensor(array, shared_memory=True))

    def run(self) -> None:
        self.request.infer()

    def answers(self) -> dict[str, np.ndarray]:
        return {"out": self.request.get_output_tensor(0).data}

    def threads_read_back(self) -> int:
        return int(self.compiled.get_property("INFERENCE_NUM_THREADS"))


PEERS = (TorchFlash, TorchMath, OnnxRuntime, OpenVino)
