"""Synthetic video with exact truth: the ``demo`` suite, and training scenes and images.

A `SceneSpec` says what a scene shows; `RenderedFrames` renders it, any frame at any time, always the
same. Nothing is downloaded and nothing is stored but the suite's table and its frame records.

Truth is the extent of the object's outline in continuous pixel coordinates, exact to the
renderer's half pixel of edge smoothing: the whole object (amodal), hidden or not, also where it
reaches out of the image; a NaN row while it is wholly outside. With motion blur it is the place
at mid-exposure. How much can be seen is told apart as visibility, the share 0 … 1 of the
object's area that lies in the image and under nothing.

The same key gives the same pixels on one platform. Other OpenCV builds may round an
interpolation differently, by a level or two; `signature` is made to be compared with that in
mind.
"""

from __future__ import annotations

import csv
import functools
from dataclasses import dataclass, field
from importlib.resources import files

import cv2
import numpy as np
from numpy.typing import NDArray

from rolo_bench.boxes import Array
from rolo_bench.datasets.synthetic import frames as drawing
from rolo_bench.datasets.synthetic.objects import CLASSES, Patch, box_of, draw
from rolo_bench.datasets.synthetic.scenery import HEIGHT, WIDTH, Image, Place, as_image, view
from rolo_bench.datasets.synthetic.scenes import ATTRIBUTES, Actor, Cover, Scene, SceneObject, SceneSpec, plan
from rolo_bench.datasets.synthetic.training import training_image, training_scene
from rolo_bench.sequence import Sequence

__all__ = [
    "ATTRIBUTES", "CLASSES", "RenderedFrames", "SceneObject", "SceneSpec", "demo_sequences", "demo_suite",
    "record_suite", "signature", "training_image", "training_scene",
]  # fmt: skip


@dataclass(frozen=True)
class RenderedFrames:
    """A source of frames that renders a spec; each frame is the same in whatever order they are asked for."""

    spec: SceneSpec
    size: tuple[int, int] = field(default=(WIDTH, HEIGHT), init=False)

    def __len__(self) -> int:
        return self.spec.frames

    def __reduce__(self) -> tuple[type[RenderedFrames], tuple[SceneSpec]]:
        return RenderedFrames, (self.spec,)  # what has been rendered stays behind

    @functools.cached_property
    def _scene(self) -> Scene:
        return plan(self.spec)

    @functools.cached_property
    def _place(self) -> Place:
        return self._scene.paint()

    def _patches(self, index: int) -> tuple[list[Patch], list[Patch]]:
        """The drawn actors and occluders of a frame, each list in drawing order."""
        scene = self._scene
        covers = [drawing.place_cover(c.picture, *c.path[index]) for c in scene.covers if _seen(c, index)]
        return [draw(a.look, a.poses[index]) for a in scene.actors], covers

    def image(self, index: int) -> Image:
        """Frame ``index`` as RGB uint8 ``(240, 320, 3)``.

        Raises:
            IndexError: no such frame.
        """
        self._check(index)
        scene = self._scene
        image = view(self._place, tuple(scene.pan[index]))
        patches, covers = self._patches(index)
        for actor, patch in zip(scene.actors, patches):
            drawing.put(image, actor.look, patch)
        for cover in covers:
            drawing.paste(image, cover)
        return drawing.finish(image, scene.finishes[index])

    def objects(self, index: int) -> list[SceneObject]:
        """All objects of a frame, the target and what is wholly hidden or outside included.

        Raises:
            IndexError: no such frame.
        """
        self._check(index)
        patches, covers = self._patches(index)
        return SceneObject.all_of([actor.look for actor in self._scene.actors], patches, covers)

    @functools.cached_property
    def truth(self) -> Array:
        """The target's whole boxes ``(N, 4)``; NaN rows while it is wholly outside the image."""
        boxes = self._scene.boxes.copy()
        inside = ((boxes[:, :2] < [WIDTH, HEIGHT]) & (boxes[:, :2] + boxes[:, 2:] > 0)).all(axis=1)
        boxes[~inside] = np.nan
        return boxes

    @functools.cached_property
    def visibility(self) -> Array:
        """The share ``(N,)`` in 0 … 1 of the target that can be seen."""
        scene = self._scene
        target = scene.actors[scene.target]
        values = np.empty(len(self))
        for i in range(len(self)):
            mine = box_of(target.look, target.poses[i])
            front = [draw(a.look, a.poses[i]) for a in scene.actors[scene.target + 1 :] if _near(a, i, mine)]
            front += [drawing.place_cover(c.picture, *c.path[i]) for c in scene.covers if _seen(c, i)]
            clear = not front and (mine[:2] >= 0).all() and (mine[:2] + mine[2:] <= [WIDTH, HEIGHT]).all()
            values[i] = 1.0 if clear else drawing.shown(draw(target.look, target.poses[i]), front)
        return values

    def _check(self, index: int) -> None:
        if not 0 <= index < len(self):
            raise IndexError(f"{self.spec.name}: no frame {index}; there are {len(self)}")


