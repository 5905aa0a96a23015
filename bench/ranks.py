"""Ranks against threads: ranks.py POSETAPE [--launcher COMMAND] [--rounds N] [--precision f32]

A training of PoseDenoiser on 1, 2 and 4 ranks, whose threads share two cores, in turns: frames a second,
the share of the time that a rank waits for others, what it sends a step, and its resident memory: at most,
which is while it reads the data, and at the end. Each with the same shards, so that all of them leave the
same weights; the first line has one.
"""

import argparse
import hashlib
import json
import pathlib
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time

from compare import processor


def measured(command, output):
    """Runs a command and leaves its resident memory, MB, at most and at the end, in a file."""
    process = subprocess.Popen(command)
    last = 0
    while process.poll() is None:
        pages = pathlib.Path(f"/proc/{process.pid}/statm").read_text().split()
        last = int(pages[1]) if pages[1:] and pages[1] != "0" else last
        time.sleep(0.05)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    at_end = last * resource.getpagesize() / 2**20
    pathlib.Path(tempfile.mkstemp(dir=output)[1]).write_text(f"{peak} {at_end}")
    sys.exit(process.returncode)


def main():
    parser = argparse.ArgumentParser(description="ranks against threads")
    parser.add_argument("posetape")
    parser.add_argument("--launcher", default="mpirun.openmpi --allow-run-as-root --oversubscribe --bind-to none")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", default="f32")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--frames", type=int, default=81)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--people", type=int, default=4)
    parser.add_argument("--seconds", type=int, default=10, help="of each clip")
    options = parser.parse_args()
    folder = tempfile.TemporaryDirectory()
    work = pathlib.Path(folder.name)

    def run(*arguments):
        return subprocess.run([options.posetape, *map(str, arguments)], check=True, capture_output=True)

    run("prepare", "synthetic", "-o", work / "data.npz", "--people", options.people,
        "--takes", 1, "--seconds", options.seconds)
    small = "--frames 27 --epochs 1 --width 16 --depth 1 --heads 1".split()
    run("train", "lifter", work / "data.npz", "-o", work / "lifter.safetensors", *small)
    run("lift", work / "lifter.safetensors", work / "data.npz", "-o", work / "lifted.npz")
    # Ranks, threads of each, shards.
    settings = [(1, 2, 1), (1, 2, options.shards), (2, 1, options.shards), (2, 1, 2),
                (4, 1, options.shards)]
    figures = {setting: [] for setting in settings}
    hashes = {}
    for _ in range(options.rounds):
        for setting in settings:
            ranks, threads, shards = setting
            output = work / "net.safetensors"
            peaks = pathlib.Path(tempfile.mkdtemp(dir=work))
            train = [options.posetape, "train", "refiner", work / "lifted.npz", "-o", output, "--frames",
                     options.frames, "--batch", options.batch, "--width", options.width,
                     "--depth", options.depth, "--heads", options.heads, "--epochs", 1,
                     "--shards", shards, "--threads", threads, "--precision", options.precision]
            command = [*options.launcher.split(), "-n", ranks, sys.executable, __file__, "measured",
                       peaks, *train]
            done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
            if done.returncode != 0:
                sys.exit(done.stderr)
            log = json.loads(output.with_suffix(".log.jsonl").read_text().splitlines()[-1])
            sent = re.search(r"sent (\d+) bytes .*formula (\d+)\), waited ([\d.]+)", done.stdout)
            memory = [[float(x) for x in p.read_text().split()] for p in peaks.iterdir()]
            figures[setting].append({
                "frames/s": log["frames_per_second"],
                "waited, %": 100 * float(sent[3]) / log["seconds"] if sent else 0.0,
                "sent a step, MB": int(sent[1]) / 1e6 if sent else 0.0,
                "by the formula, MB": int(sent[2]) / 1e6 if sent else 0.0,
                "memory at most, MB": max(peak for peak, _ in memory),
                "at the end, MB": max(at_end for _, at_end in memory),
            })  # fmt: skip
            hashes.setdefault(shards, set()).add(hashlib.sha256(output.read_bytes()).hexdigest())
    print(f"{processor()}; B {options.batch} x N {options.frames}, width {options.width}, "
          f"{options.precision}, medians of {options.rounds}")
    names = list(figures[settings[0]][0])
    print(f"{'':28}" + "".join(f"{name:>22}" for name in names))
    for setting in settings:
        ranks, threads, shards = setting
        medians = [statistics.median(f[name] for f in figures[setting]) for name in names]
        title = f"{ranks} ranks of {threads}, {shards} shards"
        print(f"{title:28}" + "".join(f"{m:22.2f}" for m in medians))
    print("different weights: " + ", ".join(f"{len(h)} of {s} shards" for s, h in hashes.items()))


if __name__ == "__main__":
    if sys.argv[1:2] == ["measured"]:
        measured(sys.argv[3:], sys.argv[2])
    main()
