"""A correlation filter on feature maps: ridge regression to a Gaussian peak on the target.

Per frequency it keeps the Gram matrix of the channels, of the first frame and of a fading past, so that all
frames seen so far take part at the cost of one. The filter's support is limited to the target and a margin
(no wrapped background), and it is solved by a few conjugate gradient steps from the last solution.

Source: Danelljan et al. 2017 (ECO, conjugate gradient on spatially limited filters) and Bolme et al. 2010
(MOSSE); the Gram form is our own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rolo_bench.boxes import Array


@dataclass(frozen=True)
class FilterConfig:
    """Settings of the filter.

    Attributes:
        regularisation: weight of the squared filter, in hundredths of the mean energy of a channel.
        sigma: width of the wanted peak, as a share of the target's mean side.
        first: weight of the first frame against all later ones, 0 … 1.
        rate: share of the newest frame in the fading past.
        support: side of the filter in target sizes.
        steps: conjugate gradient steps a frame.
    """

    regularisation: float = 1.0
    sigma: float = 0.1
    first: float = 0.3
    rate: float = 0.02
    support: float = 1.3
    steps: int = 2


@dataclass(frozen=True)
class Filter:
    """A filter and the statistics it is solved from, for maps of C channels and ``n`` × ``n`` cells.

    Attributes:
        mask: ``(n, n)`` 1 where the filter may be other than 0; the origin is its centre.
        sigma: width of the wanted peak in cells.
        ridge: weight of the squared filter.
        gram0, gram: ``(K, C, C)`` complex Gram matrices of the K frequencies, first frame and fading past.
        cross0, cross: ``(K, C)`` complex products of maps and wanted peak.
        weights: ``(C, n, n)`` the filter.
    """

    config: FilterConfig
    mask: Tensor
    sigma: float
    ridge: float
    gram0: Tensor
    cross0: Tensor
    gram: Tensor
    cross: Tensor
    weights: Tensor

    def response(self, maps: Tensor) -> NDArray[np.float32]:
        """Response ``(n, n)`` to maps ``(C, n, n)`` in thousandths: about 1 at the target's centre, 0 elsewhere."""
        n = maps.shape[-1]
        product = (torch.fft.rfft2(maps) * torch.fft.rfft2(self.weights)).sum(0)
        return np.round(torch.fft.irfft2(product, s=(n, n)).numpy(), 3)


def wanted(n: int, sigma: float, row: float, column: float) -> Tensor:
    """Spectrum of a Gaussian peak at a cell, ``(n, n // 2 + 1)`` complex."""
    cells = np.arange(n)
    y, x = (np.exp(-0.5 * ((cells - c) / sigma) ** 2) for c in (row, column))
    return torch.fft.rfft2(torch.from_numpy(np.outer(y, x).astype(np.float32)))


def statistics(maps: Tensor, sigma: float, row: float, column: float) -> tuple[Tensor, Tensor]:
    """Gram matrices ``(K, C, C)`` and cross products ``(K, C)`` of maps ``(C, n, n)`` with the target at a cell."""
    spectrum = torch.fft.rfft2(maps).flatten(1).T  # (K, C)
    peak = wanted(maps.shape[-1], sigma, row, column).reshape(-1, 1)  # (K, 1)
    return spectrum.conj().unsqueeze(2) * spectrum.unsqueeze(1), spectrum.conj() * peak


