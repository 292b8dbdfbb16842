# SPDX-License-Identifier: Apache-2.0
"""Attention as other libraries offer it on CPUs, one class a library and back end.

A peer is given a drawn problem and answers it as often as it is asked. Whatever the library wants of layouts, masks and
graphs is made before: the clock sees the library alone. What it does not offer raises Absent, whose text becomes the
reason of a skipped row.
"""

import os
import warnings
from functools import cache, partial
from importlib import import_module, metadata

import numpy as np

from attnlab.drawn import Drawn

MASKS = ("none", "causal=top_left", "lengths=ragged")


class Absent(Exception):  # noqa: N818 - an answer as much as an error
    """This library is not installed, or does not offer this problem; the text says which."""


@cache
def _library(name: str):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return import_module(name)
    except Exception as error:  # an installed library may fail to load in many ways
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise Absent(f"{name} cannot be imported: {text}") from error


def _need(condition: bool, otherwise: str) -> None:
    if not condition:
        raise Absent(otherwise)


class Peer:
    """One library on one drawn problem. The drawn arrays are its inputs and stay alive as long as it does."""

    package = ""
    suffix = ""

    @classmethod
    def plain_name(cls) -> str:
        """As a config names it."""
        return f"peer:{cls.package}{cls.suffix}"

    @classmethod
    def version(cls) -> str:
        try:
            return metadata.version(cls.package)
        except metadata.PackageNotFoundError:
            return "absent"

    @classmethod
    def name(cls) -> str:
        """As a plan names it: two places of the version are enough to tell rows apart."""
        return f"peer:{cls.package}-{'.'.join(cls.version().split('+')[0].split('.')[:2])}{cls.suffix}"

    @classmethod
    def facts(cls) -> dict[str, str]:
        """What the provenance says of it, once it has answered."""
        return {f"peer_{cls.package}_version": cls.version()}

    def __init__(self, drawn: Drawn, threads: int):
        """Makes ready, or raises Absent."""
        raise NotImplementedError

    def load(self) -> None:
        """Reads the drawn arrays again, for a library that keeps copies of them."""

    def run(self) -> None:
        """Answers once; this is what is timed."""
        raise NotImplementedError

    def poison(self, drawn: Drawn) -> None:
        """Overwrites what the last run gave with what `drawn` holds for unwritten."""
        raise NotImplementedError

    def answers(self) -> dict[str, np.ndarray]:
        """What the last run gave, by operand."""
        raise NotImplementedError

    def threads_read_back(self) -> int:
        raise NotImplementedError


class TorchFlash(Peer):
    """PyTorch gives new tensors for every answer: those of the last are overwritten before their memory is given back."""

    package, suffix = "torch", "-flash"

    @classmethod
    def facts(cls) -> dict[str, str]:
        return super().facts() | {"peer_torch_kernels": _library("torch").backends.cpu.get_cpu_capability()}

    def __init__(self, drawn: Drawn, threads: int):
        torch = self.torch = _library("torch")
        torch.set_num_threads(threads)
        self._choose()
        _need(drawn.mask in MASKS, f"not asked for mask {drawn.mask}")
        self.backward = drawn.backward
        self.inputs = [self._tensor(drawn.array(n)).requires_grad_(drawn.backward) for n in "qkv"]
        options = {"is_causal": drawn.mask == "causal=top_left", "enable_gqa": drawn.query_heads != drawn.key_heads}
        if drawn.key_lengths is not None:
            live = np.arange(drawn.key_len) < drawn.key_lengths[:, None]
            options["attn_mask"] = torch.from_numpy(live)[:, None, None, :]
        self.forward = partial(torch.nn.functional.scaled_dot_product_attention, *self.inputs, **options)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.out = self.forward()
        except RuntimeError as error:
            raise Absent(f"no kernel of this back end: {str(error).splitlines()[0]}") from error
        if self.backward:
            gradient = self._tensor(drawn.array("dout"))
            self.gradients = ()
            self.gradient = partial(torch.autograd.grad, self.out, self.inputs, gradient, retain_graph=True)

    def _choose(self, flash: bool = True) -> None:
        self.torch.backends.cuda.enable_flash_sdp(flash)  # CPUs too, whatever the name says
        self.torch.backends.cuda.enable_math_sdp(not flash)

    def _tensor(self, array: np.ndarray):
        if array.dtype.itemsize == 4:
            return self.torch.from_numpy(array)
        kind = self.torch.bfloat16 if array.dtype.name == "bfloat16" else self.torch.float16
        return self.torch.from_numpy(array.view(np.int16)).view(kind)

    def run(self) -> None:
        """Backward: the gradients alone; the forward pass they belong to ran before the clock."""
        if self.backward:
            self.gradients = self.gradient()
        else:
            self.out = self.forward()

    def _results(self) -> dict:
        if self.backward:
            return dict(zip(("dq", "dk", "dv"), self.gradients, strict=False))
        return {} if self.out is None else {"out": self.out}

    def poison(self, drawn: Drawn) -> None:
        for name, tensor in self._results().items():
            tensor.copy_(self._tensor(drawn.array(name)))
        self.gradients = ()
        if not self.backward:
            self.out = None

    def answers(self) -> dict[str, np.ndarray]:
        arrays = {}
        for name, tensor in self._results().items():
            dense = tensor.detach().contiguous()
            arrays[name] = dense.numpy() if dense.element_size() == 4 else dense.view(self.torch.int16).numpy()
        return arrays

    def threads_read_back(self) -> int:
        return self.torch.get_num_threads()


