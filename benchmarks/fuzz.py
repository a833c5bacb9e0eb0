"""Fuzz every reader: millions of damaged files, of which none may crash, hang, or be read as something that it is not.

    python benchmarks/fuzz.py --executions 1000000 --output fuzz.md
    python benchmarks/fuzz.py --reader boxes --executions 50000
    python benchmarks/fuzz.py --reader boxes --input fuzz-findings/boxes-1

Seeds are small valid files of each kind, made up here; they are damaged by their structure (numbers, separators,
encodings, rows lost or doubled, cut ends) and by bytes. With atheris (``pip install atheris``) what of our code an
input reaches leads the search; without it the same damage is done blindly.

What comes out must be one of the project's own errors, in a line, within `SECONDS` of processor time and `MEMORY`; or a
value that is right: the same as an independent plain reading gives, and the same again once it is written and read.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from contextlib import nullcontext, suppress
from pathlib import Path

import psutil

try:
    import atheris
except ImportError:
    atheris = None  # type: ignore[assignment]

LED = atheris is not None and __name__ == "__main__" and not {"--blind", "--input"} & {*sys.argv}
with atheris.instrument_imports(include=["rolo_bench"]) if LED else nullcontext():
    from fuzz_damage import damage_bytes
    from fuzz_readers import READERS, Reader, judge

    from rolo_bench.errors import RoloBenchError

SECONDS = 2.0
HANG = 120
MEMORY = 1 << 30
LONGEST = 1 << 14
FOUND = Path("fuzz-findings")


def mutated(reader: Reader, data: bytes, rng: random.Random) -> bytes:
    """A damaged copy of an input, by its structure more often than by its bytes."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        kind = rng.choice((reader.damage, reader.damage, reader.damage, damage_bytes))
        data = kind(data, rng)
    return data[:LONGEST]


class Tally:
    """What became of the executions of one reader, written to a file as it goes."""

    def __init__(self, reader: Reader, name: str, folder: Path, findings: Path, wanted: int) -> None:
        self.reader, self.name, self.folder, self.findings, self.wanted = (
            reader,
            name,
            folder,
            findings,
            wanted,
        )
        self.counts: Counter[str] = Counter()
        self.found: dict[str, int] = {}
        self.begin = time.process_time()

    def one(self, data: bytes) -> None:
        """One execution: counted as accepted or refused, or kept as a finding."""
        begin, fault = time.process_time(), ""
        try:
            fault = judge(self.reader, self.folder, data, self.counts)
        finally:
            spent = time.process_time() - begin
            self.counts["executions"] += 1
        if spent > SECONDS:
            fault = fault or f"slow: {spent:.1f} s"
        if fault:
            self.keep(fault, data)
        if self.counts["executions"] % 500 == 0:
            self.write()
        if self.counts["executions"] >= self.wanted:
            self.write()
            os._exit(0)

    def keep(self, fault: str, data: bytes) -> None:
        """Count a finding by its kind, and keep the first input that showed it."""
        kind = fault.split("\n")[0][:160]
        if kind not in self.found:
            self.findings.mkdir(parents=True, exist_ok=True)
            stem = f"{self.name}-{len(list(self.findings.glob(f'{self.name}-*.txt'))) + 1}"
            (self.findings / stem).write_bytes(data)
            (self.findings / f"{stem}.txt").write_text(fault, encoding="utf-8", errors="replace")
        self.found[kind] = self.found.get(kind, 0) + 1

    def write(self) -> None:
        """The counts so far, as JSON beside the reader's files."""
        told = dict(self.counts) | {"seconds": time.process_time() - self.begin, "found": self.found}
        (self.folder.with_suffix(".json")).write_text(json.dumps(told), encoding="utf-8")


def serve(name: str, executions: int, folder: Path, findings: Path, seed: int) -> None:
    """Do the executions of one reader in this process; never returns."""
    reader = READERS[name]
    seeds = reader.seeds()
    inputs = folder / "seeds"
    inputs.mkdir(parents=True, exist_ok=True)
    for k, data in enumerate(seeds):
        (inputs / str(k)).write_bytes(data)
    place = folder / "files"
    place.mkdir(exist_ok=True)
    tally = Tally(reader, name, place, findings, executions)
    with suppress(RoloBenchError):
        reader.read(place, seeds[0])  # what is loaded late is loaded now
    used = psutil.Process().memory_info().vms
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.RLIM_INFINITY))
    if not LED:
        rng = random.Random(seed)
        for data in seeds:
            tally.one(data)
        while True:
            tally.one(mutated(reader, rng.choice(seeds), rng))

    def damage(data: bytes, size: int, number: int) -> bytes:
        rng = random.Random(number)
        if rng.random() < 0.2:
            return atheris.Mutate(data, size)
        return mutated(reader, rng.choice(seeds) if rng.random() < 0.4 else data, rng)[:size]

    options = [f"-max_len={LONGEST}", f"-seed={seed + 1}", f"-timeout={HANG}", "-rss_limit_mb=0", "-verbosity=0",
               f"-artifact_prefix={folder}/", "-len_control=0", "-print_final_stats=0"]  # fmt: skip
    atheris.Setup([sys.argv[0], *options, str(inputs)], tally.one, custom_mutator=damage)
    atheris.Fuzz()


