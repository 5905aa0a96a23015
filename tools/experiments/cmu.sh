#!/usr/bin/env bash
# The main experiment on real motion: how much does the refiner gain on people that no training saw?
#
#   tools/experiments/cmu.sh CMU_DIRECTORY
#
# CMU_DIRECTORY holds <subject>/<subject>.asf and its .amc files (mocap.cs.cmu.edu). Subjects 17, 127
# and 131 are for testing and nothing else; 09 and 60 choose the best epoch of every network; the
# rest trains. A run that was stopped goes on where it was.
#
#   OUT=out/cmu       where everything is written; results.md is the table
#   BUILD=build       build directory
#   SEED=1            of every stage
#   EARLY=1           the base stops at 12 epochs, while its validation error still falls: what a
#                     refiner gains then is what the base was not given the time to learn
set -euo pipefail
cmu=${1:?usage: tools/experiments/cmu.sh CMU_DIRECTORY}
cmu=$(realpath "$cmu")
cd "$(dirname "$0")/../.."
build=${BUILD:-build}
out=${OUT:-out/cmu}
seed=${SEED:-1}
posetape=$build/tools/posetape

[[ -f $build/meson-private/coredata.dat ]] || { tools/setup.sh; meson setup "$build"; }
meson compile -C "$build" posetape >/dev/null
mkdir -p "$out"

# Sizes: two cores, about one hour. Every lifter trains until its validation error has stopped falling.
validation=(--validation-subjects 09,60)
size=(--frames 27 --width 64 --depth 2 --heads 2 --batch 16 --recipe paper)
lifter=("${size[@]}" --epochs 40 --decay 0.9 --patience 3)
refiner=("${size[@]}" --epochs 15 --decay 0.85 --patience 3)
if [[ -n ${EARLY:-} ]]; then
  lifter=("${size[@]}" --epochs 12 --decay 0.8 --patience 2)
  refiner=("${size[@]}" --epochs 6 --decay 0.8)
fi

. tools/experiments/stage.sh

stage data.npz prepare cmu "$cmu" --test-subjects 17,127,131
stage lifter.safetensors train lifter "$out/data.npz" "${lifter[@]}" "${validation[@]}"
# Windows of 27 frames that only touch, but where it says otherwise.
stage lifted.npz lift "$out/lifter.safetensors" "$out/data.npz" --stride 27
stage in_sample_lifted.npz lift "$out/lifter.safetensors" "$out/data.npz" --in-sample --stride 27

# Trains a refiner and refines with it: name, input, options of training.
variant() {
  local name=$1 input=$2
  shift 2
  stage "$name.safetensors" train refiner "$out/$input.npz" \
    "${refiner[@]}" "${validation[@]}" "$@"
  # Test subjects are lifted by the same full lifter in both inputs.
  stage "$name.npz" refine "$out/$name.safetensors" "$out/lifted.npz" --recipe paper
}

variant plain lifted                             # the paper's method
variant in_sample in_sample_lifted               # ... on estimates for people the lifter has seen
variant no_cnd lifted --error-source real        # ... without the conditional noise
variant regression lifted --objective regression # ... without diffusion, same network
variant rollout lifted --states rollout          # diffusion on the states that inference visits
variant rollout_in_sample in_sample_lifted --states rollout

# No network: each joint's mean error, and the linear-Gaussian correction x_noisy - mu(y, x_noisy).
for control in bias linear; do
  stage "$control.npz" refine "$out/plain.safetensors" "$out/lifted.npz" --stride 27 --control "$control"
done
for control in one-euro savitzky-golay; do
  stage "$control.npz" refine "$out/lifted.npz" --control "$control" --smoothing-window 13 --smoothing-degree 2
done
# SmoothNet, the smoother to compare with; windows as its authors make them.
stage smoothnet.safetensors train smoothnet "$out/lifted.npz" \
  --epochs 15 --batch 16 --decay 0.85 --patience 3 "${validation[@]}"
stage smoothnet.npz refine "$out/smoothnet.safetensors" "$out/lifted.npz" \
  --stride 1 --overlap average --filter none
# Overlapping windows and mirror images, averaged: nothing is trained.
for name in rollout rollout_in_sample; do
  stage "${name}_overlap.npz" refine "$out/$name.safetensors" "$out/lifted.npz" \
    --stride 9 --overlap average --flip-average --filter none
done

"$posetape" evaluate \
  "$out"/{bias,linear,one-euro,savitzky-golay,smoothnet,plain,in_sample,no_cnd,regression}.npz \
  "$out"/rollout{,_overlap,_in_sample,_in_sample_overlap}.npz \
  --json "$out/results.json" | tee "$out/results.md"
echo "wrote $out/results.md and $out/results.json"
