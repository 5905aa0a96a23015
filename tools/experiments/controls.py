#!/usr/bin/env python3
"""What a refiner is worth beside what else its parameters and its training time could be spent on.

    tools/experiments/controls.py CMU_DIRECTORY [--seeds 1,2,3] [--threads 1]

Everything is averaged and filtered alike: windows that overlap, with those of the mirror image, then a
Savitzky-Golay filter. CMU_DIRECTORY holds <subject>/<subject>.asf and its .amc files (mocap.cs.cmu.edu);
17, 127 and 131 are for testing and nothing else, 09 and 60 choose the epochs. A stage whose file exists
is skipped, and a training that was stopped goes on at its last epoch. OUT/controls.md has the table. Needs
a built posetape (--posetape) and nothing beside Python.
"""

import argparse
import json
import pathlib
import random
import statistics
import sys

from study import ROOT, VALIDATION, Stages, write

# As the small networks of model/weights, with half of the cameras.
PREPARE = "--test-subjects 17,127,131 --joints keypoints-mixed --cameras random:4 --detector openpose".split()
TRAINING = [*"--frames 27 --batch 32 --lr 0.002 --precision bf16 --confidence".split(), *VALIDATION]
NETWORK = "--width 64 --heads 4 --depth 3".split()
LIFTER = [*NETWORK, *"--epochs 12 --decay 0.78".split()]
REFINER = [*NETWORK, *"--epochs 8 --decay 0.7".split()]
# No fewer parameters than base and refiner together, and no less time.
LARGER = "--width 64 --heads 4 --depth 8 --epochs 12 --decay 0.78".split()
# What takes fewer seconds an epoch than a refiner has more epochs.
SECOND = [*NETWORK, *"--epochs 16 --decay 0.83".split()]
REGRESSION = [*NETWORK, *"--epochs 10 --decay 0.75".split()]
PRECISION = ["--precision", "bf16"]
TRICKS = [*PRECISION, "--flip-average"]
FILTER = ["--control", "savitzky-golay"]

ROWS = {
    "base": "base, averaged and filtered",
    "default": "**refined**",
    "paper": "refined by the paper's method, trained on in-sample estimates",
    "paper_cross_fitted": "... on cross-fitted ones, as the paper has it",
    "regression": "regression of equal size",
    "larger": "a lifter of 8 blocks instead of 3",
    "second": "a second pass of the lifter over 2D and its own 3D",
    "acceleration": "the base with an acceleration term, weight 1",
    "acceleration4": "... weight 4",
}
ONE_SEED = ("paper_cross_fitted", "acceleration4")  # of seed 1
COLUMNS = ("mpjpe_mm", "p_mpjpe_mm", "acceleration_error_mm_per_frame2", "peak_speed_percent")


class Seed:
    """The stages of one seed."""

    def __init__(self, options, seed, first):
        self.first = first
        self.rows = [row for row in ROWS if first or row not in ONE_SEED]
        self.data = str(options.out / "data.npz")
        own = argparse.Namespace(**vars(options))
        own.seed, own.out = seed, options.out / f"seed{seed}"
        own.out.mkdir(exist_ok=True)
        self.stages = Stages(own)
        self.path = self.stages.path

    def train(self, name, kind, source, *options):
        self.stages.run(f"{name}.safetensors", "train", kind, source, *TRAINING, *options, training=True)

    def lift(self, name, lifter, source, *options):
        self.stages.run(f"{name}.npz", "lift", self.path(f"{lifter}.safetensors"), source, *options)

    def filtered(self, name):
        self.stages.run(f"{name}.refined.npz", "refine", self.path(f"{name}.npz"), *FILTER)

    def lifter(self, name, *options):
        self.train(f"{name}_lifter", "lifter", self.data, *options)
        self.lift(name, f"{name}_lifter", self.data, *TRICKS)
        self.filtered(name)

    def refiner(self, name, source, *options):
        self.train(name, "refiner", self.path(source), *options)
        # Bones of constant length would be a trick that lifters do without.
        self.stages.run(f"{name}.refined.npz", "refine", self.path(f"{name}.safetensors"),
                        self.path("base.npz"), *TRICKS, "--bone-lengths", "free")

    def run(self):
        # The folds, five more lifters, are for the cross-fitted row alone.
        self.lifter("base", *LIFTER, *(["--folds", "5"] if self.first else []))
        self.lift("in_sample", "base_lifter", self.data, *PRECISION, "--in-sample")
        self.refiner("default", "in_sample.npz", *REFINER)
        self.refiner("regression", "in_sample.npz", *REGRESSION, "--objective", "regression")
        self.lifter("larger", *LARGER)
        self.refiner("paper", "in_sample.npz", *REFINER, "--recipe", "paper")
        self.train("second_lifter", "lifter", self.path("in_sample.npz"), *SECOND, "--estimate")
        self.lift("second", "second_lifter", self.path("base.npz"), *TRICKS)
        self.filtered("second")
        self.lifter("acceleration", *LIFTER, "--acceleration-weight", "1")
        if self.first:
            self.lift("cross_fitted", "base_lifter", self.data, *PRECISION)
            self.refiner("paper_cross_fitted", "cross_fitted.npz", *REFINER, "--recipe", "paper")
            self.lifter("acceleration4", *LIFTER, "--acceleration-weight", "4")
        for row in self.rows:
            self.stages.run(f"{row}.scores.json", "evaluate", self.path(f"{row}.refined.npz"), output="--json")

    def scores(self):
        """Of each row that is there what it made of the test clips; of the base also before the filter."""
        files = {row: self.stages.out / f"{row}.scores.json" for row in self.rows}
        scores = {row: json.loads(file.read_text("utf-8")) for row, file in files.items() if file.exists()}
        return {"averaged": scores["base"]["base"], **{row: score["refined"] for row, score in scores.items()}}

    def seconds(self, name):
        """What a network's training takes, but for folds: all epochs at the speed of the fastest."""
        log = self.stages.out / f"{name}.log.jsonl"
        lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
        epochs = [line["seconds"] for line in lines if not line["model"].startswith("fold")]
        return len(epochs) * min(epochs)


