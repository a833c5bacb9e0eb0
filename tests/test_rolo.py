"""The ROLO network: windows and streams against torch's LSTM, causality, encodings, weights files."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from rolo_bench.detection import Detections
from rolo_bench.errors import UsageError, WeightsError
from rolo_bench.nn.detect import fused
from rolo_bench.nn.rolo.coding import add_offset, box_offset, decode, encode
from rolo_bench.nn.rolo.config import RoloConfig, paper_config
from rolo_bench.nn.rolo.file import load_rolo, save_rolo, shipped_path
from rolo_bench.nn.rolo.follower import Follower, follow
from rolo_bench.nn.rolo.network import Packed, Rolo, advance, begin, pack, push, step
from rolo_bench.run.plugins import find_plugin

SIZE = (320, 240)


def network(form="offset", seed=0, **changes):
    """A small network with random weights, also in the head, so that everything matters."""
    torch.manual_seed(seed)
    config = RoloConfig(form=form, feature_size=12, projection=5, hidden=9, **changes)
    net = Rolo(config)
    if form == "absolute":
        torch.nn.init.constant_(net.lstm.bias_ih_l0, 1.0)  # boxes that are boxes
    else:
        torch.nn.init.normal_(net.head.weight, std=0.3)
    return net.eval()


def video(count=30, seed=0, missing=()):
    """Detections of a box that moves right, with a distractor; none in the frames named."""
    rng = np.random.default_rng(seed)
    found = []
    for t in range(count):
        boxes = np.array([[40 + 3 * t, 60, 30, 50], [250, 20, 20, 20]]) + rng.normal(0, 0.5, (2, 4))
        keep = slice(1, 2) if t in missing else slice(0, 2)
        feature = rng.normal(size=12).astype(np.float32)
        scores = np.array([0.9, 0.8], np.float32)[keep]
        found.append(Detections(boxes[keep], scores, np.zeros(len(scores), np.int64), ("a",), feature))
    return found, np.array([40.0, 60, 30, 50])


@pytest.mark.parametrize("steps", [1, 3, 6])
def test_windows_equal_torchs_lstm_run_anew_over_each_window(steps):
    torch.manual_seed(3)
    lstm = torch.nn.LSTM(7, 11, batch_first=True)
    x = torch.randn(2, 20, 7)
    h = c = torch.zeros(2, 0, 11)
    with torch.no_grad():
        for t in range(20):
            h, c = push(lstm, steps, h, c, x[:, t])
            window = x[:, max(0, t - steps + 1) : t + 1]
            torch.testing.assert_close(h[:, 0], lstm(window)[0][:, -1], rtol=0, atol=1e-5)
    assert h.shape == (2, steps, 11)


def test_streaming_equals_torchs_lstm_over_the_whole_video():
    torch.manual_seed(4)
    lstm = torch.nn.LSTM(7, 11, batch_first=True)
    x = torch.randn(1, 50, 7)
    h = c = torch.zeros(1, 0, 11)
    whole = lstm(x)[0]
    with torch.no_grad():
        for t in range(50):
            h, c = push(lstm, 0, h, c, x[:, t])
            torch.testing.assert_close(h[:, 0], whole[:, t], rtol=0, atol=1e-5)


@pytest.mark.parametrize("form", ["offset", "absolute", "heatmap"])
@pytest.mark.parametrize(("steps", "motion"), [(0, "fed"), (4, "fed"), (0, "output")])
def test_the_box_of_a_frame_does_not_depend_on_later_frames(form, steps, motion):
    if motion == "output" and form != "offset":
        with pytest.raises(UsageError, match="offset form"):
            network(form, steps=steps, motion=motion)
        return
    net = network(form, steps=steps, motion=motion, missing="output" if form == "offset" else "zero")
    found, box = video(missing=(8, 9, 10))
    other, _ = video(seed=99, missing=(8, 9, 10))
    whole = follow(net, found, box, SIZE)
    changed = follow(net, found[:20] + other[20:], box, SIZE)
    np.testing.assert_array_equal(whole[:20], changed[:20])
    assert not np.array_equal(whole[20:], changed[20:])


def test_windowed_mode_forgets_what_left_the_window_and_streaming_does_not():
    found, box = video(count=12)
    other, _ = video(count=12, seed=5)
    mixed = [found[0], other[1], *found[2:]]  # another feature and jitter in frame 1 alone
    for steps, same in ((3, True), (0, False)):
        net = network(steps=steps, missing="last")
        a, b = follow(net, found, box, SIZE)[8:], follow(net, mixed, box, SIZE)[8:]
        assert np.array_equal(a, b) == same


@pytest.mark.parametrize(
    ("steps", "missing", "judge"), [(4, "output", False), (0, "last", False), (0, "output", True)]
)
def test_the_prediction_is_what_a_missed_frame_gives_and_leaves_no_trace(steps, missing, judge):
    found, box = video(count=12)
    net = network(steps=steps, missing=missing, judge=judge)
    follower = Follower(net, SIZE)
    follower.start(found[0], box)
    torch.manual_seed(1)
    for frame in found[1:8]:
        follower.advance(frame, 0)
    state, x = follower.state, torch.from_numpy(found[8].feature)[None]
    detection = torch.tensor([[0.5, 0.4, 0.1, 0.2]]), torch.tensor([0.9]), torch.zeros(1, 2)
    nothing = torch.full((1, 4), float("nan")), torch.zeros(1), torch.zeros(1, 2)
    with torch.no_grad():
        missed, plain = advance(net, state, x, nothing), advance(net, state, x, detection)
        told = []

        def choose(predicted):
            told.append(predicted)
            return detection

        asked = step(net, state, x, choose, True)
        torch.testing.assert_close(told[0], missed.output, rtol=0, atol=0)
        torch.testing.assert_close(asked.predicted, missed.output, rtol=0, atol=0)
        refused = judge and bool(plain.said[0, 4] < 0)
        expected = missed if refused else plain
        for name in ("h", "c", "fed", "last", "older", "output", "missed"):
            torch.testing.assert_close(getattr(asked, name), getattr(expected, name), rtol=0, atol=0)
    np.testing.assert_array_equal(follower._pixels(missed.output)[0], follower.advance(found[8], None))


def test_a_detection_that_someone_else_chose_is_told_with_its_own_likeness():
    net = network(likeness=True)
    looks = np.eye(4, dtype=np.float16)
    found, box = video(count=3)
    found = [replace(f, appearance=looks[:2]) for f in found]
    more = replace(found[2], boxes=np.repeat(found[2].boxes, 2, axis=0), scores=np.full(4, 0.9, np.float32),
                   classes=np.zeros(4, np.int64), appearance=looks)  # fmt: skip
    follower = Follower(net, SIZE)
    follower.start(found[0], box, looks[3:])
    follower.advance(found[1], 0)
    follower.advance(more, 3)  # more detections than in the frame before
    np.testing.assert_allclose(follower.association.likeness[0, 3, 0], 1.0, atol=1e-3)


def test_a_refused_detection_counts_as_none():
    found, box = video(count=12)
    net = network(steps=0, judge=True, missing="last")
    torch.nn.init.zeros_(net.head.weight[4:])
    follower, other = Follower(net, SIZE), Follower(net, SIZE)
    for verdict in (1.0, -1.0):
        torch.nn.init.constant_(net.head.bias[4:], verdict)
        follower.start(found[0], box)
        other.start(found[0], box)
        for frame in found[1:]:
            got = follower.step(frame)
            assert (follower.accepted is None) == (verdict < 0)
            same = np.array_equal(got, other.advance(frame, None))
            assert same == (verdict < 0)


def test_rows_of_a_batch_do_not_touch_each_other():
    """Each row of a step over several videos is the step of that video alone; some accept, some are refused."""
    net = network(steps=0, judge=True, motion="output", confidence=True)
    generator = torch.Generator().manual_seed(5)

    def boxes(count):
        return torch.rand(count, 4, generator=generator) * 0.2 + torch.tensor([0.4, 0.4, 0.1, 0.1])

    given, drawn = boxes(6), torch.zeros(6, 4)
    frames = [(boxes(6), torch.rand(6, generator=generator), torch.randn(6, 12)) for _ in range(8)]
    for chosen, score, _ in frames:
        none = torch.rand(6, generator=generator) < 0.3
        chosen[none], score[none] = float("nan"), 0.0

    def run(rows, bias):
        with torch.no_grad():
            net.head.bias[4] = bias
            first, score, x = (v[rows] for v in frames[0])
            unlike = torch.zeros(len(score), 2)
            states = [begin(net, given[rows], (first, score, unlike), drawn[rows], x)]
            for frame in frames[1:]:
                chosen, score, x = (v[rows] for v in frame)
                states.append(step(net, states[-1], x, lambda _, c=(chosen, score, unlike): c, False))
        return states

    bias = -float(torch.stack([s.said[:, 4] for s in run(slice(None), 0.0)]).median())
    whole = run(slice(None), bias)
    verdicts = torch.stack([s.said[:, 4] < 0 for s in whole[1:]])
    assert 5 < int(verdicts.sum()) < 37
    for i in range(6):
        for a, b in zip(whole, run(slice(i, i + 1), bias)):
            for x, y in zip(a, b):
                torch.testing.assert_close(x[i : i + 1], y, rtol=0, atol=1e-6, equal_nan=True)


def test_a_reference_at_the_prediction_follows_a_fast_target():
    """The target moves on by its width at every frame: only the predicted place overlaps it."""
    boxes = [np.array([[20.0 + 30 * t, 60, 30, 50]]) for t in range(6)]
    found = [
        Detections(b, np.ones(1, np.float32), np.zeros(1, np.int64), ("a",), np.zeros(12, np.float32))
        for b in boxes
    ]
    for centre, accepted in (("history", False), ("prediction", True)):
        net = network(centre=centre, missing="last", limit=3.0)  # knows: a width from the last detection
        torch.nn.init.zeros_(net.head.weight)
        with torch.no_grad():
            net.head.bias.copy_(torch.tensor([3 * np.arctanh(1 / 3), 0, 0, 0]))
        follower = Follower(net, SIZE)
        follower.start(found[0], boxes[0][0])
        got = [follower.step(frame) is not None and follower.accepted is not None for frame in found[1:]]
        assert all(got) == accepted


def test_a_new_offset_or_heatmap_network_gives_the_fed_box():
    found, box = video()
    for form, tolerance in (("offset", 1e-3), ("heatmap", 0.1)):
        config = RoloConfig(form=form, feature_size=12, projection=5, hidden=9, missing="last")
        follower = Follower(Rolo(config).eval(), SIZE)
        follower.start(found[0], box)
        for frame in found[1:]:
            got = follower.step(frame)
            assert follower.accepted is not None
            np.testing.assert_allclose(got, frame.boxes[follower.accepted], atol=tolerance)


@pytest.mark.parametrize("window", [0.0, 4.0])
def test_the_heatmap_lies_on_the_image_where_the_box_is(window):
    found, box = video()
    config = RoloConfig(form="heatmap", feature_size=12, projection=5, hidden=9, window=window)
    follower = Follower(Rolo(config).eval(), SIZE)
    follower.start(found[0], box)
    for frame in found[1:6]:
        x, y, w, h = follower.step(frame)
    picture = follower.image_map()
    assert picture.shape == (240, 320)
    rows, columns = np.indices(picture.shape)
    assert (picture * columns).sum() / picture.sum() + 0.5 == pytest.approx(x + w / 2, abs=1.5)
    assert (picture * rows).sum() / picture.sum() + 0.5 == pytest.approx(y + h / 2, abs=1.5)
    assert picture.sum() == pytest.approx(w * h, rel=0.15)


def test_the_network_runs_on_when_nothing_is_detected():
    net = network(steps=6)
    found, box = video(missing=range(10, 30))
    boxes = follow(net, found, box, SIZE)
    assert np.isfinite(boxes).all() and (boxes[:, 2:] > 0).all()
    assert len(np.unique(boxes[10:], axis=0)) > 10  # not one held box


def test_paper_input_is_zero_x_y_w_h_zero():
    box = torch.tensor([[0.5, 0.25, 0.2, 0.1]])
    got = encode(paper_config(12), box, box, torch.zeros(1), torch.zeros(1, 4))
    torch.testing.assert_close(got, torch.tensor([[0.0, 0.5, 0.25, 0.2, 0.1, 0.0]]))


def test_paper_size_is_4102_inputs_and_states():
    config = paper_config()
    with torch.device("meta"):
        net = Rolo(config)
    assert (net.lstm.input_size, net.lstm.hidden_size) == (4102, 4102)
    assert config.steps == 6 and config.form == "absolute" and config.widen == 0


def test_motion_input_does_not_depend_on_the_place_in_the_image():
    fed, before = torch.tensor([[0.5, 0.5, 0.2, 0.1]]), torch.tensor([[0.49, 0.5, 0.2, 0.1]])
    shift = torch.tensor([0.3, -0.2, 0, 0])
    config = RoloConfig()
    drawn = torch.full((1, 4), 0.1)
    a = encode(config, fed, before, torch.zeros(1), drawn)[0, 6:]
    b = encode(config, fed + shift, before + shift, torch.zeros(1), drawn)[0, 6:]
    torch.testing.assert_close(a, b, rtol=0, atol=1e-5)
    # accepted, no misses; moved by 0.01 / 0.2 box widths, times 4; the drawn offset
    torch.testing.assert_close(a, torch.tensor([1, 0, 0.2, 0, 0, 0, 0.1, 0.1, 0.1, 0.1]), rtol=0, atol=1e-4)


def test_offsets_are_inverse_and_bounded():
    a, b = torch.tensor([0.5, 0.5, 0.2, 0.1]), torch.tensor([0.55, 0.45, 0.3, 0.08])
    torch.testing.assert_close(add_offset(b, box_offset(a, b)), a)
    far = decode(RoloConfig(limit=0.5), torch.tensor([100.0, 0, 100, 0]), a, a, torch.zeros(()), a)
    torch.testing.assert_close(far, torch.tensor([0.6, 0.5, 0.2 * np.exp(0.5), 0.1]).float())
    half = RoloConfig(limit=0.5, correction=0.5)
    near = decode(half, torch.tensor([100.0, 0, 100, 0]), a, a, torch.zeros(()), a)
    torch.testing.assert_close(near, torch.tensor([0.55, 0.5, 0.2 * np.exp(0.25), 0.1]).float())


def test_features_matter_and_their_absence_is_zeros():
    net = network()
    boxes = torch.zeros(1, 16)
    assert not torch.equal(net.inputs(torch.randn(1, 12), boxes), net.inputs(torch.randn(1, 12), boxes))
    assert net.inputs(None, boxes)[0, :5].abs().sum() == 0


def test_weights_describe_themselves_and_come_back(tmp_path):
    net = network(steps=3)
    save_rolo(net, tmp_path / "net.safetensors", {"seed": 7}, half=False)
    back, about = load_rolo(tmp_path / "net.safetensors")
    assert back.config == net.config and about == {"seed": 7}
    found, box = video()
    np.testing.assert_array_equal(follow(net, found, box, SIZE), follow(back, found, box, SIZE))
    changed, _ = load_rolo(tmp_path / "net.safetensors", steps=0, threshold=None)
    assert changed.config.steps == 0 and changed.config.threshold == net.config.threshold


@pytest.mark.parametrize(
    ("setting", "value"),
    [("hidden", 32), ("likeness", True), ("form", "absolute"), ("history", 0), ("history", True), ("prefer", 1),
     ("alike", -1), ("alike", "abc"), ("least", "x"), ("least", float("nan")), ("iou_min", 5), ("share", 7),
     ("correction", 1.5), ("steps", 1.5), ("steps", -1), ("limit", "x"), ("judge", 1)],
)  # fmt: skip
def test_settings_that_a_network_cannot_have_are_refused(tmp_path, setting, value):
    save_rolo(network(), tmp_path / "net.safetensors")
    with pytest.raises(UsageError, match=setting):
        load_rolo(tmp_path / "net.safetensors", **{setting: value})


def test_a_file_with_settings_of_another_version_is_refused(tmp_path):
    from safetensors import safe_open
    from safetensors.torch import save_file

    path, net = tmp_path / "net.safetensors", network()
    save_rolo(net, path)
    with safe_open(path, "pt") as file:
        notes = file.metadata()
    notes["config"] = notes["config"][:-1] + ', "shrink": 0.5}'
    save_file(net.state_dict(), path, notes)
    with pytest.raises(WeightsError, match="shrink"):
        load_rolo(path)


def test_bad_weights_are_one_clear_error(tmp_path):
    path = tmp_path / "net.safetensors"
    with pytest.raises(WeightsError, match="no such"):
        load_rolo(path)
    path.write_bytes(b"nonsense")
    with pytest.raises(WeightsError, match="damaged"):
        load_rolo(path)
    save_rolo(network(), path)
    raw = path.read_bytes()
    path.write_bytes(raw[:-100])
    with pytest.raises(WeightsError, match="damaged"):
        load_rolo(path)
    for value in (float("nan"), float("-inf")):
        broken = network()
        broken.lstm.weight_hh_l0.data[3, 1] = value
        save_rolo(broken, path)
        with pytest.raises(WeightsError, match="not finite"):
            load_rolo(path)
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, path, {"format": "other"})
    with pytest.raises(WeightsError, match="not ROLO"):
        load_rolo(path)
    with pytest.raises(UsageError, match="known"):
        shipped_path("rolo-nothing")
    with pytest.raises(UsageError, match="form"):
        RoloConfig(form="other")


@pytest.mark.shared
def test_weights_say_how_their_detector_saw(shared, monkeypatch, tmp_path):
    """Weights from before votes were there see without; another detector sees as it does for others."""
    monkeypatch.setenv("ROLO_BENCH_WEIGHTS", str(shared / "weights"))
    network, about = load_rolo(shipped_path("rolo"))
    assert (network.config.size, network.config.vote) == (544, 0.6)
    old = tmp_path / "old.safetensors"
    network.config = replace(network.config, size=416)
    save_rolo(network, old, about)
    with safe_open(old, "pt") as file:
        tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 - no mapping
        notes = file.metadata()
    config = json.loads(notes["config"])
    del config["vote"]
    save_file(tensors, old, notes | {"config": json.dumps(config)})
    seen = {
        **{name: (544, 0.6) for name in ("{}", '{"variant": "steps1"}')},
        '{"vote": 1, "size": 416}': (416, 1.0),
        json.dumps({"network": str(old)}): (416, 1.0),
        json.dumps({"network": "rolo-demo"}): (544, 0.6),
        '{"detector": "yolo-nano-voc"}': (416, 1.0),
    }
    for options, (size, vote) in seen.items():
        detector = find_plugin("rolo").make(json.loads(options)).detector
        assert (detector.size, detector.vote) == (size, vote), options


def test_shipped_weights_load_and_say_what_they_were_trained_on():
    folder = shipped_path("rolo").parent
    paths = sorted(folder.glob("rolo*.safetensors"))
    total = 0
    for path in paths:
        if path.name.startswith("rolo-plus"):
            continue
        net, about = load_rolo(path)
        assert about["videos"] and about["recipe"]["seed"] >= 0
        json.dumps(about)
        assert net.config.correction == (0.5 if net.config.form == "offset" and net.config.steps else 1)
        assert net.config.detector == ("demo" if path.name == "rolo-demo.safetensors" else "yolox-nano")
        total += path.stat().st_size
        assert path.stat().st_size < 20e6
    assert total < 35e6


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("steps", [0, 1, 6])
def test_packed_weights_give_the_same_boxes(half, steps, monkeypatch):
    torch.manual_seed(1)
    network = Rolo(paper_config(26, steps)).eval()
    found = [Detections(np.array([[10.0 + i, 12, 20, 16]]), np.array([0.9], np.float32), np.zeros(1, int), ("a",),
                        np.linspace(-1, 1 + i, 26, dtype=np.float32)) for i in range(9)]  # fmt: skip
    given = np.array([10.0, 12, 20, 16])
    plain = follow(network, found, given, (64, 48))
    pack(network, half)
    assert isinstance(network.lstm, torch.nn.LSTM)  # small: to the bit what it was
    monkeypatch.setattr("rolo_bench.nn.rolo.network.LARGE", 0)
    pack(network, half)
    assert isinstance(network.lstm, Packed)
    packed = follow(network, found, given, (64, 48))
    np.testing.assert_allclose(packed, plain, atol=0.5 if half else 1e-4)
    assert not np.array_equal(packed, plain) or not half


@pytest.mark.parametrize(
    "fault", [RuntimeError("gone"), TypeError("other arguments"), AttributeError("no operator")]
)
def test_without_the_private_product_a_network_stays_what_it_is(fault, monkeypatch):
    def fails(*arguments):
        raise fault

    monkeypatch.setattr("rolo_bench.nn.rolo.network.LARGE", 0)
    monkeypatch.setattr("rolo_bench.nn.rolo.network.PackedLinear", fails)
    network = Rolo(paper_config(10, 6)).eval()
    pack(network)
    assert isinstance(network.lstm, torch.nn.LSTM)


def test_a_product_that_answers_otherwise_is_refused(monkeypatch):
    own = fused.PackedLinear.__call__
    fused.PackedLinear(torch.eye(8), 2)
    monkeypatch.setattr(fused.PackedLinear, "__call__", lambda self, x: own(self, x) + 1)
    with pytest.raises(AssertionError):
        fused.PackedLinear(torch.eye(8), 2)