def start_filter(
    views: Sequence[tuple[Tensor, float, float]], size: tuple[float, float], config: FilterConfig
) -> Filter:
    """The filter of the first frame.

    Args:
        views: maps ``(C, n, n)`` of the first frame and its warps, each with row and column of the target's
            centre in cells.
        size: height and width of the target in cells.
        config: settings.
    """
    channels, n, _ = views[0][0].shape
    sigma = config.sigma * float(np.sqrt(size[0] * size[1]))
    parts = [statistics(maps, sigma, row, column) for maps, row, column in views]
    gram = torch.stack([g for g, _ in parts]).mean(0)
    cross = torch.stack([c for _, c in parts]).mean(0)
    cells = np.minimum(np.arange(n), n - np.arange(n))
    half = [min(max(round(s * config.support), 3), n) / 2 for s in size]
    mask = np.outer(cells <= half[0], cells <= half[1]).astype(np.float32)
    energy = float(gram.diagonal(dim1=1, dim2=2).real.sum()) / channels
    empty = Filter(
        config, torch.from_numpy(mask), sigma, 0.01 * config.regularisation * energy, gram, cross,
        gram.clone(), cross.clone(), torch.zeros(channels, n, n),
    )  # fmt: skip
    return solve(empty, 12)


def learn(filter: Filter, maps: Tensor, row: float, column: float) -> Filter:
    """The filter after one more frame whose target lies at a cell."""
    gram, cross = statistics(maps, filter.sigma, row, column)
    rate = filter.config.rate
    past = filter.gram.mul(1 - rate).add_(gram, alpha=rate)
    return solve(
        replace(filter, gram=past, cross=filter.cross * (1 - rate) + cross * rate), filter.config.steps
    )


def mixed(a: Tensor, b: Tensor, share: float) -> Tensor:
    """Complex ``a + share * (b - a)``: to the bit what `torch.lerp` gives, which takes four times as long."""
    start = torch.view_as_real(a)
    return torch.view_as_complex((torch.view_as_real(b) - start).mul_(share).add_(start))


def solve(filter: Filter, steps: int) -> Filter:
    """Conjugate gradient steps on the normal equations, from the filter's present weights."""
    first = filter.config.first
    gram = mixed(filter.gram, filter.gram0, first)
    cross = mixed(filter.cross, filter.cross0, first)
    channels, n, _ = filter.weights.shape

    def image(spectrum: Tensor) -> Tensor:
        return torch.fft.irfft2(spectrum.T.reshape(channels, n, -1), s=(n, n)) * filter.mask

    def apply(weights: Tensor) -> Tensor:
        spectrum = torch.fft.rfft2(weights).flatten(1).T.unsqueeze(2)  # (K, C, 1)
        return image(torch.bmm(gram, spectrum).squeeze(2)) + filter.ridge * weights

    weights = filter.weights.clone()
    residual = image(cross) - apply(weights)
    direction, energy = residual.clone(), (residual * residual).sum()
    for _ in range(steps):
        moved = apply(direction)
        length = energy / ((direction * moved).sum() + 1e-20)
        weights += length * direction
        residual = residual - length * moved
        newer = (residual * residual).sum()
        direction = residual + newer / (energy + 1e-20) * direction
        energy = newer
    return replace(filter, weights=weights)


def peak(response: Array | NDArray[np.float32], at: tuple[int, int]) -> tuple[float, float]:
    """Row and column of a peak to a fraction of a cell, by parabolas through its neighbours."""

    def shift(a: float, b: float, c: float) -> float:
        bend = a - 2 * b + c
        return 0.0 if abs(bend) < 1e-9 else float(np.clip(0.5 * (a - c) / bend, -0.5, 0.5))

    row, column = at
    last_row, last_column = response.shape[0] - 1, response.shape[1] - 1
    dy = shift(*response[row - 1 : row + 2, column]) if 0 < row < last_row else 0.0
    dx = shift(*response[row, column - 1 : column + 2]) if 0 < column < last_column else 0.0
    return row + dy, column + dx


def sample(response: NDArray[np.float32], rows: Array, columns: Array) -> Array:
    """Values of a response at fractional cells, bilinear, the border going on outside."""
    limit = response.shape[0] - 1.001
    y, x = np.clip(rows, 0, limit), np.clip(columns, 0, limit)
    i, j = y.astype(int), x.astype(int)
    fy, fx = y - i, x - j
    top = response[i, j] * (1 - fx) + response[i, j + 1] * fx
    return top * (1 - fy) + (response[i + 1, j] * (1 - fx) + response[i + 1, j + 1] * fx) * fy
