#!/usr/bin/env bash
# Makes the networks of this folder again from the CMU database's motion.
#
#   model/weights/train.sh CMU_DIRECTORY
#
# DIRECTORY holds <subject>/<subject>.asf and its .amc files (mocap.cs.cmu.edu). Subjects 17, 127 and
# 131 are seen by no training; 09 and 60 choose the epochs. How sure the refiners may be they say, too, with
# 15 others whom networks of tools/experiments/unknown_people.sh did not see. A run that was stopped goes
# on where it was.
#
#   OUT=out/weights   where everything is written
#   BUILD=build       build directory
#   THREADS=          of every command; changes no result
set -euo pipefail
cmu=${1:?usage: model/weights/train.sh CMU_DIRECTORY}
cmu=$(realpath "$cmu")
cd "$(dirname "$0")/../.."
build=${BUILD:-build}
out=${OUT:-out/weights}
seed=1
posetape=$build/tools/posetape

[[ -f $build/meson-private/coredata.dat ]] || { tools/setup.sh; meson setup "$build"; }
meson compile -C "$build" posetape >/dev/null
mkdir -p "$out"
. tools/experiments/stage.sh

# Eight cameras a clip, drawn anew, that see keypoints as detectors give them (half of the cameras with
# the head's top), with OpenPose's kind of errors and confidences. bf16: half the time of f32. The refiners
# are the network of the diffusion without it: as much training makes them better (diffusion/RESULTS.md).
training=(--validation-subjects 09,60 --frames 27 --batch 32 --precision bf16 --confidence
  ${THREADS:+--threads "$THREADS"})
large_lifter=(--width 128 --depth 4 --heads 8 --epochs 12 --lr 0.0015 --decay 0.8)
large_refiner=(--objective regression --width 128 --depth 3 --heads 8 --epochs 4 --lr 0.0015 --decay 0.65)
small_lifter=(--width 64 --depth 3 --heads 4 --epochs 10 --lr 0.002 --decay 0.75)
small_refiner=(--objective regression --width 64 --depth 3 --heads 4 --epochs 10 --lr 0.002 --decay 0.75)

stage data.npz prepare cmu "$cmu" --test-subjects 17,127,131 --joints keypoints-mixed \
  --cameras random:8 --detector openpose
for networks in large small; do
  declare -n lifter=${networks}_lifter refiner=${networks}_refiner
  stage "${networks}_lifter.safetensors" train lifter "$out/data.npz" "${training[@]}" "${lifter[@]}"
  stage "${networks}_lifted.npz" lift "$out/${networks}_lifter.safetensors" "$out/data.npz"
  stage "${networks}_refiner.safetensors" train refiner "$out/${networks}_lifted.npz" \
    "${training[@]}" "${refiner[@]}"
done

# How sure the refiners are, of poses as `posetape pose` makes them: people filmed by cameras other
# than before, for which it takes another seed.
OUT=$out/unknown BUILD=$build tools/experiments/unknown_people.sh "$cmu"
seed=2
known=01,03,05,07,08,10,11,118,124,135,14,143,16,18,55,64
threads=(${THREADS:+--threads "$THREADS"})
for part in known unknown; do
  subjects=$known cameras=random:1
  if [[ $part == unknown ]]; then subjects=09,60 cameras=random:4; fi
  stage "$part.npz" prepare cmu "$cmu" --subjects "$subjects" --joints keypoints-mixed \
    --cameras "$cameras" --detector openpose
  for networks in large small; do
    stage "${networks}_$part.npz" lift "$out/${networks}_lifter.safetensors" "$out/$part.npz" \
      --flip-average --precision bf16 "${threads[@]}"
  done
done
seed=1
for networks in large small; do
  strength=0.8
  if [[ $networks == large ]]; then strength=0.5; fi
  stage "${networks}_refiner_sure.safetensors" train uncertainty "$out/${networks}_refiner.safetensors" \
    "$out/${networks}_known.npz" "$out/${networks}_unknown.npz" --validation-subjects 09,60 \
    --cross-fitted "$out"/unknown/*_residuals.safetensors --flip-average --strength "$strength" "${threads[@]}"
done
echo "wrote $out/{large,small}_{lifter,refiner_sure}.safetensors; those of model/weights were made so"
