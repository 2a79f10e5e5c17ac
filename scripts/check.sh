#!/usr/bin/env bash
# The check behind `make test`: scripts/check.sh lint|unit|integration|sanitizers|fuzz|bench|pauses ...
#
# Prints one line for each step and stops at the first that fails, with its output.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"

log=$(mktemp)
trap 'rm -f "$log"' EXIT

# step NAME COMMAND...
step() {
  local name=$1 began_us=${EPOCHREALTIME//[.,]/} status spent_ms
  shift
  printf '%-46s' "$name"
  # Not `if "$@"` nor `"$@" ||`: bash ignores errexit in all that runs below those.
  set +e
  (
    set -e
    "$@"
  ) >"$log" 2>&1 </dev/null
  status=$?
  set -e
  spent_ms=$(((${EPOCHREALTIME//[.,]/} - began_us) / 1000))
  printf '%4d.%d s' $((spent_ms / 1000)) $((spent_ms % 1000 / 100))
  if ((status != 0)); then
    printf '  FAILED\n'
    cat "$log"
    printf '\nfailed: %s (exit status %d of %s)\n' "$name" "$status" "$*"
    exit 1
  fi
  printf '\n'
}

# configure PRESET: with the extension, so that asan's compile commands cover the bindings too.
configure() {
  local options=()
  if [[ $1 == asan ]]; then
    options=(-DMARK_BUILD_EXTENSION=ON -DPython_EXECUTABLE="$PWD/.venv/bin/python"
      -Dpybind11_DIR="$(pybind11-config --cmakedir)")
  fi
  cmake --preset "$1" "${options[@]}"
}

# cpp_tests PRESET [WRAPPER...]
cpp_tests() {
  local preset=$1
  shift
  configure "$preset"
  cmake --build --preset "$preset"
  "$@" ctest --preset "$preset"
}

clang_format() { find csrc -name '*.h' -print0 -o -name '*.cc' -print0 | xargs -0 clang-format --dry-run -Werror; }

clang_tidy() {
  configure asan
  find csrc -name '*.cc' -print0 | xargs -0 -n 2 -P "$(nproc)" clang-tidy --quiet -p build/asan
}

# The tests of the extension, on a copy of the package with the instrumented one. Python itself is not instrumented, so
# the sanitizer is loaded first, with the library whose exceptions it watches, and does not look for leaks. -S leaves out
# the editable install; what the sanitizer says must not end up in pytest's capture. The driver of AWS is Python alone.
extension_under_asan() {
  local site=build/asan/site
  rm -rf "$site"
  mkdir -p "$site"
  cp -r python/mark "$site/mark"
  rm -f "$site"/mark/_core*.so "$site"/mark/workload/_timestamps*.so
  cmake --install build/asan --prefix "$site"
  PYTHONPATH="$site:$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
    LD_PRELOAD="$(c++ -print-file-name=libasan.so) $(c++ -print-file-name=libstdc++.so)" ASAN_OPTIONS=detect_leaks=0 \
    python -S -m pytest -p no:cacheprovider --capture=sys --ignore-glob='*aws*' tests/properties tests/unit
}

check_lint() {
  step 'ruff check' ruff check
  step 'ruff format' ruff format --check
  step 'mypy, strict' mypy
  step 'clang-format' clang_format
  step 'clang-tidy' clang_tidy
}

check_unit() {
  step 'C++ tests, with assertions' cpp_tests dev
  step 'pytest: codebase, unit, properties, contract' \
    pytest --ignore tests/integration --ignore tests/agreement --ignore tests/conformance --ignore tests/browser \
    --ignore tests/docs
}

check_integration() {
  step 'pytest: integration, agreement' pytest tests/integration tests/agreement
  step 'pytest: the site, and the commands of its pages' pytest tests/docs
  step 'pytest: conformance of each ingress' pytest tests/conformance
  step 'pytest: the live page, in Chromium' pytest tests/browser
}

check_sanitizers() {
  local fixed_addresses=()
  # The TSan of older compilers cannot place its memory when the kernel randomises addresses by more than 28 bits.
  if setarch --addr-no-randomize true 2>/dev/null; then fixed_addresses=(setarch --addr-no-randomize); fi
  step 'C++ tests, ASan and UBSan' cpp_tests asan
  step 'pytest: the extension, ASan and UBSan' extension_under_asan
  step 'C++ stress, TSan' cpp_tests tsan "${fixed_addresses[@]}"
}

# fuzz_target NAME: for so long, from the seeds and from what earlier runs found; a crash leaves its input behind.
fuzz_target() {
  local found="build/fuzz/found/$1"
  mkdir -p "$found"
  "build/fuzz/csrc/tests/$1" -max_total_time="$fuzz_seconds" -max_len=65536 -rss_limit_mb=1024 -print_final_stats=1 \
    -artifact_prefix="build/fuzz/$1-" "$found" "build/fuzz/seeds/$1"
}

build_fuzz_targets() {
  cmake --preset fuzz -DCMAKE_CXX_COMPILER="$fuzz_compiler"
  cmake --build --preset fuzz
  build/fuzz/csrc/tests/write_seeds build/fuzz/seeds
}

check_fuzz() {
  local fuzz_seconds=${FUZZ_SECONDS:-15} fuzz_compiler target
  fuzz_compiler=$(compgen -c clang++ | sort -V | tail -n 1)
  if [[ -z $fuzz_compiler ]]; then
    printf 'fuzzing needs clang: apt-get install clang\n'
    exit 1
  fi
  step 'fuzz targets, ASan and UBSan' build_fuzz_targets
  for target in fuzz_grpc_framing fuzz_http2_server fuzz_oip_request fuzz_oip_response; do
    step "$target" fuzz_target "$target"
  done
}

# Not part of the one check, which it would make longer: what changes threads, sockets or their tests is run through it.
check_pauses() {
  local round
  export MARK_PAUSES_PPM=${MARK_PAUSES_PPM:-20000} MARK_PAUSE_US_MAX=${MARK_PAUSE_US_MAX:-3000}
  step 'C++ tests, with assertions' cpp_tests dev
  for round in 1 2 3; do
    step "under pauses, round $round" env LD_PRELOAD="$PWD/build/dev/csrc/tests/libpauses.so" \
      build/dev/csrc/tests/mark_rpc_tests
    step "of Python, round $round" env LD_PRELOAD="$PWD/build/dev/csrc/tests/libpauses.so" MARK_PAUSES_PPM=2000 \
      pytest tests/integration/test_router.py tests/integration/test_life_and_death.py tests/integration/test_worker.py
  done
}

check_bench() {
  step 'benches, once each' pytest bench --benchmark-disable
}

for group in "$@"; do
  "check_$group"
done
printf 'all passed in %d s\n' "$SECONDS"
