# SPDX-License-Identifier: Apache-2.0
"""PyTorch's scaled_dot_product_attention, by back end."""

import warnings
from functools import partial

import numpy as np

from attnlab.drawn import Drawn
from attnlab.peer import MASKS, Absent, Peer, library, need


class TorchFlash(Peer):
    """PyTorch gives new tensors for every answer: the last ones are overwritten before their memory is given back."""

    package, suffix = "torch", "-flash"

    @classmethod
    def facts(cls) -> dict[str, str]:
        return super().facts() | {"peer_torch_kernels": library("torch").backends.cpu.get_cpu_capability()}

    def __init__(self, drawn: Drawn, threads: int):
        torch = self.torch = library("torch")
        torch.set_num_threads(threads)
        self._choose()
        need(drawn.mask in MASKS, f"not asked for mask {drawn.mask}")
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
