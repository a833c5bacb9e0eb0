"""The table of speed: what it is made of; nothing here is timed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from benchmarks import __main__ as command
from benchmarks import gpu, lstm, parts, split
from benchmarks.lines import Line, in_turns, machine, ratios, table


def test_a_line_shows_median_and_spread() -> None:
    text = table([Line("a over b", [1.5, 1.0, 2.0], "times", "3", "why"), Line("c", [4.0])])
    assert text.splitlines()[2:] == [
        "| a over b | 1.5 times | 1 to 2 | 3 | why |",
        "| c | 4 times |  |  |  |",
    ]


def test_calls_take_turns() -> None:
    order: list[str] = []
    ticks = iter(range(100))
    found = in_turns(
        {"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 2, lambda: float(next(ticks))
    )
    assert order == ["a", "b", "a", "b"] and found == {"a": [1, 1], "b": [1, 1]}
    assert ratios([2, 9], [1, 3]) == [2, 3] and "cores" in machine()


def test_the_table_goes_between_the_marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    def part(folder: Path, rounds: int) -> Iterator[Line]:
        yield Line("it", [float(rounds)])
        raise parts.Absent("no file")

    monkeypatch.setattr(parts, "PARTS", {"one": part})
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- table -->\nold\n<!-- end of table -->\nafter\n")
    for _ in range(2):
        monkeypatch.setattr(sys, "argv", ["benchmarks", "--rounds", "3", "--write", str(page)])
        command.main()
    text = page.read_text()
    assert text.startswith("before\n<!-- table -->\n") and text.endswith("<!-- end of table -->\nafter\n")
    assert "old" not in text and text.count("| it | 3 times |") == 1 and "not measured: no file" in text


def test_the_page_has_the_marks() -> None:
    page = Path(__file__).resolve().parents[1] / "docs/performance.md"
    assert command.MARKS.search(page.read_text(encoding="utf-8"))


def test_inner_parts_are_not_counted_twice() -> None:
    clock = split.Clock()
    inner = clock.timed("inner", lambda: sum(range(20000)))
    assert clock.timed("outer", lambda: inner() + inner())() == 2 * sum(range(20000))
    assert 0 < clock.spent["outer"] < clock.spent["inner"]


def test_every_part_of_a_frame_is_there() -> None:
    with split.Clock().watching():  # an AttributeError is a function that has moved
        pass


def test_both_recurrences_give_the_same_states() -> None:
    found = lstm.measure(1, 3, 4, width=64)
    assert found.far < 1e-5 and len(found.ours) == len(found.theirs) == len(found.floor) == 4


def test_what_a_gpu_would_do_runs_on_a_processor(capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setattr(gpu, "seconds_of", lambda call, device: call() is None or 0.5)
    device = torch.device("cpu")
    with torch.inference_mode():
        cases = [*gpu.recurrent(True, device, torch.float32, (1, 2))]
        assert [c.frames for c in cases] == [1, 2] * 4
        flops = gpu.flops_of(cases[0].call)
        gpu.show(cases[0], "float32", cases[0].call, flops, device)
    # both products of a frame: 2 operations a weight
    assert flops == 2 * 2 * 4 * 512 * 512
    assert "| LSTM 512, 1 steps | 1 | float32 | 500.00 | 2.0 |" in capsys.readouterr().out
