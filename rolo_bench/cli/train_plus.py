"""``rolo-bench train plus``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from rolo_bench.cli.options import console
from rolo_bench.errors import UsageError


@click.command(
    epilog="Example: rolo-bench train plus --data videos/train --motion annotations --out runs/plus --folds 6"
)
@click.option("--data", "folders", multiple=True, required=True, metavar="DIR",
              help="Folder of videos in OTB, VOT or ILSVRC VID layout, or `synthetic`; repeatable.")  # fmt: skip
@click.option("--motion", type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="DIR",
              help="Folder of annotations for the LSTM, less OTB-30 [default: the videos' truth].")  # fmt: skip
@click.option(
    "--detector", default="yolox-nano", show_default=True, metavar="NAME", help="Detector to train on."
)
@click.option(
    "--size", type=int, default=None, help="Side of the detector's input [default: 320; demo: its own]."
)
@click.option("--start", metavar="FILE", default="none", show_default=True,
              help="Weights of the tracker that meets the videos; `none` is the hand-made judge.")  # fmt: skip
@click.option(
    "--frames", type=click.IntRange(2), default=220, show_default=True, help="Recorded of each video."
)
@click.option("--folds", type=click.IntRange(0), default=0, show_default=True,
              help="Also train on all but one fold of the videos, for each fold: plus-fold0.safetensors …")  # fmt: skip
@click.option("--scenes", default=60, show_default=True, help="Number of scenes with --data synthetic.")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR",
              help="Folder for plus.safetensors.")  # fmt: skip
@click.option("--seed", default=0, show_default=True, help="Of everything that is drawn.")
@click.option("--threads", type=click.IntRange(1), default=None, help="Processor threads [default: all].")
def plus(**o: Any) -> None:
    """Train the LSTM and the judge of rolo-plus."""
    import torch

    from rolo_bench.datasets.suites import entries
    from rolo_bench.nn.plus.file import save_plus
    from rolo_bench.nn.train.plus import PlusRecipe, choice, fold_of, record_all, train_judge, train_motion
    from rolo_bench.nn.train.rolo import training_sequences
    from rolo_bench.nn.train.tracks import trajectories, video_group
    from rolo_bench.trackers.rolo_plus import RoloPlus

    if o["threads"]:
        torch.set_num_threads(o["threads"])
    recipe = PlusRecipe(frames=o["frames"], seed=o["seed"])
    videos = training_sequences(o["folders"], (), None, o["scenes"], o["seed"])
    test = {e.name for e in entries("otb30")}
    paths = trajectories(o["motion"], test) if o["motion"] else [v.truth for v in videos]
    try:
        motion = train_motion(paths, recipe)
    except ValueError as error:
        raise UsageError(f"{error}; give longer videos or --motion DIR") from None
    size = o["size"] or (None if o["detector"] == "demo" else 320)

    def tracker() -> RoloPlus:
        made = RoloPlus(detector=o["detector"], size=size, network=o["start"])
        made.motion = motion
        return made

    records = record_all(tracker, videos, recipe, lambda line: console.print(f"  {line}"))
    groups = fold_of([video_group(v.name) for v in videos], max(o["folds"], 1))
    about = {"recipe": asdict(recipe), "detector": o["detector"], "start": Path(o["start"]).name}
    for fold in [*range(o["folds"]), None]:
        kept = [r for r in records if fold is None or groups[video_group(r.video)] != fold]
        judge = train_judge(kept, recipe)
        name = "plus" if fold is None else f"plus-fold{fold}"
        notes = {**about, "videos": sorted({r.video for r in kept})}
        save_plus(o["out"] / f"{name}.safetensors", judge, motion, notes)
        rest = [r for r in records if fold is not None and groups[video_group(r.video)] == fold]
        if rest:
            chosen, prior, best = choice(judge, rest)
            console.print(
                f"fold {fold} ({', '.join(sorted({r.video for r in rest}))}): mean overlap of the chosen "
                f"candidate {chosen:.3f}, of the prior {prior:.3f}, of the best {best:.3f}"
            )
    console.print(
        f"wrote {o['out'] / 'plus.safetensors'}; try it with -o network={o['out'] / 'plus.safetensors'}"
    )
