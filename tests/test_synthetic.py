"""The synthetic generator and the demo suite: exact, repeatable, apart from the training seeds."""

from __future__ import annotations

import csv
import pickle
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from rolo_bench.boxes import valid
from rolo_bench.datasets.synthetic import frames as synthetic_frames
from rolo_bench.datasets.synthetic import objects as synthetic_objects
from rolo_bench.datasets.synthetic import scenery as synthetic_scenery
from rolo_bench.datasets.synthetic import suite as synthetic
from rolo_bench.datasets.synthetic.suite import (
    CLASSES,
    RenderedFrames,
    demo_sequences,
    demo_suite,
    signature,
    training_image,
    training_scene,
)
from rolo_bench.errors import DataError

TABLES = Path(synthetic.__file__).parents[1] / "tables"
SUITE = dict(demo_suite())


def rows(name: str) -> list[dict[str, str]]:
    with (TABLES / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# --- the suite ------------------------------------------------------------------------------------


def test_suite_is_what_it_promises() -> None:
    assert len(SUITE) >= 12 and all(spec.frames >= 100 for spec in SUITE.values())
    assert all(spec.domain == "demo" for spec in SUITE.values())
    assert len({spec.number for spec in SUITE.values()}) == len(SUITE)
    shown = [a for spec in SUITE.values() for a in spec.attributes]
    assert all(shown.count(attribute) >= 2 for attribute in synthetic.ATTRIBUTES)
    assert set(shown) == {"IV", "OPR", "SV", "OCC", "DEF", "MB", "FM", "IPR", "OV", "BC", "LR"}
    assert {spec.target for spec in SUITE.values()} == set(CLASSES)
    assert all(spec.distractors >= 1 for spec in SUITE.values())


def test_sequences_carry_truth_visibility_and_attributes() -> None:
    sequences = demo_sequences()
    assert [s.name for s in sequences] == list(SUITE)
    for sequence in sequences:
        assert sequence.truth.shape == (len(sequence), 4)
        assert valid(sequence.truth[:1]).all()
        assert sequence.attributes == SUITE[sequence.name].attributes
        assert sequence.visibility is not None and sequence.visibility.shape == (len(sequence),)
        assert sequence.visibility[0] > 0.95  # a tracker is shown what it is to follow
        assert (sequence.visibility[np.isnan(sequence.truth[:, 0])] < 0.02).all()  # a smear may reach in
        inside = sequence.truth[valid(sequence.truth)]
        assert (inside[:, :2] < [320, 240]).all() and (inside[:, :2] + inside[:, 2:] > 0).all()


@pytest.mark.parametrize("name", SUITE)
def test_measured_attributes(name: str) -> None:
    """OTB's own measurable definitions hold for the sequences that are tagged with them."""
    sequence = next(s for s in demo_sequences() if s.name == name)
    box = sequence.truth
    area = box[:, 2] * box[:, 3]
    step = np.linalg.norm(np.diff(box[:, :2] + box[:, 2:] / 2, axis=0), axis=1)
    if "FM" in sequence.attributes:  # moves by more than 20 px from one frame to the next
        assert np.nanmax(step) > 20
    if "SV" in sequence.attributes:  # area leaves [1/2, 2] times the first
        assert np.nanmax(area / area[0]) > 2 or np.nanmin(area / area[0]) < 0.5
    if "LR" in sequence.attributes:  # fewer than 400 px in the box
        assert np.nanmax(area) < 400
    if "OV" in sequence.attributes:
        assert np.isnan(box[:, 0]).any()
    else:
        assert valid(box).all()
    assert sequence.visibility is not None
    if "OCC" in sequence.attributes:
        assert ((sequence.visibility < 0.5) & valid(box)).any()


def hidden_runs(name: str) -> list[int]:
    sequence = next(s for s in demo_sequences() if s.name == name)
    assert sequence.visibility is not None
    hidden = (sequence.visibility < 0.02) & valid(sequence.truth)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], hidden.astype(int), [0]])))
    return [int(n) for n in edges[1::2] - edges[::2]]


def test_long_full_occlusions() -> None:
    """At least five sequences hide the target wholly for 10 to 25 frames, and none for longer."""
    runs = {name: hidden_runs(name) for name in SUITE}
    assert sum(any(10 <= n <= 25 for n in r) for r in runs.values()) >= 5
    assert max(n for r in runs.values() for n in r) <= 25


# --- rendering ------------------------------------------------------------------------------------


