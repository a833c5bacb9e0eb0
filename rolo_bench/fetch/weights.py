"""Where detector weights come from: a registry of files, a folder of the user's own, a verified cache.

A file is looked for in the folder of ``ROLO_BENCH_WEIGHTS`` (for machines without internet), then in the
cache (``ROLO_BENCH_CACHE``, else the platform's), then fetched. Whatever has a known SHA-256 is checked
against it before it is used, wherever it lies.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rolo_bench.errors import UsageError, WeightsError
from rolo_bench.files import digest
from rolo_bench.folders import weights_folder

log = logging.getLogger(__name__)
Progress = Callable[[str, int, int], None]
TIMEOUT = 30.0  # seconds without data

YOLOX_RELEASE = "https://github.com/Megvii-BaseDetection/YOLOX/releases/download/0.1.1rc0/"
NANO_VOC = (
    "https://raw.githubusercontent.com/dog-qiuqiu/MobileNet-Yolo/86c05bfc4e508d54a459a469faecc35a113454c1/"
    "MobileNetV2-YOLOv3-Nano/VOC/"
)
YOLOX_ONNX = (
    "https://raw.githubusercontent.com/Kazuhito00/YOLOX-ONNX-TFLite-Sample/"
    "3d4f1119d0694200671c08069ecb847aa0d8495a/model/"
)
PJREDDIE = "http://pjreddie.com/media/files/"


@dataclass(frozen=True)
class WeightFile:
    """One file: its name in folder and cache, address, SHA-256 (None: nobody publishes it), bytes, licence."""

    name: str
    url: str
    sha256: str | None
    size: int | None
    licence: str


def _yolox(variant: str) -> WeightFile:
    return WeightFile(f"yolox_{variant}.pth", f"{YOLOX_RELEASE}yolox_{variant}.pth", None, None, "Apache-2.0")


def _yolov1(path: str) -> WeightFile:
    return WeightFile(path.split("/")[-1], f"{PJREDDIE}{path}", None, None, "public domain")


# Detector: choices of which one serves, each a tuple of files that belong together. The first is fetched.
REGISTRY: dict[str, tuple[tuple[WeightFile, ...], ...]] = {
    "yolox-nano": (
        (
            WeightFile(
                "yolox_nano.pth",
                f"{YOLOX_RELEASE}yolox_nano.pth",
                "cd28f55fbbc1829f99d9ac9b38a16d259a22889739c8728ea877610201feff7b",
                None,
                "Apache-2.0",
            ),
        ),
        (
            WeightFile(
                "yolox_nano.onnx",
                f"{YOLOX_ONNX}yolox_nano.onnx",
                "695e750a5d5754bb5a8d5325643b59282191a7e7a564e435a415fd3c578eab14",
                3660092,
                "Apache-2.0",
            ),
        ),
    ),
    **{f"yolox-{v}": ((_yolox(v),),) for v in ("tiny", "s", "m", "l", "x")},
    "yolo-nano-voc": (
        (
            WeightFile(
                "MobileNetV2-YOLOv3-Nano-voc.weights",
                f"{NANO_VOC}MobileNetV2-YOLOv3-Nano-voc.weights",
                "3dc752a0dee830fb974bfd518d88df924d1eef03868e551786d606cd0f81c210",
                3079020,
                "public domain",
            ),
            WeightFile(
                "MobileNetV2-YOLOv3-Nano-voc.cfg",
                f"{NANO_VOC}MobileNetV2-YOLOv3-Nano-voc.cfg",
                "671b726a719f21cb72d80326195be8ab6862361479ee5d1d4528ed68ae9d6a6b",
                7009,
                "public domain",
            ),
        ),
    ),
    "yolov1": ((_yolov1("yolov1/yolov1.weights"),),),
    "yolov1-small": ((_yolov1("yolo-small.weights"),),),
    "yolov1-tiny": ((_yolov1("yolov1/tiny-yolov1.weights"),),),
}


def cache_folder() -> Path:
    """Folder of fetched weights: ``weights`` in ``ROLO_BENCH_CACHE`` or in the platform's cache."""
    import pooch

    return Path(os.environ.get("ROLO_BENCH_CACHE") or pooch.os_cache("rolo-bench")) / "weights"


def check(file: WeightFile, path: Path) -> None:
    """Nothing if the file at ``path`` is what the registry says.

    Raises:
        WeightsError: another size or SHA-256.
    """
    size = path.stat().st_size
    if file.size is not None and size != file.size:
        raise WeightsError(
            f"{path}: {size} bytes, {file.size} expected; truncated or another file, fetch it again"
        )
    expected = file.sha256
    note = path.with_name(path.name + ".sha256")
    if expected is None and note.is_file():
        expected = note.read_text().strip()
    if expected is not None and digest(path) != expected:
        raise WeightsError(
            f"{path}: SHA-256 is {digest(path)[:12]}…, {expected[:12]}… expected; damaged or another file, "
            "delete it and fetch it again"
        )


