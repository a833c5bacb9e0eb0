"""Template matching by normalised cross-correlation in a window around the last place."""

from __future__ import annotations

import cv2
import numpy as np

from rolo_bench.association import check_numbers
from rolo_bench.boxes import Array
from rolo_bench.sequence import Image


class NCC:
    """Normalised cross-correlation with the first frame's template, in a search window.

    Args:
        search: side of the window in target sizes around the last place.
        least: below this correlation (-1 … 1) the target stays where it was.

    Source: the NCC baseline of the VOT challenges (Kristan et al. 2013), ``cv2.TM_CCOEFF_NORMED``.
    """

    def __init__(self, search: float = 2.5, least: float = 0.2) -> None:
        check_numbers(locals(), {"search": (1.0, 1e3), "least": (-1.0, 1.0)})
        self.search = search
        self.least = least

    def init(self, image: Image, box: Array) -> None:
        """Cut the template; it never changes."""
        gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        height, width = gray.shape
        x0, y0 = (int(v) for v in np.clip(np.round(box[:2]), 0, [width - 2, height - 2]))
        x1 = int(np.clip(round(box[0] + box[2]), x0 + 2, width))
        y1 = int(np.clip(round(box[1] + box[3]), y0 + 2, height))
        self.template = gray[y0:y1, x0:x1]
        self.offset = box[:2] - [x0, y0]  # the template is the box, rounded and cut to the image
        self.box = box

    def update(self, image: Image) -> Array:
        """Place of the best match in the window; the size never changes."""
        gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        height, width = self.template.shape
        place = np.round(self.box[:2] - self.offset).astype(int)
        margin = np.ceil((self.search - 1) / 2 * np.array([width, height])).astype(int)
        low = np.clip(place - margin, 0, [gray.shape[1] - width, gray.shape[0] - height])
        high = np.clip(place + margin, low, [gray.shape[1] - width, gray.shape[0] - height])
        window = gray[low[1] : high[1] + height, low[0] : high[0] + width]
        match = cv2.matchTemplate(window, self.template, cv2.TM_CCOEFF_NORMED)
        row, column = np.unravel_index(np.argmax(match), match.shape)
        if match[row, column] >= self.least:
            self.box = np.concatenate([low + [column, row] + self.offset, self.box[2:]])
        return self.box
