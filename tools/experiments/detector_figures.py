#!/usr/bin/env python3
"""How a detector errs, joint by joint: the figures of data/README.md.

    detector_figures.py SEEN.npz EXACT.npz

Two datasets of the same sequences, one with a detector's 2D poses and one with exact ones
(`prepare ... --detector gt`). Lengths are in thousandths of the person's size in the image, the
summed length of the 16 projected bones.
"""

import sys

import numpy as np

PARENTS = [-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15]
JOINTS = {"hip": [0], "hip joints": [1, 4], "knees": [2, 5], "ankles": [3, 6], "spine": [7],
          "thorax": [8], "nose": [9], "head": [10], "shoulders": [11, 14], "elbows": [12, 15],
          "wrists": [13, 16]}


def errors(seen, exact):
    """[F, 17, 2] in thousandths of the size."""
    bones = [exact[:, j] - exact[:, PARENTS[j]] for j in range(1, 17)]
    size = sum(np.linalg.norm(bone, axis=-1) for bone in bones)
    return (seen - exact) / size[:, None, None] * 1000


def main(seen_file, exact_file):
    seen, exact = np.load(seen_file), np.load(exact_file)
    names = [key[:-8] for key in seen.files if key.endswith("/pose_2d") and key in exact.files]
    clips, fps, confidence = [], [], []
    for name in names:
        clips.append(errors(seen[name + "/pose_2d"].astype(float), exact[name + "/pose_2d"]))
        fps.append(float(seen[name + "/fps"]) if name + "/fps" in seen.files else 50.0)
        if name + "/confidence" in seen.files:
            confidence.append(seen[name + "/confidence"])
    distance = np.linalg.norm(np.concatenate(clips), axis=-1)
    # A few frames of an event would stand for all of a variance: what is 5 medians off is left out.
    limit = 5 * np.median(distance, axis=0)[:, None]
    good = []
    for clip in clips:
        centred = clip - np.median(clip, axis=0)
        good.append(np.where(np.linalg.norm(centred, axis=-1, keepdims=True) < limit, centred, np.nan))

    def correlation(seconds, joints):
        top = bottom = 0.0
        for clip, rate in zip(good, fps):
            lag = max(1, round(seconds * rate))
            if len(clip) <= 2 * lag:
                continue
            a, b = clip[lag:, joints], clip[:-lag, joints]
            both = np.isfinite(a) & np.isfinite(b)
            top += (a[both] * b[both]).sum()
            bottom += 0.5 * ((a[both] ** 2).sum() + (b[both] ** 2).sum())
        return top / bottom if bottom else np.nan

    print("joints       mean  median  95 %   bias   corr. 20 ms  0.4 s")
    for label, joints in JOINTS.items():
        d = distance[:, joints]
        bias = np.mean([np.linalg.norm(np.median(clip[:, j], axis=0)) for clip in clips for j in joints])
        print(f"{label:11s} {d.mean():5.1f} {np.median(d):7.1f} {np.percentile(d, 95):6.1f} "
              f"{bias:6.1f} {correlation(0.02, joints):12.2f} {correlation(0.4, joints):6.2f}")
    shared = np.nanmean([np.nanvar(np.nanmean(c, axis=1), axis=0).sum() for c in good])
    each = np.nanmean([np.nanvar(c, axis=0).sum(-1).mean() for c in good])
    print(f"the mean over the joints has {100 * shared / each:.0f} % of a joint's variance")
    if confidence:
        confidence = np.concatenate(confidence)
        print(f"missing {100 * (confidence == 0).mean():.1f} %, confidence of the others "
              f"{confidence[confidence > 0].mean():.2f} +- {confidence[confidence > 0].std():.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
