#!/usr/bin/env bash
# Build the wheel, install it in an empty environment elsewhere, run the demo suite and a plugin given by path.
# Usage: tests/wheel.sh [PYTHON]
set -euo pipefail
python=${1:-python3}
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# from a copy: pip builds in the tree, and what an earlier build left in build/ would go into the wheel
mkdir -p "$work/src/results"
(cd "$root" && cp -r setup.cfg pyproject.toml README.md LICENSE rolo_bench trackers datasets "$work/src")
cp -r "$root/results/published" "$work/src/results"
"$python" -m pip wheel --quiet --no-deps --wheel-dir "$work/dist" "$work/src"
"$python" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet -c "$root/constraints.txt" "$work"/dist/*.whl
mkdir "$work/empty" && cd "$work/empty"
cat >hold.py <<'PLUGIN'
class Hold:
    """Holds the first box."""

    def init(self, image, box):
        self.box = box

    def update(self, image):
        return self.box
PLUGIN
"$work/venv/bin/rolo-bench" demo
"$work/venv/bin/rolo-bench" run --tracker ./hold.py --suite demo
"$work/venv/bin/rolo-bench" score --suite demo --format csv
test "$(ls "$work"/venv/lib/python3*/site-packages | grep -cE '^(trackers|datasets|results|tests)$')" = 0
