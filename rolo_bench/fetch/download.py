"""Downloading one file over http: resumed where it stopped, bounded in its tries, verified before it appears."""

from __future__ import annotations

import http.client
import os
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

from rolo_bench.errors import DataError, RoloBenchError, UsageError
from rolo_bench.files import digest, write_atomic

SLOWEST = 256
"""Bytes a second below which a connection counts as stalled."""

Progress = Callable[[str, int, int | None], None]
"""Called with what is going on, how much is done, and of how much (None: unknown)."""


class UnreachableError(DataError):
    """The server cannot be reached at all, so that trying its other files is pointless."""


class BusyError(DataError):
    """Another process is downloading this file; ``idle`` is the number of seconds since it last wrote."""

    def __init__(self, message: str, idle: float = 0.0) -> None:
        super().__init__(message)
        self.idle = idle


class _Retry(Exception):
    """A failure that another try may mend."""

    def __init__(self, problem: str, answered: bool = True, stalled: bool = False) -> None:
        self.problem, self.answered, self.stalled = problem, answered, stalled


@dataclass(frozen=True)
class Patience:
    """How long to go on.

    Attributes:
        timeout: seconds without (enough) data after which a connection is given up.
        attempts: tries in a row that bring nothing new.
        most: tries in all.
        pause: seconds before the second try; doubled for each one after, at most 30.
    """

    timeout: float = 30.0
    attempts: int = 5
    most: int = 50
    pause: float = 1.0


PATIENT = Patience()


def download(
    url: str, target: Path, size: int | None = None, sha256: str | None = None, patience: Patience = PATIENT,
    progress: Progress | None = None, verify: Callable[[Path], None] | None = None,
) -> Path:  # fmt: skip
    """Download a file, going on where an earlier try stopped; it appears under its name only when verified.

    What has arrived is kept in ``<name>.part`` until the file is whole, with the server's mark of its version
    in ``<name>.part.tag``. A server that ignores ranges or gives no mark, or whose file changed in between,
    makes it start afresh.

    Args:
        url: http or https address.
        target: where the file goes; one that is there is replaced.
        size, sha256: what it must be, where known.
        verify: called with the finished ``.part`` file; raises if it is not what it should be.

    Raises:
        DataError: after the last try, the file cannot be written, or what came is not what was expected;
            `UnreachableError` where no connection was ever made, `BusyError` while another process is at it.
    """
    if not re.fullmatch(r"https?://[^\s/]+(/\S*)?", url):
        raise UsageError(f"{url}: not a http or https address")
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(part):
            _collect(url, part, size, patience, progress)
            try:
                _check(part, url, size, sha256)
                if verify is not None:
                    verify(part)
            except RoloBenchError:
                _drop(part)  # whole but wrong: going on from it would be pointless
                raise
            part.replace(target)
    except OSError as error:  # not of the network: its failures end in a new try
        raise DataError(f"{target}: cannot be written ({error.strerror or error}){_rest(part)}") from None
    return target


def _check(part: Path, url: str, size: int | None, sha256: str | None) -> None:
    found = part.stat().st_size
    if size is not None and found != size:
        raise DataError(f"{url}: {found} bytes came, expected {size}; the file on the server is another one")
    if sha256 is not None and digest(part) != sha256:
        raise DataError(f"{url}: its SHA-256 is not the expected one; nothing is kept")


def _tag(part: Path) -> Path:
    """File that holds the server's mark (ETag or date) of the version that a part belongs to."""
    return part.with_name(part.name + ".tag")


def _kept(part: Path) -> int:
    """Bytes to go on from; none without a mark that can be sent, as they could be of another version."""
    if not (part.exists() and _tag(part).exists()):
        return 0
    return part.stat().st_size if _tag(part).read_text(encoding="latin-1").isprintable() else 0


def _rest(part: Path) -> str:
    kept = _kept(part)
    return f"; {kept} bytes are kept, the same command goes on from there" if kept else ""


def _drop(part: Path) -> None:
    """Empty a part; its file stays as long as the lock on it is needed."""
    os.truncate(part, 0)
    _tag(part).unlink(missing_ok=True)


@contextmanager
def _locked(part: Path) -> Iterator[None]:
    """Keeps two processes from writing one part file (where the system has file locks).

    Afterwards nothing is left of a part that cannot be gone on from.
    """
    with part.open("ab") as file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(file.fileno()), part.stat()):
                raise FileNotFoundError
        except (BlockingIOError, FileNotFoundError):  # held by another process, or just finished by it
            idle = time.time() - os.fstat(file.fileno()).st_mtime
            raise BusyError(f"{part}: another process is downloading this file", idle) from None
        except (ImportError, OSError):  # no such locks here
            file.close()
        try:
            yield
        finally:
            if not _kept(part):
                part.unlink(missing_ok=True)
                _tag(part).unlink(missing_ok=True)


