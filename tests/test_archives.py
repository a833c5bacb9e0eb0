"""Unpacking: nothing outside the folder, no bombs, no half archives."""

from __future__ import annotations

import io
import os
import stat
import struct
import time
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rolo_bench.errors import DataError
from rolo_bench.fetch import archives


def make_zip(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_unpacks_what_is_planned(tmp_path: Path) -> None:
    source = make_zip(
        tmp_path / "a.zip", {"S/img/0001.jpg": b"x" * 5000, "S/t.txt": b"1", "__MACOSX/S/t": b"no"}
    )
    members = archives.plan(source)
    assert [str(m.path) for m in members] == ["S/img/0001.jpg", "S/t.txt"]
    seen: list[tuple[int, int]] = []
    with archives.unpacked(source, tmp_path / "out", members, lambda a, b: seen.append((a, b))) as folder:
        assert (folder / "S/img/0001.jpg").read_bytes() == b"x" * 5000
        assert (folder / "S/t.txt").read_bytes() == b"1"
    assert seen == [(1, 2), (2, 2)]
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/evil", "S/../../evil", "..\\evil", "C:\\evil", "C:evil", "S/a\x01b", "x" * 600]
)
def test_refuses_paths_that_lead_outside(tmp_path: Path, name: str) -> None:
    source = tmp_path / "a.zip"
    info = zipfile.ZipInfo("placeholder")
    info.filename = name  # past zipfile's own cleaning
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr(info, b"evil")
        archive.writestr("S/good.txt", b"good")
    with pytest.raises(DataError, match="outside the folder"):
        archives.plan(source)


def test_backslashes_separate_folders(tmp_path: Path) -> None:
    source = tmp_path / "a.zip"
    info = zipfile.ZipInfo("placeholder")
    info.filename = "S\\img\\0001.jpg"
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr(info, b"x")
    assert [str(m.path) for m in archives.plan(source)] == ["S/img/0001.jpg"]


def test_leftovers_of_a_killed_process_go_after_a_day(tmp_path: Path) -> None:
    source = make_zip(tmp_path / "a.zip", {"S/a": b"1"})
    for name, age in ((".unpack-old", 90_000), (".unpack-new", 100)):
        (tmp_path / "out" / name).mkdir(parents=True)
        os.utime(tmp_path / "out" / name, (time.time() - age,) * 2)
    with archives.unpacked(source, tmp_path / "out", archives.plan(source)):
        pass
    assert [p.name for p in (tmp_path / "out").iterdir()] == [".unpack-new"]


def test_refuses_a_name_with_a_hidden_end(tmp_path: Path) -> None:
    source = make_zip(tmp_path / "a.zip", {"S/goodXx../../evil": b"1"})
    source.write_bytes(source.read_bytes().replace(b"goodXx", b"good\0x"))
    with pytest.raises(DataError):
        archives.plan(source)


@pytest.mark.parametrize("mode", [stat.S_IFLNK | 0o777, stat.S_IFIFO | 0o600, stat.S_IFCHR | 0o600])
def test_refuses_links_and_devices(tmp_path: Path, mode: int) -> None:
    info = zipfile.ZipInfo("S/link")
    info.external_attr = mode << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, b"/etc/passwd")
    with pytest.raises(DataError, match="link or device"):
        archives.plan(tmp_path / "a.zip")


def test_refuses_bombs(tmp_path: Path) -> None:
    bomb = make_zip(tmp_path / "a.zip", {"S/zeros": bytes(8 << 20)})
    with pytest.raises(DataError, match="zip bomb"):
        archives.plan(bomb)
    with pytest.raises(DataError, match="more than 1000 bytes"):
        archives.plan(
            make_zip(tmp_path / "b.zip", {"a": b"1" * 600, "b": b"2" * 600}), archives.Limits(size=1000)
        )
    with pytest.raises(DataError, match="3 files"):
        archives.plan(make_zip(tmp_path / "c.zip", {k: b"" for k in "abc"}), archives.Limits(files=2))


def test_notices_a_size_that_lies(tmp_path: Path) -> None:
    """An entry that declares 10 bytes but unpacks to 2 MiB writes no more than it declared."""
    source = make_zip(tmp_path / "a.zip", {"S/zeros": bytes(2 << 20)})
    data = bytearray(source.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = data.index(signature)
        data[at + offset : at + offset + 4] = struct.pack("<I", 10)
    source.write_bytes(data)
    members = archives.plan(source)
    with pytest.raises(DataError), archives.unpacked(source, tmp_path / "out", members):
        pass
    assert list((tmp_path / "out").iterdir()) == []


def test_refuses_duplicates_and_a_file_that_is_also_a_folder(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("S/a", b"1")
        archive.writestr("S/a", b"2")
    with pytest.raises(DataError, match="twice"):
        archives.plan(tmp_path / "a.zip")
    with pytest.raises(DataError, match="twice"):  # one file on a system that ignores case
        archives.plan(make_zip(tmp_path / "b.zip", {"S/a": b"1", "s/A": b"2"}))
    with pytest.raises(DataError, match="both a file and a folder"):
        archives.plan(make_zip(tmp_path / "c.zip", {"S": b"1", "S/a": b"2"}))


def test_refuses_to_unpack_into_a_folder_with_contents(tmp_path: Path) -> None:
    source = make_zip(tmp_path / "a.zip", {"S/a": b"1"})
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    with pytest.raises(DataError, match="not empty"):
        archives.unpack(source, tmp_path / "out", archives.plan(source))
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine"]


def test_what_was_there_is_kept(tmp_path: Path) -> None:
    for n in ("new", "old"):
        (tmp_path / n).mkdir()
        (tmp_path / n / "f").write_text(n)
    kept = archives.put_in_place(tmp_path / "new", tmp_path / "old")
    assert kept == tmp_path / "old.old1" and (kept / "f").read_text() == "old"
    assert (tmp_path / "old" / "f").read_text() == "new"


def _sample() -> tuple[bytes, dict[str, bytes]]:
    files = {"S/img/0001.jpg": bytes(range(256)) * 8, "S/groundtruth_rect.txt": b"1,2,3,4\n" * 50}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue(), files


DATA, FILES = _sample()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, len(DATA) - 1), st.integers(0, 255)), max_size=4),
    st.integers(0, len(DATA)),
)
@example(changes=[(546, 2)], cut=1)  # the place of an entry becomes negative
def test_a_damaged_archive_is_refused_or_gives_true_contents(
    tmp_path: Path, changes: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(DATA)
    for place, value in changes:
        data[place] = value
    source = tmp_path / "a.zip"
    source.write_bytes(data if cut % 3 else data[:cut])
    try:
        members = archives.plan(source)
        with archives.unpacked(source, tmp_path / "out", members) as folder:
            contents = sorted(p.read_bytes() for p in folder.rglob("*") if p.is_file())
    except DataError:
        return
    assert all(content in FILES.values() for content in contents)