class TorchMath(TorchFlash):
    suffix = "-math"

    def _choose(self, flash: bool = False) -> None:
        super()._choose(flash)


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
    """MultiHeadAttention takes [batch, position, head x feature]: copies of that layout are made before the clock."""

    package = "onnxruntime"

    def __init__(self, drawn: Drawn, threads: int):
        runtime, onnx = _library("onnxruntime"), _library("onnx")
        _need(not drawn.backward, "no backward pass")
        _need(drawn.type == "f32", "MultiHeadAttention on CPUs takes f32 alone")
        _need(drawn.query_heads == drawn.key_heads, "MultiHeadAttention has no grouped heads")
        _need(drawn.mask in MASKS, f"not asked for mask {drawn.mask}")
        _need("causal" not in drawn.mask or drawn.query_len == drawn.key_len, "causal with as many keys as queries only")
        self.drawn = drawn
        self.feeds = {name: self._packed(drawn.array(name)) for name in "qkv"}
        self.out = self._packed(drawn.array("out"))
        names = ["q", "k", "v"]
        lengths = self.lengths(drawn)
        if lengths is not None:
            self.feeds["lengths"] = lengths.astype(np.int32)
            names += ["", "lengths"]  # the bias between them is left out
        node = onnx.helper.make_node("MultiHeadAttention", names, ["out"], domain="com.microsoft",
                                     num_heads=drawn.query_heads, unidirectional=int("causal" in drawn.mask))  # fmt: skip
        before = _tasks()
        self.session = runtime.InferenceSession(self._model(onnx, node), self._options(runtime, threads),
                                                ["CPUExecutionProvider"])  # fmt: skip
        self.threads = 1 + _tasks() - before  # the caller works too
        self.binding = self.session.io_binding()
        for name, array in self.feeds.items():
            self.binding.bind_input(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        self.binding.bind_output("out", "cpu", 0, np.float32, self.out.shape, self.out.ctypes.data)

    def _model(self, onnx, node) -> bytes:
        types, value = onnx.TensorProto, onnx.helper.make_tensor_value_info
        inputs = [value(n, types.INT32 if n == "lengths" else types.FLOAT, a.shape) for n, a in self.feeds.items()]
        graph = onnx.helper.make_graph([node], "attention", inputs, [value("out", types.FLOAT, self.out.shape)])
        opsets = [onnx.helper.make_opsetid("", 18), onnx.helper.make_opsetid("com.microsoft", 1)]
        return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()

    @staticmethod
    def _options(runtime, threads: int):
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
        openvino = _library("openvino")
        opset = _library("openvino.opset13")
        _need(not drawn.backward, "no backward pass")
        _need(drawn.type == "f32", "measured in f32 alone")
        _need(drawn.query_heads == drawn.key_heads, "ScaledDotProductAttention has no grouped heads")
        _need(drawn.mask in MASKS, f"not asked for mask {drawn.mask}")
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
