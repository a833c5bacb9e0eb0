"""Boxes to 32 × 32 maps and back."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rolo_bench.nn.rolo.heatmap import CELLS, from_heatmap, into_window, out_of_window, to_heatmap


def test_a_box_on_cell_borders_is_ones_inside_and_zeros_outside():
    grid = to_heatmap(torch.tensor([0.25, 0.5, 0.25, 0.125])).reshape(
        CELLS, CELLS
    )  # columns 4..11, rows 14..17
    expected = torch.zeros(CELLS, CELLS)
    expected[14:18, 4:12] = 1
    assert torch.equal(grid, expected)


def test_a_cell_holds_the_covered_share():
    box = torch.tensor([1.5 / 32, 0.5 / 32, 2 / 32, 0.5 / 32])  # x 0.5 … 2.5 cells, y 0.25 … 0.75
    grid = to_heatmap(box).reshape(CELLS, CELLS)
    torch.testing.assert_close(grid[0, :4], torch.tensor([0.25, 0.5, 0.25, 0.0]))
    assert grid[1:].sum() == 0


@given(st.floats(0.0, 0.9), st.floats(0.0, 0.9), st.floats(2 / CELLS, 1.0), st.floats(2 / CELLS, 1.0))
def test_round_trip_is_exact_for_boxes_that_hold_a_whole_cell(x, y, w, h):
    w, h = max(min(w, 1 - x), 0), max(min(h, 1 - y), 0)
    if min(w, h) < 2 / CELLS:  # two cells wide: one whole cell at any place
        return
    box = torch.tensor([x + w / 2, y + h / 2, w, h], dtype=torch.float64)
    torch.testing.assert_close(from_heatmap(to_heatmap(box)), box, rtol=0, atol=2e-4)


def test_small_boxes_come_back_at_their_place_and_no_larger_than_a_cell():
    box = torch.tensor([[10.4 / 32, 20.6 / 32, 0.5 / 32, 0.4 / 32]])
    back = from_heatmap(to_heatmap(box))[0]
    assert (back[:2] - box[0, :2]).abs().max() <= 0.5 / 32
    torch.testing.assert_close(back[2:], torch.full((2,), 1 / 32))


def test_no_box_is_an_empty_map_and_an_empty_map_is_no_box():
    empty = to_heatmap(torch.full((4,), float("nan")))
    assert empty.sum() == 0
    assert torch.isnan(from_heatmap(empty)).any()


def test_maps_of_a_batch_are_the_maps_of_its_boxes():
    boxes = torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(0)) * 0.5
    assert to_heatmap(boxes).shape == (2, 3, CELLS * CELLS)
    torch.testing.assert_close(to_heatmap(boxes)[1, 2], to_heatmap(boxes[1, 2]))


def test_soft_maps_of_a_network_decode_near_the_box():
    generator = torch.Generator().manual_seed(1)
    box = torch.tensor([0.4, 0.6, 0.3, 0.25])
    noisy = (to_heatmap(box) * 0.9 + 0.005 * torch.rand(CELLS * CELLS, generator=generator)).clamp(0, 1)
    assert from_heatmap(noisy).tolist() == pytest.approx(box.tolist(), abs=0.04)


def test_a_window_around_a_box_and_back():
    box, centre = torch.tensor([0.5, 0.4, 0.02, 0.03]), torch.tensor([0.49, 0.4, 0.02, 0.02])
    # window: 0.08 wide from 0.45 on, 0.08 high from 0.36 on
    inside = into_window(box, centre, 4)
    torch.testing.assert_close(inside, torch.tensor([0.05 / 0.08, 0.04 / 0.08, 0.02 / 0.08, 0.03 / 0.08]))
    torch.testing.assert_close(out_of_window(inside, centre, 4), box)
    back = out_of_window(from_heatmap(to_heatmap(inside)), centre, 4)
    torch.testing.assert_close(
        back, box, rtol=0, atol=1e-4
    )  # though the box is smaller than a cell of the image
