"""Every row of `posetape info --promises`, run: promises_test.py PATH_OF_POSETAPE CUDA WEIGHTS

WEIGHTS is the folder of the networks that come along. Skipped (exit code 77) without numpy. What a machine
cannot run (mpirun, an instruction set) is said.
"""

import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

try:
    import numpy as np
except ImportError:
    print("numpy is missing: install python3-numpy")
    sys.exit(77)

POSETAPE, CUDA, WEIGHTS = sys.argv[1:4]
del sys.argv[1:]
WORK = None
BITS = {"f32": 23, "bf16": 7}  # of a mantissa
SIZE = "--frames 9 --width 16 --depth 1 --heads 2 --batch 8 --epochs".split()
CLIP = "P1/walk_1/0"


def run(*arguments, launcher=(), stdin=None, **environment):
    done = subprocess.run([*launcher, POSETAPE, *map(str, arguments)], capture_output=True, input=stdin, timeout=300,
                          env={**os.environ, **environment})
    assert done.returncode == 0, (arguments, done.stderr.decode())
    return done.stdout.decode()


def promises():
    """{what changes: (training, f32, bf16)}"""
    lines = run("info", "--promises").splitlines()
    rows = [line.split("  ") for line in lines[2:]]
    rows = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    return {row[0]: tuple(row[1:]) for row in rows}


def train(name, precision, *options, epochs=2, **more):
    """The hash of a training's weights, state and losses."""
    out = WORK / f"{name}.safetensors"
    if "--resume" not in options:
        for path in WORK.glob(f"{name}.*"):
            path.unlink()
    run("train", "refiner", WORK / "lifted.npz", "-o", out, *SIZE, epochs, "--precision", precision, *options, **more)
    log = [json.loads(line) for line in (WORK / f"{name}.log.jsonl").read_text().splitlines()]
    losses = [[entry.get("loss"), entry.get("validation_mm")] for entry in log]
    files = [out.read_bytes(), (WORK / f"{name}.last.safetensors").read_bytes()]
    return hashlib.sha256(b"".join(files) + json.dumps(losses).encode()).hexdigest()


@functools.cache
def trained(precision, *options):
    return train("plain", precision, *options)


def refine(precision, *options, **more):
    out = WORK / "refined.npz"
    run("refine", f"{WEIGHTS}/small_refiner.safetensors", WORK / "clip.npz", "-o", out, "--precision", precision,
        *options, **more)
    with np.load(out) as file:
        return file[f"{CLIP}/refined_3d"]


@functools.cache
def refined(precision):
    return refine(precision)


def ulp(a, b, precision):
    """How far apart the two are at most, in units in the last place of the largest coordinate."""
    unit = 2.0 ** (np.floor(np.log2(np.abs(a).max())) - BITS[precision])
    return np.abs(a.astype(float) - b).max() / unit


def launchers():
    found = []
    for name, flags in (("mpirun.openmpi", ["--allow-run-as-root", "--oversubscribe"]), ("mpirun.mpich", [])):
        if shutil.which(name):
            found.append([name, *flags, "-n", "2"])
    return found


def instruction_sets():
    """Of this machine, but the lowest, as the environment asks for them."""
    lines = run("info", "--machine").splitlines()[1:]
    names = [line.split()[0] for line in lines if "not" not in line.split(None, 1)[1]]
    return [{"POSETAPE_ISA": name} for name in names[1:]]


def setUpModule():
    run("prepare", "synthetic", "-o", WORK / "data.npz", "--people", 3, "--takes", 1, "--seconds", 1, "--cameras", 0)
    run("lift", f"{WEIGHTS}/small_lifter.safetensors", WORK / "data.npz", "-o", WORK / "lifted.npz")
    with np.load(WORK / "lifted.npz") as file:
        np.savez(WORK / "clip.npz", **{name: file[name] for name in file.files if name.startswith(f"{CLIP}/")})
    # One instruction set for all that is to be equal, whatever the machine.
    os.environ["POSETAPE_ISA"] = "baseline"


