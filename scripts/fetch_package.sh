#!/bin/sh
# Unpacks a package of the npm registry into a directory: fetch_package.sh NAME VERSION DIR, which gets the files under DIR/package.
#
# Through npm, the registry's ordinary client, where it is installed, else by curl from the registry's public address. What comes is checked by
# whoever uses it. Exit code 1: wrong arguments; 3: the package could not be had.
set -eu

[ $# -eq 3 ] || { echo "usage: fetch_package.sh NAME VERSION DIR" >&2; exit 1; }
name=$1
version=$2
mkdir -p "$3"
cd "$3"

command -v tar >/dev/null || { echo "this needs tar, which is not installed" >&2; exit 3; }
echo "fetching $name $version"
if command -v npm >/dev/null; then
    npm pack "$name@$version" --ignore-scripts --loglevel=error --fetch-retries=1 --fetch-timeout=60000 >/dev/null || exit 3
elif command -v curl >/dev/null; then
    curl -fsSL --retry 1 -o package.tgz "https://registry.npmjs.org/$name/-/${name##*/}-$version.tgz" || exit 3
else
    echo "this needs npm or curl; neither is installed" >&2
    exit 3
fi
tar -xzf ./*.tgz || exit 3
rm -f ./*.tgz
