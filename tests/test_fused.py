"""The fast path on a processor: used where torch has it, and left without harm where it has not."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rolo_bench.nn.detect import fused

X = torch.linspace(0, 255, 3 * 32 * 32).reshape(1, 32, 32, 3).permute(0, 3, 1, 2)
real = torch.ops.mkldnn._convolution_pointwise


class Block(nn.Module):
    """A convolution with its activation."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).relu()


class Network(nn.Module):
    """What the detectors look like from afar."""

    def __init__(self) -> None:
        super().__init__()
        self.block = Block()

    def layers(self, x: Tensor) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        y = self.block(x)
        return y, [(y + 1, y * 2)]

    def forward(self, x: Tensor) -> Tensor:
        y, ((more, twice),) = self.layers(x)
        return y + more + twice


def pair() -> tuple[Network, nn.Module]:
    """A plain network and its accelerated copy."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        plain, fast = Network().eval().requires_grad_(False), Network().eval().requires_grad_(False)
    fast.load_state_dict(plain.state_dict())
    describe: Callable[[nn.Module], Any] = lambda m: (m.conv, "relu") if isinstance(m, Block) else None  # noqa: E731
    return plain, fused.accelerate(fast, X, describe, "layers")


def same(plain: nn.Module, fast: nn.Module) -> None:
    """One image, several, and one of another layout: what the plain network says, and no warning."""
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("error")
        for x in (X, X.contiguous(), torch.cat([X, X.flip(2)])):
            torch.testing.assert_close(fast(x), plain(x), atol=1e-3, rtol=1e-4)


def test_fast_path_is_used_here() -> None:
    plain, fast = pair()
    assert fused.supported() and isinstance(fast.block, fused.FusedConv) and "layers" in vars(fast)
    same(plain, fast)


def wrong_numbers(*args: Any) -> Tensor:
    return real(*args) * 1.001


def warning(*args: Any) -> Tensor:
    warnings.warn("torch.ops.mkldnn is deprecated", DeprecationWarning, stacklevel=2)
    return real(*args)


def other_signature(x: Tensor, weight: Tensor, bias: Tensor | None, padding: list[int], attr: str) -> Tensor:
    raise AssertionError("not called")


def other_order(
    x: Tensor, w: Tensor, b: Tensor, padding: Any, stride: Any, dilation: Any, *rest: Any
) -> Tensor:
    return real(x, w, b, stride, padding, dilation, *rest)


def crashing(*args: Any) -> Tensor:
    raise ValueError("could not create a primitive")


@pytest.mark.parametrize("operator", [wrong_numbers, warning, other_signature, other_order, crashing, None])
def test_plain_network_where_the_operator_is_not_as_expected(
    operator: Callable[..., Tensor] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = SimpleNamespace(_reorder_convolution_weight=torch.ops.mkldnn._reorder_convolution_weight)
    if operator is not None:
        gone._convolution_pointwise = operator
    monkeypatch.setattr(torch.ops, "mkldnn", gone)
    assert not fused.supported()
    plain, fast = pair()
    assert isinstance(fast.block, Block) and "layers" not in vars(fast)
    same(plain, fast)


@pytest.mark.parametrize("namespace", [SimpleNamespace(), None])
def test_plain_network_without_the_operators(namespace: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.ops, "mkldnn", namespace)
    assert not fused.supported()
    same(*pair())


def raising(*args: Any, **options: Any) -> None:
    raise NotImplementedError("torch.jit.trace was removed")


def slightly_off(
    function: Callable[[Tensor], Any], example: Tensor, **options: Any
) -> Callable[[Tensor], Any]:
    return lambda x: (function(x)[0] + 1, *function(x)[1:])


def nagging(function: Callable[[Tensor], Any], example: Tensor, **options: Any) -> Callable[[Tensor], Any]:
    def graph(x: Tensor) -> Any:
        warnings.warn("graphs are deprecated", DeprecationWarning, stacklevel=2)
        return function(x)

    return graph


@pytest.mark.parametrize("trace", [raising, slightly_off, nagging])
def test_convolutions_one_by_one_where_tracing_fails(trace: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.jit.onednn_fusion_enabled()
    monkeypatch.setattr(torch.jit, "trace", trace)
    plain, fast = pair()
    assert isinstance(fast.block, fused.FusedConv) and "layers" not in vars(fast)
    assert torch.jit.onednn_fusion_enabled() == before
    same(plain, fast)


@pytest.mark.parametrize("name", ["trace", "onednn_fusion_enabled", "enable_onednn_fusion"])
def test_convolutions_one_by_one_without_torch_jit(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.jit, name)
    plain, fast = pair()
    assert isinstance(fast.block, fused.FusedConv) and "layers" not in vars(fast)
    same(plain, fast)


def test_deprecation_of_tracing_reaches_nobody() -> None:
    """Also where warnings are errors: the graph is made all the same."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        pair()
    assert not said
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        assert "layers" in vars(pair()[1])


def test_random_numbers_stay_where_they_are() -> None:
    state = torch.get_rng_state()
    assert fused.supported()
    assert torch.equal(torch.get_rng_state(), state)
