#!/bin/sh
# The one check that everybody runs, CI included: stops at the first failure. Needs scripts/setup.sh all,dev.
set -eu
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"

step() {
  name=$1
  shift
  began=$(date +%s)
  printf '== %s\n' "$name"
  log=$(mktemp)
  if "$@" >"$log" 2>&1; then
    tail -n 3 "$log" | cut -c 1-160
    printf '   ok, %s s\n' "$(($(date +%s) - began))"
    rm -f "$log"
  else
    cat "$log"
    printf '== failed: %s\n' "$name"
    rm -f "$log"
    exit 1
  fi
}

tidy() {
  find csrc/mark csrc/net csrc/tests csrc/bench -name '*.cc' -print0 |
    xargs -0 -n 1 -P "$(nproc)" clang-tidy -p build/dev --quiet
}

build_and_test() {
  cmake --preset "$1"
  cmake --build --preset "$1"
  ctest --preset "$1"
}

step "ruff check" ruff check
step "ruff format" ruff format --check
step "mypy" mypy
step "clang-format" sh -c 'find csrc -name "*.cc" -o -name "*.h" | xargs clang-format --dry-run -Werror'
step "C++ tests, assertions on" build_and_test dev
step "clang-tidy" tidy
step "C++ tests, address and undefined-behaviour sanitizers" build_and_test asan
step "C++ stress, thread sanitizer" build_and_test tsan
step "Python tests: unit, properties, contract, codebase" pytest -q tests/unit tests/properties tests/contract tests/codebase
step "Python tests: integration" pytest -q tests/integration
step "benches, each once, for their answers" pytest -q bench --benchmark-disable
echo "all checks passed"
