"""Downloading one file over http: resumed where it stopped, bounded in its tries, verified before it appears."""

from __future__ import annotations

import hashlib
import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from rolo_bench import __version__
from rolo_bench.errors import DataError, RoloBenchError, UsageError

SLOWEST = 256
"""Bytes a second below which a connection counts as stalled."""

Progress = Callable[[str, int, int | None], None]
"""Called with what is going on, how much is done, and of how much (None: unknown)."""


class UnreachableError(DataError):
    """The server cannot be reached at all, so that trying its other files is pointless."""


class _Retry(Exception):
    """A failure that another try may mend: what happened, and whether the server answered at all."""


@dataclass(frozen=True)
class Patience:
    """How long to go on.

    Attributes:
        timeout: seconds without (enough) data after which a connection is given up.
        attempts: tries in a row that bring no new byte.
        most: tries in all.
        pause: seconds before the second try; doubled for each one after, at most 30.
    """

    timeout: float = 30.0
    attempts: int = 5
    most: int = 50
    pause: float = 1.0


PATIENT = Patience()


def download(
    url: str,
    target: Path,
    size: int | None = None,
    sha256: str | None = None,
    patience: Patience = PATIENT,
    progress: Progress | None = None,
    verify: Callable[[Path], None] | None = None,
) -> Path:
    """Download a file, going on where an earlier try stopped; it appears under its name only when verified.

    What has arrived is kept in ``<name>.part`` until the file is whole. A server that ignores ranges, or whose
    file changed in between, makes it start afresh.

    Args:
        url: http or https address.
        target: where the file goes.
        size, sha256: what it must be, where known.
        verify: called with the finished ``.part`` file; raises if it is not what it should be.

    Raises:
        DataError: after the last try, or what came is not what was expected; `UnreachableError` where no
            connection was ever made. Says what to do next.
    """
    if target.is_file() and _is_whole(target, size, sha256):
        return target
    if not re.fullmatch(r"https?://[^\s/]+(/\S*)?", url):
        raise UsageError(f"{url}: not a http or https address")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    with _locked(part):
        _collect(url, part, size, patience, progress)
        try:
            _check(part, url, size, sha256)
            if verify is not None:
                verify(part)
        except RoloBenchError:
            part.unlink(missing_ok=True)  # whole but wrong: going on from it would be pointless
            _tag(part).unlink(missing_ok=True)
            raise
        part.replace(target)
        _tag(part).unlink(missing_ok=True)
    return target


def _is_whole(path: Path, size: int | None, sha256: str | None) -> bool:
    if size is not None and path.stat().st_size != size:
        return False
    return sha256 is None or _sha256(path) == sha256


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check(part: Path, url: str, size: int | None, sha256: str | None) -> None:
    found = part.stat().st_size
    if size is not None and found != size:
        raise DataError(f"{url}: {found} bytes came, expected {size}; the file on the server is another one")
    if sha256 is not None and _sha256(part) != sha256:
        raise DataError(f"{url}: its SHA-256 is not the expected one; removed, try again or another mirror")


def _tag(part: Path) -> Path:
    """File that holds the server's mark (ETag or date) of the version that a part belongs to."""
    return part.with_name(part.name + ".tag")


def _collect(url: str, part: Path, size: int | None, patience: Patience, progress: Progress | None) -> None:
    """Fill the part file until it is whole."""
    barren, connected = 0, False
    problem = ""
    for number in range(patience.most):
        if barren:
            time.sleep(min(patience.pause * 2 ** (barren - 1), 30.0))
        before = part.stat().st_size if part.exists() else 0
        try:
            _request(url, part, size, patience, progress)
            return
        except _Retry as error:
            problem, connected = error.args[0], connected or error.args[1]
        after = part.stat().st_size if part.exists() else 0
        barren = 0 if after > before else barren + 1
        if barren >= patience.attempts or number + 1 == patience.most:
            break
    kept = part.stat().st_size if part.exists() else 0
    rest = f"; {kept} bytes are kept, the same command goes on from there" if kept else ""
    if not connected and not kept:
        raise UnreachableError(
            f"{url}: cannot be reached ({problem}); check the network, or use --mirror URL or --archive FILE"
        )
    raise DataError(f"{url}: {problem}, {barren} tries in a row without progress{rest}")