def _seen(cover: Cover, index: int) -> bool:
    """Whether an occluder is in the image at all."""
    x, y = cover.path[index]
    h, w = cover.picture.shape[:2]
    return -w < 2 * x < 2 * WIDTH + w and -h < 2 * y < 2 * HEIGHT + h


def _near(actor: Actor, index: int, box: Array) -> bool:
    """Whether an actor may touch a box."""
    pose = actor.poses[index]
    x, y = box[:2] + box[2:] / 2
    reach = pose.size + 0.5 * max(box[2], box[3]) + 30
    return abs(pose.x - x) < reach and abs(pose.y - y) < reach


@functools.lru_cache(maxsize=1)
def demo_suite() -> tuple[tuple[str, SceneSpec], ...]:
    """The scenes of the ``demo`` suite, by name, in the table's order."""
    return tuple(
        (row["name"], SceneSpec(
            name=row["name"], domain="demo", number=int(row["number"]), target=row["target"],
            size=float(row["size"]), backdrop=row["backdrop"], frames=int(row["frames"]),
            distractors=int(row["distractors"]), others=int(row["others"]), effects=tuple(row["effects"].split()),
            occlusions=_spans(row["occlusions"]), absences=_spans(row["absences"]),
        )) for row in _table("demo.csv")
    )  # fmt: skip


def _spans(text: str) -> tuple[tuple[int, int], ...]:
    """``"40-60 90-100"`` as pairs of numbers."""
    return tuple((int(a), int(b)) for a, b in (part.split("-") for part in text.split()))


def demo_sequences() -> tuple[Sequence, ...]:
    """The ``demo`` suite as sequences with truth, attributes and visibility.

    Truth and visibility come from a table that the renderer wrote (three decimals), so that they are the
    same to the last bit on every machine and cost nothing; a test holds the renderer to it.
    """
    recorded: dict[str, list[list[float]]] = {}
    for row in _table("demo_truth.csv"):
        recorded.setdefault(row["name"], []).append(
            [float(row[c]) for c in ("x", "y", "w", "h", "visibility")]
        )
    sequences = []
    for name, spec in demo_suite():
        values = np.asarray(recorded[name])
        frames = RenderedFrames(spec)
        sequences.append(Sequence(name, frames, values[:, :4], spec.attributes, visibility=values[:, 4]))
    return tuple(sequences)


def _table(name: str) -> list[dict[str, str]]:
    """The rows of a table that is shipped with the package."""
    text = files("rolo_bench.datasets").joinpath(f"tables/{name}").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def signature(image: Image) -> NDArray[np.uint8]:
    """A small picture ``(6, 8, 3)`` of an image by which a change of the renderer is noticed.

    Means of 40 × 40 px blocks: another rounding in an interpolation moves them by less than one
    level, any change that can be seen by more.
    """
    return as_image(cv2.resize(image, (8, 6), interpolation=cv2.INTER_AREA))


def record_suite() -> tuple[str, str]:
    """The tables of the demo suite's truth and of its frame signatures, as CSV text.

    For whoever changes the renderer on purpose: write them to ``datasets/tables/demo_truth.csv`` and
    ``demo_frames.csv``, and say in the changelog that results on the suite are not comparable any more.
    """
    truth, frames = ["name,frame,x,y,w,h,visibility"], ["name,frame,signature"]
    for name, spec in demo_suite():
        source = RenderedFrames(spec)
        for i, row in enumerate(np.column_stack([source.truth, source.visibility])):
            truth.append(f"{name},{i}," + ",".join(f"{v:.3f}" for v in row))
        for i in (0, len(source) // 2, len(source) - 1):
            frames.append(f"{name},{i},{signature(source.image(i)).tobytes().hex()}")
    return "\n".join(truth) + "\n", "\n".join(frames) + "\n"