def test_frames_are_those_on_record() -> None:
    """A change of the renderer is noticed; one level is left to other roundings of OpenCV builds."""
    seen = set()
    for row in rows("demo_frames.csv"):
        expected = np.frombuffer(bytes.fromhex(row["signature"]), np.uint8).reshape(6, 8, 3)
        found = signature(RenderedFrames(SUITE[row["name"]]).image(int(row["frame"])))
        assert np.abs(found.astype(int) - expected).max() <= 1, f"{row['name']} frame {row['frame']}"
        seen.add(row["name"])
    assert seen == set(SUITE)


def test_signature_notices_a_change() -> None:
    """What the record would not let pass: a target moved by 4 px, a light 2 % brighter."""
    spec = SUITE["BottleRoom"]
    frames = RenderedFrames(spec)
    image = frames.image(0)
    brighter = cv2.convertScaleAbs(image, alpha=1.02)
    assert np.abs(signature(brighter).astype(int) - signature(image)).max() > 1
    scene = frames._scene
    target = scene.actors[scene.target]
    poses = (replace(target.poses[0], x=target.poses[0].x + 4), *target.poses[1:])
    moved = replace(scene, actors=tuple(replace(a, poses=poses) if a is target else a for a in scene.actors))
    other = RenderedFrames(spec)
    other.__dict__["_scene"] = moved
    assert np.abs(signature(other.image(0)).astype(int) - signature(image)).max() > 1


@pytest.mark.parametrize("name", ["CarPass", "BirdGone", "CrateLift"])
def test_recorded_truth_is_the_renderers(name: str) -> None:
    frames = RenderedFrames(SUITE[name])
    sequence = next(s for s in demo_sequences() if s.name == name)
    np.testing.assert_allclose(frames.truth, sequence.truth, atol=2e-3)
    np.testing.assert_allclose(frames.visibility, sequence.visibility, atol=1e-2)


def test_any_order_gives_the_same_frames() -> None:
    spec = replace(SUITE["WalkerPark"], frames=40, occlusions=((15, 25),))
    forward = RenderedFrames(spec)
    images = [forward.image(i) for i in range(40)]
    backward = RenderedFrames(spec)
    for i in (39, 20, 3, 0, 20):
        np.testing.assert_array_equal(backward.image(i), images[i])
    assert images[0].shape == (240, 320, 3) and images[0].dtype == np.uint8
    assert not np.array_equal(images[0], images[1])


def test_copies_render_the_same_and_carry_nothing_heavy() -> None:
    frames = RenderedFrames(SUITE["StarSpin"])
    image = frames.image(60)
    packed = pickle.dumps(frames)
    assert len(packed) < 2000
    np.testing.assert_array_equal(pickle.loads(packed).image(60), image)


def test_no_such_frame() -> None:
    with pytest.raises(IndexError, match="StarSpin: no frame 120"):
        RenderedFrames(SUITE["StarSpin"]).image(120)


# --- truth ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CLASSES)
def test_box_is_the_extent_of_the_drawn_mask(kind: str) -> None:
    """Independent of the outline: the pixels that are more than half covered, to a pixel a side and unbiased."""
    errors = []
    for k in range(12):
        rng = np.random.default_rng(k)
        look = synthetic_objects.make_look((2, k, 77), kind)
        x, y, size, angle, turn, phase = rng.uniform([90, 90, 20, -3, 0, 0], [110, 110, 90, 3, 6, 6])
        patch = synthetic_objects.draw(
            look, synthetic_objects.Pose(x, y, size, angle, turn, phase, bend=0.03)
        )
        mask = patch.pixels[..., 3] > 127
        columns, lines = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
        left, top = columns[0] + patch.x, lines[0] + patch.y
        right, bottom = columns[-1] + 1 + patch.x, lines[-1] + 1 + patch.y
        bx, by, bw, bh = patch.box
        errors.append([left - bx, top - by, right - bx - bw, bottom - by - bh])
    worst = np.abs(errors).max(axis=0)
    assert (worst <= 1.3).all(), worst
    shift = np.mean(errors, axis=0)
    assert abs(shift[0] + shift[2]) < 0.6 and abs(shift[1] + shift[3]) < 0.6  # the centre does not drift


def test_truth_is_where_the_image_changes() -> None:
    """Taking the target out of a scene changes the pixels in its box (and its shadow) and no others."""
    spec = replace(SUITE["BirdWheel"], distractors=0, others=0, effects=())
    frames = RenderedFrames(spec)
    scene = frames._scene
    empty = RenderedFrames(spec)
    empty.__dict__["_scene"] = replace(scene, actors=())
    for i in (0, 50, 119):
        changed = np.abs(frames.image(i).astype(int) - empty.image(i)).max(axis=2) > 12
        lines, columns = np.nonzero(changed)
        x, y, w, h = frames.truth[i]
        assert abs(columns.min() - x) <= 2 and abs(columns.max() + 1 - x - w) <= 2
        assert abs(lines.min() - y) <= 2 and abs(lines.max() + 1 - y - h) <= 2
        assert frames.visibility[i] == 1.0


