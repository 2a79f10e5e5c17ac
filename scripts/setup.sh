#!/bin/sh
# Sets up .venv for `make demo` or `make test`: scripts/setup.sh demo|test.
#
# Needs Python >= 3.10 with venv and headers, and a C++ compiler; what Debian lacks of them is installed when this user
# may. PYTHON names another interpreter. May be run again at any time: it installs only what is missing.
set -eu
cd "$(dirname "$0")/.."

PYTHON=${PYTHON:-python3}
VENV=.venv
# With a network that fails at times, and with whoever else installs packages now.
APT_PATIENCE='-o Acquire::Retries=3 -o DPkg::Lock::Timeout=120'

say() { printf 'setup: %s\n' "$*"; }
fail() {
  say "$*" >&2
  exit 1
}

# Installs Debian packages, or ends with the command that a person has to run.
# shellcheck disable=SC2086  # APT_PATIENCE is a list of words
apt_install() {
  command -v apt-get >/dev/null || fail "needs what Debian calls $*; install it with your system's package manager"
  if [ "$(id -u)" = 0 ]; then
    as_root=env
  elif sudo -n true 2>/dev/null; then
    as_root='sudo env'
  else
    fail "needs $*; run: sudo apt-get install $*"
  fi
  say "installing $* with apt-get"
  $as_root DEBIAN_FRONTEND=noninteractive apt-get update -q=2 $APT_PATIENCE
  $as_root DEBIAN_FRONTEND=noninteractive apt-get install -y -q=2 $APT_PATIENCE --no-install-recommends "$@" >/dev/null
}

python_can() { "$PYTHON" -c "$1" 2>/dev/null; }
has_venv() { python_can 'import ensurepip, venv'; }
has_headers() {
  python_can 'import pathlib, sysconfig; assert pathlib.Path(sysconfig.get_path("include"), "Python.h").exists()'
}
# What the native data plane is built of; without it mark serves through grpcio, more slowly.
has_native() {
  printf '#include <nghttp2/nghttp2.h>\n#include <openssl/ssl.h>\n#include <zlib.h>\n' | c++ -E -x c++ - >/dev/null 2>&1
}
has_doctest() { printf '#include <doctest/doctest.h>\n' | c++ -E -x c++ - >/dev/null 2>&1; }

has_fuzzer() {
  printf 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }' |
    clang++ -fsanitize=fuzzer -x c++ - -o /dev/null 2>/dev/null
}
has_chromium() { [ -n "${CHROMIUM:-}" ] || command -v chromium >/dev/null || command -v google-chrome >/dev/null; }

check_python() {
  command -v "$PYTHON" >/dev/null || fail "no $PYTHON; install Python 3.10 or newer, or set PYTHON to one"
  python_can 'import sys; assert sys.version_info >= (3, 10)' ||
    fail "$PYTHON is $("$PYTHON" -V 2>&1); mark needs 3.10 or newer: set PYTHON to one"
}

system_packages() {
  missing=
  has_venv || missing="$missing python3-venv"
  has_headers || missing="$missing python3-dev"
  command -v c++ >/dev/null || missing="$missing g++"
  if [ "$1" = test ]; then
    has_doctest || missing="$missing doctest-dev"
    has_fuzzer || missing="$missing clang libclang-rt-dev"
    command -v h2load >/dev/null || missing="$missing nghttp2-client" # the load of the server benches
    has_chromium || missing="$missing chromium" # looks at the live page
  fi
  # shellcheck disable=SC2086  # a list of words
  [ -z "$missing" ] || apt_install $missing
  # In a shell of its own: that ends without rights to install, and mark does not.
  has_native || (apt_install libnghttp2-dev libssl-dev zlib1g-dev) ||
    say "going on without them: mark will serve through grpcio only"
  has_venv && has_headers ||
    fail "$PYTHON has no venv or no headers, and apt-get could not mend that: set PYTHON to one that has both"
}

# pip repeats what did not begin, and gives up where a download breaks off; what was built already is kept.
pip_install() {
  "$VENV/bin/pip" install -qq -c constraints.txt "$@" || {
    say "that failed; once more"
    "$VENV/bin/pip" install -qq -c constraints.txt "$@"
  }
}

install() {
  export PIP_DISABLE_PIP_VERSION_CHECK=1
  if ! "$VENV/bin/python" -c 'import pip' 2>/dev/null; then
    say "creating $VENV"
    "$PYTHON" -m venv "$VENV"
  fi
  # An editable install without isolation is rebuilt by CMake, so that only the C++ files that changed are compiled.
  say "installing mark with $1"
  pip_install scikit-build-core pybind11 cython cmake ninja
  pip_install --no-build-isolation -e ".[$1]"
}

# As this user: the folder is no one else's.
# shellcheck disable=SC2086  # a list of words
download_prometheus() { apt-get download -q=2 $APT_PATIENCE -o APT::Sandbox::User="$(id -un)" prometheus; }

# Checks metrics, alert rules and their tests. Taken out of its package: installing that would start a server here.
fetch_promtool() {
  [ -x "$VENV/bin/promtool" ] || command -v promtool >/dev/null && return
  say "fetching promtool"
  folder=$(mktemp -d)
  (
    cd "$folder" &&
      { download_prometheus || { apt_install ca-certificates && download_prometheus; }; } &&
      dpkg-deb -x prometheus_*.deb .
  ) && cp "$folder/usr/bin/promtool" "$VENV/bin/promtool" || say "without promtool; the tests that need it are skipped"
  rm -r "$folder"
}

case ${1:-} in
  demo) extras=demo ;;
  test) extras=all,dev ;;
  *) fail "usage: scripts/setup.sh demo|test" ;;
esac
check_python
system_packages "$1"
install "$extras"
[ "$1" = demo ] || fetch_promtool
# What the tests need is enough for the demo.
[ "$1" = demo ] || touch "$VENV/.ready-test"
touch "$VENV/.ready-demo"
