"""What a result depends on, and where and with what it was made.

A stamp has two halves. The *making* is the tracker's: its code, options, seed, weights, threads and the libraries.
The *video* is the sequence's: its truth and its images. A result is current while both are as they were.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shlex
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache, partial
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Any

from rolo_bench.datasets.place import NoFrames
from rolo_bench.errors import RoloBenchError, UsageError
from rolo_bench.files import digest, is_path
from rolo_bench.run.code import Source, read_code
from rolo_bench.run.external import split_command
from rolo_bench.run.images import images_digest
from rolo_bench.run.options import in_texts, names_file
from rolo_bench.run.plugins import COMMAND, Place, Plugin, locate, plugin_folder
from rolo_bench.sequence import Sequence
from rolo_bench.tracker import is_oracle

LOOP = 1
"""Raised whenever the loop, the decoding or the files change the boxes of a tracker that stayed as it was."""
ALWAYS = frozenset({"numpy", "cv2"})
NAMES = {
    "cv2": ("opencv-python", "opencv-contrib-python", "opencv-python-headless"), "PIL": ("pillow",),
    "google": ("protobuf",),
}  # fmt: skip
"""Distributions that are not called as what they hold; others are found in the files of all, which takes longer."""
WORDS = {"code": "tracker code", "options": "options", "seed": "seed", "weights": "weights", "threads": "threads",
         "versions": "versions", "loop": "rolo-bench"}  # fmt: skip


@dataclass(frozen=True)
class Facts:
    """What only the tracker itself can tell, once it is made.

    Attributes:
        options: those of the user over those that the tracker asks for on the suite.
        weights: digests of the files it works with, by name.
        device: what it computes on.
        oracle: whether it is shown the truth.
        cached: whether it reads detections that an earlier run made.
        trained_on: names of the videos that its weights were trained on, where it says so.
    """

    options: dict[str, Any] = field(default_factory=dict)
    weights: dict[str, str] = field(default_factory=dict)
    device: str = "cpu"
    oracle: bool = False
    cached: bool = False
    trained_on: list[str] = field(default_factory=list)


def facts_of(plugin: Plugin, tracker: Any, options: dict[str, Any]) -> Facts:
    """The facts of a tracker as made with ``options``."""
    weights = {str(k): str(v) for k, v in dict(getattr(tracker, "weights_digests", {})).items()}
    detector: Any = getattr(tracker, "detector", None)
    if hasattr(detector, "identity"):  # holds the weights' digest, size, thresholds and precision
        weights[str(detector.name)] = str(detector.identity)
    for name, value in plugin.options().items():  # files that it takes where it is told of no other
        file = Path(value) if isinstance(value, str | Path) and is_path(str(value)) else Path()
        if name not in options and file.suffix and file.is_file():
            weights[f"{name} {file.name}"] = digest(file)
    device = str(getattr(tracker, "device", "cpu"))
    cached = bool(options.get("cache")) or (hasattr(detector, "hits") and not hasattr(detector, "take_lent"))
    videos = [str(name) for name in getattr(tracker, "trained_on", ())]
    kept = json.loads(json.dumps(options, default=str))
    return Facts(kept, weights, device, is_oracle(tracker), cached, videos)


def making(place: Place, facts: Facts, seed: int, threads: int) -> dict[str, Any]:
    """The tracker's half of a stamp.

    A folder of detections is no part of it, since an entry there is what the detector gives. A file among the
    options, also in a list of them, counts by its name and contents, wherever it lies.

    Raises:
        TrackerError: code of the tracker cannot be read.
    """
    code = place.code()
    options, codes, weights = {}, [code.digest], dict(facts.weights)

    def stamped(name: str, text: str) -> str:
        file = Path(text)
        if not names_file(text):
            return text
        if file.suffix == ".py":
            codes.append(read_code(Source(file.resolve(), folder=file.resolve().parent)).digest)
        else:
            key = f"{name} {file.name}"  # several of one name count one after the other
            weights[key] = f"{weights[key]} {digest(file)}" if key in weights else digest(file)
        return file.name

    for name, value in facts.options.items():
        if name != "cache":
            options[name] = in_texts(value, partial(stamped, name))
    return {
        "code": code.digest if len(codes) == 1 else hashlib.sha256(" ".join(codes).encode()).hexdigest(),
        "options": options,
        "seed": seed,
        "weights": weights,
        "threads": threads,
        "versions": library_versions(code.libraries),
        "loop": LOOP,
    }


def video(sequence: Sequence) -> dict[str, str]:
    """The sequence's half of a stamp; without images where it was loaded for scoring, and they are not at hand.

    Raises:
        DataError: an image cannot be read.
    """
    truth = {"truth": sequence.truth_digest()}
    if isinstance(sequence.frames, NoFrames) and not sequence.frames.paths:
        return truth
    return truth | {"images": images_digest(sequence.frames)}


def key_of(made: dict[str, Any]) -> str:
    """A short name for a making: the same for the same."""
    return hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()[:12]


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """What two makings differ in, in words; empty where in nothing."""
    changed = []
    for part, words in WORDS.items():
        if part not in new or json.dumps(old.get(part), sort_keys=True) == json.dumps(
            new[part], sort_keys=True
        ):
            continue  # as written: a NaN among the options is the same NaN
        if part == "versions":
            before, now = old.get(part) or {}, new[part]
            words = (
                " and ".join(f"{n} {before.get(n, 'none')}" for n in now if before.get(n) != now[n]) or words
            )
        changed.append(words)
    return " and ".join(changed)


def mixed(meta: Mapping[str, Any]) -> str:
    """That a tracker's results were made in several ways, and in what those differ; empty where in one."""
    makings = meta.get("makings") or {}
    whole = [e for e in meta.get("sequences", {}).values() if e.get("status") == "complete"]
    used = list(dict.fromkeys(str(e["making"]) for e in whole if e.get("making") in makings))
    if len(used) < 2:
        return ""
    words = (differences(makings[used[0]], makings[key]) for key in used[1:])
    return f"results made with {len(used)} different {' and '.join(dict.fromkeys(filter(None, words)))}"


