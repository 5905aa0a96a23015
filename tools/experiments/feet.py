#!/usr/bin/env python3
"""How far feet slide that the truth has on the ground: feet.py FREE.npz PLANTED.npz

mm from frame to frame, mean and median over the frames in which the true ankle moves by less than
0.3 m/s for 0.1 s: of the refined poses of FREE and PLANTED (`refine --feet`), on the way of
PLANTED's refined_root, and of the truth. And the same of the frames that PLANTED has for contacts,
how many of the true ones these are, and how many of them are in motion (0.6 m/s). Last, how far
refined_root is from the truth.
"""

import sys

import numpy as np

FEET = (3, 6)


def still(speed, limit, least):
    """Frames of runs of at least so many below the limit."""
    down = np.concatenate([[0], speed < limit, [0]]).astype(int)
    begins, ends = np.where(np.diff(down) == 1)[0], np.where(np.diff(down) == -1)[0]
    out = np.zeros(len(speed), bool)
    for begin, end in zip(begins, ends):
        out[begin:end] = end - begin >= least
    return out


def main(free, planted):
    free, planted = np.load(free), np.load(planted)
    slides = {"true contacts": [[], [], []], "contacts found": [[], [], []]}
    both = true = found = moving = 0
    off = []
    for key in planted.files:
        if not key.endswith("/refined_root"):
            continue
        clip = key.removesuffix("/refined_root")
        fps = float(planted[clip + "/fps"])
        truth, root = planted[clip + "/pose_3d"].astype(float), planted[key].astype(float)[:, None]
        off.append(np.abs(root - truth[:, :1])[:, 0])
        ways = [root + free[clip + "/refined_3d"], root + planted[clip + "/refined_3d"], truth]
        for i, foot in enumerate(FEET):
            speed = np.linalg.norm(np.gradient(truth[:, foot], axis=0), axis=-1) * fps
            down = still(speed, 0.3, round(0.1 * fps))
            seen = planted[clip + "/feet_down"][:, i] > 0
            both, true, found = both + (down & seen).sum(), true + down.sum(), found + seen.sum()
            moving += (seen & (speed > 0.6)).sum()
            for name, frames in (("true contacts", down), ("contacts found", seen)):
                pairs = frames[1:] & frames[:-1]
                for way, values in zip(ways, slides[name]):
                    step = np.linalg.norm(np.diff(way[:, foot], axis=0), axis=-1)
                    values.append(1000 * step[pairs])
    print(f"true contacts found {100 * both / true:.1f} %; in motion of those found "
          f"{100 * moving / found:.1f} %")
    for name, lists in slides.items():
        for who, values in zip(("free", "planted", "truth"), map(np.concatenate, lists)):
            print(f"{name:15s} {who:8s} mean {values.mean():6.2f} median {np.median(values):6.2f} "
                  f"largest {values.max():7.2f} mm a frame, {len(values)} frames")
    off = 1000 * np.concatenate(off).mean(axis=0)
    print(f"the way is off by {off[0]:.0f} and {off[1]:.0f} mm across, {off[2]:.0f} mm in depth")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