def test_hidden_truth_goes_on() -> None:
    """Behind an occluder the box is there (amodal), the visibility is not."""
    frames = RenderedFrames(SUITE["FishReef"])
    hidden = int(np.argmin(frames.visibility))
    assert frames.visibility[hidden] < 0.02 and valid(frames.truth[hidden : hidden + 1]).all()
    objects = frames.objects(hidden)
    target = min(objects, key=lambda o: np.abs(o.box - frames.truth[hidden]).sum())
    np.testing.assert_allclose(target.box, frames.truth[hidden])
    assert target.visibility == pytest.approx(frames.visibility[hidden], abs=1e-9)
    assert CLASSES[target.class_index] == "fish" and len(objects) == 1 + SUITE["FishReef"].distractors


def patch(x: int, y: int, w: int, h: int) -> synthetic_objects.Patch:
    return synthetic_objects.Patch(np.full((h, w, 4), 255, np.uint8), x, y)


def test_visibility_by_hand() -> None:
    """A 20 x 10 patch: half covered, then a quarter outside the image, then wholly outside."""
    shown = synthetic_frames.shown
    assert shown(patch(100, 100, 20, 10), []) == 1.0
    assert shown(patch(100, 100, 20, 10), [patch(110, 90, 50, 50)]) == 0.5
    assert shown(patch(100, 100, 20, 10), [patch(110, 90, 50, 50), patch(105, 90, 50, 50)]) == 0.25
    assert shown(patch(-5, 100, 20, 10), []) == 0.75
    assert shown(patch(400, 100, 20, 10), []) == 0.0


# --- seeds and training data ----------------------------------------------------------------------


def test_domains_never_meet() -> None:
    """Spawn keys start with the domain; streams and pictures of the same number differ across domains."""
    assert len(set(synthetic_scenery.DOMAINS.values())) == len(synthetic_scenery.DOMAINS) == 3
    streams = [synthetic_scenery.generator((d, 1, 0)).random(8) for d in synthetic_scenery.DOMAINS.values()]
    assert len({s.tobytes() for s in streams}) == 3
    assert not np.array_equal(training_image(5, "train")[0], training_image(5, "valid")[0])
    assert all(training_scene(spec.number).key(0) != spec.key(0) for spec in SUITE.values())
    for seed in (0, 8, 10**6):
        assert training_scene(seed).key(0)[0] == 2 and training_scene(seed, "valid").key(0)[0] == 3


@pytest.mark.parametrize("make", [training_scene, training_image])
def test_the_suite_is_not_for_training(make: object) -> None:
    with pytest.raises(DataError, match="not for training"):
        make(1, "demo")  # type: ignore[operator]


def test_training_images_are_repeatable_and_varied() -> None:
    first, objects = training_image(11)
    again, same = training_image(11)
    np.testing.assert_array_equal(first, again)
    assert [o.class_index for o in objects] == [o.class_index for o in same]
    kinds: set[int] = set()
    hidden = 0
    for seed in range(60):
        image, found = training_image(seed)
        assert image.shape == (240, 320, 3) and 1 <= len(found) <= 5
        for item in found:
            assert item.box.shape == (4,) and (item.box[2:] > 2).all() and 0.0 <= item.visibility <= 1.0
            kinds.add(item.class_index)
            hidden += item.visibility < 0.5
    assert kinds == set(range(len(CLASSES))) and hidden > 5


def test_training_scenes_render_with_all_their_objects() -> None:
    found: set[str] = set()
    for seed in range(60):
        spec = training_scene(seed)
        found |= set(spec.attributes)
        assert spec == training_scene(seed) and spec.domain == "train"
    assert found == set(synthetic.ATTRIBUTES)
    for seed in range(3):
        frames = RenderedFrames(training_scene(seed, frames=60))
        assert frames.image(59).shape == (240, 320, 3)
        assert len(frames.objects(30)) == 1 + frames.spec.distractors + frames.spec.others


def test_unknown_words_are_refused() -> None:
    with pytest.raises(DataError, match="scene x: unknown effect 'rain'"):
        replace(SUITE["CarPass"], name="x", effects=("rain",))
    with pytest.raises(DataError, match="unknown target 'cow'"):
        replace(SUITE["CarPass"], target="cow")


def test_pictures_on_a_wall_are_cut_off_at_its_edge():
    for seed in range(20):  # so narrow a room that some pictures reach past it
        near, _, _ = synthetic_scenery._room(np.random.default_rng(seed), 300, 130)
        assert near.shape == (300, 130, 3)