def run(name: str, executions: int, root: Path, findings: Path, seed: int) -> dict:
    """The executions of one reader, in processes of their own: what ends one is a finding, and the rest goes on."""
    total: dict = {"executions": 0, "accepted": 0, "refused": 0, "seconds": 0.0, "found": {}}
    attempt = 0
    while total["executions"] < executions and attempt < 20:
        folder = root / f"{name}-{attempt}"
        folder.mkdir(parents=True)
        child = os.fork()  # all that readers need is loaded by now
        if not child:
            with open(folder / "output", "wb") as output:
                os.dup2(output.fileno(), 1)
                os.dup2(output.fileno(), 2)
            try:
                serve(name, executions - total["executions"], folder, findings, seed + 1000 * attempt)
            finally:
                os._exit(1)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        told = folder / "files.json"
        part = json.loads(told.read_text(encoding="utf-8")) if told.is_file() else {}
        for key in ("executions", "accepted", "refused", "seconds"):
            total[key] += part.get(key, 0)
        for kind, count in part.get("found", {}).items():
            total["found"][kind] = total["found"].get(kind, 0) + count
        if status:
            lines = (
                (folder / "output").read_text(encoding="utf-8", errors="replace").strip().splitlines()[-12:]
            )
            kind = f"the process ended with {status}: {lines[-1] if lines else ''}"
            total["found"][kind] = total["found"].get(kind, 0) + 1
            findings.mkdir(parents=True, exist_ok=True)
            (findings / f"{name}-end-{attempt}.txt").write_text("\n".join(lines), encoding="utf-8")
            for artifact in folder.glob("*-*"):
                shutil.copy(artifact, findings / f"{name}-{artifact.name[:24]}")
            total["executions"] += 1
        attempt += 1
    return total


def table(rows: dict[str, dict]) -> str:
    """The counts as Markdown."""
    lines = [
        "| reader | executions | read | refused | findings | seconds |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, row in rows.items():
        lines.append(
            f"| {READERS[name].words} (`{name}`) | {row['executions']:,} | {row['accepted']:,} | {row['refused']:,} | "
            f"{len(row['found'])} | {row['seconds']:.0f} |"
        )
    total = {k: sum(r[k] for r in rows.values()) for k in ("executions", "accepted", "refused", "seconds")}
    findings = sum(len(r["found"]) for r in rows.values())
    lines.append(
        f"| in all | {total['executions']:,} | {total['accepted']:,} | {total['refused']:,} | {findings} | "
        f"{total['seconds']:.0f} |"
    )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Parse the command line and fuzz."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--executions", type=int, default=10_000, help="in all, shared out by what a reader is worth"
    )
    parser.add_argument("--reader", action="append", choices=list(READERS), help="only this one; repeatable")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--blind", action="store_true", help="without atheris, even where it is installed")
    parser.add_argument("--input", type=Path, help="execute this one input and show what happens")
    parser.add_argument("--findings", type=Path, default=FOUND, help="folder of what is found")
    parser.add_argument("--output", type=Path, help="write the table of counts to this file")
    asked = parser.parse_args()
    logging.getLogger("rolo_bench").setLevel(logging.ERROR)  # that damage was mended is no news
    chosen = {name: READERS[name] for name in asked.reader or READERS}
    memory = Path("/dev/shm")  # faster than a disk, where there is one
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as root:
        if asked.input:
            for name in chosen:
                counts: Counter[str] = Counter()
                print(
                    name, judge(READERS[name], Path(root), asked.input.read_bytes(), counts) or dict(counts)
                )
            return
        whole = sum(r.share for r in chosen.values())
        rows = {}
        for name, reader in chosen.items():
            count = max(1, round(asked.executions * reader.share / whole))
            rows[name] = run(name, count, Path(root), asked.findings, asked.seed)
            print(name, json.dumps(rows[name]), flush=True)
    text = table(rows)
    print(text)
    if asked.output:
        asked.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
