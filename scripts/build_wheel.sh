#!/bin/sh
# Builds the wheel that users install: scripts/build_wheel.sh [FOLDER], `dist` by default.
#
# The libraries of the native data plane (nghttp2, OpenSSL) are bundled, so that the wheel needs nothing of the machine
# that it is installed on but glibc as new as this one's. Their licence texts go with them (scripts/add_licences.py). Needs
# what scripts/setup.sh test sets up.
set -eu
cd "$(dirname "$0")/.."

folder=${1:-dist}
PATH="${VENV:-$PWD/.venv}/bin:$PATH"
built=$(mktemp -d)
trap 'rm -rf "$built"' EXIT

# A build folder of its own: that of the editable install knows other options.
python -m pip wheel -q --no-deps --no-build-isolation -w "$built" -C build-dir="$built/build" -C cmake.build-type=Release .
mkdir -p "$folder"
auditwheel repair --strip -w "$built/repaired" "$built"/mark_serve-*.whl >/dev/null
python scripts/add_licences.py "$built"/repaired/mark_serve-*.whl
mv "$built"/repaired/mark_serve-*.whl "$folder"
for wheel in "$folder"/mark_serve-*.whl; do
  printf 'wheel: %s\n' "$wheel"
done
