#!/usr/bin/env bash
# posetape against PyTorch: the network's output and gradients, then time and memory, in turns on
# the same threads. PyTorch goes into the build directory; nothing else is installed.
#
#   bench/compare.sh [options of bench/compare.py, e.g. --threads 1 --only 'train B4']
#
#   BUILD=build             build directory
#   REFINER=                a refiner's checkpoint; without it one is trained for a moment
set -euo pipefail
cd "$(dirname "$0")/.."
build=${BUILD:-build}
peer=$build/peer
python=$peer/venv/bin/python

[[ -f $build/meson-private/coredata.dat ]] || meson setup "$build"
meson compile -C "$build" bench_measure peer_check posetape
mkdir -p "$peer"

if ! "$python" -c 'import torch' 2>/dev/null; then
  echo "compare: installing PyTorch in $peer/venv"
  if ! { python3 -m venv "$peer/venv" && "$python" -m pip install --quiet torch numpy; }; then
    echo "compare: skipped: PyTorch cannot be installed here (python3-venv, or a way to PyPI)" >&2
    exit 0
  fi
fi

refiner=${REFINER:-$peer/refiner.safetensors}
if [[ ! -f $refiner ]]; then
  echo "compare: training a refiner to compare"
  small=(--frames 27 --epochs 1 --batch 4)
  {
    "$build/tools/posetape" prepare synthetic -o "$peer/data.npz" --people 4 --takes 1 --seconds 1
    "$build/tools/posetape" train lifter "$peer/data.npz" -o "$peer/lifter.safetensors" \
      "${small[@]}" --width 32 --depth 1 --heads 1
    "$build/tools/posetape" lift "$peer/lifter.safetensors" "$peer/data.npz" -o "$peer/lifted.npz"
    "$build/tools/posetape" train refiner "$peer/lifted.npz" -o "$refiner" "${small[@]}"
  } > "$peer/refiner.log" || { cat "$peer/refiner.log" >&2; exit 1; }
fi

"$build/bench/peer_check" "$refiner" "$peer/answers.safetensors"
"$python" bench/peers/peer.py check "$refiner" "$peer/answers.safetensors"
"$python" bench/compare.py "$build/bench/bench_measure" "$python" "$@"
