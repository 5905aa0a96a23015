#!/usr/bin/env bash
# Builds the CUDA backend for the GPUs that are here, runs its tests and benchmarks, and prints one table
# to paste: device, every test's result, what compute-sanitizer says of a training step, times of whole
# steps, PyTorch's beside them where Python has it, and what the kernels reach of what the device can do.
# The same lies in BUILD/gpu-report.json.
# Fails where there is no GPU, and where a test fails.
#
#   tools/gpu-report.sh
#
#   BUILD=build-gpu         build directory
#   CUDA=nvcc               emulated: on the CPU with tiny sizes, to test this script
#   MIN_TIME=1              seconds of each benchmark
set -uo pipefail
cd "$(dirname "$0")/.."
cuda=${CUDA:-nvcc}
build=${BUILD:-build-gpu}

stop() {
  echo "gpu-report: $1" >&2
  exit 1
}

if [[ $cuda == emulated ]]; then
  steps='denoiser_.*/1/3/8/1/'
  sizes=(--batch 1 --frames 3 --width 8 --depth 1 --heads 2 --steps 1)
  cases=('-tc=cuda: relu*,cuda: layer_norm*,cuda: normal*')
  options=()
else
  command -v nvidia-smi >/dev/null && nvidia-smi -L 2>/dev/null | grep -q GPU ||
    stop "no NVIDIA GPU was found; CUDA=emulated tries this script without one"
  steps='denoiser_.*/256/4/'
  sizes=(--batch 16 --frames 81)
  cases=()
  # Of the CPU's kernels, which results are compared with, as few as serve any host.
  options=(-Disa=baseline,avx2 -Dgpu_arch="$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader |
    tr -d . | sort -nu | paste -sd,)")
fi

# A build directory that is there is used as it stands.
if [[ ! -f $build/build.ninja ]]; then
  meson setup "$build" -Dcuda="$cuda" "${options[@]}" >&2 || stop "meson setup failed"
fi
ninja -C "$build" tools/posetape tests/cuda/test_cuda bench/bench_steps >&2 || stop "the build failed"

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
"$build/tests/cuda/test_cuda" "${cases[@]}" --reporters=junit --no-path-filenames \
  >"$out/tests.xml" || true  # the table says what failed
if [[ $cuda != emulated ]] && command -v compute-sanitizer >/dev/null; then
  for tool in memcheck racecheck; do
    compute-sanitizer --tool $tool --error-exitcode 1 "$build/tests/cuda/test_cuda" \
      -tc='cuda: a training step of four blocks*' >&2 && result=passed || result=failed
    echo "$tool $result" >>"$out/sanitizers.txt"
  done
fi
for dtype in f32 bf16; do
  "$build/bench/bench_steps" --device cuda --dtype $dtype --benchmark_filter="$steps" \
    --benchmark_min_time="${MIN_TIME:-1}" --benchmark_format=json >"$out/$dtype.json" ||
    stop "the benchmarks failed"
  "$build/tools/posetape" profile --device cuda --precision $dtype "${sizes[@]}" \
    --json "$out/profile-$dtype.json" >&2 || stop "the profile failed"
done
# Small layers of bf16 have products of our own: whether they should.
for products in own library; do
  POSETAPE_CUDA_PRODUCTS=$products "$build/bench/bench_steps" --device cuda --dtype bf16 \
    --benchmark_filter="$steps" --benchmark_min_time="${MIN_TIME:-1}" --benchmark_format=json \
    >"$out/bf16-$products.json" || stop "the benchmarks failed"
done
if [[ $cuda != emulated ]] && python3 -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
  for dtype in f32 bf16; do
    for shape in '4 81' '1 243' '16 27'; do
      echo "train $dtype $shape 256 4 1 ${MIN_TIME:-1}"
      echo "forward $dtype $shape 256 4 1 ${MIN_TIME:-1}"
    done
  done >"$out/requests.txt"
  for mode in eager eager-by-hand; do
    python3 bench/peers/peer.py measure $mode cuda <"$out/requests.txt" |
      paste -d' ' "$out/requests.txt" - >"$out/torch-$mode.txt"
  done
fi
python3 tools/gpu_report.py "$out" --json "$build/gpu-report.json"