class Promises(unittest.TestCase):
    rows = {}
    ran = set()

    @classmethod
    def setUpClass(cls):
        cls.rows = promises()

    @classmethod
    def tearDownClass(cls):
        assert cls.ran == set(cls.rows), f"no test ran {set(cls.rows) - cls.ran}"

    def row(self, change):
        self.ran.add(change)
        return dict(zip(("training", "f32", "bf16"), self.rows[change]))

    def check(self, change, trainings=(), refinings=()):
        """Each training and refining is that of `precision` with `options` and in `environment`."""
        row = self.row(change)
        for options, environment in trainings:
            for precision in BITS:
                plain = trained(precision, *(options if "--shards" in options else ()))
                other = train("other", precision, *options, **environment)
                with self.subTest(change, options=options, environment=environment, precision=precision):
                    self.assertEqual(other == plain, row["training"] == "equal")
        for options, environment in refinings:
            for precision in BITS:
                with self.subTest(change, options=options, environment=environment, precision=precision):
                    apart = ulp(refined(precision), refine(precision, *options, **environment), precision)
                    if row[precision] == "equal":
                        self.assertEqual(apart, 0)
                    else:
                        known = float(row[precision].split()[0])
                        self.assertLessEqual(apart, known)
                        print(f"{change} {options} {environment}, {precision}: {apart:.2f} of {known:g} ULP")

    def test_again(self):
        self.check("the same command again", [((), {})], [((), {})])

    def test_threads(self):
        some = [(("--threads", n), {}) for n in (1, 3)]
        self.check("--threads", some, some)

    def test_recompute(self):
        self.check("--recompute", [(("--recompute", n), {}) for n in (1, 2)])

    def test_resume(self):
        self.assertEqual(self.row("stopped, and --resume")["training"], "equal")
        for precision in BITS:
            train("other", precision, epochs=1)
            self.assertEqual(train("other", precision, "--resume"), trained(precision))

    def test_ranks(self):
        change = "mpirun -n, with the same --shards"
        self.row(change)
        if not launchers():
            self.skipTest("no mpirun")
        for launcher in launchers():
            more = {"launcher": launcher}
            self.check(change, [(("--shards", "2"), more)], [((), more)])

    def test_stream(self):
        row = self.row("--stream in place of a file and --delay")
        with np.load(WORK / "clip.npz") as file:
            clip = {field: file[f"{CLIP}/{field}"] for field in ("pose_2d", "noisy_3d", "fps", "image_size")}
        frames = b"".join(json.dumps({"pose_2d": y.tolist(), "noisy_3d": x.tolist()}).encode() + b"\n"
                          for y, x in zip(clip["pose_2d"], clip["noisy_3d"]))
        for precision in BITS:
            self.assertEqual(row[precision], "equal")
            text = run("refine", f"{WEIGHTS}/small_refiner.safetensors", "--stream", "--image-size",
                       ",".join(map(str, clip["image_size"])), "--fps", float(clip["fps"]), "--delay", 3,
                       "--precision", precision, stdin=frames)
            streamed = np.array([json.loads(line)["refined_3d"] for line in text.splitlines()], "f4")
            np.testing.assert_array_equal(streamed, refine(precision, "--delay", 3))

    def test_shards(self):
        self.row("--shards")
        self.assertNotEqual(train("other", "f32", "--shards", 4), trained("f32"))

    def test_instruction_sets(self):
        some = instruction_sets() + [{"POSETAPE_TILES": "model"}]
        self.check("instruction set (info --machine)", [], [((), environment) for environment in some])
        for environment in instruction_sets()[:1]:
            self.assertNotEqual(train("other", "f32", **environment), trained("f32"))

    def test_device(self):
        row = self.row("--device cuda, emulated")
        if CUDA != "emulated":
            self.skipTest("the CUDA backend is not emulated")
        self.check("--device cuda, emulated", [], [(("--device", "cuda"), {})])
        self.assertEqual(row["training"], "differs")
        self.assertNotEqual(train("other", "f32", "--device", "cuda"), trained("f32"))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        WORK = Path(folder)
        unittest.main(verbosity=2)
