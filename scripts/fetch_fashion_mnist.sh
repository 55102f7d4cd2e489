#!/bin/sh
# Fetches Fashion-MNIST (Xiao, Rasul and Vollgraf, arXiv 1708.07747; MIT licence), 60,000 training and 10,000 test images of clothes as four gzip IDX files, 30 MB, into a
# directory: fetch_fashion_mnist.sh DIR
#
# From the authors' repository, and checked. What lies there already and is right is kept. Exit code 3: a file could not be had; 4: what came is another one.
set -eu

[ $# -eq 1 ] || { echo "usage: fetch_fashion_mnist.sh DIR" >&2; exit 1; }
command -v curl >/dev/null || { echo "this needs curl, which is not installed" >&2; exit 3; }
mkdir -p "$1"
cd "$1"

from=https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion
if command -v sha256sum >/dev/null; then check="sha256sum -c"; else check="shasum -a 256 -c"; fi

while read -r sum name; do
    echo "$sum  $name" | $check >/dev/null 2>&1 && { echo "$name is there already"; continue; }
    echo "fetching $name"
    curl -fsSL --retry 1 -o ".$name.part" "$from/$name" || { rm -f ".$name.part"; echo "$from/$name could not be had" >&2; exit 3; }
    echo "$sum  .$name.part" | $check >/dev/null || { rm -f ".$name.part"; echo "$name is another file than it should be" >&2; exit 4; }
    mv ".$name.part" "$name"
done <<'FILES'
3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84 train-images-idx3-ubyte.gz
a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845 train-labels-idx1-ubyte.gz
346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073 t10k-images-idx3-ubyte.gz
67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5 t10k-labels-idx1-ubyte.gz
FILES
