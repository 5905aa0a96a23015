#!/usr/bin/env bash
# How much more than people whom its networks know others make a refiner err, of 15 people: the small networks
# of model/weights three times over, each time without five of those who else train them.
#
#   tools/experiments/unknown_people.sh CMU_DIRECTORY
#
# 14, nearly half of all frames, trains all of them; 17, 127 and 131 none. Half of the cameras and epochs
# of model/weights/train.sh. A run that was stopped goes on where it was.
#
#   OUT=out/unknown   where everything is written: without_*_residuals.safetensors are for
#                     `train uncertainty --cross-fitted`
#   BUILD=build       build directory
#   THREADS=          of every command; changes no result
set -euo pipefail
cmu=$(realpath "${1:?usage: tools/experiments/unknown_people.sh CMU_DIRECTORY}")
cd "$(dirname "$0")/../.."
out=${OUT:-out/unknown}
seed=1
posetape=${BUILD:-build}/tools/posetape
mkdir -p "$out"
. tools/experiments/stage.sh

threads=(${THREADS:+--threads "$THREADS"})
training=(--width 64 --depth 3 --heads 4 --lr 0.002 --frames 27 --batch 32 --precision bf16 --confidence)
finished=(--flip-average --precision bf16 "${threads[@]}")
prepare=(prepare cmu "$cmu" --joints keypoints-mixed --detector openpose)
known=01,03,05,07,08,09,10,11,118,124,135,14,143,16,18,55,60,64
stage data.npz "${prepare[@]}" --subjects $known --cameras random:4

# As `posetape pose` makes poses, filmed by cameras other than before.
lift_finished() {  # NAME, SUBJECTS, CAMERAS
  local seed=2
  stage "$1.npz" "${prepare[@]}" --subjects "$2" --cameras "$3"
  stage "$1_lifted.npz" lift "$out/${fold}_lifter.safetensors" "$out/$1.npz" "${finished[@]}"
}

for unknown in 03,07,124,16,55 01,08,11,135,143 05,10,118,18,64; do
  fold=without_${unknown//,/_}
  others=$(tr , '\n' <<< "$known" | grep -vxF "${unknown//,/$'\n'}" | paste -sd,)
  train=("${training[@]}" --validation-subjects "$unknown" "${threads[@]}")
  stage "${fold}_lifter.safetensors" train lifter "$out/data.npz" "${train[@]}" --epochs 10 --decay 0.75
  stage "${fold}_lifted.npz" lift "$out/${fold}_lifter.safetensors" "$out/data.npz" "${threads[@]}"
  stage "${fold}_refiner.safetensors" train refiner "$out/${fold}_lifted.npz" "${train[@]}" \
    --epochs 4 --decay 0.7
  lift_finished "${fold}_known" "$others" random:1
  lift_finished "${fold}_unknown" "$unknown" random:4
  stage "${fold}_sure.safetensors" train uncertainty "$out/${fold}_refiner.safetensors" \
    "$out/${fold}_known_lifted.npz" "$out/${fold}_unknown_lifted.npz" --validation-subjects "$unknown" \
    "${finished[@]}" --residuals "$out/${fold}_residuals.safetensors"
done
