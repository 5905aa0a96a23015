#!/usr/bin/env bash
# The whole job on the embedded synthetic motion: data, base estimator, its estimates, refiner,
# refined poses, table. Needs nothing but this repository and Debian's packages.
#
#   tools/demo.sh
#
#   OUT=out/demo      where everything is written
#   BUILD=build       build directory
#   SEED=1  THREADS=  passed to every command
set -euo pipefail
cd "$(dirname "$0")/.."
build=${BUILD:-build}
out=${OUT:-out/demo}

# Sizes: small enough for a coffee break, large enough that refining pays. The refiner learns on the
# states that inference visits (diffusion/README.md says why).
prepare=(--people 8 --takes 1 --seconds 4)
lifter=(--frames 27 --width 32 --depth 2 --heads 1 --batch 8 --epochs 10 --decay 0.8)
refiner=(--frames 27 --width 32 --depth 2 --heads 4 --batch 8 --epochs 10 --decay 0.8)

tools/setup.sh --program
if [[ ! -f $build/meson-private/coredata.dat ]]; then
  # Without tests, which `meson install` would build before it installs, and with kernels for this
  # machine alone.
  meson setup "$build" -Dtests=false -Disa=here
fi
meson compile -C "$build" posetape

run() {
  echo
  echo "\$ posetape $*"
  "$build/tools/posetape" "$@" --seed "${SEED:-1}" ${THREADS:+--threads "$THREADS"}
}

mkdir -p "$out"
run prepare synthetic -o "$out/data.npz" "${prepare[@]}"
run train lifter "$out/data.npz" -o "$out/lifter.safetensors" "${lifter[@]}"
run lift "$out/lifter.safetensors" "$out/data.npz" -o "$out/lifted.npz"
run train refiner "$out/lifted.npz" -o "$out/refiner.safetensors" "${refiner[@]}"
run refine "$out/refiner.safetensors" "$out/lifted.npz" -o "$out/refined.npz"
run evaluate "$out/refined.npz" --json "$out/scores.json"
run report "$out/refined.npz" "$out/refiner.safetensors" "$out/refiner.log.jsonl" \
  "$out/lifter.log.jsonl" -o "$out/report.html"

# A clip of one's own: here a person filmed by some camera, 2D poses as a detector gives them. The
# networks come along and saw none of it.
run prepare synthetic -o "$out/clip.npz" --people 1 --takes 1 --seconds 4 --cameras random \
  --joints keypoints --detector openpose
run pose "$out/clip.npz" -o "$out/clip.json" --report "$out/clip.html"

echo
echo "wrote $out/refined.npz (poses), $out/scores.json (figures), $out/*.safetensors (networks)"
echo "and $out/report.html: open it in a browser to look at all of it"
