"""The detection cache: same answers, no stale ones, damage noticed, processes side by side."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from rolo_bench.datasets.suites import Suite
from rolo_bench.detection import Detections
from rolo_bench.errors import DataError, UsageError
from rolo_bench.nn.detect.cache import TOOK, Cached, Shared, image_digest
from rolo_bench.nn.detect.registry import open_detector
from rolo_bench.run.runner import How, run
from rolo_bench.run.stamp import timed
from rolo_bench.run.store import Store
from rolo_bench.sequence import ArrayFrames
from rolo_bench.sequence import Sequence as VideoSequence

WORKER = """
import sys
sys.path.insert(0, sys.argv[2])
from test_detections import Counting, frame
from rolo_bench.nn.detect.cache import Cached
cached = Cached(Counting(), sys.argv[1])
for i in range(40):
    cached([frame(i)])
print(cached.misses)
"""


class Counting:
    """A detector whose answer can be told from the image, and that counts its calls."""

    name, classes, feature_size, size = "counting", ("a", "b"), 5, 64

    def __init__(self, identity: str = "counting:1") -> None:
        self.identity, self.calls = identity, 0

    def __call__(self, images: Sequence[np.ndarray]) -> list[Detections]:
        self.calls += len(images)
        return [self.one(image) for image in images]

    def one(self, image: np.ndarray) -> Detections:
        seed = int(image.sum())
        rng = np.random.default_rng(seed)
        n = int(image[0, 0, 0]) % 4
        return Detections(
            rng.uniform(0, 50, (n, 4)),
            np.sort(rng.uniform(size=n).astype(np.float32))[::-1],
            rng.integers(0, 2, n),
            self.classes,
            rng.uniform(size=5).astype(np.float32),
        )


def frame(i: int) -> np.ndarray:
    return np.full((6, 8, 3), i, np.uint8)


def same(a: Detections, b: Detections) -> bool:
    pairs = ((a.boxes, b.boxes), (a.scores, b.scores), (a.classes, b.classes), (a.feature, b.feature))
    return a.names == b.names and all(np.array_equal(x, y) and x.dtype == y.dtype for x, y in pairs)


def segments(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.segment"))


def test_second_time_from_the_store(tmp_path: Path) -> None:
    detector = Counting()
    images = [frame(i) for i in range(8)]
    first = Cached(detector, tmp_path)
    want = [detector.one(image) for image in images]
    assert all(same(a, b) for a, b in zip(first(images), want))
    assert all(same(a, b) for a, b in zip(first(images[::-1]), want[::-1]))
    again = Cached(detector, tmp_path)
    assert all(same(a, b) for a, b in zip(again(images), want))
    assert (first.hits, first.misses, again.hits, again.misses, detector.calls) == (8, 8, 8, 0, 8)
    mixed = [frame(3), frame(100), frame(4)]
    assert all(same(a, detector.one(i)) for a, i in zip(again(mixed), mixed))
    assert again.misses == 1
    assert (next(iter(tmp_path.iterdir())) / "identity.txt").read_text() == "counting:1\n"


def test_key_is_shape_and_pixels() -> None:
    a = np.arange(24, dtype=np.uint8)
    assert image_digest(a.reshape(2, 4, 3)) != image_digest(a.reshape(4, 2, 3))
    assert image_digest(a.reshape(2, 4, 3)) == image_digest(a.reshape(2, 4, 3)[:, :, ::-1][:, :, ::-1])
    b = a.copy()
    b[7] ^= 1
    assert image_digest(a.reshape(2, 4, 3)) != image_digest(b.reshape(2, 4, 3))


def test_another_identity_shares_nothing(tmp_path: Path) -> None:
    Cached(Counting(), tmp_path)([frame(1)])
    other = Counting("counting:2")
    Cached(other, tmp_path)([frame(1)])
    assert other.calls == 1


@pytest.mark.parametrize("where", [0, 9, 30, 41, 60, -1])
def test_a_flipped_byte_is_found_and_the_record_made_again(where: int, tmp_path: Path) -> None:
    Cached(Counting(), tmp_path)([frame(2), frame(3)])
    path = segments(tmp_path)[0]
    data = bytearray(path.read_bytes())
    data[where] ^= 0xFF
    path.write_bytes(data)
    detector = Counting()
    cached = Cached(detector, tmp_path)
    for i in (2, 3):
        assert same(cached([frame(i)])[0], detector.one(frame(i)))
    assert cached.misses >= 1
    fresh = Cached(Counting("counting:1"), tmp_path)
    for i in (2, 3):
        assert same(fresh([frame(i)])[0], detector.one(frame(i)))


@pytest.mark.parametrize("left", [0, 10, 48, 100])
def test_a_torn_record_is_made_again(left: int, tmp_path: Path) -> None:
    Cached(Counting(), tmp_path)([frame(3)])
    path = segments(tmp_path)[0]
    path.write_bytes(path.read_bytes()[:left])
    detector = Counting()
    assert same(Cached(detector, tmp_path)([frame(3)])[0], detector.one(frame(3)))
    assert detector.calls == 1
    Cached(detector, tmp_path)([frame(3)])
    assert detector.calls == 1


def test_records_of_an_older_form_are_made_again(tmp_path: Path) -> None:
    """A folder may hold segments of an earlier version, which begin otherwise; they are left alone."""
    first, image = Cached(Counting(), tmp_path), [frame(1)]
    old = first.folder / "old.segment"
    old.write_bytes(b"RBDET\x01\x00\x00" + bytes(200))
    found = first(image)
    again = Cached(Counting(), tmp_path)
    assert same(again(image)[0], found[0]) and (again.hits, again.misses) == (1, 0)
    assert old.read_bytes() == b"RBDET\x01\x00\x00" + bytes(200)


def test_two_processes_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WORKER, str(tmp_path), str(Path(__file__).parent)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    misses = [int(p.communicate(timeout=120)[0]) for p in running]
    assert all(p.returncode == 0 for p in running)
    assert 40 <= sum(misses) <= 80
    detector = Counting()
    cached = Cached(detector, tmp_path)
    assert all(same(cached([frame(i)])[0], detector.one(frame(i))) for i in range(40))
    assert detector.calls == 0


def test_what_another_process_adds_is_seen(tmp_path: Path) -> None:
    a, b = Counting(), Counting()
    first, second = Cached(a, tmp_path), Cached(b, tmp_path)
    first([frame(1)])
    second([frame(1)])
    second([frame(2)])
    first([frame(2)])
    assert (a.calls, b.calls) == (1, 1)


def test_one_store_for_all_thresholds(tmp_path: Path) -> None:
    detector = Counting()
    whole = detector.one(frame(3))
    low, high = Cached(detector, tmp_path), Cached(detector, tmp_path, threshold=float(whole.scores[1]))
    assert len(low([frame(3)])[0]) == 3
    part = high([frame(3)])[0]
    assert len(part) == 2 and np.array_equal(part.boxes, whole.boxes[:2]) and len(part.classes) == 2
    assert np.array_equal(part.feature, whole.feature)
    assert detector.calls == 1 and low.identity != high.identity


def test_results_cannot_be_written_to(tmp_path: Path) -> None:
    cached = Cached(Counting(), tmp_path)
    cached([frame(3)])
    found = cached([frame(3)])[0]
    with pytest.raises(ValueError, match="read-only"):
        found.boxes[0, 0] = 1


def test_no_maps_and_no_folder(tmp_path: Path) -> None:
    detector = Counting()
    detector.keep_maps = ("p3",)  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match="feature maps"):
        Cached(detector, tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot keep detections"):
        Cached(Counting(), tmp_path / "file")


def test_one_detector_per_set_of_options(tmp_path: Path) -> None:
    path = tmp_path / "plug.py"
    path.write_text("from test_detections import Counting as C\nclass D(C):\n    __call__ = C.__call__\n")
    sys.path.insert(0, str(Path(__file__).parent))
    try:
        a, b = open_detector(str(path)), open_detector(str(path))
        c = open_detector(str(path), cache=str(tmp_path / "cache"))
    finally:
        sys.path.remove(str(Path(__file__).parent))
    assert a is b and isinstance(c, Cached)


class Clock:
    """A clock that stands but for the detector."""

    now = 100.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("rolo_bench.nn.detect.cache.time", made)
    return made


class Slow(Counting):
    """A detector that takes 3 s an image, and says what it would be at another threshold."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def __call__(self, images: Sequence[np.ndarray]) -> list[Detections]:
        self.clock.now += 3 * len(images)
        return super().__call__(images)

    def identity_at(self, threshold: float) -> str:
        return f"slow:threshold={threshold:g}"


