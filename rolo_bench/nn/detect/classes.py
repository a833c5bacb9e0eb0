"""Class names of VOC and COCO, and how one stands for the other."""

from __future__ import annotations

from pathlib import Path

from rolo_bench.errors import WeightsError

VOC = tuple(
    """aeroplane|bicycle|bird|boat|bottle|bus|car|cat|chair|cow|diningtable|dog|horse|motorbike|person|
pottedplant|sheep|sofa|train|tvmonitor""".replace("\n", "").split("|")
)


def class_names(n: int, cfg: Path) -> tuple[str, ...]:
    """Names of ``n`` classes: the ``.names`` file beside the cfg, else VOC for 20, COCO for 80, else numbers."""
    own = cfg.with_suffix(".names")
    if own.is_file():
        names = tuple(line.strip() for line in own.read_text().splitlines() if line.strip())
        if len(names) != n:
            raise WeightsError(f"{own}: {len(names)} names, the network has {n} classes")
        return names
    if n == 80:
        return CLASSES
    return VOC if n == 20 else tuple(f"class{i}" for i in range(n))


COCO = tuple(
    """person|bicycle|car|motorcycle|airplane|bus|train|truck|boat|traffic light|fire hydrant|stop sign|
parking meter|bench|bird|cat|dog|horse|sheep|cow|elephant|bear|zebra|giraffe|backpack|umbrella|handbag|tie|
suitcase|frisbee|skis|snowboard|sports ball|kite|baseball bat|baseball glove|skateboard|surfboard|
tennis racket|bottle|wine glass|cup|fork|knife|spoon|bowl|banana|apple|sandwich|orange|broccoli|carrot|
hot dog|pizza|donut|cake|chair|couch|potted plant|bed|dining table|toilet|tv|laptop|mouse|remote|keyboard|
cell phone|microwave|oven|toaster|sink|refrigerator|book|clock|vase|scissors|teddy bear|hair drier|
toothbrush""".replace("\n", "").split("|")
)
# The 20 VOC classes by the names COCO gives them, where the two differ.
COCO_TO_VOC = {
    "airplane": "aeroplane",
    "motorcycle": "motorbike",
    "dining table": "diningtable",
    "potted plant": "pottedplant",
    "couch": "sofa",
    "tv": "tvmonitor",
}
CLASSES = tuple(COCO_TO_VOC.get(c, c) for c in COCO)
