#!/usr/bin/env python3
"""The study: one choice of the method at a time, on real motion.

    tools/experiments/study.py CMU_DIRECTORY [--size small|full] [--threads 1]

CMU_DIRECTORY holds <subject>/<subject>.asf and its .amc files (mocap.cs.cmu.edu). As in cmu.sh,
subjects 17, 127 and 131 are for testing and nothing else, 09 and 60 choose the best epoch of every
network, and the rest trains. A stage whose file exists is skipped, and a training that was stopped
goes on at its last epoch. OUT/study.md has the tables of all stages, OUT/stages.json what each
cost. Needs a built posetape (--posetape) and nothing beside Python.

small: one camera, networks 32 wide, few epochs; for one core.
full: four cameras, networks and epochs as the papers have them; for a GPU (--device cuda).
"""

import argparse
import json
import os
import pathlib
import shlex
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
VALIDATION = ["--validation-subjects", "09,60"]
PAPER = ["--recipe", "paper"]  # but for what a row changes
ROLLOUT = ["--states", "rollout"]
COST_DEPTHS = [2, 4, 6, 8, 10, 12, 16]  # the paper's Table IV
STEPS = [1, 5, 10, 25]  # K beside the default, 2
BASES = {
    "stc27": ("STCFormer", 27),
    "stc81": ("STCFormer", 81),
    "mixste27": ("MixSTE", 27),
    "mixste81": ("MixSTE", 81),
}
METRICS = {
    "mpjpe_mm": "MPJPE (mm)",
    "p_mpjpe_mm": "P-MPJPE (mm)",
    "mpjve_mm_per_frame": "MPJVE (mm/frame)",
    "acceleration_error_mm_per_frame2": "acceleration (mm/frame²)",
}

SMALL_LIFTER = [
    *"--width 32 --depth 2 --heads 1".split(),
    *"--epochs 20 --batch 16 --decay 0.85 --patience 3".split(),
]
SIZES = {
    "small": {
        "prepare": ["--cameras", "0"],
        "STCFormer": SMALL_LIFTER,
        # MixSTE's released learning rate and stochastic depth are those of long trainings.
        "MixSTE": SMALL_LIFTER + "--lr 1e-3 --weight-decay 0.1 --drop-path 0".split(),
        "network": {"width": 32, "heads": 1, "depth": 2},
        "train": "--epochs 10 --batch 16 --decay 0.8 --patience 3".split(),
        "depths": [4, 8],
    },
    "full": {
        "prepare": [],
        "STCFormer": "--epochs 80 --patience 5".split(),
        "MixSTE": "--epochs 120 --patience 10".split(),
        "network": {"width": 256, "heads": 8, "depth": 4},
        "train": "--epochs 40 --patience 5".split(),
        "depths": [2, 6, 8, 10, 12, 16],
    },
}


def write(path, text):
    """Atomically, as posetape writes its files."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, "utf-8")
    os.replace(part, path)


class Stages:
    """Runs posetape's commands, each for the one file it makes."""

    def __init__(self, options):
        self.out = options.out
        self.posetape = options.posetape
        self.common = ["--seed", str(options.seed), "--device", options.device]
        if options.threads:
            self.common += ["--threads", str(options.threads)]
        self.log = self.out / "stages.json"
        self.done = json.loads(self.log.read_text("utf-8")) if self.log.exists() else {}

    def path(self, name):
        return str(self.out / name)

    def run(self, name, *command, output="-o", training=False):
        """Makes the file `name`, unless this command made it before."""
        target = self.out / name
        text = shlex.join(["posetape", *command, *self.common])
        if target.exists():
            if self.done.get(name, {}).get("command") != text:
                sys.exit(
                    f"study: {target} was made by another command; remove it or choose another --out"
                )
            return
        # A training writes its best epoch while it goes on: only what is finished gets the name.
        part = self.out / f"part.{name}"
        last, log = part.with_suffix(".last.safetensors"), part.with_suffix(".log.jsonl")
        resume = training and last.exists()
        print(f"$ {text}", flush=True)
        start = time.monotonic()
        process = subprocess.Popen(
            [self.posetape, *command, *self.common, output, part] + ["--resume"] * resume,
            stdout=subprocess.DEVNULL,
        )
        try:
            status = process.wait()
        except KeyboardInterrupt:
            process.wait()  # it got the signal too, and writes what --resume goes on from
            sys.exit(130)
        if status != 0:
            sys.exit(f"study: {name} failed; the line above says why")
        seconds = round(time.monotonic() - start, 1)
        print(f"-- {seconds} s" + ", since it was resumed" * resume, flush=True)
        self.done[name] = {"command": text, "seconds": seconds, "resumed": resume}
        write(self.log, json.dumps(self.done, indent=1) + "\n")
        if training:
            last.unlink()
            log.replace(log.with_name(log.name.removeprefix("part.")))
        part.replace(target)


