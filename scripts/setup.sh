#!/bin/sh
# Sets up what `make` needs, from nothing but Python, a C++ compiler and the package registries: scripts/setup.sh EXTRAS
#
#   EXTRAS   what to install beside the package: "demo", or "all,dev" for the tests
#   PYTHON   the interpreter to build the virtual environment with (python3)
#
# Quick when nothing has changed since the last time.
set -eu
cd "$(dirname "$0")/.."
extras=$1
python=${PYTHON:-python3}
stamp=".venv/.mark-$(echo "$extras" | tr ',' '-')"

if [ -f "$stamp" ] && [ -z "$(find pyproject.toml constraints.txt CMakeLists.txt scripts/setup.sh csrc -newer "$stamp" -print -quit)" ]; then
  exit 0
fi

# Installs Debian packages, or says which ones a person has to install.
need_packages() {
  echo "setup: installing Debian packages: $*"
  if [ "$(id -u)" = 0 ]; then
    run=""
  elif sudo -n true 2>/dev/null; then
    run="sudo -n"
  else
    echo "setup: please run: sudo apt-get install $*" >&2
    exit 1
  fi
  { $run apt-get install -qq -y "$@" || { $run apt-get update -qq && $run apt-get install -qq -y "$@"; }; } >/dev/null
}

if ! command -v "$python" >/dev/null; then
  need_packages python3
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
  echo "setup: needs Python 3.10 or newer, not $("$python" --version); set PYTHON" >&2
  exit 1
fi
missing=""
"$python" -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"
[ -f "$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["include"])')/Python.h" ] || missing="$missing python3-dev"
command -v c++ >/dev/null || missing="$missing g++"
case $extras in *dev*) [ -f /usr/include/doctest/doctest.h ] || missing="$missing doctest-dev" ;; esac
# shellcheck disable=SC2086 # one word a package
[ -z "$missing" ] || need_packages $missing

if [ ! -x .venv/bin/python ]; then
  echo "setup: making the virtual environment .venv"
  "$python" -m venv .venv
fi
echo "setup: installing the package with [$extras] (the first time takes a few minutes)"
export PIP_DISABLE_PIP_VERSION_CHECK=1 PATH="$PWD/.venv/bin:$PATH"
pip install -q -c constraints.txt scikit-build-core pybind11 cmake ninja
pip install -q -c constraints.txt --no-build-isolation -e ".[$extras]"
touch "$stamp"