def timed(meta: Mapping[str, Any], entry: Mapping[str, Any]) -> bool:
    """Whether a result's times are those of the tracker alone: no other jobs beside it, nothing read from a cache."""
    made = (meta.get("runs") or {}).get(str(entry.get("run"))) or meta
    jobs = made.get("jobs")
    return not made.get("cached") and not (isinstance(jobs, int) and jobs > 1)


def changed_since(meta: Mapping[str, Any]) -> str:
    """What has changed, as far as it shows here, since a tracker's results were made: its code, its libraries.

    Empty where nothing has, or where the tracker is not at hand under its name: a plugin file is, in the folder of
    plugins or here, and so are the files of a program's command.
    """
    makings, origin = meta.get("makings") or {}, str(meta.get("origin"))
    file = _plugin_at_hand(origin)
    known = file or origin in ("built in", COMMAND) or origin.startswith("installed")
    if not makings or not known:
        return ""
    name = str(file.absolute()) if file else str(meta.get("plugin"))
    try:
        code = locate(_command_at_hand(str(meta.get("command"))) if origin == COMMAND else name).code()
    except RoloBenchError:
        return ""
    found = []
    for made in makings.values():
        now = {"versions": library_versions(code.libraries), "loop": LOOP}
        if not any(str(v).endswith(".py") for v in made.get("options", {}).values()):
            now["code"] = code.digest
        found.append(differences(made, now))
    return " and ".join(dict.fromkeys(filter(None, found)))


def _plugin_at_hand(origin: str) -> Path | None:
    """The plugin file of that name in the folder of plugins or here."""
    return _at_hand(origin) if origin.endswith(".py") else None


def _at_hand(name: str) -> Path | None:
    """A file of that name in the folder of plugins or here."""
    folders = (plugin_folder() or Path(), Path())
    return next((f / name for f in folders if is_path(name) and (f / name).is_file()), None)


def _command_at_hand(command: str) -> str:
    """A program's command, as it was kept, with its files as they lie here.

    Raises:
        UsageError: they do not, or it was not kept.
    """
    words = [str(_at_hand(word) or word) for word in split_command(command)]
    endings = ((w, Path(w).suffix[1:]) for w in words[1:])  # the program itself is found by its name
    if any(end and not end.isdigit() and not Path(w).is_file() for w, end in endings):  # 0.5 is no file
        raise UsageError(f"{command}: its files are not here")
    return shlex.join(words)


def lost_plugin(meta: Mapping[str, Any]) -> str:
    """The plugin file that a tracker's results were made with, where it is not at hand, so that nothing can be said of
    changes in it; else empty.
    """
    origin = str(meta.get("origin") or "")
    lost = origin.endswith(".py") and bool(meta.get("makings")) and _plugin_at_hand(origin) is None
    return origin if lost else ""


def provenance(facts: Facts, jobs: int) -> dict[str, Any]:
    """Where, when and with what a run is made."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "jobs": jobs,
        "cached": facts.cached,
        "versions": _versions(),
        "git": _git_revision(),
        "machine": {
            "system": platform.platform(),
            "processor": _processor(),
            "cores": os.cpu_count(),
            "device": facts.device,
            "load_at_start": round(load, 2),
        },
    }


@lru_cache(maxsize=64)
def library_versions(libraries: frozenset[str]) -> dict[str, str]:
    """Versions of libraries by the names of their distributions, and Python's."""
    found = {"python": ".".join(platform.python_version_tuple()[:2])}
    for name in sorted(libraries | ALWAYS):
        tried = NAMES.get(name) or (name,)
        found |= _installed(tried) or _installed(packages_distributions().get(name, ()))
    return found


def _installed(names: Iterable[str]) -> dict[str, str]:
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _versions() -> dict[str, str]:
    listed = ("rolo-bench", "numpy", "opencv-python", "opencv-contrib-python", "torch")
    return {"python": platform.python_version()} | _installed(listed)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def _git_revision() -> str | None:
    """Revision of the checkout that rolo-bench runs from, if it is one, ``+`` when it has changes."""
    command = ["git", "describe", "--always", "--dirty=+", "--abbrev=12"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
