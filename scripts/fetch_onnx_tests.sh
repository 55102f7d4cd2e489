#!/bin/sh
# Fetches the test cases of the ONNX standard (Apache-2.0), models with inputs and right outputs, into a directory: fetch_onnx_tests.sh DIR, which gets the folders node,
# simple, pytorch-converted and pytorch-operator.
#
# They come out of the package `onnx` 1.22.0, through pip, the ordinary client; nothing is installed. What is there already is kept. Exit code 3: the package could not be
# had; 4: it holds something else than it should.
set -eu

[ $# -eq 1 ] || { echo "usage: fetch_onnx_tests.sh DIR" >&2; exit 1; }
command -v python3 >/dev/null || { echo "this needs python3, which is not installed" >&2; exit 3; }
[ -e "$1/complete" ] && { echo "they are there already"; exit 0; }
mkdir -p "$1"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m pip download --quiet --no-deps --disable-pip-version-check --ignore-requires-python --only-binary :all: \
    --retries 1 --timeout 30 --dest "$work" onnx==1.22.0 || { echo "the package onnx 1.22.0 could not be had" >&2; exit 3; }
python3 - "$work" "$1" <<'PYTHON'
import glob, os, sys, zipfile

prefix = "onnx/backend/test/data/"
wanted = {"node": 1765, "simple": 23, "pytorch-converted": 82, "pytorch-operator": 35}
with zipfile.ZipFile(glob.glob(sys.argv[1] + "/*.whl")[0]) as wheel:
    names = [n for n in wheel.namelist() if n.startswith(prefix) and not n.endswith("/")]
    for kind, count in wanted.items():
        own = [n for n in names if n.startswith(prefix + kind + "/")]
        models = sum(n.endswith(".onnx") for n in own)
        if models != count:
            print(f"{kind}: {models} models, not {count}", file=sys.stderr)
            sys.exit(4)
        for name in own:
            path = os.path.join(sys.argv[2], *name[len(prefix):].split("/"))
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(wheel.read(name))
        print(f"{kind}: {models} models")
PYTHON
: > "$1/complete"