def interval(changes):
    """95 %, of the mean over clips, by resampling them."""
    rng = random.Random(1)
    means = sorted(statistics.fmean(rng.choices(changes, k=len(changes))) for _ in range(10000))
    return means[249], means[9749]


def change(scores, row, key):
    """Against the filtered base: of the means over clips and seeds, its interval, and that of each seed."""
    clips = list(scores[0]["base"]["actions"])

    def of(seed, of_row, clip):
        return seed[of_row]["actions"][clip][key]

    base = statistics.fmean(of(seed, "base", clip) for seed in scores for clip in clips)
    mean = [statistics.fmean(of(s, row, clip) - of(s, "base", clip) for s in scores) for clip in clips]
    low, high = interval(mean)
    seeds = [
        statistics.fmean(of(s, row, clip) for clip in clips) / statistics.fmean(of(s, "base", clip) for clip in clips)
        for s in scores
    ]
    percents = [100 * x / base for x in (statistics.fmean(mean), low, high)]
    return percents, [100 * (x - 1) for x in seeds]


def table(seeds):
    all_scores = [seed.scores() for seed in seeds]
    lines = [
        "| poses | MPJPE (mm) | of each seed (%) | P-MPJPE (mm) | of each seed (%) | acceleration (mm/frame²) "
        "| peak speed (%) | worse by 1 % | parameters, in all | seconds of training, in all |",
        "| --- | --- | --- | --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row, title in {"averaged": "base, averaged", **ROWS}.items():
        scores = [s for s in all_scores if row in s]
        trained_on = [seed for seed, s in zip(seeds, all_scores, strict=True) if row in s]
        if not scores:
            continue
        mean = {key: statistics.fmean(s[row]["average"][key] for s in scores) for key in COLUMNS}
        cells = []
        for key in COLUMNS[:2]:
            if row in ("averaged", "base"):
                cells += [f"{mean[key]:.2f}", ""]
                continue
            (percent, low, high), each = change(scores, row, key)
            cells += [f"{mean[key]:.2f} ({percent:+.1f} %, {low:+.1f} … {high:+.1f})",
                      ", ".join(f"{x:+.1f}" for x in each)]
        cells += [f"{mean[COLUMNS[2]]:.2f}", f"{mean[COLUMNS[3]]:.1f}"]
        clips = [(a["mpjpe_mm"], b["mpjpe_mm"]) for s in scores
                 for a, b in zip(s[row]["sequences"], s["base"]["sequences"], strict=True)]
        worse = sum(a > 1.01 * b for a, b in clips)
        cells.append("" if row in ("averaged", "base") else f"{worse} of {len(clips)}")
        cells += [f"{parameters(trained_on[0], row):,}", f"{min(trained(seed, row) for seed in trained_on):.0f}"]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return lines


def networks(row):
    """Of the networks that a row's poses come from, their files."""
    if row in ("averaged", "base"):
        return ["base_lifter"]
    if row in ("default", "paper", "paper_cross_fitted", "regression"):
        return ["base_lifter", row]
    return ["base_lifter", "second_lifter"] if row == "second" else [f"{row}_lifter"]


def trained(seed, row):
    return sum(seed.seconds(name) for name in networks(row))


def parameters(seed, row):
    """Those of a row's networks, as the files have them."""

    def count(name):
        with (seed.stages.out / f"{name}.safetensors").open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        total = 0
        for key, tensor in header.items():
            if key.startswith(("full.", "network.")):
                size = 1
                for extent in tensor["shape"]:
                    size *= extent
                total += size
        return total

    return sum(count(name) for name in networks(row))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cmu", type=pathlib.Path)
    parser.add_argument("--seeds", default="1,2,3", help="default: %(default)s; some rows are of 1 alone")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out/controls"))
    parser.add_argument("--posetape", type=pathlib.Path, default=ROOT / "build/tools/posetape")
    parser.add_argument("--threads", type=int, default=0, help="0: all cores; no result depends on it")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--table", action="store_true", help="of what is there, without a run")
    options = parser.parse_args()
    if not options.posetape.exists():
        sys.exit(f"controls: no {options.posetape}; meson setup build && meson compile -C build posetape")
    options.out.mkdir(parents=True, exist_ok=True)

    options.seed = 1  # of the cameras and detections, which are the same for all
    if not options.table:
        Stages(options).run("data.npz", "prepare", "cmu", str(options.cmu), *PREPARE)
    numbers = [int(seed) for seed in options.seeds.split(",")]
    seeds = [Seed(options, number, number == 1) for number in numbers]
    for seed in seeds:
        if not options.table:
            seed.run()
    text = "\n".join(table(seeds)) + "\n"
    write(options.out / "controls.md", text)
    print(text)


if __name__ == "__main__":
    main()
