#!/usr/bin/env python3
"""Every n-th frame of a dataset's clips: every.py DATA.npz N OUT.npz"""

import sys

import numpy as np


def main(source, n, output):
    file, n = np.load(source), int(n)
    arrays = {}
    for name in file.files:
        field = name.rsplit("/", 1)[-1]
        if field in ("pose_2d", "pose_3d", "noisy_3d", "confidence"):
            arrays[name] = file[name][::n]
        elif field == "fps":
            arrays[name] = np.float32(file[name] / n)
        else:
            arrays[name] = file[name]
    np.savez(output, **arrays)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
