#!/usr/bin/env bash
# Installs what is missing, builds, runs every test. Safe to run again: it continues where the build
# directory stands. The last line is "N passed, M failed": test cases of all test programs, and one
# for each test script. Fails where anything failed and where nothing ran.
#
#   tools/test.sh [meson options]       e.g. tools/test.sh -Disa=baseline
#
#   BUILD=build             build directory
#   TARGETS= TESTS=         only these targets and tests, e.g. TARGETS=test_engine TESTS=engine
#   TIMEOUT_MULTIPLIER=1    for slow builds (sanitizers)
#   CUDA=emulated           nvcc on a machine with a GPU, where the CUDA tests then run on it
set -uo pipefail
cd "$(dirname "$0")/.."
build=${BUILD:-build}

# Whatever goes wrong before the tests have run counts as one failure.
stop() {
  echo "test: $1" >&2
  echo "0 passed, 1 failed"
  exit 1
}

tools/setup.sh || stop "the setup failed"

reconfigure=()
[[ -f $build/meson-private/coredata.dat ]] && reconfigure=(--reconfigure)
meson setup "${reconfigure[@]}" "$build" -Dtests=true -Dcuda="${CUDA:-emulated}" "$@" || stop "meson setup failed"
# shellcheck disable=SC2086  # lists of names
meson compile -C "$build" ${TARGETS:-} || stop "the build failed"

log=$build/meson-logs/testlog.json
rm -f "$log"
status=0
# shellcheck disable=SC2086
meson test -C "$build" --no-rebuild --print-errorlogs ${TESTS:-} \
  --timeout-multiplier "${TIMEOUT_MULTIPLIER:-1}" || status=1
[[ -f $log ]] || stop "no test has run"
python3 tools/test_summary.py "$log" || status=1
exit $status
