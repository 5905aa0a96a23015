"""Frames a second of `posetape refine --stream`, a window for each frame:

    ninja -C build tools/posetape && python3 bench/stream.py build/tools/posetape

Refiners of each width are trained for a moment on generated motion: how fast they are does not
depend on their weights. Wall: the time at work, without waiting for input; the median of the rounds, and
the fastest. CPU: processor time of one thread, which tells of a machine that others use, too.
"""

import argparse
import json
import pathlib
import re
import resource
import statistics
import subprocess
import tempfile

from worker import load


def main():
    parser = argparse.ArgumentParser(description="frames a second of a stream")
    parser.add_argument("program", help="posetape of a build")
    parser.add_argument("--widths", default="64,256")
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--window", type=int, default=27, help="frames of a window")
    parser.add_argument("--delay", type=int, default=3)
    parser.add_argument("--steps", default="1,2", help="K, denoising steps")
    parser.add_argument("--frames", type=int, default=300, help="of each stream")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    folder = tempfile.TemporaryDirectory()
    work = pathlib.Path(folder.name)

    def run(*arguments, stdin=None):
        done = subprocess.run([args.program, *map(str, arguments)], input=stdin, text=True,
                              capture_output=True, cwd=work)
        assert done.returncode == 0, done.stderr
        return done

    args.program = str(pathlib.Path(args.program).resolve())
    run("prepare", "synthetic", "-o", "data.npz", "--people", 4, "--takes", 1, "--seconds", 1,
        "--cameras", 0)
    small = ["--frames", 9, "--width", 16, "--depth", 1, "--heads", 2, "--epochs", 1]
    run("train", "lifter", "data.npz", "-o", "lifter.safetensors", "--folds", 0, *small)
    run("lift", "lifter.safetensors", "data.npz", "-o", "lifted.npz")
    # A pose that is one, again and again.
    joints = [[0, 0, 0], [-0.13, 0, 0], [-0.13, 0.45, -0.05], [-0.13, 0.9, 0], [0.13, 0, 0],
              [0.13, 0.45, -0.05], [0.13, 0.9, 0], [0, -0.24, 0], [0, -0.49, 0], [0, -0.61, -0.05],
              [0, -0.72, 0], [0.14, -0.45, 0], [0.2, -0.17, 0], [0.2, 0.08, -0.05],
              [-0.14, -0.45, 0], [-0.2, -0.17, 0], [-0.2, 0.08, -0.05]]
    pixels = [[500 + 250 * x, 500 + 250 * y] for x, y, _ in joints]
    line = json.dumps({"pose_2d": pixels, "noisy_3d": joints}) + "\n"

    def stream(steps, precision, threads, frames):
        """Frames a second by the wall, and seconds of processor time in all."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = run("refine", "refiner.safetensors", "--stream", "--image-size", "1000,1000",
                   "--delay", args.delay, "--steps", steps, "--force", "--precision", precision,
                   "--threads", threads, stdin=line * frames)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return int(re.search(r"(\d+) a second", done.stderr).group(1)), spent

    machine = run("info", "--machine").stdout
    print(re.search("processor: (.*)", machine).group(1).split(",")[0] + f", {args.threads} threads")
    print(f"{'':17}frames/s: wall, median  fastest  CPU, one thread")
    for width in map(int, args.widths.split(",")):
        heads = 8 if width >= 256 else 4
        run("train", "refiner", "lifted.npz", "-o", "refiner.safetensors", "--frames", args.window,
            "--width", width, "--depth", args.depth, "--heads", heads, "--epochs", 1)
        for steps in map(int, args.steps.split(",")):
            for precision in ("f32", "bf16"):
                wall = [stream(steps, precision, args.threads, args.frames)[0]
                        for _ in range(args.rounds)]
                # What a start costs is in both.
                few, many = (stream(steps, precision, 1, n)[1] for n in (5, 5 + args.frames))
                print(f"{width:4} K {steps} {precision:>6} {statistics.median(wall):24.0f} "
                      f"{max(wall):8} {args.frames / (many - few):16.0f}  ({load()})", flush=True)


main()