def registered(detector: str) -> tuple[tuple[WeightFile, ...], ...]:
    """The registry's choices for a detector.

    Raises:
        UsageError: a name that is not in the registry.
    """
    if detector not in REGISTRY:
        raise UsageError(f"no weights are registered for {detector!r}; known: {', '.join(REGISTRY)}")
    return REGISTRY[detector]


def local(detector: str, folders: tuple[Path, ...]) -> tuple[Path, ...] | None:
    """Verified paths of the first complete choice that lies in one of the folders; None where there is none.

    Raises:
        WeightsError: a file is there but is not what the registry says.
    """
    for folder in folders:
        for choice in registered(detector):
            paths = tuple(folder / file.name for file in choice)
            if all(p.is_file() for p in paths):
                for file, path in zip(choice, paths):
                    check(file, path)
                return paths
    return None


def obtain(detector: str) -> tuple[Path, ...]:
    """Verified paths of a detector's files, fetched if they are not at hand.

    Raises:
        UsageError: unknown detector.
        WeightsError: a file is damaged, or missing and cannot be fetched.
    """
    own = weights_folder()
    folders = (own, cache_folder()) if own is not None else (cache_folder(),)
    return local(detector, folders) or fetch(detector)


def fetch(detector: str, progress: Progress | None = None) -> tuple[Path, ...]:
    """Download a detector's files into the cache, those that are not there yet; their paths.

    Raises:
        UsageError: unknown detector.
        WeightsError: a download failed; nothing is kept of it.
    """
    folder = cache_folder()
    return tuple(fetch_file(file, folder, progress) for file in registered(detector)[0])


def fetch_file(file: WeightFile, folder: Path, progress: Progress | None = None) -> Path:
    """One file, downloaded to a temporary name, checked, then renamed into ``folder``.

    Where nobody publishes a SHA-256, that of the first download is kept beside the file and checked from
    then on.

    Raises:
        WeightsError: no answer, a refusal, a truncated transfer, or another SHA-256 than expected.
    """
    import pooch
    import requests

    path = folder / file.name
    if path.is_file():
        check(file, path)
        return path
    log.info("fetching %s", file.url)
    hint = f"try again, or put {file.name} into a folder and set ROLO_BENCH_WEIGHTS to it"
    pooch_log = pooch.get_logger()
    level = pooch_log.level
    pooch_log.setLevel("ERROR")  # it would print the hash of files without a known one as news
    try:
        pooch.retrieve(
            file.url,
            known_hash=None if file.sha256 is None else f"sha256:{file.sha256}",
            fname=file.name,
            path=folder,
            downloader=_downloader(file.name, progress),
        )
    except requests.RequestException as error:
        path.unlink(missing_ok=True)
        reason = f"HTTP {error.response.status_code}" if error.response is not None else _reason(error)
        raise WeightsError(f"{file.url}: download failed ({reason}); {hint}") from None
    except ValueError as error:  # pooch's word for another hash
        raise WeightsError(
            f"{file.url}: what came is not the file expected (SHA-256 differs); {hint}"
        ) from error
    except OSError as error:
        raise WeightsError(
            f"{folder}: cannot write {file.name} ({error.strerror or error}); {hint}"
        ) from None
    finally:
        pooch_log.setLevel(level)
    if file.sha256 is None:
        note = path.with_name(path.name + ".sha256")
        note.write_text(digest(path) + "\n")
    check(file, path)
    return path


def _downloader(name: str, progress: Progress | None) -> Callable[[str, str, object], None]:
    """What pooch calls to bring an address into its temporary file, reporting name, bytes done and in all."""

    def download(url: str, output_file: str, _: object) -> None:
        import requests

        with requests.get(url, stream=True, timeout=TIMEOUT) as response:
            response.raise_for_status()
            total, done = int(response.headers.get("content-length", 0)), 0
            with open(output_file, "wb") as target:
                for chunk in response.iter_content(1 << 16):
                    target.write(chunk)
                    done += len(chunk)
                    if progress is not None:
                        progress(name, done, total)

    return download


def _reason(error: Exception) -> str:
    text = str(error)
    return "transfer cut short" if "IncompleteRead" in text else type(error).__name__


def status(file: WeightFile) -> tuple[str, Path | None]:
    """Where a file is on this machine: ``own folder``, ``cache``, ``damaged`` or ``not here``, and its path."""
    own = weights_folder()
    for label, folder in (("own folder", own), ("cache", cache_folder())):
        if folder is not None and (folder / file.name).is_file():
            try:
                check(file, folder / file.name)
            except WeightsError:
                return "damaged", folder / file.name
            return label, folder / file.name
    return "not here", None
