"""What a result depends on, and where and with what it was made."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rolo_bench.datasets.suites import Suite
from rolo_bench.run.plugins import Plugin


def fingerprint(plugin: Plugin, options: dict[str, Any], tracker: Any) -> dict[str, Any]:
    """What results depend on besides the video: source of the tracker, its options and its weights."""
    weights = {str(k): str(v) for k, v in dict(getattr(tracker, "weights_digests", {})).items()}
    detector: Any = getattr(tracker, "detector", None)
    if hasattr(detector, "identity"):  # holds the weights' digest, size, thresholds and precision
        weights[detector.name] = detector.identity
    kept = json.loads(json.dumps(options, default=str))
    return {"source": plugin.source_digest, "options": kept, "weights": weights}


def differences(meta: dict[str, Any], mark: dict[str, Any], seed: int) -> str:
    """What of that on which earlier results depend is another now, in words."""
    old = meta.get("fingerprint") or {}
    names = {"source": "tracker code", "options": "options", "weights": "weights"}
    changed = [names[k] for k in names if old.get(k) != mark.get(k)]
    changed += ["seed"] if meta.get("seed", seed) != seed else []
    return " and ".join(changed) if old else "means (imported)"


def provenance(
    plugin: Plugin,
    label: str,
    protocol: str,
    suite: Suite,
    mark: dict[str, Any],
    oracle: bool,
    seed: int,
    tracker: Any,
) -> dict[str, Any]:
    """Where, when and with what a run is made, as ``run.json`` keeps it."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return {
        "tracker": label,
        "plugin": plugin.name,
        "origin": Path(plugin.origin).name if plugin.origin.endswith(".py") else plugin.origin,
        "protocol": protocol,
        "suite": suite.name,
        "expected": list(suite.expected),
        "options": mark["options"],
        "fingerprint": mark,
        "oracle": oracle,
        "seed": seed,
        "jobs": 1,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": _versions(),
        "git": _git_revision(),
        "machine": {
            "system": platform.platform(),
            "processor": _processor(),
            "cores": os.cpu_count(),
            "device": str(getattr(tracker, "device", "cpu")),
            "load_at_start": round(load, 2),
        },
    }


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version()}
    for package in ("rolo-bench", "numpy", "opencv-python", "opencv-contrib-python", "torch"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


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
