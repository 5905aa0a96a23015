#!/usr/bin/env python3
"""Whether windows leave seams: seams.py POSES.npz STRIDE [FIELD...]

The mean acceleration (second difference, mm/frame^2) of the poses of all clips, by frame modulo
STRIDE; largest / median is 1 where no phase stands out. `noisy_3d` and `refined_3d` by default, and
the truth beside them. Frames of a clip's last window, which is cut from its end, are left out.
"""

import sys

import numpy as np


def by_phase(file, field, stride, margin):
    sums, counts = np.zeros(stride), np.zeros(stride)
    for key in file.files:
        if not key.endswith("/" + field):
            continue
        pose = file[key].astype(float)
        pose = pose - pose[:, :1]
        second = np.linalg.norm(pose[2:] - 2 * pose[1:-1] + pose[:-2], axis=-1).mean(-1) * 1000
        frames = np.arange(1, len(pose) - 1)
        keep = (frames >= stride) & (frames < len(pose) - margin)
        np.add.at(sums, frames[keep] % stride, second[keep])
        np.add.at(counts, frames[keep] % stride, 1)
    return sums / counts if counts.all() else None


def main(path, stride, *fields):
    file, stride = np.load(path), int(stride)
    for field in fields or ("noisy_3d", "refined_3d", "pose_3d"):
        phases = by_phase(file, field, stride, 3 * stride)
        if phases is not None:
            print(f"{field:10s} mean {phases.mean():6.2f} mm/frame^2, largest / median "
                  f"{phases.max() / np.median(phases):.3f} (phase {phases.argmax()} of {stride})")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
