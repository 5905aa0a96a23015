#!/usr/bin/env python3
"""Draws how many truths lie in the regions of refined_std, one panel a file, as SVG.

    posetape evaluate refined.npz --json scores.json
    tools/experiments/calibration.py large=scores.json small=other.json -o calibration.svg

Along x what share the regions should hold, along y what they hold: all joints together (lines) and
each of them (dots), the image plane (blue) and the depth (red) apart.
"""

import argparse
import json

COLOURS = {"image plane": "#1f5fd0", "depth": "#d62728"}
SIDE, LEFT, TOP, WIDTH, HEIGHT = 220, 45, 30, 290, 300


def place(x, y):
    return f"{LEFT + SIDE * x / 100:.1f}", f"{TOP + SIDE * (1 - y / 100):.1f}"


def panel(title, scores):
    shares = [100 * s for s in scores["shares"]]
    parts = [
        f'<rect x="{LEFT}" y="{TOP}" width="{SIDE}" height="{SIDE}" fill="none" stroke="#bbb"/>',
        '<line x1="{}" y1="{}" x2="{}" y2="{}" stroke="#999" stroke-dasharray="4 3"/>'.format(
            *place(0, 0), *place(100, 100)),
        f'<text x="{LEFT + SIDE / 2}" y="{TOP - 10}" text-anchor="middle">{title}</text>',
    ]
    for value in (0, *shares, 100):
        (x, _), (_, y) = place(value, 0), place(0, value)
        parts.append(f'<text x="{x}" y="{TOP + SIDE + 16}" text-anchor="middle">{value:.0f}</text>'
                     f'<text x="{LEFT - 5}" y="{float(y) + 4:.1f}" text-anchor="end">{value:.0f}</text>')
    for i, (axis, colour) in enumerate(COLOURS.items()):
        line = list(zip([0, *shares, 100], [0, *scores["inside_percent"]["All"][axis], 100]))
        points = " ".join(",".join(place(*p)) for p in line)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for joint, inside in scores["inside_percent"].items():
            for share, value in zip(shares, inside[axis]) if joint != "All" else ():
                x, y = place(share + 1.5 * (2 * i - 1), value)
                parts.append(f'<circle cx="{x}" cy="{y}" r="1.8" fill="{colour}" opacity="0.5"/>')
        parts.append(f'<text x="{LEFT + 10}" y="{TOP + 18 + 16 * i}" fill="{colour}">{axis}</text>')
    return "".join(parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scores", nargs="+", metavar="TITLE=FILE")
    parser.add_argument("-o", "--output", required=True)
    options = parser.parse_args()
    parts = []
    for i, (title, file) in enumerate(text.split("=", 1) for text in options.scores):
        with open(file, encoding="utf-8") as scores:
            drawing = panel(title, json.load(scores)["uncertainty"])
        parts.append(f'<g transform="translate({i * WIDTH} 0)">{drawing}</g>')
    with open(options.output, "w", encoding="utf-8") as svg:
        svg.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH * len(parts)} {HEIGHT}">'
                  f'<rect width="100%" height="100%" fill="#fff"/><g font-family="sans-serif" '
                  f'font-size="12" fill="#444">{"".join(parts)}</g></svg>\n')


if __name__ == "__main__":
    main()
