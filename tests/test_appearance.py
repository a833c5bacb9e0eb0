"""What boxes look like, and that it carries over: on made-up maps, and on real frames where these are at hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rolo_bench.boxes import iou_matrix
from rolo_bench.datasets.suites import load_suite
from rolo_bench.detection import FeatureMap, look_at
from rolo_bench.errors import UsageError
from rolo_bench.nn.detect.cache import Cached
from rolo_bench.nn.detect.registry import load_detector
from rolo_bench.nn.detect.torch_detector import appearance_of
from rolo_bench.nn.rolo.file import load_rolo, network_path
from rolo_bench.nn.rolo.follower import Follower, follow


def half_map(left, right):
    """A map of 8 x 8 cells of 10 pixels whose halves hold other values ``(C,)``."""
    values = torch.empty(len(left), 8, 8)
    values[:, :, :4], values[:, :, 4:] = torch.tensor(left)[:, None, None], torch.tensor(right)[:, None, None]
    return FeatureMap("m", values, 10.0, (1.0, 1.0))


def test_appearance_tells_places_of_other_content_apart_and_has_length_1():
    looks = appearance_of(
        [half_map([1.0, 0, 2], [0.0, 1, 2])], np.array([[5.0, 5, 20, 20], [5, 45, 20, 20], [55, 5, 20, 20]])
    )
    assert looks.dtype == np.float16 and looks.shape == (3, 3 + 3 * 4)
    np.testing.assert_allclose(np.linalg.norm(looks.astype(float), axis=1), 1, atol=1e-3)
    likeness = looks.astype(float) @ looks.astype(float).T
    assert likeness[0, 1] > 0.99 and likeness[0, 2] < -0.99  # the image's mean is taken out


def test_appearance_is_where_the_box_is():
    edge = appearance_of([half_map([1.0, 0], [0.0, 1])], np.array([[30.0, 20, 20, 20]]))[0]
    # half of the box lies on either side: its mean is the image's, and says nothing; its quarters do
    assert abs(edge[:2]).max() < 1e-3 and abs(edge[2:]).max() > 0.1


def test_appearance_is_stored_and_comes_back(tmp_path: Path):
    detector = load_detector("demo", appearance=True)
    store = Cached(detector, tmp_path)
    image = np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8)
    first, second = store([image])[0], store([image])[0]
    assert (store.hits, store.misses) == (1, 1) and first.appearance is not None
    np.testing.assert_array_equal(first.appearance, second.appearance)
    box = np.array([[10.0, 10, 30, 30]])
    np.testing.assert_array_equal(look_at(store, image, box), look_at(detector, image, box))
    assert detector.identity != load_detector("demo").identity
    plain = load_detector("demo")
    assert plain([image])[0].appearance is None and look_at(plain, image, box) is None
    with pytest.raises(UsageError, match="without appearance"):
        plain.describe(image, box)  # type: ignore[attr-defined]


def real(shared: Path, monkeypatch, name: str, count: int, **options):
    """The first frames of a training video: detections, look of the first box, truth, size."""
    monkeypatch.setenv("ROLO_BENCH_WEIGHTS", str(shared / "weights"))
    detector = load_detector("yolox-nano", size=544, threshold=0.02, appearance=True)
    (video,) = load_suite(str(shared / "data" / "train"), only=(name,)).sequences
    images = [video.frames.image(i) for i in range(count)]
    looks = look_at(detector, images[0], video.truth[:1])
    size = (images[0].shape[1], images[0].shape[0])
    return [detector([image])[0] for image in images], looks, video.truth[:count], size


@pytest.mark.shared
def test_no_unit_is_constant_on_real_frames(shared, monkeypatch):
    found, looks, truth, size = real(shared, monkeypatch, "Subway", 25)
    units = np.concatenate([f.appearance for f in found]).astype(float)  # (detections, L)
    spread = units.std(axis=0)
    assert len(units) > 100 and spread.min() > 0.1 * np.median(spread)
    network, _ = load_rolo(network_path(None, "yolox-nano"))
    follower = Follower(network, size)
    follower.start(found[0], truth[0], looks)
    told, states = [], []
    for frame in found[1:]:
        follower.step(frame)
        told.append(follower.association.likeness[0, follower.accepted or 0])
        states.append(follower.state.h[0, 0].numpy())
    assert np.std(told, axis=0).min() > 0.02
    assert (np.std(states, axis=0) > 1e-3).all()  # every unit of the LSTM moves


@pytest.mark.shared
def test_on_real_video_likeness_keeps_to_the_target_where_overlap_does_not(shared, monkeypatch):
    """The video was among those that the weights were trained on; the association has no weights."""
    found, looks, truth, size = real(shared, monkeypatch, "davis-bmx-trees", 80)
    network, _ = load_rolo(network_path(None, "yolox-nano"))
    scores = {}
    for name, look in (("own", looks), ("none", None), ("other", np.roll(looks, 37, axis=1))):
        part = found if look is not None else [replace(f, appearance=None) for f in found]
        boxes = follow(network, part, truth[0], size, look)
        scores[name] = np.mean([iou_matrix(a, b[None]).item() for a, b in zip(boxes, truth)])
    assert scores["own"] > scores["none"] + 0.05
    assert scores["own"] > scores["other"] + 0.05
