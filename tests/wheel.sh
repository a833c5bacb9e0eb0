#!/usr/bin/env bash
# Build the sdist and from it the wheel, look both over, install the wheel in an empty environment, and do there in an
# empty folder what the README's first screen says, as it is typed.
# Usage: tests/wheel.sh [PYTHON], one that has the extra `test`
set -euo pipefail
python=${1:-python3}
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m build --outdir "$work/dist" "$root" >"$work/build.log" 2>&1 || { tail -n 40 "$work/build.log"; exit 1; }
"$python" -m twine check --strict "$work"/dist/*
if git -C "$root" rev-parse --git-dir >/dev/null 2>&1; then # the sdist holds all that git keeps
  tar -tzf "$work"/dist/*.tar.gz | cut -d/ -f2- | LC_ALL=C sort >"$work/packed"
  git -C "$root" ls-files | grep -v '^\.gitignore$' | LC_ALL=C sort | comm -23 - "$work/packed" >"$work/left"
  if [ -s "$work/left" ]; then echo "not in the sdist (MANIFEST.in):" && cat "$work/left" && exit 1; fi
fi
"$python" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet -c "$root/constraints.txt" "$work"/dist/*.whl
test "$(ls "$work"/venv/lib/python3*/site-packages | grep -cE '^(trackers|datasets|results|tests)$')" = 0
mkdir "$work/empty" && cd "$work/empty"
export PATH="$work/venv/bin:$PATH"
python - "$root/README.md" <<'PYTHON'
import re
import sys
from pathlib import Path

screen = Path(sys.argv[1]).read_text(encoding="utf-8").partition("\n## ")[0]
tracker, example = re.findall(r"```python\n(.*?)```", screen, re.DOTALL)
_, *typed = re.findall(r"```console\n(.*?)```", screen, re.DOTALL)
Path("mine.py").write_text(tracker, encoding="utf-8")
Path("example.py").write_text(example, encoding="utf-8")
Path("typed").write_text("".join(typed), encoding="utf-8")
PYTHON
rolo-bench demo
rolo-bench show WalkerStreet --suite demo --video walk.mp4 # in place of a video of one's own
bash -eux typed
python example.py