def test_whoever_shares_is_charged_what_the_detector_took(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Shared(Slow(clock), tmp_path, 0.2)
    assert first.identity == "slow:threshold=0.2"  # as if it were not shared
    found = first([frame(1), frame(2)])
    assert clock.now == 106 and first.take_lent() == 0  # all of it is on the clock
    again = Shared(Slow(clock), tmp_path, 0.2)  # another tracker, in another process
    look = again._found

    def reading(*asked):
        clock.now += 0.5  # which the store takes
        return look(*asked)

    monkeypatch.setattr(again, "_found", reading)
    assert all(same(a, b) for a, b in zip(again([frame(1), frame(2)]), found))
    assert again.detector.calls == 0 and clock.now == 106.5
    assert again.take_lent() == 5.5 and again.take_lent() == 0


def test_seconds_that_were_cut_off_or_lost_count_nothing(tmp_path: Path, clock: Clock) -> None:
    Shared(Slow(clock), tmp_path, 0.0)([frame(1)])
    (path,) = tmp_path.rglob("*.seconds")
    path.write_bytes(path.read_bytes()[:-1])
    again = Shared(Slow(clock), tmp_path, 0.0)
    assert same(again([frame(1)])[0], Counting().one(frame(1))) and again.take_lent() == 0


def test_trackers_of_a_run_share_detections_and_are_as_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROLO_BENCH_SHARED", str(tmp_path))
    open_detector.cache_clear()
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)
    for threshold in (0.2, 0.05):
        shared = open_detector("demo", threshold=threshold)
        alone = open_detector("demo", threshold=threshold, cache=False)
        assert isinstance(shared, Shared) and shared.identity == alone.identity
        assert same(shared([image])[0], alone([image])[0])
    assert shared.hits == 1 and shared.misses == 0
    low = open_detector("demo", threshold=0.01)  # sorting out its many candidates is no one else's time
    low([image])
    assert isinstance(low, Shared) and (low.hits, low.misses) == (0, 1)
    assert not isinstance(open_detector("demo", keep_maps=True), Shared)
    assert isinstance(open_detector("demo", cache=str(tmp_path / "own")), Cached)
    open_detector.cache_clear()


def test_a_shared_run_is_recorded_as_one_alone(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = tuple(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8) for _ in range(4))
    video = VideoSequence("Made", ArrayFrames(images), np.tile([20.0, 20, 30, 20], (4, 1)))
    suite, store = Suite("made", (video,), ("Made",)), Store(tmp_path / "r")
    entries, made = {}, {}
    for name, shared in (("first", str(tmp_path)), ("second", str(tmp_path)), ("alone", None)):
        how = How(shared=shared, in_process=shared is None)
        options = {"detector": "demo", "threshold": 0.05}
        run("yolo", suite, results=store.root, name=name, options=options, how=how)
        meta = store.meta("made", "ope", name)
        entries[name], made[name] = meta["sequences"]["Made"], [*meta["makings"]]
        assert meta["cached"] is False and timed(meta, entries[name])
    assert made["first"] == made["second"] == made["alone"]
    assert len({e["files"]["boxes"] for e in entries.values()}) == 1
    assert len(segments(tmp_path)) == 1  # the second has detected nothing, and is charged for it
    (path,) = tmp_path.rglob("*.seconds")
    least = min(seconds for _, seconds in TOOK.iter_unpack(path.read_bytes()))
    assert 0 < entries["second"]["speed"]["median"] <= 1.01 / least