def _collect(url: str, part: Path, size: int | None, patience: Patience, progress: Progress | None) -> None:
    """Fill the part file until it is whole."""
    barren, connected = 0, False
    problem = ""
    for number in range(patience.most):
        if barren:
            time.sleep(min(patience.pause * 2 ** (barren - 1), 30.0))
        before = _kept(part)
        try:
            _request(url, part, size, patience, progress)
            return
        except _Retry as error:
            problem, connected = error.problem, connected or error.answered
            least = SLOWEST * patience.timeout if error.stalled else 0  # a drip is no progress
        barren = 0 if _kept(part) - before > least else barren + 1
        if barren >= patience.attempts or number + 1 == patience.most:
            break
    if not connected:
        raise UnreachableError(f"{url}: cannot be reached ({problem}); check the network{_rest(part)}")
    raise DataError(f"{url}: {problem}, {barren} tries in a row without progress{_rest(part)}")


def _request(url: str, part: Path, size: int | None, patience: Patience, progress: Progress | None) -> None:
    """One try: ask for what is missing and append it.

    Raises:
        _Retry: worth another try.
        DataError: final.
    """
    have = _kept(part)
    mark = _tag(part).read_text(encoding="latin-1") if have else ""
    headers = {"User-Agent": f"rolo-bench/{version('rolo-bench')}", "Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": mark}
    try:
        request = urllib.request.Request(url, headers=headers)
        answer = urllib.request.urlopen(request, timeout=patience.timeout)
    except urllib.error.HTTPError as error:
        _refused(url, part, have, error)
        return
    except ValueError as error:  # it leads to what is no address
        raise DataError(f"{url}: {error}; try another address") from None
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise DataError(f"{url}: its certificate cannot be verified ({reason.verify_message})") from None
        raise _Retry(str(reason) or type(error).__name__, answered=False) from None
    with answer:
        goes_on = have > 0 and answer.status == 206
        total = _whole_size(url, answer, part, mark, size)
        with part.open("ab" if goes_on else "wb") as sink:
            if not goes_on:
                _tag(part).unlink(missing_ok=True)
                if _mark(answer):
                    write_atomic(_tag(part), _mark(answer).encode("latin-1"))
            _copy(answer, sink, total, patience, progress, part.name.removesuffix(".part"))
    found = part.stat().st_size
    if total is not None and found < total:
        raise _Retry(f"the connection ended after {found} of {total} bytes")
    if total is not None and found > total:
        _drop(part)
        raise DataError(f"{url}: the server sends more than the {total} bytes that it announced")


def _mark(answer: Any) -> str:
    """What tells versions of a file apart; a weak ETag does not promise the same bytes."""
    tag = answer.headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified", "")


def _refused(url: str, part: Path, have: int, error: urllib.error.HTTPError) -> None:
    """Make sense of an HTTP error; returns only if the part turns out to be whole already."""
    error.close()
    if error.code == 416 and have:
        match = re.fullmatch(r"bytes \*/(\d+)", error.headers.get("Content-Range", ""))
        if match and int(match[1]) == have:
            return
        _drop(part)
        raise _Retry("the part that was there does not fit the file on the server")
    if error.code in (408, 429) or error.code >= 500:
        raise _Retry(f"the server answers {error.code} {error.reason}")
    raise DataError(f"{url}: the server answers {error.code} {error.reason}")


def _whole_size(url: str, answer: Any, part: Path, mark: str, size: int | None) -> int | None:
    """Size of the whole file as the answer states it, or None.

    Raises:
        _Retry: what is sent does not fit the part, which is dropped.
        DataError: not the expected size.
    """
    total, length = size, answer.headers.get("Content-Length", "")
    if answer.status == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", answer.headers.get("Content-Range", ""))
        if match is None or int(match[1]) != _kept(part) or _mark(answer) not in ("", mark):
            _drop(part)
            raise _Retry("the server sent another part than asked for")
        total = int(match[2])
    elif length.isascii() and length.isdigit():
        total = int(length)
    if size is not None and total != size:
        raise DataError(f"{url}: the server offers {total} bytes, expected {size}; it is another file")
    return total


def _copy(
    answer: Any, sink: IO[bytes], total: int | None, patience: Patience, progress: Progress | None, name: str
) -> None:
    """Copy until the end, giving up when less than `SLOWEST` bytes a second come for the whole of ``timeout``."""
    mark, came = time.monotonic(), 0
    while total is None or sink.tell() <= total:
        try:
            block = answer.read1(1 << 16)
        except (http.client.HTTPException, OSError) as error:
            stalled = isinstance(error, TimeoutError)
            raise _Retry(str(error) or type(error).__name__, stalled=stalled) from None
        if not block:
            return
        sink.write(block)
        came += len(block)
        if progress is not None:
            progress(name, sink.tell(), total)
        now = time.monotonic()
        if now - mark >= patience.timeout:
            if came < SLOWEST * (now - mark):
                raise _Retry(f"stalled: {came} bytes in {now - mark:.0f} s", stalled=True)
            mark, came = now, 0
