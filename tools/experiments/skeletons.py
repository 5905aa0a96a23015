#!/usr/bin/env python3
"""Draws ground truth (red), base estimate (green) and refined poses (blue) of one sequence as SVG.

    tools/experiments/skeletons.py refined.npz SEQUENCE FRAME[,FRAME...] -o picture.svg

The figure of the paper, seen by the camera (x to the right, y down), each pose relative to its root.
Under each frame stands its mean error (mm) before and after. Needs numpy.
"""

import argparse

import numpy as np

PARENTS = [-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15]
COLOURS = (("noisy_3d", "#2a9d3f"), ("refined_3d", "#1f5fd0"), ("truth", "#d62728"))
PIXELS_PER_METRE, WIDTH, HEIGHT, ROOT = 150, 230, 330, (115, 160)


def bones(pose, colour):
    points = pose[:, :2] * PIXELS_PER_METRE + ROOT
    lines = (
        f'<line x1="{a[0]:.1f}" y1="{a[1]:.1f}" x2="{b[0]:.1f}" y2="{b[1]:.1f}"/>'
        for a, b in ((points[p], points[j]) for j, p in enumerate(PARENTS) if p >= 0)
    )
    return f'<g stroke="{colour}" stroke-width="2.5" stroke-linecap="round">{"".join(lines)}</g>'


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file")
    parser.add_argument("sequence")
    parser.add_argument("frames", type=lambda text: [int(f) for f in text.split(",")])
    parser.add_argument("-o", "--output", required=True)
    options = parser.parse_args()

    with np.load(options.file) as file:
        poses = {k: file[f"{options.sequence}/{k}"] for k in ("pose_3d", "noisy_3d", "refined_3d")}
    poses["truth"] = poses["pose_3d"] - poses["pose_3d"][:, :1]

    def error(field, frame):
        distance = np.linalg.norm(poses[field][frame] - poses["truth"][frame], axis=-1)
        return 1000 * distance.mean()

    parts = []
    for i, frame in enumerate(options.frames):
        drawing = "".join(bones(poses[field][frame], colour) for field, colour in COLOURS)
        caption = f"{error('noisy_3d', frame):.0f} → {error('refined_3d', frame):.0f} mm"
        parts.append(
            f'<g transform="translate({i * WIDTH} 0)">{drawing}'
            f'<text x="{ROOT[0]}" y="{HEIGHT - 12}" text-anchor="middle" font-size="15" '
            f'font-family="sans-serif" fill="#444">{caption}</text></g>'
        )
    size = f"{WIDTH * len(options.frames)} {HEIGHT}"
    with open(options.output, "w", encoding="utf-8") as svg:
        svg.write(
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}">'
            f'<rect width="100%" height="100%" fill="#fff"/>{"".join(parts)}</svg>\n'
        )


if __name__ == "__main__":
    main()
