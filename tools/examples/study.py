#!/usr/bin/env python3
"""Three questions about a trained refiner, answered from what `posetape inspect` writes:

    tools/examples/study.py refiner.safetensors lifted.npz [--clips A,B] [--out FOLDER] [--threads N]

Which step and block takes the wrist's error off, what do the heads in time look at, and what if the
noise were independent. study.md has the answers for the networks that come along. Each clip needs
ground truth. Needs numpy and a built posetape; files that are there already are not made again.
"""

import argparse
import json
import pathlib
import subprocess

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
WRISTS = [13, 16]  # data/README.md has the joints in their order
NOISES = ["real", "shuffled", "independent", "ar1", "none"]


def inspect(options, clip, name, *more):
    """The arrays of one pass and what the file says of itself."""
    path = pathlib.Path(options.out) / f"{clip.replace('/', '_')}.{name}.npz"
    if options.threads:
        more += ("--threads", options.threads)
    if not path.exists():
        subprocess.run([options.posetape, "inspect", options.refiner, options.lifted, "--sequence",
                        clip, "-o", path, "--seed", "1", *more], check=True,
                       stdout=subprocess.DEVNULL)  # fmt: skip
    arrays = np.load(path)
    return arrays, json.loads(bytes(arrays["metadata"]))["inspect"]


def table(header, rows):
    """Markdown."""
    print("\n| " + " | ".join(header) + " |")
    print("| --- |" + " ---: |" * (len(header) - 1))
    for row in rows:
        print("| " + " | ".join(map(str, row)) + " |")


def mean_over_clips(values, frames):
    """Clips count by their frames, as in a mean over all frames."""
    return np.average(values, axis=0, weights=frames)


def lens(options, clips):
    """Error of the wrists (mm): what the network would answer after each block."""
    state, error, frames = [], [], []
    for clip in clips:
        arrays, about = inspect(options, clip, "lens", "--lens", "--tap", "refined")
        state.append(arrays["lens.state_mm"][:, WRISTS].mean(-1))  # [K]
        error.append(arrays["lens.error_mm"][:, :, WRISTS].mean(-1))  # [K, streams]
        frames.append(about["frames"])
    state, error = mean_over_clips(state, frames), mean_over_clips(error, frames)
    table(["step", "state", *about["lens"]["streams"]],
          [[f"{k + 1}, t = {t}", f"{state[k]:.1f}", *(f"{e:.1f}" for e in error[k])]
           for k, t in enumerate(about["timesteps"])])  # fmt: skip


def ablation(options, clips, most=8):
    """Change of the wrists' error and of all joints' (mm) without a part, its mean in its place."""
    change, frames = [], []
    for clip in clips:
        arrays, about = inspect(options, clip, "ablation", "--ablate", "mean", "--tap", "refined")
        change.append(arrays["ablation.error_mm"] - arrays["ablation.whole_mm"])  # [parts, 17]
        frames.append(about["frames"])
    change = mean_over_clips(change, frames)
    parts = np.array(about["ablation"]["parts"])
    wrists, everything = change[:, WRISTS].mean(-1), change.mean(-1)
    heads = np.char.find(parts, ".head") >= 0
    for chosen in (~heads, heads):
        order = [p for p in np.argsort(-wrists) if chosen[p]][:most]
        table(["without", "wrists", "all joints"],
              [[parts[p], f"{wrists[p]:+.2f}", f"{everything[p]:+.2f}"] for p in order])  # fmt: skip


def heads_in_time(options, clips):
    """Of every head in time: how far away it looks, and how much at its own frame and the future."""
    attention, frames = {}, []
    for clip in clips:
        arrays, about = inspect(options, clip, "heads", "--tap", "time.attention")
        frames.append(about["frames"])
        for name in arrays.files:
            if name.endswith(".time.attention"):
                attention.setdefault(name, []).append(arrays[name])  # [heads, N, N]
    size = about["window_frames"]
    lag = np.arange(size)[None] - np.arange(size)[:, None]  # the frame looked at, less one's own
    rows = []
    for name, maps in attention.items():
        for head, share in enumerate(mean_over_clips(maps, frames)):
            distance = (share * np.abs(lag)).sum(-1).mean()
            at = lambda chosen: 100 * (share * chosen).sum(-1).mean()
            rows.append([f"{name.removesuffix('.time.attention')}, head {head}", f"{distance:.1f}",
                         f"{at(lag == 0):.0f}", f"{at(abs(lag) <= 2):.0f}", f"{at(lag > 0):.0f}"])
    rows.sort(key=lambda row: float(row[1]))
    even = np.abs(lag).mean()
    print(f"\nLooking at all frames alike would be {even:.1f} frames away, {100 / size:.0f} % at its own.")
    table(["head", "frames away", "own frame (%)", "within 2 (%)", "future (%)"], rows)


def noises(options, clips):
    """MPJPE of base and refined (mm), and jitter of both (mm/frame^2), by the base's error."""
    rows = []
    for noise in NOISES:
        figures, frames = [], []
        for clip in clips:
            arrays, about = inspect(options, clip, f"noise.{noise}", "--noise", noise, "--tap", "refined")
            truth = arrays[f"{clip}/pose_3d"]
            truth = truth - truth[:, :1]
            base, refined = arrays[f"{clip}/noisy_3d"], arrays["refined"]
            error = lambda poses: 1000 * np.linalg.norm(poses - truth, axis=-1).mean()
            jitter = lambda poses: 1000 * np.linalg.norm(np.diff(poses, 2, axis=0), axis=-1).mean()
            figures.append([error(base), error(refined), jitter(base), jitter(refined)])
            frames.append(about["frames"])
        base, refined, *jitters = mean_over_clips(figures, frames)
        gain = f"{100 * (1 - refined / base):.0f} %" if base > 0.1 else "-"
        rows.append([noise, f"{base:.1f}", f"{refined:.1f}", gain, *(f"{j:.1f}" for j in jitters)])
    table(["error of the base", "base", "refined", "taken off", "jitter, base", "refined"], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("refiner")
    parser.add_argument("lifted")
    parser.add_argument("--clips", help="names with commas between (default: all test subjects')")
    parser.add_argument("--out", default="out/study")
    parser.add_argument("--threads", help="changes no figure (default: all)")
    parser.add_argument("--posetape", default=str(ROOT / "build" / "tools" / "posetape"))
    options = parser.parse_args()
    pathlib.Path(options.out).mkdir(parents=True, exist_ok=True)
    lifted = np.load(options.lifted)
    clips = [name.removesuffix("/noisy_3d") for name in lifted.files if name.endswith("/noisy_3d")]
    if options.clips:
        clips = options.clips.split(",")
    elif "test_subjects" in lifted.files:
        people = bytes(lifted["test_subjects"]).decode().split()
        clips = [clip for clip in clips if clip.split("/")[0] in people]
    print(f"{len(clips)} clips: {', '.join(clips)}")
    print("\n## Which step and block takes the wrist's error off?")
    lens(options, clips)
    ablation(options, clips)
    print("\n## What do the heads in time look at?")
    heads_in_time(options, clips)
    print("\n## What if the noise were independent?")
    noises(options, clips)


if __name__ == "__main__":
    main()
