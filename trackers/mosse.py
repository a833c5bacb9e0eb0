"""MOSSE correlation filter: the worked example of the plugin guide.

Source: Bolme, Beveridge, Draper, Lui: Visual object tracking using adaptive correlation filters, CVPR 2010.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from rolo_bench.association import check_numbers
from rolo_bench.boxes import Array
from rolo_bench.sequence import Image

RANGES = {
    "padding": (0.5, 20.0), "rate": (0.0, 1.0), "sigma": (0.1, 1e3), "least_psr": (0.0, 1e6), "warps": (0, 1000),
}  # fmt: skip


class MOSSE:
    """Minimum output sum of squared error filter: one correlation in the Fourier domain a frame.

    Args:
        padding: side of the window in target sizes. (The paper's window is the target; a margin finds
            faster motion.)
        rate: learning rate of the filter, 0.125 in the paper.
        sigma: width of the desired peak in pixels, 2 in the paper.
        least_psr: below this peak-to-sidelobe ratio the target counts as occluded and the filter is not
            updated; 8 in the paper, which saw values around 7 for occlusion.
        warps: number of small random rotations and scalings of the first frame to learn from, 8 in the paper.
    """

    def __init__(
        self,
        padding: float = 2.0,
        rate: float = 0.125,
        sigma: float = 2.0,
        least_psr: float = 7.0,
        warps: int = 8,
    ) -> None:
        check_numbers(locals(), RANGES)
        self.padding = padding
        self.rate = rate
        self.sigma = sigma
        self.least_psr = least_psr
        self.warps = warps

    def init(self, image: Image, box: Array) -> None:
        """Learn the filter from the first window and a few warps of it (equations 10 to 12)."""
        self.size = box[2:]
        self.center = box[:2] + box[2:] / 2
        self.window = tuple(int(max(16, cv2.getOptimalDFTSize(round(s * self.padding)))) for s in self.size)
        width, height = self.window
        dx, dy = np.meshgrid(np.arange(width) - width // 2, np.arange(height) - height // 2)
        self.goal = np.fft.fft2(np.exp(-(dx**2 + dy**2) / (2 * self.sigma**2)))
        self.taper = np.outer(np.hanning(height), np.hanning(width))
        self.top = np.zeros_like(self.goal)
        self.bottom = np.zeros_like(self.goal)
        patch = self.cut(image)
        random = np.random.default_rng(0)
        for warp in range(self.warps + 1):
            angle, scale = (0.0, 1.0) if warp == 0 else (random.uniform(-10, 10), random.uniform(0.95, 1.05))
            turn = cv2.getRotationMatrix2D((width / 2, height / 2), angle, scale)
            self.learn(cv2.warpAffine(patch, turn, self.window, borderMode=cv2.BORDER_REFLECT), 1.0, 1.0)

    def update(self, image: Image) -> Array:
        """Move to the peak of the response; learn there unless the peak is weak."""
        spectrum = np.fft.fft2(self.prepare(self.cut(image)))
        response = np.real(np.fft.ifft2(self.top / (self.bottom + 1e-2) * spectrum))
        row, column = np.unravel_index(np.argmax(response), response.shape)
        if peak_to_sidelobe(response, int(row), int(column)) >= self.least_psr:
            self.center = self.center + [column - self.window[0] // 2, row - self.window[1] // 2]
            self.learn(self.cut(image), self.rate, 1 - self.rate)
        return np.concatenate([self.center - self.size / 2, self.size])

    def cut(self, image: Image) -> Any:
        """The grey uint8 window around the centre ``(height, width)``; outside the image its border goes on."""
        gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        low = np.round(self.center).astype(int) - np.array(self.window) // 2
        columns = np.clip(low[0] + np.arange(self.window[0]), 0, gray.shape[1] - 1)
        rows = np.clip(low[1] + np.arange(self.window[1]), 0, gray.shape[0] - 1)
        return gray[np.ix_(rows, columns)]

    def prepare(self, patch: Any) -> Array:
        """Logarithm, zero mean, unit norm and a cosine window, as in section 3.1 of the paper."""
        values = np.log(patch.astype(np.float64) + 1)
        values = (values - values.mean()) / (values.std() + 1e-5)
        return values * self.taper

    def learn(self, patch: Any, gain: float, keep: float) -> None:
        """Blend one patch into numerator and denominator of the filter."""
        spectrum = np.fft.fft2(self.prepare(patch))
        self.top = keep * self.top + gain * self.goal * np.conj(spectrum)
        self.bottom = keep * self.bottom + gain * spectrum * np.conj(spectrum)


def peak_to_sidelobe(response: Array, row: int, column: int) -> float:
    """Height of the peak over mean and deviation of the rest, leaving out 11 × 11 around it (section 3.5)."""
    rest = np.ones_like(response, dtype=bool)
    rest[max(row - 5, 0) : row + 6, max(column - 5, 0) : column + 6] = False
    side = response[rest]
    return float((response[row, column] - side.mean()) / (side.std() + 1e-12)) if side.size else 0.0
