"""Convolution, bias and activation in one oneDNN call: the fast path on a processor.

Torch's eager convolution writes its result to memory and the activation reads and writes it again; for the
thin maps of small detectors that costs as much as the arithmetic. Torch's own build carries oneDNN kernels
that do both at once on prepacked weights (``torch.ops.mkldnn``): `FusedConv`.

Each such call still spends 30 to 50 microseconds on setting itself up, a third of the time of a network of a
hundred small convolutions. `compiled` traces the network into a oneDNN graph, whose kernels are set up once;
it serves one input shape, that of single images, and `FusedConv` the others.

The operator is private and tracing deprecated (torch 2.13), but the best that is public, in-place activations
on channels-last tensors, takes twice as long (yolox-nano, one image, two threads), and torch.compile and
AOTInductor need a C++ compiler. Needed until torch.export has a backend that fuses without one, which would
replace this module. Each part is tried before it is used; where it is gone, is called otherwise, warns or
answers otherwise, the next best runs: `FusedConv` alone, or the plain network. Results differ by rounding
only (below 1e-4 of the raw outputs).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

# Activation as oneDNN names it, with its parameters, and as torch computes it.
KERNELS: dict[str, tuple[str, list[float], Callable[[Tensor], Tensor]]] = {
    "linear": ("none", [], lambda x: x),
    "relu": ("relu", [], nn.functional.relu),
    "leaky": ("leaky_relu", [0.1], lambda x: nn.functional.leaky_relu(x, 0.1)),
    "silu": ("swish", [], nn.functional.silu),
    "swish": ("swish", [], nn.functional.silu),
    "logistic": ("sigmoid", [], torch.sigmoid),
    "tanh": ("tanh", [], torch.tanh),
}


class FusedConv(nn.Module):
    """A convolution of a given map size with its activation, for inference in float32 on a processor."""

    def __init__(self, conv: nn.Conv2d, act: str, size: list[int]) -> None:
        super().__init__()
        self.act, self.scalars, _ = KERNELS[act]
        self.padding, self.stride = [int(v) for v in conv.padding], list(conv.stride)
        self.dilation, self.groups = list(conv.dilation), conv.groups
        self.weight = torch.ops.mkldnn._reorder_convolution_weight(
            conv.weight.detach().contiguous(), self.padding, self.stride, self.dilation, self.groups, size
        )
        self.bias = None if conv.bias is None else conv.bias.detach().contiguous()

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._convolution_pointwise(
            x, self.weight, self.bias, self.padding, self.stride, self.dilation, self.groups,
            self.act, self.scalars, "",
        )  # fmt: skip


class PackedLinear:
    """A product with weights ``(O, I)`` of a linear layer, laid out for so many ``rows``: inference on a processor.

    Weights that no cache holds are read once a call, whatever the rows; torch's own product with six rows takes two to
    three times as long. ``kind`` is float32 or bfloat16, in which the weights are half as large.

    Raises:
        Exception: this build of torch has no such kernel, or it answers otherwise; of any class.
    """

    def __init__(self, weight: Tensor, rows: int, kind: torch.dtype = torch.float32) -> None:
        self.kind = kind
        with torch.no_grad(), warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach().to(kind), rows)
            x = torch.linspace(-1, 1, 2 * weight.shape[1]).reshape(2, -1)
            want = nn.functional.linear(x.to(kind).float(), weight[:7].detach().to(kind).float())
            torch.testing.assert_close(self(x)[:, :7], want, rtol=0.02, atol=0.02 * float(want.abs().max()))
        if said:
            raise RuntimeError(str(said[0].message))

    def __call__(self, x: Tensor) -> Tensor:
        """``(N, I)`` float32 to ``(N, O)`` float32."""
        return torch.ops.mkldnn._linear_pointwise(x.to(self.kind), self.weight, None, "none", [], "").float()


def supported() -> bool:
    """Whether this build of torch has the kernels: a small convolution with each gives torch's own numbers.

    Stride, padding and dilation differ, so that arguments in another order would be noticed.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        conv = nn.Conv2d(4, 6, 3, stride=(2, 1), padding=(3, 2), dilation=(1, 2), groups=2)
    x = torch.linspace(-2, 2, 180).reshape(1, 4, 5, 9)
    try:
        with torch.inference_mode(), warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")  # what warns when tried would warn at every frame
            same = all(
                torch.allclose(FusedConv(conv, act, [1, 4, 5, 9])(x), function(conv(x)), atol=1e-5)
                for act, (_, _, function) in KERNELS.items()
            )
            return same and not said
    except Exception:  # a private operator may fail in any way
        return False


def compiled(function: Callable[[Tensor], Any], example: Tensor) -> Callable[[Tensor], Any] | None:
    """``function``, of plain torch operations, as a oneDNN graph for inputs laid out like ``example``.

    None where torch cannot make one, or where its answers to ``example`` differ from those of ``function``.

    Args:
        function: from a tensor to tensors in tuples and lists, which the graph all gives as tuples.
        example: float32 on a processor, with values such as images have.
    """
    with torch.no_grad():
        wanted = function(example)
        try:
            before = torch.jit.onednn_fusion_enabled()
            try:
                with warnings.catch_warnings(record=True) as said:
                    warnings.simplefilter("always")
                    torch.jit.enable_onednn_fusion(True)
                    graph = torch.jit.trace(lambda x: frozen(function(x)), example, check_trace=False)
                    for _ in range(2):  # the first call records shapes, the second makes the kernels
                        graph(example)
                    said.clear()  # tracing says that it is deprecated; what is made must be silent
                    torch.testing.assert_close(graph(example), frozen(wanted), rtol=1e-3, atol=1e-3)
            finally:
                torch.jit.enable_onednn_fusion(before)
        except Exception:  # a deprecated function may fail in any way
            return None
    return None if said else graph


def frozen(nested: Any) -> Any:
    """Tensors in tuples and lists as tensors in tuples, which is all that tracing allows."""
    return nested if isinstance(nested, Tensor) else tuple(map(frozen, nested))


def like(x: Tensor) -> tuple[Any, ...]:
    """What a compiled graph depends on besides the values of its input."""
    return x.shape, x.stride(), torch.get_num_threads()


def accelerate(
    network: nn.Module,
    example: Tensor,
    describe: Callable[[nn.Module], tuple[nn.Conv2d, str] | None],
    method: str = "",
) -> nn.Module:
    """The network with its convolutions replaced by `FusedConv` and a method by a graph, in place.

    Args:
        network: in evaluation mode, float32, on a processor; called with ``example`` to learn map sizes.
        example: ``(1, 3, S, S)``, channels last.
        describe: for a module, its convolution and activation (a key of `KERNELS`) if the two can be fused.
        method: name of the method to compile for inputs like ``example``; none if empty.
    """
    if not supported():
        return network
    graph = compiled(getattr(network, method), example) if method else None
    sizes: dict[nn.Module, list[int]] = {}
    found = {m: d for m in network.modules() if (d := describe(m)) is not None and d[1] in KERNELS}
    hooks = [
        m.register_forward_hook(lambda module, args, _: sizes.__setitem__(module, list(args[0].shape)))
        for m in found
    ]
    with torch.inference_mode():
        network(example)
        for hook in hooks:
            hook.remove()
        for parent in list(network.modules()):
            for name, child in list(parent.named_children()):
                if child in found and parent not in found:
                    setattr(parent, name, FusedConv(*found[child], sizes[child]))
    if graph is not None:
        one_by_one, served = getattr(network, method), like(example)
        setattr(network, method, lambda x: (graph if like(x) == served else one_by_one)(x))
    return network