def _request(url: str, part: Path, size: int | None, patience: Patience, progress: Progress | None) -> None:
    """One try: ask for what is missing and append it.

    Raises:
        _Retry: worth another try; its second argument says whether the server answered at all.
        DataError: final.
    """
    have = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": f"rolo-bench/{__version__}", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        with suppress(OSError):
            headers["If-Range"] = _tag(part).read_text(encoding="latin-1")
    try:
        request = urllib.request.Request(url, headers=headers)
        answer = urllib.request.urlopen(request, timeout=patience.timeout)
    except urllib.error.HTTPError as error:
        _refused(url, part, have, size, error)
        return
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", None) or error
        raise _Retry(str(reason) or type(error).__name__, False) from None
    with answer:
        total = _whole_size(url, answer, have, size)
        mode = "ab" if answer.status == 206 else "wb"
        tag = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
        if tag.startswith("W/") or not tag:  # a weak mark does not promise the same bytes
            _tag(part).unlink(missing_ok=True)
        else:
            _tag(part).write_text(tag, encoding="latin-1")
        with part.open(mode) as sink:
            _copy(answer, sink, total, patience, progress, part.name.removesuffix(".part"))
    found = part.stat().st_size
    if total is not None and found < total:
        raise _Retry(f"the connection ended after {found} of {total} bytes", True)


def _refused(url: str, part: Path, have: int, size: int | None, error: urllib.error.HTTPError) -> None:
    """Make sense of an HTTP error; returns only if the part turns out to be whole already."""
    error.close()
    if error.code == 416 and have:
        match = re.fullmatch(r"bytes \*/(\d+)", error.headers.get("Content-Range", ""))
        if match and int(match[1]) == have:
            return
        part.unlink(missing_ok=True)
        raise _Retry("the part that was there does not fit the file on the server", True)
    if error.code in (408, 429) or error.code >= 500:
        raise _Retry(f"the server answers {error.code} {error.reason}", True)
    raise DataError(
        f"{url}: the server answers {error.code} {error.reason}; try --mirror URL or --archive FILE"
    )


def _whole_size(url: str, answer: Any, have: int, size: int | None) -> int | None:
    """Size of the whole file as the answer states it, or None; checks that a partial answer starts right."""
    if answer.status == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
        if match is None or int(match[1]) != have:
            raise DataError(
                f"{url}: the server sent another part than asked for; delete the .part file and retry"
            )
        total = None if match[2] == "*" else int(match[2])
    else:
        length = answer.headers.get("Content-Length")
        total = int(length) if length and length.isdigit() else None
    if size is not None and total is not None and total != size:
        raise DataError(f"{url}: the server offers {total} bytes, expected {size}; it is another file")
    return total if total is not None else size


def _copy(
    answer: Any, sink: IO[bytes], total: int | None, patience: Patience, progress: Progress | None, name: str
) -> None:
    """Copy until the end, giving up when less than `SLOWEST` bytes a second come for the whole of ``timeout``."""
    mark, came = time.monotonic(), 0
    while True:
        try:
            block = answer.read1(1 << 16)
        except (http.client.HTTPException, OSError) as error:
            raise _Retry(str(error) or type(error).__name__, True) from None
        if not block:
            return
        sink.write(block)
        came += len(block)
        if total is not None and sink.tell() > total:
            raise DataError(f"{name}: the server sends more than the {total} bytes that it announced")
        if progress is not None:
            progress(name, sink.tell(), total)
        now = time.monotonic()
        if now - mark >= patience.timeout:
            if came < SLOWEST * (now - mark):
                raise _Retry(f"stalled: {came} bytes in {now - mark:.0f} s", True)
            mark, came = now, 0


class _locked:
    """Keeps two processes from writing one part file (where the system has file locks)."""

    def __init__(self, part: Path) -> None:
        self.path = part.with_name(part.name + ".lock")

    def __enter__(self) -> None:
        self.file = self.path.open("w")
        try:
            import fcntl

            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:
            return
        except OSError:
            self.file.close()
            raise DataError(f"{self.path}: another process is downloading this file") from None

    def __exit__(self, *_: object) -> None:
        self.path.unlink(missing_ok=True)
        self.file.close()
