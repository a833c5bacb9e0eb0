"""Check the types of all that ships, laid out as it is installed; ``python tests/typecheck.py``.

``trackers/``, ``datasets/`` and ``results/published/`` become packages of rolo_bench only when it is installed
(``package_dir`` in setup.cfg): in the tree, mypy would leave them out and take what comes from them for Any.
"""

from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path


def sources(root: Path) -> dict[Path, Path]:
    """Every file beside the modules of setup.cfg's packages: where it is installed, and where it comes from."""
    setup = configparser.ConfigParser()
    setup.read(root / "setup.cfg", encoding="utf-8")
    lines = setup["options"]["package_dir"].strip().splitlines()
    places = {name.strip(): root / place.strip() for name, place in (line.split("=") for line in lines)}
    found = {}
    for package in setup["options"]["packages"].split():
        parent, _, last = package.rpartition(".")
        places.setdefault(package, places.get(parent, root) / last)
        for file in places[package].iterdir():
            if file.suffix in (".py", ".typed"):
                found[Path(*package.split("."), file.name)] = file
    return found


def check(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """mypy with the project's settings on the packages as they are installed; caches under ``root``."""
    with tempfile.TemporaryDirectory() as folder:
        for target, source in sources(root).items():
            (folder / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, folder / target)  # with its time, by which mypy knows it again
        own = [
            "--config-file",
            str(root / "setup.cfg"),
            "--cache-dir",
            str(root / ".mypy_cache" / "installed"),
        ]
        command = [sys.executable, "-m", "mypy", *own, *(arguments or ("-p", "rolo_bench"))]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    done = check(Path(__file__).resolve().parents[1])
    print(done.stdout + done.stderr, end="")
    sys.exit(done.returncode)