def flags(network):
    return [text for key, value in network.items() for text in (f"--{key}", str(value))]


class Study:
    def __init__(self, stages, size):
        self.stages = stages
        self.size = size
        self.rows = {base: [] for base in BASES}  # (title, name of the file with the refined poses)

    def base(self, base):
        model, frames = BASES[base]
        s = self.stages
        lifter = f"{base}.lifter.safetensors"
        options = ["--model", model.lower(), "--frames", str(frames), *self.size[model], *VALIDATION, *PAPER]
        s.run(lifter, "train", "lifter", s.path("data.npz"), *options, training=True)
        s.run(f"{base}.npz", "lift", s.path(lifter), s.path("data.npz"), "--stride", str(frames))

    def refine(self, base, title, name, *command):
        self.stages.run(f"{name}.refined.npz", "refine", *command, *PAPER)
        self.rows[base].append((title, name))

    def variant(self, base, title, name, *options, trained_on=None, **network):
        """Trains a refiner, and refines the base's estimates with it."""
        s = self.stages
        network = flags(self.size["network"] | network)
        options = ["--frames", str(BASES[base][1]), *network, *self.size["train"], *options]
        source = s.path(f"{trained_on or base}.npz")
        refiner = f"{name}.safetensors"
        s.run(refiner, "train", "refiner", source, *options, *VALIDATION, *PAPER, training=True)
        self.refine(base, title, name, s.path(refiner), s.path(f"{base}.npz"))

    def parts(self):
        """Table III, and what the refiner is trained on."""
        s = self.stages
        lift = ["lift", s.path("stc27.lifter.safetensors"), s.path("data.npz"), "--in-sample"]
        lift += ["--stride", "27"]
        s.run("stc27_in_sample.npz", *lift)
        paper, rollout = "the paper's method", "rollout states"
        regression = ["--objective", "regression"]
        seen = {"trained_on": "stc27_in_sample"}
        self.variant("stc27", paper, "paper")
        self.variant("stc27", f"{paper}, without CND", "no_cnd", "--error-source", "real")
        self.variant("stc27", "without diffusion: regression of equal size", "regression", *regression)
        self.variant("stc27", f"{paper}, trained on in-sample estimates", "in_sample", **seen)
        self.variant("stc27", rollout, "rollout", *ROLLOUT)
        self.variant(
            "stc27",
            f"{rollout}, trained on in-sample estimates",
            "rollout_in_sample",
            *ROLLOUT,
            **seen,
        )

    def controls(self):
        s = self.stages
        lifted = s.path("stc27.npz")
        fitted = s.path("paper.safetensors")  # holds the mean error and the Gaussian
        for title, name in (("constant bias", "bias"), ("linear-Gaussian", "linear")):
            self.refine("stc27", title, name, fitted, lifted, "--control", name)
        for title, name in (("Savitzky-Golay", "savitzky-golay"), ("One-Euro", "one-euro")):
            self.refine("stc27", title, name, lifted, "--control", name, "--smoothing-window", "13",
                        "--smoothing-degree", "2")
        options = [*self.size["train"], *VALIDATION]
        s.run("smoothnet.safetensors", "train", "smoothnet", lifted, *options, training=True)
        smoothnet = s.path("smoothnet.safetensors")
        averaged = ["--stride", "1", "--overlap", "average"]
        self.refine("stc27", "SmoothNet", "smoothnet", smoothnet, lifted, *averaged)

    def steps(self):
        s = self.stages
        for title, name in (("the paper's method", "paper"), ("rollout states", "rollout")):
            for k in STEPS:
                files = [s.path(f"{name}.safetensors"), s.path("stc27.npz")]
                row = (f"{title}, K = {k}", f"{name}_K{k}")
                self.refine("stc27", *row, *files, "--steps", str(k))

    def choices(self):
        """One other choice each. Rollout states draw no noise: ar1 is for the paper's method alone."""
        self.variant("stc27", "the paper's method, ar1 noise", "paper_ar1", "--noise", "ar1")
        for title, name, states in (
            ("the paper's method", "paper", []),
            ("rollout states", "rollout", ROLLOUT),
        ):
            for t in ("10", "200"):
                self.variant("stc27", f"{title}, T = {t}", f"{name}_T{t}", *states, "--steps", t)
            per_coordinate = [*states, "--normalization", "per-coordinate"]
            row = (f"{title}, normalised per coordinate", f"{name}_per_coordinate")
            self.variant("stc27", *row, *per_coordinate)
            for depth in self.size["depths"]:
                row = (f"{title}, {depth} blocks", f"{name}_depth{depth}")
                self.variant("stc27", *row, *states, depth=depth)

    def other_bases(self):
        for base in BASES:
            if base == "stc27":
                continue
            self.base(base)
            self.variant(base, "the paper's method", f"{base}_paper")
            self.variant(base, "rollout states", f"{base}_rollout", *ROLLOUT)

    def cost(self):
        """Table IV's other columns, by the paper's width and by this size's."""
        lines = [
            "| width | blocks | parameters | multiply-adds of matrix products and attention (MACs) "
            "| arithmetic of all ops (FLOP) |",
            "| ---: | ---: | ---: | ---: | ---: |",
        ]
        heads = {256: 8, self.size["network"]["width"]: self.size["network"]["heads"]}
        for width, depth in ((w, d) for w in heads for d in COST_DEPTHS):
            network = flags({"width": width, "depth": depth, "heads": heads[width]})
            window = ["--inference", "--batch", "1", "--frames", "27", "--steps", "1"]
            name = f"cost_{width}_{depth}.json"
            self.stages.run(name, "profile", *window, *network, output="--json")
            profile = json.loads((self.stages.out / name).read_text("utf-8"))
            flop = {True: 0, False: 0}
            for op in profile["ops"]:
                flop[op["op"].startswith(("linear", "axial_attention"))] += op["flops"]
            # A multiply-add is two operations.
            lines.append(
                f"| {width} | {depth} | {profile['parameter_bytes'] // 4:,} "
                f"| {flop[True] / 2e6:,.1f} M | {sum(flop.values()) / 1e6:,.1f} M |"
            )
        return lines

    def table(self, base):
        """A row for each refinement of a base: the average, and the difference to the base."""
        s = self.stages
        rows = self.rows[base]
        name = f"{base}.scores.json"
        s.run(name, "evaluate", *(s.path(f"{row}.refined.npz") for _, row in rows), output="--json")
        scores = json.loads((s.out / name).read_text("utf-8"))
        first = scores[f"{rows[0][1]}.refined"]["base"]

        def base_cell(key):
            interval = first["average_interval_95"][key]
            return f"{first['average'][key]:.2f} [{interval['low']:.2f}, {interval['high']:.2f}]"

        def cell(score, key):
            value = score["refined"]["average"][key]
            interval = score["difference_interval_95"][key]
            change = value - first["average"][key]
            return f"{value:.2f} ({change:+.2f}, {interval['low']:+.2f} … {interval['high']:+.2f})"

        lines = [
            "| poses | " + " | ".join(METRICS.values()) + " |",
            "|" + " --- |" * (1 + len(METRICS)),
        ]
        lines.append("| base | " + " | ".join(base_cell(key) for key in METRICS) + " |")
        for title, row in rows:
            score = scores[f"{row}.refined"]
            lines.append(f"| {title} | " + " | ".join(cell(score, key) for key in METRICS) + " |")
        return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cmu", type=pathlib.Path)
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--out", type=pathlib.Path, help="default: out/study-SIZE")
    parser.add_argument("--posetape", type=pathlib.Path, default=ROOT / "build/tools/posetape")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=0, help="0: all cores; no result depends on it")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    options.out = options.out or pathlib.Path("out", f"study-{options.size}")
    options.out.mkdir(parents=True, exist_ok=True)
    if not options.posetape.exists():
        sys.exit(f"study: no {options.posetape}; meson setup build && meson compile -C build posetape")

    stages = Stages(options)
    study = Study(stages, SIZES[options.size])
    test = ["--test-subjects", "17,127,131"]
    stages.run("data.npz", "prepare", "cmu", str(options.cmu), *test, *study.size["prepare"])
    study.base("stc27")
    study.parts()
    study.controls()
    study.steps()
    study.choices()
    study.other_bases()

    lines = [f"# Tables of study.py, size {options.size}, seed {options.seed}"]
    for base, (model, frames) in BASES.items():
        lines += ["", f"## {model}, N = {frames}", "", *study.table(base)]
    lines += ["", "## Cost of one pass over a window of 27 frames", "", *study.cost()]
    lines += ["", "## Commands and what they cost", "", "| s | command |", "| ---: | --- |"]
    for name, stage in stages.done.items():
        resumed = " (since it was resumed)" if stage["resumed"] else ""
        lines.append(f"| {stage['seconds']:.1f}{resumed} | `{stage['command']}` → `{name}` |")
    text = "\n".join(lines).replace(str(options.cmu), "CMU_DIRECTORY").replace(f"{options.out}/", "")
    write(options.out / "study.md", text + "\n")
    seconds = sum(stage["seconds"] for stage in stages.done.values())
    print(f"wrote {options.out / 'study.md'}; all stages took {seconds:.0f} s")


if __name__ == "__main__":
    main()
