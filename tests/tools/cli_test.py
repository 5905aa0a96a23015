#!/usr/bin/env python3
"""The posetape command line as its users meet it: cli_test.py PATH_OF_POSETAPE CUDA [1/4] [TEST...]

CUDA is how its CUDA backend was built: disabled, emulated or nvcc. 1/4 runs the first, fifth, ninth,
... test, so that four runs at the same time are all of them; Class.test only that one.

Runs the whole job on a tiny synthetic dataset, stops and resumes training, and feeds every command
bad input, which must end with exit code 1 and one line that says what, where and what to do.
Needs numpy to make and read pose files; without it the test is skipped (exit code 77).
"""

import csv
import fcntl
import functools
import json
import os
import pty
import re
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest
import zipfile
import zlib
from pathlib import Path

try:
    import numpy as np
except ImportError:
    print("numpy is missing: install python3-numpy")
    sys.exit(77)

POSETAPE = None
CUDA = None
WORK = None
PART = (1, 1)

LIFTER = "--frames 9 --width 16 --depth 1 --heads 2 --batch 8".split()
MIXSTE = "--model mixste --frames 9 --width 16 --depth 2 --heads 2 --batch 8".split()
REFINER = "--frames 9 --width 16 --depth 1 --heads 2 --batch 8".split()
SMOOTHNET = "--frames 9 --width 32 --hidden 8 --depth 1 --batch 8".split()


def run(*arguments, expect=0, **options):
    """Runs posetape and returns (standard output, standard error)."""
    done = subprocess.run(
        [POSETAPE, *map(str, arguments)], capture_output=True, text=True, timeout=300, **options
    )
    assert done.returncode == expect, (
        f"posetape {' '.join(map(str, arguments))}: exit code {done.returncode}, expected {expect}\n"
        f"{done.stdout}\n{done.stderr}"
    )
    return done.stdout, done.stderr


def but_for_gains(error):
    """Without the warning that a network as small as these made poses worse."""
    return "".join(line for line in error.splitlines(True) if "refining made the poses" not in line)


def refused(*arguments, **options):
    """The one line with which posetape refuses."""
    _, error = run(*arguments, expect=1, **options)
    lines = error.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("posetape: "), error
    return lines[0]


def on_a_terminal(*arguments, columns=80, **environment):
    """What posetape shows where standard output and standard error are a terminal."""
    outside, inside = pty.openpty()
    fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen([POSETAPE, *map(str, arguments)], stdout=inside, stderr=inside,
                               env={**os.environ, "TERM": "xterm", **environment})
    os.close(inside)
    text = b""
    try:
        while block := os.read(outside, 65536):
            text += block
    except OSError:  # how Linux says that the other side is closed
        pass
    os.close(outside)
    assert process.wait(timeout=60) == 0, text
    return text.decode()


def arrays(path):
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def setUpModule():
    run("prepare", "synthetic", "-o", WORK / "data.npz", "--people", 4, "--takes", 1,
        "--seconds", 1, "--cameras", "0,1")
    run("train", "lifter", WORK / "data.npz", "-o", WORK / "lifter.safetensors", "--epochs", 2,
        "--folds", 2, *LIFTER)
    run("lift", WORK / "lifter.safetensors", WORK / "data.npz", "-o", WORK / "lifted.npz")
    # With the states that are drawn; the others' own are the default everywhere else.
    run("train", "refiner", WORK / "lifted.npz", "-o", WORK / "refiner.safetensors", "--epochs", 2,
        *REFINER, "--states", "forward")
    run("refine", WORK / "refiner.safetensors", WORK / "lifted.npz", "-o", WORK / "refined.npz")
    # P1 to P3 train, P4 validates, P5 and P6 test.
    run("prepare", "synthetic", "-o", WORK / "folds.npz", "--people", 6, "--takes", 1,
        "--seconds", 1, "--cameras", 0)
    # Three clips of each person, for what takes long.
    for name in ("data.npz", "lifted.npz", "folds.npz"):
        np.savez(WORK / f"few_{name}", **{
            k: v for k, v in arrays(WORK / name).items()
            if "/" not in k or re.match(r"P\d/(bend|run|walk)_1/0/", k)
        })


def load_tests(loader, classes, pattern):
    """The tests of this part: neighbours, which take alike long, go to different parts."""
    part, parts = PART
    tests = [test for cases in classes for test in cases]
    return unittest.TestSuite(tests[part - 1 :: parts])


class WholeJob(unittest.TestCase):
    def test_people_of_other_trainings_say_how_large_errors_are(self):
        sure = ["train", "uncertainty", WORK / "refiner.safetensors", WORK / "lifted.npz", "--epochs", 1]
        others, checkpoint = WORK / "others.safetensors", WORK / "sure.safetensors"

        def median_deviation(*options):
            out, _ = run(*sure, "-o", checkpoint, *options)
            run("refine", checkpoint, WORK / "lifted.npz", "-o", WORK / "sure.npz", "--quiet")
            std = [a for name, a in arrays(WORK / "sure.npz").items() if name.endswith("refined_std")]
            return out, np.median(np.concatenate(std)[:, 1:], axis=(0, 1))

        alone, deviation = median_deviation("--residuals", others)
        self.assertNotIn("had no part in their regions", alone)
        bytes_ = others.read_bytes()
        length, = struct.unpack("<Q", bytes_[:8])
        header = json.loads(bytes_[8:8 + length])
        del header["__metadata__"]  # the checksums
        (person, tensor), = header.items()
        self.assertEqual(tensor["shape"][1:], [17, 3])
        values = np.frombuffer(bytes_[8 + length:], "<f4").reshape(tensor["shape"])

        # Somebody who errs 10 times as much, and for far longer.
        header = json.dumps({"P9": {**tensor, "shape": [400 * len(values), 17, 3],
                                    "data_offsets": [0, 400 * values.nbytes]}}).encode()
        others.write_bytes(struct.pack("<Q", len(header)) + header + 400 * (10 * values).tobytes())
        together, larger = median_deviation("--cross-fitted", others)
        self.assertIn("had no part in their regions", together)
        self.assertTrue((larger > 3 * deviation).all() and (larger < 11 * deviation).all(), larger / deviation)
        self.assertIn("is not [frames, 17, 3] of f32", refused(*sure, "-o", checkpoint, "--cross-fitted",
                                                              WORK / "refiner.safetensors"))

    def test_every_sequence_is_refined_root_at_zero(self):
        file = arrays(WORK / "refined.npz")
        names = [n[: -len("/pose_2d")] for n in file if n.endswith("/pose_2d")]
        self.assertEqual(len(names), 4 * 8 * 2)
        for name in names:
            refined = file[name + "/refined_3d"]
            self.assertEqual(refined.shape, file[name + "/pose_3d"].shape)
            self.assertEqual(refined.dtype, np.float32)
            self.assertTrue(np.isfinite(refined).all())
            self.assertTrue((refined[:, 0] == 0).all())

    def test_evaluate_says_what_numpy_says(self):
        run("evaluate", WORK / "refined.npz", "--json", WORK / "scores.json")
        scores = json.loads((WORK / "scores.json").read_text())
        file = arrays(WORK / "refined.npz")
        tests = bytes(file["test_subjects"]).decode().split("\n")
        self.assertEqual(tests, ["P3", "P4"])
        actions = {}
        for name in file:
            if name.endswith("/noisy_3d") and name.split("/")[0] in tests:
                truth = file[name.replace("noisy", "pose")].astype(float)
                error = file[name] - (truth - truth[:, :1])
                action = name.split("/")[1]
                actions.setdefault(action, []).append(np.linalg.norm(error, axis=-1).mean(axis=1))
        mpjpe = 1000 * np.mean([np.concatenate(a).mean() for a in actions.values()])
        self.assertAlmostEqual(scores["base"]["average"]["mpjpe_mm"], mpjpe, places=3)

    def test_export_writes_a_table_of_the_same_numbers(self):
        file = arrays(WORK / "refined.npz")
        for field, channels in (("refined_3d", 3), ("pose_2d", 2)):
            out, _ = run("export", WORK / "refined.npz", "-o", WORK / "poses.csv", "--field", field)
            with open(WORK / "poses.csv", newline="", encoding="utf-8") as table:
                rows = list(csv.reader(table))
            self.assertEqual(rows[0][:4], ["sequence", "frame", "seconds", "Hip_x"])
            self.assertEqual({len(row) for row in rows}, {3 + 17 * channels})
            self.assertIn(f"{len(rows) - 1} frames of 64 sequences", out)
            for name in ("P1/walk_1/0", "P4/jump_1/1"):
                mine = [row for row in rows if row[0] == name]
                found = np.array([row[3:] for row in mine], "f4").reshape(-1, 17, channels)
                np.testing.assert_array_equal(found, file[f"{name}/{field}"])
                self.assertEqual([int(row[1]) for row in mine], list(range(len(mine))))
                self.assertEqual(mine[25][2], "0.5")
        out, _ = run("export", WORK / "refined.npz", "-o", WORK / "poses.csv", "--sequences",
                     "P1/walk_1/0,P1/run_1/1")
        self.assertIn("of 2 sequences", out)
        self.assertIn("refined_3d", refused("export", WORK / "data.npz", "-o", WORK / "none.csv"))
        self.assertFalse((WORK / "none.csv").exists())

    def test_bvh_comes_back_as_the_same_poses(self):
        run("export", WORK / "refined.npz", "-o", WORK / "bvh" / "P1", "--format", "bvh",
            "--bones", "exact", "--sequences", "P1/walk_1/0,P1/run_1/1")
        self.assertEqual(sorted(f.name for f in (WORK / "bvh" / "P1").iterdir()),
                         ["P1_run_1_1.bvh", "P1_walk_1_0.bvh"])
        # A network so small makes no people.
        run("prepare", "bvh", WORK / "bvh", "-o", WORK / "bvh.npz", "--cameras", 0, "--force")
        back, first = arrays(WORK / "bvh.npz"), arrays(WORK / "refined.npz")["P1/run_1/1/refined_3d"]
        poses = back["P1/P1_run_1_1/0/pose_3d"].astype(float)
        self.assertEqual(poses.shape, first.shape)

        def distances(p):
            return np.linalg.norm(p[:, :, None] - p[:, None, :], axis=-1)

        # Another camera sees them, so that only distances are the same.
        np.testing.assert_allclose(distances(poses), distances(first.astype(float)), atol=2e-5)
        self.assertIn("one sequence", refused("export", WORK / "refined.npz", "-o",
                                              WORK / "all.bvh", "--format", "bvh"))
        self.assertIn("--unit", refused("prepare", "bvh", WORK / "bvh", "-o", WORK / "b.npz",
                                        "--unit", "m"))
        (WORK / "nothing").mkdir()
        self.assertIn("expected .bvh files", refused("prepare", "bvh", WORK / "nothing", "-o",
                                                     WORK / "b.npz"))
        run("prepare", "bvh", WORK / "bvh", "-o", WORK / "b.npz", "--unit", "ell", expect=2)

    def test_a_table_of_several_files(self):
        run("refine", WORK / "refiner.safetensors", WORK / "lifted.npz", "-o", WORK / "bias.npz",
            "--control", "bias")
        out, _ = run("evaluate", WORK / "refined.npz", WORK / "bias.npz")
        rows = [line.split("|")[1].strip() for line in out.splitlines() if line.startswith("|")]
        self.assertEqual(rows[2:], ["base", "refined", "bias"])

    def test_protocols_make_other_windows_and_the_file_says_so(self):
        clip = "P4/walk_1/0/noisy_3d"

        def lift(name, *options):
            path = WORK / f"lift_{name}.npz"
            run("lift", WORK / "lifter.safetensors", WORK / "data.npz", "-o", path, *options)
            file = arrays(path)
            return file[clip], json.loads(bytes(file["metadata"]))["noisy_3d"]

        plain, made = lift("sequence")
        self.assertEqual(plain.tobytes(), arrays(WORK / "lifted.npz")[clip].tobytes())
        self.assertEqual((made["protocol"], made["flip_average"]), ("sequence", "no"))
        plain, _ = lift("touching", "--stride", 9)
        mixste, made = lift("mixste", "--protocol", "mixste-seq2seq", "--no-flip-average")
        np.testing.assert_array_equal(mixste[:, 1:], plain[:, 1:])
        self.assertTrue((mixste[:, 0] != 0).any())
        self.assertEqual((made["root"], made["window_frames"]), ("as estimated", 9))
        centre, made = lift("centre", "--protocol", "stcformer-centre")
        self.assertTrue((centre[:, 0] == 0).all())
        self.assertEqual(made["flip_average"], "yes")
        vp3d, _ = lift("vp3d", "--protocol", "vp3d")
        np.testing.assert_array_equal(vp3d[:, 1:], centre[:, 1:])
        # Where a window of ours has its middle, frame 4, both see the same nine frames.
        alone, _ = lift("alone", "--protocol", "stcformer-centre", "--no-flip-average")
        np.testing.assert_allclose(alone[4], plain[4], atol=1e-5)
        self.assertGreater(np.abs(alone[0] - plain[0]).max(), 1e-4)
        apart, made = lift("apart", "--protocol", "stcformer-centre", "--step", 2)
        self.assertGreater(np.abs(apart - centre).max(), 1e-4)
        self.assertIn("2 frames apart", made["windows"])
        # Clips of 50 frames: the last window of nine has five that the one before has, too.
        last = arrays(WORK / "lift_mixste.npz")[clip + "_last_window"]
        self.assertEqual(last.shape, (9, 17, 3))
        np.testing.assert_array_equal(last[4:], mixste[-5:])
        self.assertGreater(np.abs(last[:4] - mixste[-9:-5]).max(), 0)
        self.assertNotIn(clip + "_last_window", arrays(WORK / "lifted.npz"))
        out, _ = run("evaluate", WORK / "lift_mixste.npz", "--protocol", "mixste-seq2seq")
        self.assertIn("frames: each window of 9 whole", out)
        self.assertIn("base: protocol: mixste-seq2seq; window_frames: 9", out)

    def test_a_clip_shorter_than_a_window_counts_the_estimates_of_its_padding(self):
        run("train", "lifter", WORK / "data.npz", "-o", WORK / "long.safetensors", "--epochs", 1,
            "--folds", 0, *MIXSTE[:2], "--frames", 60, *MIXSTE[4:])
        run("lift", WORK / "long.safetensors", WORK / "data.npz", "-o", WORK / "short.npz",
            "--protocol", "mixste-seq2seq")
        run("evaluate", WORK / "short.npz", "--protocol", "mixste-seq2seq", "--json",
            WORK / "short.json")
        file, errors, velocities = arrays(WORK / "short.npz"), {}, {}
        for name in [n for n in file if n.endswith("/noisy_3d") and n[:2] in ("P3", "P4")]:
            truth = file[name.replace("noisy", "pose")].astype(float)
            truth = truth - truth[:, :1]
            window = file[name + "_last_window"].astype(float)
            self.assertEqual((len(truth), len(window)), (50, 60))
            np.testing.assert_array_equal(window[:50], file[name])
            self.assertGreater(np.abs(window[50:] - window[49]).max(), 0)
            error = window - truth[np.minimum(np.arange(60), 49)]
            action = name.split("/")[1]
            errors.setdefault(action, []).append(np.linalg.norm(error, axis=-1).mean())
            velocities.setdefault(action, []).append(
                np.linalg.norm(np.diff(error, axis=0), axis=-1).mean())
        scores = json.loads((WORK / "short.json").read_text())["base"]
        self.assertEqual(scores["frames"], 60 * sum(map(len, errors.values())))
        for key, values in (("mpjpe_mm", errors), ("mpjve_mm_per_frame", velocities)):
            expected = 1000 * np.mean([np.mean(v) for v in values.values()])
            self.assertAlmostEqual(scores["average"][key], expected, places=3)

    def test_refine_under_a_protocol_keeps_the_root_at_zero(self):
        run("refine", WORK / "refiner.safetensors", WORK / "lifted.npz", "-o", WORK / "r.npz",
            "--protocol", "vp3d")
        file = arrays(WORK / "r.npz")
        self.assertTrue((file["P4/walk_1/0/refined_3d"][:, 0] == 0).all())
        made = json.loads(bytes(file["metadata"]))
        self.assertEqual(made["refined_3d"]["root"], "set to zero")
        self.assertEqual(made["noisy_3d"]["protocol"], "sequence")

    def test_smoothing_controls_need_no_checkpoint(self):
        name = "P4/walk_1/0"
        noisy = arrays(WORK / "lifted.npz")[name + "/noisy_3d"].astype(float)
        for control, *options in (("one-euro", "--min-cutoff", 2, "--beta", 0),
                                  ("savitzky-golay", "--smoothing-window", 5,
                                   "--smoothing-degree", 2)):
            run("refine", WORK / "lifted.npz", "-o", WORK / "smooth.npz", "--control", control,
                *options)
            file = arrays(WORK / "smooth.npz")
            smooth = file[name + "/refined_3d"].astype(float)
            self.assertTrue((smooth[:, 0] == 0).all())
            self.assertLess(np.abs(np.diff(smooth, 2, 0)).mean(), np.abs(np.diff(noisy, 2, 0)).mean())
            made = json.loads(bytes(file["metadata"]))["refined_3d"]
            self.assertEqual(made["control"], control)
            if control == "one-euro":
                factor = 1 / (1 + 50 / (2 * np.pi * 2))
                expected = noisy[0] + factor * (noisy[1] - noisy[0])
                np.testing.assert_allclose(smooth[1, 1:], expected[1:], atol=1e-6)
            else:
                expected = np.tensordot(np.array([-3, 12, 17, 12, -3]) / 35, noisy[3:8], 1)
                np.testing.assert_allclose(smooth[5, 1:], expected[1:], atol=1e-6)
        self.assertIn("odd", refused("refine", WORK / "lifted.npz", "-o", WORK / "o.npz", "--control",
                                     "savitzky-golay", "--smoothing-window", 4))
        run("refine", WORK / "lifted.npz", "-o", WORK / "o.npz", expect=2)
        run("refine", WORK / "lifted.npz", "-o", WORK / "o.npz", "--control", "bias", expect=2)

    def test_refined_poses_are_finished(self):
        """A filter over time, then limbs of constant length; both can be left out, and are stored."""
        files = {}
        for name, *options in (("finished",), ("raw", "--filter", "none", "--bone-lengths", "free"),
                               ("filtered", "--bone-lengths", "free"),
                               ("paper", "--recipe", "paper"), ("stride", "--stride", 9,
                                "--filter", "none", "--bone-lengths", "free")):
            run("refine", WORK / "refiner.safetensors", WORK / "lifted.npz", "-o",
                WORK / f"{name}.npz", *options)
            files[name] = arrays(WORK / f"{name}.npz")
        clip = "P4/walk_1/0/refined_3d"
        poses = {name: file[clip] for name, file in files.items()}
        np.testing.assert_array_equal(poses["paper"], poses["stride"])
        kernel = np.array([-21, 14, 39, 54, 59, 54, 39, 14, -21]) / 231
        expected = np.tensordot(kernel, poses["raw"][6:15].astype(float), 1)
        np.testing.assert_allclose(poses["filtered"][10], expected, atol=1e-6)
        limbs, parents = [2, 3, 12, 13, 5, 6, 15, 16], [1, 2, 11, 12, 4, 5, 14, 15]
        bones = poses["finished"][:, limbs] - poses["finished"][:, parents]
        lengths = np.linalg.norm(bones, axis=-1)
        self.assertLess(np.ptp(lengths, axis=0).max(), 1e-6)
        np.testing.assert_allclose(lengths[0, :4], lengths[0, 4:], atol=1e-6)
        made = {n: json.loads(bytes(f["metadata"]))["refined_3d"] for n, f in files.items()}
        self.assertEqual((made["finished"]["filter"], made["finished"]["bone_lengths"]),
                         ("savitzky-golay", "constant"))
        for name in ("raw", "paper"):
            self.assertFalse({"filter", "bone_lengths"} & set(made[name]), name)
        # Half of the way.
        run("refine", WORK / "refiner.safetensors", WORK / "lifted.npz", "-o", WORK / "half.npz",
            "--filter", "none", "--bone-lengths", "free", "--strength", 0.5)
        half, lifted = arrays(WORK / "half.npz"), arrays(WORK / "lifted.npz")
        np.testing.assert_allclose(
            half[clip], (poses["raw"] + lifted["P4/walk_1/0/noisy_3d"]) / 2, atol=1e-6)
        self.assertEqual(json.loads(bytes(half["metadata"]))["refined_3d"]["strength"], 0.5)

    def test_smoothnet_is_a_control_that_refine_runs(self):
        for name, threads in (("smoothnet", 1), ("again", 3)):
            run("train", "smoothnet", WORK / "lifted.npz", "-o", WORK / f"{name}.safetensors",
                "--threads", threads, "--epochs", 3, *SMOOTHNET)
        checkpoint = WORK / "smoothnet.safetensors"
        self.assertEqual(checkpoint.read_bytes(), (WORK / "again.safetensors").read_bytes())
        run("refine", checkpoint, WORK / "lifted.npz", "-o", WORK / "smoothnet.npz", "--stride", 1)
        file = arrays(WORK / "smoothnet.npz")
        self.assertEqual(json.loads(bytes(file["metadata"]))["refined_3d"]["window_frames"], 9)
        smooth, noisy = (file[f"P4/walk_1/0/{f}"] for f in ("refined_3d", "noisy_3d"))
        self.assertTrue((smooth[:, 0] == 0).all())
        self.assertLess(np.abs(np.diff(smooth, 2, 0)).mean(), np.abs(np.diff(noisy, 2, 0)).mean())
        self.assertIn("no control", refused("refine", checkpoint, WORK / "lifted.npz", "-o",
                                            WORK / "o.npz", "--control", "bias"))
        self.assertIn("3 frames", refused("train", "smoothnet", WORK / "lifted.npz", "-o",
                                          WORK / "o.safetensors", "--frames", 2))

    def test_reports_in_every_format_have_the_same_figures(self):
        refined = WORK / "refined.npz"
        report = {}
        for form in ("text", "markdown", "csv", "json"):
            report[form], _ = run("evaluate", refined, "--format", form)
            out, _ = run("evaluate", refined, "--format", form, "-o", WORK / "report")
            self.assertEqual(out, f"wrote {WORK / 'report'}\n")
            self.assertEqual((WORK / "report").read_text(), report[form])
        scores = json.loads(report["json"])
        rows = {tuple(row[:4]): row for row in csv.reader(report["csv"].splitlines())}
        mpjpe = scores["refined"]["average"]["mpjpe_mm"]
        row = rows["refined", "MPJPE", "mm", "Average"]
        self.assertEqual(float(row[4]), mpjpe)
        interval = scores["refined"]["average_interval_95"]["mpjpe_mm"]
        self.assertEqual((float(row[5]), float(row[6])), (interval["low"], interval["high"]))
        text = f"{mpjpe:.2f} [{interval['low']:.2f}, {interval['high']:.2f}]"
        self.assertIn(text, report["text"])
        self.assertIn(text, report["markdown"])
        self.assertEqual({len(row) for row in csv.reader(report["csv"].splitlines())}, {9})
        # Another seed draws other clips, the same one the same.
        again, _ = run("evaluate", refined, "--format", "csv", "--seed", 1, "--threads", 1)
        self.assertEqual(again, report["csv"])
        other, _ = run("evaluate", refined, "--format", "csv", "--seed", 2)
        self.assertNotEqual(other, report["csv"])

    def test_training_twice_gives_the_same_bytes_with_any_threads(self):
        for threads in (1, 3):
            out = WORK / f"again{threads}.safetensors"
            run("train", "refiner", WORK / "lifted.npz", "-o", out, "--epochs", 2, "--threads",
                threads, *REFINER, "--states", "forward")
            self.assertEqual(out.read_bytes(), (WORK / "refiner.safetensors").read_bytes())

    def test_recomputing_gives_the_same_bytes(self):
        def deep(options):
            return ["2" if before == "--depth" else o for before, o in zip(["", *options], options)]

        mixste = [*MIXSTE, "--folds", 0, "--drop-path", 0.3]
        for name, command in (
            ("refiner", ["refiner", WORK / "lifted.npz", *deep(REFINER)]),
            ("lifter", ["lifter", WORK / "data.npz", *deep(LIFTER), "--folds", 0]),
            ("mixste", ["lifter", WORK / "data.npz", *mixste]),
        ):
            files = []
            for level in (0, 1, 2):
                out = WORK / f"recompute_{name}{level}.safetensors"
                run("train", *command, "-o", out, "--epochs", 2, "--recompute", level)
                files.append(out.read_bytes())
            self.assertEqual(files[1], files[0], name)
            self.assertEqual(files[2], files[0], name)

    def test_profile_says_what_recomputing_saves(self):
        peaks, flops = [], []
        for level in (0, 1, 2):
            run("profile", "--width", 32, "--heads", 2, "--frames", 9, "--batch", 1, "--steps", 1,
                "--recompute", level, "--json", WORK / "profile.json")
            profile = json.loads((WORK / "profile.json").read_text())
            peaks.append(profile["peak_bytes"])
            flops.append(sum(op["flops"] for op in profile["ops"]))
        self.assertEqual(sorted(peaks, reverse=True), peaks)
        self.assertEqual(len(set(peaks)), 3)
        self.assertEqual(sorted(flops), flops)

    def test_another_seed_gives_other_weights(self):
        out = WORK / "seed.safetensors"
        run("train", "refiner", WORK / "lifted.npz", "-o", out, "--epochs", 2, "--seed", 2, *REFINER)
        self.assertNotEqual(out.read_bytes(), (WORK / "refiner.safetensors").read_bytes())

    def test_cross_fitting_hides_each_training_subject_from_its_lifter(self):
        out, _ = run("info", WORK / "lifter.safetensors")
        config = json.loads(
            next(line for line in out.splitlines() if line.startswith("  config:")).split(":", 1)[1]
        )
        held_out = [lifter["held_out"] for lifter in config["lifters"]]
        # P3 and P4 test, P2 validates; only P1 is left, and one subject makes no folds.
        self.assertEqual(held_out[0], [])
        run("prepare", "synthetic", "-o", WORK / "six.npz", "--people", 6, "--takes", 1,
            "--seconds", 0.5, "--cameras", 0)
        run("train", "lifter", WORK / "six.npz", "-o", WORK / "six.safetensors", "--epochs", 1,
            "--folds", 3, *LIFTER)
        run("lift", WORK / "six.safetensors", WORK / "six.npz", "-o", WORK / "cross.npz")
        run("lift", WORK / "six.safetensors", WORK / "six.npz", "-o", WORK / "within.npz",
            "--in-sample")
        cross, within = arrays(WORK / "cross.npz"), arrays(WORK / "within.npz")
        for subject, differs in (("P1", True), ("P3", True), ("P4", False), ("P6", False)):
            name = f"{subject}/walk_1/0/noisy_3d"
            self.assertEqual((cross[name] != within[name]).any(), differs, subject)

    def test_mixste_lifts_too(self):
        out, _ = run("train", "lifter", WORK / "data.npz", "-o", WORK / "mixste.safetensors",
                     "--epochs", 2, "--folds", 0, *MIXSTE)
        self.assertIn("lifter: mixste,", out)
        # Its own learning rate, which one of the command line would replace.
        log = [json.loads(line) for line in (WORK / "mixste.log.jsonl").read_text().splitlines()]
        self.assertEqual([entry["lr"] for entry in log], [4e-5, 0.99 * 4e-5])
        self.assertLess(log[1]["loss"], log[0]["loss"])
        out, _ = run("info", WORK / "mixste.safetensors")
        self.assertIn('"model":"mixste"', out)
        self.assertIn("full.time.0.qkv.weight", out)
        run("lift", WORK / "mixste.safetensors", WORK / "data.npz", "-o", WORK / "m.npz")
        lifted, base = arrays(WORK / "m.npz"), arrays(WORK / "lifted.npz")
        name = "P4/walk_1/0/noisy_3d"
        self.assertEqual(lifted[name].shape, base[name].shape)
        self.assertTrue(np.isfinite(lifted[name]).all())
        self.assertFalse(lifted[name][:, 0].any())
        line = refused("train", "lifter", WORK / "data.npz", "-o", WORK / "mixste.safetensors",
                       "--epochs", 3, "--folds", 0, "--resume", *LIFTER)
        self.assertIn("resume with train lifter --model mixste", line)
        line = refused("train", "lifter", WORK / "data.npz", "-o", WORK / "o.safetensors",
                       "--drop-path", 0.1, *LIFTER)
        self.assertIn("only MixSTE drops updates", line)

    def test_checkpoints_hold_what_the_manual_says(self):
        def header(path):
            content = path.read_bytes()
            size = int.from_bytes(content[:8], "little")
            return json.loads(content[8 : 8 + size])

        found = header(WORK / "refiner.safetensors")
        self.assertEqual(found["__metadata__"]["format"], "posetape refiner 1")
        self.assertEqual(json.loads(found["__metadata__"]["config"])["frames"], 9)
        for name in ("error.shift", "error.scale"):
            self.assertEqual((found[name]["dtype"], found[name]["shape"]), ("F64", [51]))
        self.assertEqual(found["network.input.weight"]["shape"], [16, 5])
        kinds = {name.split(".")[0] for name in found} - {"__metadata__"}
        self.assertEqual(kinds, {"network", "error", "cnd"})
        last = header(WORK / "refiner.last.safetensors")
        self.assertLessEqual({"trainer.m", "trainer.v", "trainer.counters"}, set(last))
        lifters = header(WORK / "lifter.safetensors")
        self.assertEqual(lifters["__metadata__"]["format"], "posetape lifter 1")
        self.assertIn("full.pose_emb.weight", lifters)

    def test_flip_averaging_treats_left_and_right_the_same(self):
        right, left = [1, 2, 3, 14, 15, 16], [4, 5, 6, 11, 12, 13]
        swapped = np.arange(17)
        swapped[right + left] = left + right
        file = arrays(WORK / "data.npz")
        mirrored = {}
        for name in [n for n in file if n.endswith("/pose_2d")]:
            width = file[name.replace("pose_2d", "image_size")][0]
            pose = file[name][:, swapped].copy()
            pose[..., 0] = width - pose[..., 0]
            mirrored[name] = pose
        np.savez(WORK / "mirrored.npz", **{**file, **mirrored})
        for model in ("stcformer", "mixste"):
            path = WORK / f"flip_{model}.safetensors"
            run("train", "lifter", WORK / "data.npz", "-o", path, "--epochs", 1, "--folds", 0,
                "--model", model, "--lr", 1e-3, *LIFTER)
            for option, same in (("--flip-average", True), ("--no-flip-average", False)):
                lifted = []
                for data in ("data", "mirrored"):
                    # The truth beside them is not mirrored.
                    run("lift", path, WORK / f"{data}.npz", "-o", WORK / "flip.npz", option, "--force")
                    lifted.append(arrays(WORK / "flip.npz")["P4/walk_1/0/noisy_3d"])
                back = lifted[1][:, swapped] * np.array([-1, 1, 1], "f4")
                difference = np.abs(back - lifted[0]).max()
                self.assertTrue((difference < 1e-5) == same, (model, option, difference))

    def test_a_lifter_of_every_third_frame(self):
        path = WORK / "third.safetensors"
        run("train", "lifter", WORK / "data.npz", "-o", path, "--epochs", 2, "--folds", 0, "--step",
            3, *LIFTER)

        def lift(*options):
            run("lift", path, WORK / "data.npz", "-o", WORK / "third.npz", *options)
            file = arrays(WORK / "third.npz")
            made = json.loads(bytes(file["metadata"]))["noisy_3d"]
            return file["P4/walk_1/0/noisy_3d"], made["windows"]

        # As it was trained, for any protocol that can.
        third, windows = lift("--stride", 9)
        self.assertIn("9 frames, 3 frames apart", windows)
        self.assertTrue(np.isfinite(third).all())
        centre, windows = lift("--protocol", "stcformer-centre", "--no-flip-average")
        self.assertIn("9 frames, 3 frames apart", windows)
        # The window of frames 0, 3, ..., 24 is also the one around frame 12.
        np.testing.assert_allclose(third[12], centre[12], atol=1e-5)
        consecutive, windows = lift("--step", 1, "--stride", 9)
        self.assertNotIn("apart", windows)
        self.assertGreater(np.abs(consecutive - third).max(), 1e-4)
        self.assertIn("these are 3 apart", refused("lift", path, WORK / "data.npz", "-o", "o.npz",
                                                   "--protocol", "mixste-seq2seq"))

    def test_the_log_has_a_line_an_epoch(self):
        lines = (WORK / "refiner.log.jsonl").read_text().splitlines()
        self.assertEqual([json.loads(line)["epoch"] for line in lines], [1, 2])
        self.assertTrue(all(json.loads(line)["loss"] > 0 for line in lines))

    def test_other_peoples_files_are_refined(self):
        file = arrays(WORK / "lifted.npz")
        clip = "P4/walk_1/0"
        mine = {f"clip/{f}": file[f"{clip}/{f}"] for f in ("pose_2d", "noisy_3d", "image_size")}
        np.savez(WORK / "mine.npz", **mine, metadata=file["metadata"])
        run("refine", WORK / "refiner.safetensors", WORK / "mine.npz", "-o", WORK / "out.npz")
        # Batches of another size round differently.
        np.testing.assert_allclose(arrays(WORK / "out.npz")["clip/refined_3d"],
                                   arrays(WORK / "refined.npz")[f"{clip}/refined_3d"], atol=1e-5)

    def test_bf16(self):
        def field(path, name):
            return np.concatenate([a for key, a in sorted(arrays(path).items())
                                   if key.endswith("/" + name)])

        out = WORK / "bf16.npz"
        for name, exact, command in (
                ("noisy_3d", "lifted", ("lift", WORK / "lifter.safetensors", WORK / "data.npz")),
                ("refined_3d", "refined", ("refine", WORK / "refiner.safetensors",
                                           WORK / "lifted.npz"))):
            run(*command, "-o", out, "--precision", "bf16")
            f32, bf16 = field(WORK / f"{exact}.npz", name), field(out, name)
            distance = np.linalg.norm(bf16 - f32, axis=-1).mean()
            scale = np.linalg.norm(f32, axis=-1).mean()
            # Eight bits of every number: a relative error of 1/256, and of some of them in a row.
            self.assertLess(distance, scale / 64)
            self.assertGreater(distance, 0)
            self.assertIn('"precision":"bf16"', run("info", out)[0])
        run("refine", WORK / "refiner.safetensors", WORK / "lifted.npz", "-o", out,
            "--precision", "half", expect=2)

    def test_a_clip_shorter_than_a_window_is_padded(self):
        file = arrays(WORK / "lifted.npz")
        for frames in (1, 5):
            short = {f"c/{f}": file[f"P4/walk_1/0/{f}"][:frames] for f in ("pose_2d", "noisy_3d")}
            np.savez(WORK / "short.npz", **short, **{"c/image_size": np.array([1000, 1000])},
                     metadata=file["metadata"])
            run("refine", WORK / "refiner.safetensors", WORK / "short.npz", "-o", WORK / "out.npz")
            self.assertEqual(arrays(WORK / "out.npz")["c/refined_3d"].shape, (frames, 17, 3))


class StopAndResume(unittest.TestCase):
    def check(self, kind, data, *options):
        whole, parts = WORK / f"whole_{kind}.safetensors", WORK / f"parts_{kind}.safetensors"
        run("train", kind, data, "-o", whole, *options)
        command = [POSETAPE, "train", kind, str(data), "-o", str(parts), *map(str, options)]
        log = WORK / f"parts_{kind}.log.jsonl"
        log.unlink(missing_ok=True)
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        while process.poll() is None and not (log.exists() and log.read_text()):
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=120)
        stopped = "stopped in epoch" in out
        self.assertEqual(process.returncode, 128 + signal.SIGINT if stopped else 0, out)
        if stopped:
            run("train", kind, data, "-o", parts, "--resume", *options)
        self.assertEqual(parts.read_bytes(), whole.read_bytes())

    def test_lifter(self):
        for options in (LIFTER, MIXSTE):
            self.check("lifter", WORK / "data.npz", "--epochs", 12, "--folds", 0, *options)

    def test_refiner(self):
        self.check("refiner", WORK / "lifted.npz", "--epochs", 12, *REFINER)

    def test_smoothnet(self):
        self.check("smoothnet", WORK / "lifted.npz", "--epochs", 12, "--frames", 9, "--width", 256,
                   "--batch", 8)

    # Every option of the trainer.
    TRAINER = ["--optimiser", "sgd", "--momentum", 0.8, "--lr", 0.01, "--warm-up", 3, "--cosine",
               "--lr-floor", 0.001, "--clip-norm", 0.5, "--micro-batches", 2, "--ema", 0.9]

    def test_options_of_the_trainer(self):
        self.check("refiner", WORK / "lifted.npz", "--epochs", 12, *REFINER, *self.TRAINER)

    def test_what_options_of_the_trainer_do(self):
        def trained(name, *options, kind="smoothnet", data="lifted.npz", sizes=SMOOTHNET):
            out = WORK / f"{name}.safetensors"
            run("train", kind, WORK / data, "-o", out, *sizes, *options)
            lines = [json.loads(x) for x in (WORK / f"{name}.log.jsonl").read_text().splitlines()]
            return out, lines

        plain, log = trained("plain", "--epochs", 2)
        same, _ = trained("same", "--epochs", 2, "--optimiser", "adam", "--no-cosine", "--warm-up", 0,
                          "--clip-norm", 0, "--micro-batches", 1, "--ema", 0)
        self.assertEqual(plain.read_bytes(), same.read_bytes())
        # The same windows in parts: the same step, but for the order of a sum.
        _, parts = trained("parts", "--epochs", 2, "--micro-batches", 2)
        for a, b in zip(log, parts):
            self.assertAlmostEqual(a["loss"] / b["loss"], 1, delta=1e-4)
        # Half a cosine from 0.01, of which an epoch's line has the rate of its last step.
        _, rates = trained("rates", "--epochs", 2, "--cosine", "--lr", 0.01, "--lr-floor", 0.001)
        self.assertLess(rates[1]["lr"], 0.0055)
        self.assertGreater(rates[1]["lr"], 0.001)
        self.assertLess(rates[1]["lr"], rates[0]["lr"])
        _, warm = trained("warm", "--epochs", 1, "--warm-up", 1000, "--decay", 1, "--lr", 1)
        steps = warm[0]["lr"] * 1000
        self.assertAlmostEqual(steps, round(steps), delta=1e-9)
        self.assertLess(warm[0]["lr"], 0.5)
        # A step that is cut to next to nothing (SGD; Adam's does not depend on the size).
        still, slow = trained("still", "--epochs", 2, "--optimiser", "sgd", "--clip-norm", 1e-9)
        self.assertAlmostEqual(slow[0]["loss"] / slow[1]["loss"], 1, delta=0.2)
        # The averages are what is saved; the .last file has the weights.
        for kind, data, sizes in (("smoothnet", "lifted.npz", SMOOTHNET),
                                  ("lifter", "data.npz", LIFTER)):
            options = ("--epochs", 1, "--ema", 0.999999)
            best, _ = trained("averages", *options, kind=kind, data=data, sizes=sizes)
            last = tensors_of(WORK / "averages.last.safetensors")[1]
            saved = tensors_of(best)[1]
            self.assertIn("trainer.average", last)
            average = np.frombuffer(last["trainer.average"][2], np.float32)
            name = next(n for n in saved if n.endswith("weight"))
            values = np.frombuffer(saved[name][2], np.float32)
            self.assertTrue(any(np.array_equal(average[i:i + len(values)], values)
                                for i in range(0, len(average), 16)), name)
        for options, says in ((("--momentum", 0.5), "--momentum 0.5: adam has none"),
                              (("--lr-floor", 0.1), "--lr-floor 0.1: only a cosine ends there"),
                              (("--cosine", "--lr-floor", 0.1), "--lr-floor 0.1: is above --lr"),
                              (("--batch", 8, "--micro-batches", 3), "does not divide --batch 8")):
            self.assertIn(says, refused("train", "smoothnet", WORK / "lifted.npz", "-o",
                                        WORK / "no.safetensors", *options))
        run("train", "smoothnet", WORK / "lifted.npz", "-o", WORK / "no.safetensors", "--cosine",
            "--decay", 0.9, expect=2)

    def test_what_would_be_wrong_without_a_word(self):
        file = arrays(WORK / "lifted.npz")
        poses = sorted(name for name in file if name.endswith("/pose_2d"))
        first, last = (name.removesuffix("pose_2d") for name in (poses[0], poses[-1]))
        file |= {last + name.removeprefix(first): file[name] for name in file
                 if name.startswith(first)}
        np.savez(WORK / "copied.npz", **file)
        _, error = run("train", "smoothnet", WORK / "copied.npz", "-o", WORK / "wrong.safetensors",
                       *SMOOTHNET, "--epochs", 1, "--warm-up", 1000, "--optimiser", "sgd",
                       "--clip-norm", 1e-9)
        for says in (f"1 of the sequences that do not train, such as {last[:-1]}, have the poses "
                     f"of one that trains ({first[:-1]})",
                     "--warm-up 1000: the learning rate rises in all",
                     "no step of the first epoch moved "):
            self.assertIn(says, error)

    def test_sigterm_and_a_closed_terminal_stop_it_too(self):
        out = WORK / "signals.safetensors"
        command = ["train", "refiner", WORK / "lifted.npz", "-o", out, *REFINER, "--epochs"]
        for number in (signal.SIGTERM, signal.SIGHUP):
            log = WORK / "signals.log.jsonl"
            log.unlink(missing_ok=True)
            process = start(*command, 5000)
            wait_for_epochs(process, log, 1)
            process.send_signal(number)
            text, _ = process.communicate(timeout=120)
            self.assertEqual(process.returncode, 128 + number)
            self.assertIn("stopped in epoch", text)
        self.assertEqual(left_over("signals"), ["log.jsonl", "last.safetensors", "safetensors"])


def start(*arguments):
    return subprocess.Popen([POSETAPE, *map(str, arguments)], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def wait_for_epochs(process, log, count):
    while process.poll() is None and not (log.exists() and log.read_text().count("\n") >= count):
        time.sleep(0.01)


def left_over(name):
    """The files of this name, in the order in which a training makes them."""
    order = ["log.jsonl", "last.safetensors", "safetensors"]
    found = [p.name[len(name) + 1:] for p in WORK.glob(f"{name}.*")]
    return sorted(found, key=lambda e: (order.index(e) if e in order else 9, e))


def epochs_of(path):
    """The lines of a log, but for what depends on the clock."""
    times = ("seconds", "sequences_per_second", "frames_per_second")
    return [{k: v for k, v in json.loads(line).items() if k not in times}
            for line in path.read_text().splitlines()]


def tensors_of(path):
    """(metadata, {name: (dtype, shape, bytes)}) of a safetensors file."""
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8:8 + size])
    metadata = header.pop("__metadata__", {})
    return metadata, {name: (e["dtype"], e["shape"],
                             content[8 + size + e["data_offsets"][0]:
                                     8 + size + e["data_offsets"][1]])
                      for name, e in header.items()}


def write_tensors(path, metadata, tensors):
    """Writes it without checksums, as other programs do."""
    header = {"__metadata__": {k: v for k, v in metadata.items() if not k.startswith("crc32.")}}
    data = b""
    for name, (dtype, shape, values) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape,
                        "data_offsets": [len(data), len(data) + len(values)]}
        data += values
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


class Resume(unittest.TestCase):
    """--resume goes on with the same data and options, or says what is other."""

    # What may change, and for the rest another value than the one that a run was started with.
    FREE = set("""help output epochs patience threads device drop-invalid force quiet log-format log
                  gradient-norms check-finite plot resume recompute recipe checkpoint-minutes""".split())
    # Below: they need another option, or other data.
    OF_OTHERS = {"drop-path", "momentum", "lr-floor", "estimate"}
    COMMON = {"seed": [2], "frames": [27], "batch": [4], "lr": [0.002], "decay": [0.9],
              "weight-decay": [0.5], "precision": ["bf16"], "validation-subjects": ["P1"],
              "width": [32], "depth": [2], "normalise": ["width"], "optimiser": ["sgd"],
              "warm-up": [5], "cosine": [], "clip-norm": [0.5], "micro-batches": [2], "ema": [0.9],
              "shards": [4]}
    OTHER = {
        "lifter": {**COMMON, "heads": [1], "no-flip": [], "model": ["mixste"], "step": [2],
                   "folds": [0], "confidence": [], "acceleration-weight": [1.0]},
        "refiner": {**COMMON, "heads": [1], "flip": [], "steps": [20], "inference-steps": [3],
                    "schedule": ["linear"], "noise": ["ar1"], "error-source": ["real"],
                    "objective": ["regression"], "states": ["rollout"],
                    "normalization": ["per-coordinate"], "loss": ["mse"],
                    "confidence": [], "acceleration-weight": [1.0]},
        "smoothnet": {**COMMON, "width": [16], "flip": [], "hidden": [16]},
    }
    START = {"lifter": ("folds.npz", [*LIFTER, "--folds", 2]), "refiner": ("lifted.npz", [*REFINER, "--states", "forward"]),
             "smoothnet": ("lifted.npz", SMOOTHNET)}

    def trained(self, kind, name, epochs=1, *more):
        data, options = self.START[kind]
        out = WORK / f"{name}.safetensors"
        command = ["train", kind, WORK / data, "-o", out, *options, *more, "--epochs"]
        run(*command, epochs)
        return command, out

    @staticmethod
    def with_option(command, option, values):
        """The command with one option of another value."""
        command = [str(c) for c in command]
        if f"--{option}" in command:
            at = command.index(f"--{option}")
            return [*command[:at + 1], *values, *command[at + 2:]]
        return [*command[:5], f"--{option}", *values, *command[5:]]

    def test_every_option_is_either_free_or_compared(self):
        for kind, others in self.OTHER.items():
            command, out = self.trained(kind, f"options_{kind}")
            before = {p: p.read_bytes() for p in WORK.glob(f"options_{kind}.*")}
            text, _ = run("train", kind, "--help")
            options = {o for line in text.splitlines() if line.startswith("  ")
                       for o in re.findall(r"(?<![\w-])--([a-z0-9-]+)", line.split("  ")[1])}
            named = {o.removeprefix("no-") for o in options}
            self.assertGreater(len(named), 20, text)
            tried = {o.removeprefix("no-") for o in others}
            self.assertEqual(named - self.FREE - tried - self.OF_OTHERS, set(), kind)
            for option, value in others.items():
                line = refused(*self.with_option(command, option, value), 2, "--resume")
                self.assertIn("last.safetensors: was started with ", line)
                self.assertIn(f"now {'train lifter ' * (option == 'model')}--{option}"
                              + "".join(f" {v}" for v in value) + ";", line)
                self.assertIn("start afresh without --resume", line)
            self.assertEqual(before, {p: p.read_bytes() for p in before})
        mixste = ["train", "lifter", WORK / "few_data.npz", "-o", WORK / "drop.safetensors", *MIXSTE,
                  "--folds", 0, "--epochs"]
        run(*mixste, 1)
        self.assertIn("started with --drop-path 0.1, now --drop-path 0.2;",
                      refused(*mixste, 2, "--resume", "--drop-path", 0.2))
        sgd = self.trained("smoothnet", "sgd", 1, "--optimiser", "sgd", "--cosine")[0]
        for option, value, was in (("momentum", 0.5, 0.9), ("lr-floor", 0.0001, 0.0)):
            self.assertIn(f"started with --{option} {was}, now --{option} {value};",
                          refused(*self.with_option(sgd, option, [value]), 1, "--resume"))
        self.assertIn("started with --epochs 1, now --epochs 2;", refused(*sgd, 2, "--resume"))
        # A default that is given is no other option.
        run(*mixste, 2, "--resume", "--drop-path", 0.1, "--lr", "0.00004")

    def test_what_may_change_changes_nothing(self):
        _, whole = self.trained("refiner", "free_whole", 3)
        command, parts = self.trained("refiner", "free_parts", 1)
        data = WORK / "moved.npz"
        data.write_bytes((WORK / "lifted.npz").read_bytes())
        command[2] = data
        run(*command, 3, "--resume", "--patience", 9, "--threads", 1, "--recompute", 2, "--quiet",
            "--gradient-norms", "--drop-invalid", "--lr", "1e-3", "--checkpoint-minutes", 1e-6)
        self.assertEqual(parts.read_bytes(), whole.read_bytes())
        self.assertEqual((WORK / "free_parts.last.safetensors").read_bytes(),
                         (WORK / "free_whole.last.safetensors").read_bytes())

    def test_other_data(self):
        for kind, fields in (("refiner", ("noisy_3d", "pose_3d", "pose_2d", "image_size")),
                             ("smoothnet", ("noisy_3d", "pose_3d")),
                             ("lifter", ("pose_3d", "pose_2d", "image_size"))):
            command, _ = self.trained(kind, f"data_{kind}")
            for field in ("noisy_3d", "pose_3d", "pose_2d", "image_size", "fps"):
                file = arrays(WORK / self.START[kind][0])
                name = f"P1/walk_1/0/{field}"
                if name not in file:  # the lifter's data where they are lifted
                    file[name] = 0 * file["P1/walk_1/0/pose_3d"]
                file[name] = file[name] + np.array(1, file[name].dtype) / (
                    1 if file[name].dtype.kind == "i" else 1000)
                if field == "noisy_3d":
                    file[name][:, 0] = 0
                file[name] = file[name].astype(np.int32 if field == "image_size" else np.float32)
                np.savez(WORK / "other.npz", **file)
                changed = [*command[:2], WORK / "other.npz", *command[3:], 1, "--resume", "--force"]
                if field in fields:
                    line = refused(*changed)
                    self.assertIn(f"data_{kind}.last.safetensors: was started with other data", line)
                    self.assertIn("other.npz", line)
                else:
                    run(*changed)
            # Nobody trains on a test subject.
            file = arrays(WORK / self.START[kind][0])
            test = "P5" if kind == "lifter" else "P3"
            file[f"{test}/walk_1/0/pose_3d"][3, 2, 1] += 0.1
            np.savez(WORK / "other.npz", **file)
            run(*command[:2], WORK / "other.npz", *command[3:], 1, "--resume")

    def test_where_there_is_nothing_to_resume(self):
        _, whole = self.trained("refiner", "afresh_whole", 2)
        data, options = self.START["refiner"]
        out = WORK / "afresh.safetensors"
        text, error = run("train", "refiner", WORK / data, "-o", out, "--epochs", 2, "--resume",
                          "--log-format", "json", *options)
        self.assertIn("afresh.last.safetensors: there is nothing to resume; starts afresh", error)
        self.assertEqual(text, (WORK / "afresh.log.jsonl").read_text())
        self.assertEqual(out.read_bytes(), whole.read_bytes())

    def test_a_file_of_an_older_version_goes_on_with_a_warning(self):
        for kind in self.START:
            _, whole = self.trained(kind, f"old_{kind}_whole", 2)
            command, out = self.trained(kind, f"old_{kind}")
            last = WORK / f"old_{kind}.last.safetensors"
            metadata, tensors = tensors_of(last)
            del metadata["resume.settings"], tensors["trainer.log"]
            if kind == "lifter":  # as it was between the first network and the second
                self.assertEqual(metadata["resume.lifter"], "2")
            write_tensors(last, metadata, tensors)
            _, error = run(*command, 2, "--resume")
            self.assertIn(f"posetape: warning: {last}: does not say which data and options", error)
            if kind != "lifter":  # whose first networks had one epoch
                self.assertEqual(out.read_bytes(), whole.read_bytes())
                self.assertEqual(epochs_of(WORK / f"old_{kind}.log.jsonl"),
                                 epochs_of(WORK / f"old_{kind}_whole.log.jsonl"))
            _, error = run(*command, 2, "--resume")
            self.assertEqual(but_for_gains(error), "")
            _, error = run(*command, 3, "--resume")
            self.assertEqual("is at fold2; the lifters before it keep the 2 epochs" in error,
                             kind == "lifter", error)

    def test_a_finished_training_stays_as_it_is(self):
        for kind in self.START:
            command, _ = self.trained(kind, f"done_{kind}", 2)
            before = {p.name: p.read_bytes() for p in WORK.glob(f"done_{kind}.*")}
            self.assertEqual(len(before), 3)
            for epochs in (2, 1):
                run(*command, epochs, "--resume")
                self.assertEqual(
                    before, {p.name: p.read_bytes() for p in WORK.glob(f"done_{kind}.*")})

    def test_a_damaged_last_file(self):
        command, _ = self.trained("refiner", "damaged")
        last = WORK / "damaged.last.safetensors"
        content = last.read_bytes()
        for bad in (b"", content[:1000], content[:-1],
                    content[:-50] + bytes([content[-50] ^ 4]) + content[-49:],
                    content[:60] + bytes([content[60] ^ 1]) + content[61:]):
            last.write_bytes(bad)
            self.assertIn(str(last), refused(*command, 2, "--resume"))
            self.assertEqual(last.read_bytes(), bad)
        metadata, tensors = tensors_of(WORK / "damaged.safetensors")
        write_tensors(last, metadata, tensors)  # of another kind: without a trainer's state
        self.assertIn("damaged.last.safetensors: has no trainer's state",
                      refused(*command, 2, "--resume"))
        # The best epoch's weights, where the .last file has others.
        _, out = self.trained("refiner", "gone", 1)
        metadata, tensors = tensors_of(WORK / "gone.last.safetensors")
        counters = np.frombuffer(tensors["trainer.counters"][2]).copy()
        counters[1] += 1
        tensors["trainer.counters"] = ("F64", [6], counters.tobytes())
        write_tensors(WORK / "gone.last.safetensors", metadata, tensors)
        out.unlink()
        command[4] = out
        self.assertIn("gone.safetensors: is missing", refused(*command, 3, "--resume"))


class SecondPass(unittest.TestCase):
    """`train lifter --estimate`: a lifter over 2D poses and what another one made of them."""

    def test_it_corrects_what_the_file_has(self):
        train = ["train", "lifter", WORK / "lifted.npz", "-o", WORK / "second.safetensors", *LIFTER]
        done = subprocess.run([POSETAPE, *map(str, [*train, "--estimate", "--epochs", 1])], capture_output=True,
                              text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        base, refined = map(float, re.search(r"base ([\d.]+) mm, refined ([\d.]+) mm", done.stdout).groups())
        self.assertNotEqual(base, refined)
        # That it is worse after an epoch is said, with what can be done about it: lifters have no states.
        self.assertEqual(refined > base, "train longer, or with more people\n" in done.stderr, done.stderr)
        self.assertNotIn("--states", done.stderr)
        clip = "P1/walk_1/0"
        file = arrays(WORK / "lifted.npz")
        other = dict(file)
        other[f"{clip}/noisy_3d"] = 1.1 * file[f"{clip}/noisy_3d"]
        np.savez(WORK / "other.npz", **other)
        made = []
        for name in ("lifted", "other"):
            run("lift", WORK / "second.safetensors", WORK / f"{name}.npz", "-o", WORK / "twice.npz", "--quiet")
            made.append(arrays(WORK / "twice.npz")[f"{clip}/noisy_3d"])
            self.assertTrue((made[-1][:, 0] == 0).all())
        self.assertFalse(np.array_equal(*made))
        self.assertFalse(np.array_equal(made[0], file[f"{clip}/noisy_3d"]))
        made = json.loads(bytes(arrays(WORK / "twice.npz")["metadata"]))["noisy_3d"]
        self.assertEqual(made["second_pass"], "over the file's estimate")
        # It needs one, to train and to lift, and a training goes on with what it was started with.
        for command in (["lift", WORK / "second.safetensors"], ["train", "lifter", *LIFTER, "--estimate"]):
            line = refused(*command, WORK / "data.npz", "-o", WORK / "no.safetensors")
            self.assertIn("has no noisy_3d; make it with `posetape lift` or your own estimator", line)
        self.assertIn("was started with ", refused(*train, "--epochs", 2, "--resume"))
        run(*train, "--estimate", "--epochs", 2, "--resume")

    def test_accelerations_in_the_loss_make_smoother_lifters(self):
        errors = []
        for weight in (0, 20):
            train = ["train", "lifter", WORK / "folds.npz", "-o", WORK / "smooth.safetensors", *LIFTER, "--epochs", 8]
            run(*train, "--acceleration-weight", weight)
            run("lift", WORK / "smooth.safetensors", WORK / "folds.npz", "-o", WORK / "smooth.npz", "--quiet")
            error = [np.diff(value - file[name.replace("noisy", "pose")], 2, axis=0)
                     for file in [arrays(WORK / "smooth.npz")] for name, value in file.items()
                     if name.endswith("/noisy_3d")]
            errors.append(np.linalg.norm(np.concatenate(error)[:, 1:], axis=-1).mean())
        self.assertLess(errors[1], 0.8 * errors[0])
        train[train.index("--frames") + 1] = 2
        self.assertIn("--acceleration-weight 1: windows of --frames 2 have no acceleration; choose 3 or more",
                      refused(*train, "--acceleration-weight", 1))


class Killed(unittest.TestCase):
    """kill -9 at any moment, and --resume, leave what an uninterrupted training leaves."""

    def check(self, name, whole):
        self.assertEqual(left_over(name), ["log.jsonl", "last.safetensors", "safetensors"])
        self.assertEqual(epochs_of(WORK / f"{name}.log.jsonl"),
                         epochs_of(WORK / f"{whole}.log.jsonl"))
        for end in ("safetensors", "last.safetensors"):
            self.assertEqual((WORK / f"{name}.{end}").read_bytes(),
                             (WORK / f"{whole}.{end}").read_bytes(), end)

    def test_whatever_a_kill_leaves(self):
        dead = subprocess.Popen(["true"])
        dead.wait()
        for kind, (data, options) in Resume.START.items():
            command = ["train", kind, WORK / f"few_{data}", *options]
            states = []
            for epochs in (1, 2, 3):
                out = WORK / f"kill_{kind}_{epochs}.safetensors"
                run(*command, "-o", out, "--epochs", epochs)
                states.append({end: (WORK / f"kill_{kind}_{epochs}.{end}").read_bytes()
                               for end in ("log.jsonl", "last.safetensors", "safetensors")})
            one, two, three = states
            parts = WORK / f"killed_{kind}.safetensors"

            def resume(log, last, best=None, more=()):
                for end, content in (("log.jsonl", log), ("last.safetensors", last),
                                     ("safetensors", best)):
                    path = WORK / f"killed_{kind}.{end}"
                    path.unlink(missing_ok=True)
                    if content is not None:
                        path.write_bytes(content)
                for end in more:
                    (WORK / f"killed_{kind}.{end}").write_bytes(b"half")
                run(*command, "-o", parts, "--epochs", 3, "--resume")
                self.check(f"killed_{kind}", f"kill_{kind}_3")

            if kind == "lifter":  # which trains three networks, one after the other
                one = two = three
            best = two["safetensors"]
            stale = [f"safetensors.tmp-{dead.pid}-0", f"last.safetensors.tmp-{dead.pid}-5",
                     f"log.jsonl.tmp-{dead.pid}-1", "safetensors.lock", "log.jsonl.lock"]
            lines = three["log.jsonl"].splitlines(keepends=True)
            # A line more, and half of one; a line less; none.
            resume(three["log.jsonl"] + b'{"model":"refi', two["last.safetensors"], best)
            resume(three["log.jsonl"][:-9], two["last.safetensors"], best, stale)
            resume(two["log.jsonl"], two["last.safetensors"], best)
            resume(one["log.jsonl"], two["last.safetensors"], best)
            resume(b"".join(lines[1:]), two["last.safetensors"], best)
            resume(lines[0] + three["log.jsonl"] + lines[-1], two["last.safetensors"], best)
            resume(None, two["last.safetensors"], best)
            # Between the .last file and the best: a first epoch is.
            for old in (None, b"of an older training"):
                resume(one["log.jsonl"], one["last.safetensors"], old)

    def test_killed_many_times(self):
        random = np.random.default_rng(5)
        for kind, (data, options) in Resume.START.items():
            command = ["train", kind, WORK / data, *options, "--epochs", 12]
            run(*command, "-o", WORK / f"often_{kind}_whole.safetensors")
            name = f"often_{kind}"
            for _ in range(6):
                process = start(*command, "-o", WORK / f"{name}.safetensors", "--resume")
                wait_for_epochs(process, WORK / f"{name}.log.jsonl", 1)
                time.sleep(random.uniform(0, 0.1))
                process.kill()
                process.communicate()
            run(*command, "-o", WORK / f"{name}.safetensors", "--resume")
            self.assertEqual(left_over(name), ["log.jsonl", "last.safetensors", "safetensors"])
            self.check(name, f"often_{kind}_whole")


class TrainingFiles(unittest.TestCase):
    """What a training writes is written by it alone, and never lost."""

    def train(self, out, *more, on=refused, **options):
        return on("train", "refiner", WORK / "lifted.npz", "-o", out, *REFINER, *more, **options)

    def test_one_training_at_a_time(self):
        out, log = WORK / "busy.safetensors", WORK / "busy.log.jsonl"
        (WORK / "busy.safetensors.lock").write_text("1")  # of a process that was killed
        process = start("train", "refiner", WORK / "lifted.npz", "-o", out, *REFINER, "--epochs",
                        5000)
        link = WORK / "link.safetensors"
        link.unlink(missing_ok=True)
        link.symlink_to(out)
        try:
            wait_for_epochs(process, log, 1)
            busy = f"process {process.pid} is writing it"
            for name, *more in (
                    ("busy.safetensors",), ("busy.safetensors", "--resume"),
                    ("busy.safetensors", "--log", WORK / "own.jsonl"),
                    ("./busy.safetensors",), ("link.safetensors",), ("busy",),
                    ("busy.last.safetensors",)):
                line = self.train(f"{WORK}/{name}", *more)
                self.assertIn(busy, line)
                self.assertIn("choose another --output", line)
            line = self.train(WORK / "idle.safetensors", "--log", log)
            self.assertIn(f"{log}: {busy}", line)
            self.assertIn("choose another --log", line)
            self.assertEqual(left_over("idle"), [])
            self.train(WORK / "idle.safetensors", "--epochs", 1, on=run)
        finally:
            process.kill()
            process.communicate()
            link.unlink()
        # The lock went with its process.
        epochs = len(epochs_of(log))
        self.train(out, "--resume", "--epochs", epochs + 1, on=run)
        self.assertGreaterEqual(len(epochs_of(log)), epochs)
        self.assertEqual(left_over("busy"), ["log.jsonl", "last.safetensors", "safetensors"])

    def test_a_full_log_is_noticed_and_loses_nothing(self):
        whole = WORK / "full_whole.safetensors"
        self.train(whole, "--epochs", 3, on=run)
        log = WORK / "full.log.jsonl"
        log.symlink_to("/dev/full")
        line = self.train(WORK / "full.safetensors", "--epochs", 3)
        self.assertIn(f"{log}: cannot be written (No space left on device)", line)
        log.unlink()
        self.train(WORK / "full.safetensors", "--epochs", 3, "--resume", on=run)
        self.assertEqual((WORK / "full.safetensors").read_bytes(), whole.read_bytes())
        lines = epochs_of(log)
        self.assertEqual(lines, epochs_of(WORK / "full_whole.log.jsonl"))
        # What was lost of the first line is its times.
        self.assertEqual(["seconds" in json.loads(line) for line in log.read_text().splitlines()],
                         [False, True, True])
        self.assertIn("loss", self.train(WORK / "full.safetensors", "--epochs", 3, "--resume",
                                         "--plot", on=run)[0])
        run("report", WORK / "refined.npz", log, "-o", WORK / "full.html")

    def test_a_full_disk_keeps_the_checkpoints(self):
        out = WORK / "disk.safetensors"
        self.train(out, "--epochs", 1, on=run)
        before = {p.name: p.read_bytes() for p in WORK.glob("disk.*")}

        def limit():
            size = len(before["disk.last.safetensors"]) - 100
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

        line = self.train(out, "--epochs", 2, "--resume", preexec_fn=limit)
        self.assertIn("disk.last.safetensors: cannot be written (File too large)", line)
        self.assertIn("free some space", line)
        after = {p.name: p.read_bytes() for p in WORK.glob("disk.*")}
        for name in ("disk.safetensors", "disk.last.safetensors"):
            self.assertEqual(before[name], after[name])
        self.assertEqual(set(after), set(before))
        self.train(out, "--epochs", 2, "--resume", on=run)
        self.assertEqual(len(epochs_of(WORK / "disk.log.jsonl")), 2)

    def test_files_that_cannot_be_written_or_are_one_are_refused_at_once(self):
        data = (WORK / "lifted.npz").read_bytes()
        missing = WORK / "nowhere" / "x.safetensors"
        self.assertIn(f"make the directory '{WORK / 'nowhere'}' first", self.train(missing))
        self.assertIn("Is a directory", self.train(WORK))
        self.assertIn("make the directory", self.train(WORK / "x.safetensors", "--log",
                                                       WORK / "nowhere" / "x.jsonl"))
        (WORK / "x.last.safetensors").mkdir()
        self.assertIn("x.last.safetensors: cannot be written (Is a directory)",
                      self.train(WORK / "x.safetensors"))
        (WORK / "x.last.safetensors").rmdir()
        wrong = functools.partial(run, expect=2)
        self.assertIn("would be lost", self.train(WORK / "lifted.npz", on=wrong)[1])
        same = WORK / "lifted.jsonl"
        os.link(WORK / "lifted.npz", same)
        self.assertIn("would be lost",
                      self.train(WORK / "x.safetensors", "--log", same, on=wrong)[1])
        self.assertIn("give each a file of its own",
                      self.train(WORK / "x.jsonl", "--log", f"{WORK}/../{WORK.name}/x.jsonl",
                                 on=wrong)[1])
        same.unlink()
        self.assertEqual((WORK / "lifted.npz").read_bytes(), data)
        self.assertEqual(left_over("x"), [])


class Damaged(unittest.TestCase):
    """Numbers that are not finite, and bits that flipped, are named and never computed with."""

    LIFT = ("lift", "lifter", "data.npz")
    REFINE = ("refine", "refiner", "lifted.npz")

    def changed(self, checkpoint, name, change):
        """The checkpoint with a changed tensor, without checksums."""
        metadata, tensors = tensors_of(WORK / f"{checkpoint}.safetensors")
        dtype, shape, values = tensors[name]
        values = np.frombuffer(values, {"F32": np.float32, "F64": np.float64}[dtype]).copy()
        change(values)
        tensors[name] = (dtype, shape, values.tobytes())
        path = WORK / "changed.safetensors"
        write_tensors(path, metadata, tensors)
        return path

    def test_weights_that_are_not_finite(self):
        run("train", "smoothnet", WORK / "lifted.npz", "-o", WORK / "smooth.safetensors",
            "--epochs", 1, *SMOOTHNET)
        smooth = ("refine", "smooth", "lifted.npz")
        for (command, checkpoint, data), tensor in (
                (self.LIFT, "full.pose_emb.weight"), (self.REFINE, "network.output.bias"),
                (self.REFINE, "error.scale"), (self.REFINE, "cnd.gain"),
                (smooth, next(iter(tensors_of(WORK / "smooth.safetensors")[1])))):
            for value in (np.nan, np.inf):
                path = self.changed(checkpoint, tensor, lambda v: v.__setitem__(1, value))
                line = refused(command, path, WORK / data, "-o", WORK / "never.npz")
                self.assertIn(f"changed.safetensors: tensor '{tensor}' holds {value} (element 1",
                              line)
                self.assertFalse((WORK / "never.npz").exists())
                if checkpoint == "refiner":
                    self.assertIn(tensor, refused("inspect", path, WORK / data, "--tap", "step.*",
                                                  "-o", WORK / "never.npz"))

    def test_results_that_are_not_finite(self):
        for (command, checkpoint, data), tensor in (
                (self.LIFT, "full.regress_head.weight"), (self.REFINE, "network.output.weight")):
            path = self.changed(checkpoint, tensor, lambda v: v.fill(3e38))
            line = refused(command, path, WORK / data, "-o", WORK / "never.npz")
            self.assertRegex(line, r"changed.safetensors: its result is -?(nan|inf) in sequence "
                                   r"P\d/\w+/\d, frame \d+, joint \d+")
            self.assertFalse((WORK / "never.npz").exists())

    def test_a_training_that_diverges(self):
        for kind, (data, options) in Resume.START.items():
            name = f"diverges_{kind}"
            line = refused("train", kind, WORK / data, "-o", WORK / f"{name}.safetensors", *options,
                           "--lr", 1e30, "--epochs", 2, "--quiet")
            self.assertIn("training diverged", line)
            self.assertIn("lower the learning rate (now 1e+30)", line)
            self.assertEqual(left_over(name), ["log.jsonl"])
            line = refused("train", kind, WORK / data, "-o", WORK / f"{name}.safetensors", *options,
                           "--lr", 1e30, "--epochs", 2, "--quiet", "--check-finite")
            self.assertRegex(line, r"step \d+: \w+.*, (forward|backward): .*put \d+: .* "
                                   r"is (nan|-?inf) at \[[\d, ]+\]")

    def test_flipped_bits(self):
        for command, checkpoint, data in (self.LIFT, self.REFINE):
            content = (WORK / f"{checkpoint}.safetensors").read_bytes()
            size = int.from_bytes(content[:8], "little")
            random = np.random.default_rng(1)
            path = WORK / "flipped.safetensors"
            for begin, end, count in ((0, 8, 8), (8, 8 + size, 40), (8 + size, len(content), 40)):
                for at in random.integers(begin, end, count):
                    bits = bytearray(content)
                    bits[at] ^= 1 << int(random.integers(8))
                    path.write_bytes(bits)
                    line = refused("info", path)
                    self.assertIn("flipped.safetensors: ", line)
                    if begin == 8 + size:
                        self.assertRegex(line, r"tensor '[\w.]+' is damaged")
            line = refused(command, path, WORK / data, "-o", WORK / "never.npz")
            self.assertIn("flipped.safetensors: tensor '", line)

    def test_the_checksums_are_those_of_the_manual(self):
        for name in ("lifter", "refiner", "refiner.last"):
            metadata, tensors = tensors_of(WORK / f"{name}.safetensors")
            sums = json.loads(metadata["crc32.tensors"])
            self.assertEqual(list(sums), list(tensors))
            for tensor, (dtype, shape, values) in tensors.items():
                self.assertEqual(sums[tensor], format(
                    zlib.crc32(values, zlib.crc32(f"{dtype} {shape}".encode())), "08x"))
            own = metadata.pop("crc32.metadata")
            text = json.dumps(metadata, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            self.assertEqual(own, format(zlib.crc32(text.encode()), "08x"))

    def test_too_few_frames_for_the_noise(self):
        file = arrays(WORK / "lifted.npz")
        fields = ("pose_2d", "pose_3d", "noisy_3d", "image_size")
        for frames, rank, warned in ((9, "has rank 0", True), (136, "", True), (137, "", False)):
            few = {f"{s}/a/0/{f}": np.concatenate(
                [file[f"P1/{a}/0/{f}"] for a in ("walk_1", "run_1", "sit_1")])[:frames]
                   for s in "AB" for f in fields[:3]}
            few |= {f"{s}/a/0/image_size": file["P1/walk_1/0/image_size"] for s in "AB"}
            np.savez(WORK / "few.npz", **few, metadata=file["metadata"])
            _, error = run("train", "refiner", WORK / "few.npz", "-o", WORK / "few.safetensors",
                           "--epochs", 1, *REFINER, "--states", "forward")
            self.assertEqual("posetape: warning: the conditional noise" in error, warned, error)
            if warned:
                self.assertIn(rank, error)
                self.assertIn(f"fitted to {frames} frames", error)
                self.assertIn("it needs 137 frames at least", error)
            # Where no noise is drawn, the network has as little to learn of.
            _, error = run("train", "refiner", WORK / "few.npz", "-o", WORK / "few.safetensors",
                           "--epochs", 1, *REFINER)
            self.assertEqual(f"warning: {frames} frames to train on" in error, warned, error)


class Inspect(unittest.TestCase):
    CLIP = "P4/walk_1/0"

    def inspect(self, *options, clip=CLIP):
        path = WORK / "taps.npz"
        out, _ = run("inspect", WORK / "refiner.safetensors", WORK / "lifted.npz", "--sequence", clip,
                     "-o", path, *options)
        self.assertIn(f"wrote {path}", out)
        return arrays(path)

    def refused(self, *options):
        line = refused("inspect", WORK / "refiner.safetensors", WORK / "lifted.npz", "-o",
                       WORK / "never.npz", *options)
        self.assertFalse((WORK / "never.npz").exists())
        return line

    def test_the_path_of_the_diffusion_ends_at_the_refined_poses(self):
        taps = self.inspect("--steps", 3)
        lifted, refined = arrays(WORK / "lifted.npz"), arrays(WORK / "refined.npz")
        self.assertEqual([int(taps[f"step.{k}.t"]) for k in (1, 2, 3)], [50, 33, 17])
        noisy = lifted[f"{self.CLIP}/noisy_3d"].copy()
        np.testing.assert_array_equal(taps["step.1.x_k"], noisy)
        last = taps["step.3.x_hat"].copy()
        last[:, 0] = 0
        np.testing.assert_array_equal(taps["refined"], last)
        np.testing.assert_array_equal(taps[f"{self.CLIP}/refined_3d"], last)
        alpha = taps["schedule.alpha_bar"]
        self.assertEqual(alpha.shape, (51,))
        a, b = np.sqrt(alpha[33]), np.sqrt(1 - alpha[33])
        np.testing.assert_allclose(
            taps["step.2.x_k"],
            a * taps["step.1.x_hat"] + b * (taps["step.1.x_hat"] + taps["step.1.error"]), atol=1e-6)
        # Windows that only touch, as refine can have them, in batches of another size.
        two = self.inspect()
        run("refine", WORK / "refiner.safetensors", WORK / "lifted.npz", "-o",
            WORK / "touching.npz", "--recipe", "paper")
        refined = arrays(WORK / "touching.npz")
        np.testing.assert_allclose(two["refined"], refined[f"{self.CLIP}/refined_3d"], atol=1e-5)
        made = json.loads(bytes(two["metadata"]))["inspect"]
        self.assertEqual((made["sequence"], made["frames"], made["window_frames"], made["windows"],
                          made["timesteps"]), (self.CLIP, 50, 9, 6, [50, 25]))
        # A dataset like any other, of one sequence.
        run("evaluate", WORK / "taps.npz")

    def test_attention_is_a_distribution_and_the_mean_of_the_whole(self):
        mean = self.inspect("--tap", "blocks.*.attention")
        whole = self.inspect("--tap", "blocks.*.attention", "--whole-attention", "--batch", 4)
        names = [name for name in mean if name.endswith(".attention")]
        self.assertEqual(len(names), 2 * 2 * 2)
        for name in names:
            np.testing.assert_allclose(mean[name].sum(-1), 1, rtol=1e-5)
            np.testing.assert_allclose(whole[name].sum(-1), 1, rtol=1e-5)
            if ".time." in name:
                self.assertEqual(whole[name].shape, (6, 17, 2, 9, 9))
                np.testing.assert_allclose(mean[name], whole[name].mean((0, 1)), atol=1e-6)
            else:
                self.assertEqual((mean[name].shape, whole[name].shape),
                                 ((2, 17, 17), (50, 2, 17, 17)))
        # Over frames the mean counts those of the last window, which overlaps, as often as they come.
        one = self.inspect("--tap", "space.attention", "--window", 5)
        all_of_it = self.inspect("--tap", "space.attention", "--window", 5, "--whole-attention")
        name = "step.2.blocks.0.stc2.space.attention"
        np.testing.assert_allclose(one[name], all_of_it[name].mean(0), atol=1e-6)
        np.testing.assert_allclose(all_of_it[name][4:], whole[name][45:], atol=1e-5)
        self.assertEqual(json.loads(bytes(one["metadata"]))["inspect"]["first_frame"], 41)
        self.assertEqual(one[f"{self.CLIP}/pose_2d"].shape, (9, 17, 2))

    def test_batches_of_windows_make_the_same_arrays(self):
        patterns = ("--tap", "*", "--tap", "*.norm")
        one, many = self.inspect(*patterns), self.inspect(*patterns, "--batch", 4)
        self.assertEqual(list(one), list(many))
        for name, array in one.items():
            if array.dtype == np.float32:
                np.testing.assert_allclose(many[name], array, rtol=1e-4, atol=1e-4, err_msg=name)
        self.assertEqual(one["step.1.blocks.0.temb"].shape, (6, 16))
        self.assertEqual(one["step.1.blocks.0.stc1.qkv"].shape, (50, 17, 48))

    def test_gradients_are_those_of_the_training_loss(self):
        taps = self.inspect("--tap", "train.loss", "--tap", "train.estimate*", "--tap",
                            "train.estimate.grad", "--tap", "output.*.grad", "--tap",
                            "blocks.*.weight.grad.norm", "--tap", "train.target")
        error = taps["train.estimate"] - taps["train.target"]
        norm = np.linalg.norm(error, axis=-1, keepdims=True)
        self.assertEqual(taps["train.estimate.grad"].shape, (50, 17, 3))
        np.testing.assert_allclose(taps["train.estimate.grad"], error / norm / (6 * 9 * 17),
                                   rtol=1e-3, atol=1e-8)
        self.assertEqual(taps["train.output.weight.grad"].shape, (3, 16))
        self.assertGreater(taps["train.blocks.0.stc1.qkv.weight.grad.norm"], 0)
        self.assertGreater(taps["train.loss"], 0)
        again = self.inspect("--tap", "train.loss", "--seed", 2)
        self.assertNotEqual(again["train.loss"], taps["train.loss"])
        self.assertIn("--window", self.refused("--tap", "*.grad", "--batch", 2))

    def test_list_has_every_name_with_the_shape_in_the_file(self):
        out, _ = run("inspect", WORK / "refiner.safetensors", WORK / "lifted.npz", "--list")
        listed = dict(line.split(maxsplit=1) for line in out.splitlines()[2:])
        taps = self.inspect("--tap", "*", "--gradients", clip="P1/walk_1/0")
        beside = ("P1/", "schedule.", "metadata", "test_subjects")
        self.assertEqual(set(listed), {name for name in taps if not name.startswith(beside)})
        for name, rest in listed.items():
            shape, gradient = rest.rsplit(maxsplit=1)
            self.assertEqual(json.loads(shape), list(taps[name].shape), name)
            self.assertEqual(gradient == "yes", name.startswith("train.") and not re.search(
                r"attention(\.head\d)?$|stream$|train\.(t|x_t|error|target)$", name), name)

    def test_a_patch_stands_for_what_it_replaces(self):
        head = "blocks.0.stc2.time.attention.head1"
        plain = self.inspect("--tap", "*", "--window", 2)
        np.savez(WORK / "plain.npz", **plain)
        without = self.inspect("--tap", "*", "--window", 2, "--patch", f"{head}=0")
        self.assertFalse(without[f"step.2.{head}"].any())
        self.assertTrue(plain[f"step.2.{head}"].any())
        mixed = "step.1.blocks.0.stc2.mixed"
        # Of 16 channels, 4 of each head: space 0 and 1, time 0 and 1.
        np.testing.assert_array_equal(without[mixed][..., 12:],
                                      without["step.1.blocks.0.stc2.local"][..., 12:])
        np.testing.assert_array_equal(without[mixed][..., :12], plain[mixed][..., :12])
        self.assertFalse(np.array_equal(without["refined"], plain["refined"]))
        # What a pass computes anyway changes nothing; what another step or clip computes does.
        taps = ("--tap", "*", "--window", 2, "--patch")
        for name in ("step.*.blocks.0.stream", "step.2.x_k", "blocks.0.temb", mixed):
            same = self.inspect(*taps, f"{name}={WORK / 'plain.npz'}")
            np.testing.assert_array_equal(same["refined"], plain["refined"], name)
        name = "blocks.0.mlp.fc2"
        crossed = self.inspect(*taps, f"step.2.{name}={WORK / 'plain.npz'}:step.1.{name}")
        np.testing.assert_array_equal(crossed[f"step.2.{name}"], plain[f"step.1.{name}"])
        self.assertFalse(np.array_equal(crossed["refined"], plain["refined"]))
        other = self.inspect("--tap", "*", "--window", 1, clip="P4/run_1/0")
        np.savez(WORK / "other.npz", **other)
        moved = self.inspect(*taps, f"step.2.blocks.0.stream={WORK / 'other.npz'}")
        np.testing.assert_array_equal(moved["step.2.output"], other["step.2.output"])
        # The mean is over the frames, each of them once, whatever the batch.
        mean = self.inspect("--tap", name, "--patch", f"{name}=mean", "--batch", 4)
        whole = self.inspect("--tap", name)
        for step in ("step.1.", "step.2."):
            expected = np.broadcast_to(whole[step + name].mean(0), (50, 17, 16))
            if step == "step.1.":  # before anything has changed
                np.testing.assert_allclose(mean[step + name], expected, atol=1e-6)
            self.assertEqual(np.ptp(mean[step + name], axis=0).max(), 0)
        made = json.loads(bytes(mean["metadata"]))["inspect"]
        self.assertEqual(made["patches"], [f"{name}=mean"])

    def test_bad_patches(self):
        plain = self.inspect("--tap", "step.*.x_k", "--window", 2)
        path = WORK / "plain.npz"
        np.savez(path, **plain)
        for patch, words in (
            ("blocks.0.stc1.time.atention.head1=0", "nearest: step.1.blocks.0.stc1.time.attention"),
            ("blocks.0.stc1.time.attention=0", "can be looked at and not replaced"),
            ("train.x_t=0", "patch train.x_t: matches no name of this pass"),
            ("step.1.x_k=no-such.npz", "no-such.npz is no number, not \"mean\" and no file"),
            (f"step.1.x_hat={path}", f"{path}: has no array step.1.x_hat; nearest: "),
            (f"step.1.x_k={path}:step.9.x_k", "has no array step.9.x_k; nearest: step.1.x_k"),
            (f"step.1.x_k={path}",
             "is (9, 17, 3), and step.1.x_k here (50, 17, 3); look at as many frames of both"),
            ("step.1.x_k=nan", "nan is no number"),
            (f"x_hat={WORK / 'refiner.safetensors'}:x", "refiner.safetensors"),
        ):
            self.assertIn(words, self.refused("--patch", patch))
        plain["step.1.x_k"][3, 4, 1] = np.nan
        np.savez(path, **plain)
        self.assertIn("element 166 is nan",
                      self.refused("--window", 2, "--patch", f"step.1.x_k={path}"))
        for patch in ("x_k", "=0", "x_k="):
            _, error = run("inspect", WORK / "refiner.safetensors", WORK / "lifted.npz", "-o",
                           WORK / "never.npz", "--patch", patch, expect=2)
            self.assertIn("expected NAME=VALUE", error)
        _, error = run("inspect", WORK / "refiner.safetensors", WORK / "lifted.npz", "-o", path,
                       "--patch", f"step.1.x_k={path}", expect=2)
        self.assertIn("is the file of --patch", error)

    def errors(self, taps, name="refined"):
        """Mean error of each joint, mm."""
        truth = taps[f"{self.CLIP}/pose_3d"]
        return 1000 * np.linalg.norm(taps[name] - (truth - truth[:, :1]), axis=-1).mean(0)

    def test_ablation(self):
        out, _ = run("inspect", WORK / "refiner.safetensors", WORK / "lifted.npz", "--sequence",
                     self.CLIP, "-o", WORK / "ablation.npz", "--ablate", "zero")
        found = arrays(WORK / "ablation.npz")
        made = json.loads(bytes(found["metadata"]))["inspect"]["ablation"]
        parts = made["parts"]
        self.assertEqual((made["substitute"], len(parts)), ("zero", 8 + 4 + 1))
        self.assertEqual(found["ablation.error_mm"].shape, (13, 17))
        np.testing.assert_allclose(found["ablation.whole_mm"], self.errors(found), rtol=1e-4,
                                   atol=1e-4)
        name = "blocks.0.stc2.space.head0"
        by_hand = self.errors(self.inspect("--patch", "blocks.0.stc2.space.attention.head0=0"))
        np.testing.assert_allclose(found["ablation.error_mm"][parts.index(name)], by_hand,
                                   rtol=1e-4, atol=1e-4)
        change = (by_hand - found["ablation.whole_mm"]).mean()
        row = next(line for line in out.splitlines() if line.startswith(name))
        self.assertAlmostEqual(float(row.split()[1]), change, delta=0.006)
        self.assertIn("wrists", out)

    def test_lens(self):
        found = self.inspect("--lens", "--steps", 3, "--tap", "refined", "--tap", "x_k_scaled",
                             "--tap", "step.*.x_hat")
        made = json.loads(bytes(found["metadata"]))["inspect"]
        self.assertEqual(made["lens"]["streams"], ["input", "blocks.0"])
        self.assertEqual(found["lens.error_mm"].shape, (3, 2, 17))
        for k in range(3):
            found[f"step.{k + 1}.x_hat"][:, 0] = 0
            np.testing.assert_allclose(found["lens.error_mm"][k, -1],
                                       self.errors(found, f"step.{k + 1}.x_hat"), rtol=1e-3)
            np.testing.assert_allclose(found["lens.state_mm"][k, 1:],
                                       self.errors(found, f"step.{k + 1}.x_k_scaled")[1:],
                                       rtol=1e-3)
        np.testing.assert_allclose(found["lens.error_mm"][-1, -1, 1:], self.errors(found)[1:],
                                   rtol=1e-3)

    def test_saliency(self):
        found = self.inspect("--saliency", "RWrist:30", "--tap", "refined")
        made = json.loads(bytes(found["metadata"]))["inspect"]["saliency"]
        self.assertEqual(made, {"joint": "RWrist", "frame": 30, "first_frame": 27})
        self.assertEqual(found["saliency.noisy_3d"].shape, (3, 9, 17, 3))
        self.assertEqual(found["saliency.pose_2d"].shape, (3, 9, 17, 2))
        # A centimetre more of the wrist in its own frame, by hand.
        file = arrays(WORK / "lifted.npz")
        file[f"{self.CLIP}/noisy_3d"][30, 16, 2] += 0.01
        np.savez(WORK / "nudged.npz", **file)
        run("inspect", WORK / "refiner.safetensors", WORK / "nudged.npz", "--sequence", self.CLIP,
            "-o", WORK / "taps.npz", "--tap", "refined")
        slope = (arrays(WORK / "taps.npz")["refined"] - found["refined"])[30, 16] / 0.01
        np.testing.assert_allclose(found["saliency.noisy_3d"][:, 3, 16, 2], slope, atol=0.02)
        in_window = self.inspect("--saliency", "RWrist:30", "--window", 3, "--tap", "refined")
        np.testing.assert_allclose(in_window["saliency.noisy_3d"], found["saliency.noisy_3d"],
                                   atol=1e-5)
        self.assertIn("there is no joint Wrist; those are Hip, ", self.refused("--saliency", "Wrist"))
        for frame in ("50", "-1", "x", ""):
            self.assertIn("they are 0 to 49", self.refused("--saliency", f"RWrist:{frame}"))

    def test_noise(self):
        real = self.inspect("--tap", "refined")
        truth = real[f"{self.CLIP}/pose_3d"] - real[f"{self.CLIP}/pose_3d"][:, :1]
        error = {}
        for noise in ("none", "independent", "ar1", "shuffled"):
            found = self.inspect("--noise", noise)
            np.testing.assert_array_equal(found["step.1.x_k"], found[f"{self.CLIP}/noisy_3d"])
            self.assertFalse(np.array_equal(found["refined"], real["refined"]))
            self.assertEqual(json.loads(bytes(found["metadata"]))["inspect"]["noise"], noise)
            error[noise] = found["step.1.x_k"] - truth
        own = real[f"{self.CLIP}/noisy_3d"] - truth
        self.assertLess(np.abs(error["none"]).max(), 1e-6)
        np.testing.assert_allclose(np.sort(error["shuffled"][:, 9, 1]), np.sort(own[:, 9, 1]),
                                   atol=1e-5)
        # Drawn errors are about as large as the estimate's, and ar1's go on.
        step = {k: np.linalg.norm(np.diff(e, axis=0), axis=-1).mean() for k, e in error.items()}
        self.assertLess(step["ar1"], 0.9 * step["independent"])
        for noise in ("independent", "ar1"):
            ratio = np.linalg.norm(error[noise], axis=-1).mean() / np.linalg.norm(own, axis=-1).mean()
            self.assertTrue(0.3 < ratio < 3, ratio)
        again = self.inspect("--noise", "ar1", "--seed", 2)["step.1.x_k"] - truth
        self.assertGreater(np.abs(again - error["ar1"]).max(), 0.01)

    def test_the_study_among_the_examples(self):
        script = Path(__file__).parents[2] / "tools" / "examples" / "study.py"
        command = [sys.executable, script, WORK / "refiner.safetensors", WORK / "lifted.npz",
                   "--clips", f"{self.CLIP},P4/run_1/0", "--out", WORK / "study", "--posetape",
                   POSETAPE]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = {cells[1]: cells[2:-1] for cells in (
            [cell.strip() for cell in line.split("|")] for line in done.stdout.splitlines()
        ) if len(cells) > 2}
        taps = [self.inspect("--lens", clip=clip) for clip in (self.CLIP, "P4/run_1/0")]
        wrists = np.mean([t["lens.error_mm"][1, -1, [13, 16]].mean() for t in taps])
        self.assertAlmostEqual(float(rows["2, t = 25"][-1]), wrists, delta=0.06)
        refined = np.mean([t["lens.error_mm"][1, -1].mean() for t in taps])
        self.assertAlmostEqual(float(rows["real"][1]), refined, delta=0.06)
        self.assertLess(float(rows["none"][0]), 0.1)
        heads = [name for name in rows if "head" in name and name.startswith("step.")]
        self.assertEqual(len(heads), 2 * 2 * 2)  # steps, modules, heads

    def test_studies_need_the_truth(self):
        file = arrays(WORK / "lifted.npz")
        mine = {f"c/{f}": file[f"{self.CLIP}/{f}"] for f in ("pose_2d", "noisy_3d", "image_size")}
        np.savez(WORK / "mine.npz", **mine, metadata=file["metadata"])
        for option in (("--ablate", "mean"), ("--lens",), ("--noise", "none")):
            line = refused("inspect", WORK / "refiner.safetensors", WORK / "mine.npz", "-o",
                           WORK / "never.npz", *option)
            self.assertIn(f"sequence c has no pose_3d, which {option[0]} needs", line)
        run("inspect", WORK / "refiner.safetensors", WORK / "mine.npz", "-o", WORK / "taps.npz",
            "--saliency", "Head", "--patch", "blocks.0.temb=mean")

    def test_bad_input(self):
        line = self.refused("--tap", "blocks.*.atention")
        self.assertIn("step.1.blocks.0.stc1.space.attention", line)
        self.assertIn("P4/walk_1/0", self.refused("--sequence", "P4/wlk_1/0"))
        self.assertIn("from 0 to 5", self.refused("--window", 6))
        self.assertIn("no gradient", self.refused("--tap", "step.1.x_hat.grad"))
        file = arrays(WORK / "lifted.npz")
        mine = {f"c/{f}": file[f"{self.CLIP}/{f}"] for f in ("pose_2d", "noisy_3d", "image_size")}
        np.savez(WORK / "mine.npz", **mine, metadata=file["metadata"])
        line = refused("inspect", WORK / "refiner.safetensors", WORK / "mine.npz", "-o",
                       WORK / "never.npz", "--gradients")
        self.assertIn("pose_3d", line)
        run("inspect", WORK / "refiner.safetensors", WORK / "lifted.npz", expect=2)


class Terminal(unittest.TestCase):
    """What train and the other long commands show."""

    def train(self, name, *options, on=run, epochs=2, batch=8, **environment):
        return on("train", "refiner", WORK / "lifted.npz", "-o", WORK / f"{name}.safetensors",
                  "--epochs", epochs, *REFINER[:-1], batch, "--states", "forward", *options,
                  **environment)

    def weights(self, name):
        return (WORK / f"{name}.safetensors").read_bytes()

    def test_json_lines_are_those_of_the_log(self):
        out, error = self.train("json", "--log-format", "json", "--gradient-norms", "--plot",
                                "--log", WORK / "elsewhere.jsonl")
        self.assertEqual(error, "")
        self.assertEqual(out, (WORK / "elsewhere.jsonl").read_text())
        self.assertFalse((WORK / "json.log.jsonl").exists())
        epochs = [json.loads(line) for line in out.splitlines()]
        self.assertEqual([e["epoch"] for e in epochs], [1, 2])
        self.assertEqual(list(epochs[0]), "model epoch lr loss validation_mm best seconds "
                         "sequences_per_second frames_per_second gradient_norms".split())
        for epoch in epochs:
            norms = epoch["gradient_norms"]
            self.assertEqual(list(norms), ["input", "output", "timestep.0", "timestep.1", "blocks.0"])
            self.assertTrue(all(0 < n < 1e3 for n in norms.values()), norms)
            self.assertAlmostEqual(epoch["frames_per_second"], 9 * epoch["sequences_per_second"])
        # Looking changes nothing.
        self.assertEqual(self.weights("json"), self.weights("refiner"))
        plain = [json.loads(line) for line in (WORK / "refiner.log.jsonl").read_text().splitlines()]
        self.assertEqual([e["loss"] for e in plain], [e["loss"] for e in epochs])
        self.assertNotIn("gradient_norms", plain[0])

    def test_gradient_norms_are_those_of_the_weights(self):
        # The gradient of a step is in Adam's first moment: m = 0.1 g after the first.
        self.train("one", "--gradient-norms", epochs=1, batch=96)
        log = json.loads((WORK / "one.log.jsonl").read_text())
        header, values = self.tensors(WORK / "one.last.safetensors")
        self.assertEqual(values("trainer.counters")[0], 1)  # one step
        total = np.linalg.norm(10 * values("trainer.m"))
        self.assertAlmostEqual(np.linalg.norm(list(log["gradient_norms"].values())), total,
                               delta=1e-5 * total)

    def tensors(self, path):
        data = path.read_bytes()
        size = struct.unpack("<Q", data[:8])[0]
        header = json.loads(data[8:8 + size])

        def values(name):
            begin, end = header[name]["data_offsets"]
            kind = {"F32": np.float32, "F64": np.float64}[header[name]["dtype"]]
            return np.frombuffer(data[8 + size + begin:8 + size + end], kind).astype(float)

        return header, values

    def test_quiet_says_nothing(self):
        self.assertEqual(self.train("quiet", "--quiet", "--plot"), ("", ""))
        self.assertEqual(self.weights("quiet"), self.weights("refiner"))
        self.assertEqual(len((WORK / "quiet.log.jsonl").read_text().splitlines()), 2)
        self.assertEqual(self.train("quiet", "--quiet", on=on_a_terminal), "")
        for command in (("lift", WORK / "lifter.safetensors", WORK / "data.npz"),
                        ("refine", WORK / "refiner.safetensors", WORK / "lifted.npz")):
            out, error = run(*command, "-o", WORK / "q.npz", "--quiet")
            self.assertEqual((out, but_for_gains(error)), ("", ""))
            shown = on_a_terminal(*command, "-o", WORK / "q.npz", "--quiet")
            self.assertEqual(but_for_gains(shown), "")

    def test_progress_line(self):
        for columns in (200, 60):
            text = self.train("shown", on=on_a_terminal, columns=columns)
            drawn = [line for line in re.split(r"\r|\n", text) if line.startswith("\x1b[K")]
            drawn = [line.removeprefix("\x1b[K") for line in drawn if " seq/s" not in line]
            self.assertTrue(all(len(line) < columns for line in drawn), drawn)
            self.assertTrue(any("frames/s" in line and " left" in line for line in drawn), drawn)
            if columns == 200:
                self.assertTrue(any(re.search(r"\[#+\.*\].*loss \d.*validation \d", line)
                                    for line in drawn), drawn)
        self.assertEqual(self.weights("shown"), self.weights("refiner"))
        text = on_a_terminal("refine", WORK / "refiner.safetensors", WORK / "lifted.npz", "-o",
                             WORK / "shown.npz", "--batch", 8)
        self.assertRegex(text, r"refine +\[[#.]+\] +\d+%  \d+ frames/s")
        # In a file: whole lines alone.
        out, error = self.train("shown")
        self.assertEqual(but_for_gains(error), "")
        self.assertEqual(len([line for line in out.splitlines() if " seq/s" in line]), 2)
        self.assertNotIn("\r", out)
        self.assertNotIn("\x1b", out)

    def test_plots(self):
        utf8 = {"LC_ALL": "C.UTF-8"}
        out, _ = self.train("plot", "--plot", env={**os.environ, "LC_ALL": "C.UTF-8"})
        self.assertIn("refiner: loss\n", out)
        self.assertIn("refiner: validation (mm)\n", out)
        self.assertTrue(any("\u2800" < c <= "\u28ff" for c in out), out)
        self.assertNotIn("\x1b", out)
        out, _ = self.train("plot", "--plot", env={**os.environ, "LC_ALL": "C"})
        self.assertTrue(out.isascii())
        self.assertIn("*", out)
        lines = [line for line in out.splitlines() if line.endswith(" 2 epoch")]
        self.assertEqual(len(lines), 2)
        # The epochs of a run before --resume are there, too.
        self.train("plot", "--resume", epochs=3)
        out, _ = self.train("plot", "--resume", "--plot", epochs=4)
        self.assertEqual(sum(bool(re.search(r" 1 +4 epoch$", line)) for line in out.splitlines()), 2)
        # Colours are for terminals that want them.
        show = ["evaluate", WORK / "refined.npz", "--plot"]
        self.assertIn("\x1b[32m", on_a_terminal(*show, **utf8))
        self.assertNotIn("\x1b", on_a_terminal(*show, **utf8, NO_COLOR="1"))
        self.assertNotIn("\x1b", on_a_terminal(*show, **utf8, TERM="dumb"))

    def test_the_histogram_has_the_figures_of_the_report(self):
        # Poses that err by about as much as bins can tell.
        file = arrays(WORK / "refined.npz")
        random = np.random.default_rng(1)
        for name in [n for n in file if n.endswith("/refined_3d")]:
            truth = file[name.replace("refined", "pose")]
            spread = random.uniform(0.01, 0.06, (len(truth), 1, 1))
            near = truth - truth[:, :1] + spread * random.normal(size=truth.shape)
            near[:, 0] = 0
            file[name] = near.astype("f4")
        path = WORK / "near.npz"
        np.savez(path, **file)
        out, _ = run("evaluate", path, "--plot", env={**os.environ, "LC_ALL": "C"})
        scores = json.loads(run("evaluate", path, "--format", "json")[0])
        plot = out[out.rindex("MPJPE of a pose (mm)"):].splitlines()[1:]
        found = {"base": 0, "refined": 0}
        for line in plot:
            # A column of 30 characters and the number each; an empty bar has none.
            for name, text in zip(found, (line[:62], line[62:])):
                found[name] += sum(map(float, re.findall(r"([\d.]+) %", text)))
        counts = np.array([scores[name]["poses_mpjpe"]["histogram_poses"] for name in found])
        self.assertEqual(len(plot), np.ptp(np.flatnonzero(counts.sum(0))) + 1)
        self.assertGreater(len(plot), 10)
        for share in found.values():
            self.assertAlmostEqual(share, 100, delta=0.05 * len(plot))
        for count, total in zip(counts.max(1), counts.sum(1)):
            self.assertIn(f" {100 * count / total:.1f} %", "".join(plot))
        self.assertIn("-o", refused("evaluate", WORK / "refined.npz", "--plot", "--format", "csv"))

    def test_a_log_of_another_name_is_refused(self):
        line = refused("train", "refiner", WORK / "lifted.npz", "-o", WORK / "never.safetensors",
                       "--log", WORK / "never.log", *REFINER)
        self.assertIn(".jsonl", line)
        self.assertFalse((WORK / "never.log").exists())


class OnTheDevice(unittest.TestCase):
    """The whole job with --device cuda, in the emulation where that is what was built."""

    def setUp(self):
        if CUDA == "disabled":
            self.skipTest("configure with -Dcuda=emulated, or nvcc and a GPU")
        if CUDA == "nvcc" and not os.path.exists("/dev/nvidia0"):
            self.skipTest("this machine has no GPU")
        if "SANITIZED" in os.environ:
            self.skipTest("minutes a test in the emulation; test_cuda runs the same kernels")

    def log(self, path):
        return [json.loads(line) for line in path.read_text().splitlines()]

    def test_training_follows_the_cpu(self):
        mixste = ["--folds", "0", "--lr", "1e-3"]
        for kind, data, options in (("lifter", "few_data.npz", LIFTER + ["--folds", "0"]),
                                    ("lifter", "few_data.npz", MIXSTE + mixste),
                                    ("refiner", "few_lifted.npz", REFINER),
                                    ("smoothnet", "few_lifted.npz", SMOOTHNET)):
            logs = []
            for device in ("cpu", "cuda"):
                out = WORK / f"{kind}_{device}.safetensors"
                run("train", kind, WORK / data, "-o", out, "--epochs", 2, "--device", device,
                    *options)
                logs.append(self.log(WORK / f"{kind}_{device}.log.jsonl"))
            for cpu, cuda in zip(*logs, strict=True):
                self.assertAlmostEqual(cuda["loss"], cpu["loss"], delta=1e-3 * cpu["loss"])
                self.assertAlmostEqual(cuda["validation_mm"], cpu["validation_mm"], delta=0.5)

    def test_gradient_norms_change_nothing_and_are_the_cpus(self):
        plain, watched = WORK / "plain.safetensors", WORK / "watched.safetensors"
        for out, *options in ((plain, "--device", "cuda"),
                              (watched, "--device", "cuda", "--gradient-norms"),
                              (WORK / "watched_cpu.safetensors", "--gradient-norms")):
            run("train", "refiner", WORK / "few_lifted.npz", "-o", out, "--epochs", 2, *REFINER, *options)
        self.assertEqual(plain.read_bytes(), watched.read_bytes())
        logs = [self.log(WORK / f"watched{name}.log.jsonl") for name in ("", "_cpu")]
        for cuda, cpu in zip(*logs, strict=True):
            for block, norm in cpu["gradient_norms"].items():
                self.assertAlmostEqual(cuda["gradient_norms"][block], norm, delta=1e-2 * norm)

    def test_a_checkpoint_gives_the_same_poses(self):
        for command, checkpoint, data, field in (
            ("lift", "lifter.safetensors", "few_data.npz", "noisy_3d"),
            ("refine", "refiner.safetensors", "few_lifted.npz", "refined_3d"),
        ):
            results = []
            for device in ("cpu", "cuda"):
                out = WORK / f"{command}_{device}.npz"
                run(command, WORK / checkpoint, WORK / data, "-o", out, "--device", device)
                results.append(arrays(out))
            for name in results[0]:
                if name.endswith(field):
                    np.testing.assert_allclose(results[1][name], results[0][name], atol=2e-5)

    def test_inspection_sees_the_same(self):
        head = "blocks.0.stc1.time.attention.head1"
        for options in (("--tap", "step.*", "--tap", "*.grad"),
                        ("--patch", f"{head}=mean", "--lens", "--saliency", "Head")):
            found = []
            for device in ("cpu", "cuda"):
                out = WORK / f"taps_{device}.npz"
                run("inspect", WORK / "refiner.safetensors", WORK / "few_lifted.npz", "-o", out,
                    *options, "--window", 1, "--device", device)
                found.append(arrays(out))
            self.assertEqual(list(found[0]), list(found[1]))
            for name, array in found[0].items():
                if array.dtype == np.float32:  # errors are in mm
                    np.testing.assert_allclose(found[1][name], array, rtol=2e-3,
                                               atol=2e-1 if name.endswith("_mm") else 2e-4,
                                               err_msg=name)

    def test_bf16_training_and_resume(self):
        whole, parts = WORK / "bf16.safetensors", WORK / "bf16_parts.safetensors"
        options = [*REFINER, "--precision", "bf16", "--device", "cuda"]
        run("train", "refiner", WORK / "few_lifted.npz", "-o", whole, "--epochs", 2, *options)
        run("train", "refiner", WORK / "few_lifted.npz", "-o", parts, "--epochs", 1, *options)
        run("train", "refiner", WORK / "few_lifted.npz", "-o", parts, "--epochs", 2, "--resume",
            *options)
        self.assertEqual(parts.read_bytes(), whole.read_bytes())

    def test_gradients(self):
        out, _ = run("gradcheck", "--fast", "--op", "softmax", "--device", "cuda")
        self.assertIn("cuda", out)
        self.assertIn(" 0 failed", out.splitlines()[-1])

    def test_profile_counts_launches(self):
        out, _ = run("profile", "--device", "cuda", "--width", 16, "--heads", 2, "--frames", 5,
                     "--batch", 1, "--steps", 1)
        self.assertRegex(out, r"\n\d+ launches a step")


class BadInput(unittest.TestCase):
    def refine(self, name, **fields):
        """Refines a good clip with some fields replaced, and returns the refusal."""
        file = arrays(WORK / "lifted.npz")
        clip = {f: file[f"P4/walk_1/0/{f}"] for f in ("pose_2d", "noisy_3d", "image_size")}
        clip.update(fields)
        path = WORK / f"{name}.npz"
        np.savez(path, **{f"a/b/{k}": v for k, v in clip.items() if v is not None})
        line = refused("refine", WORK / "refiner.safetensors", path, "-o", WORK / "never.npz")
        self.assertIn(str(path), line)
        self.assertFalse((WORK / "never.npz").exists())
        return line

    def good(self, field):
        return arrays(WORK / "lifted.npz")[f"P4/walk_1/0/{field}"].copy()

    def test_the_machine_is_described(self):
        out, _ = run("info", "--machine", env={**os.environ, "POSETAPE_ISA": "baseline"})
        self.assertRegex(out, r"^processor: .+, \d+ threads in use\n")
        self.assertRegex(out, r"(?m)^  baseline +in use, (by POSETAPE_ISA=baseline|the best)")
        self.assertEqual(len(re.findall("in use, ", out)), 1)
        for name, value, expected in [
            ("POSETAPE_ISA", "avx3", "baseline, avx2, avx512, avx512_bf16 or avx512_amx"),
            ("POSETAPE_TILES", "yes", "model"),
        ]:
            error = run("info", "--machine", env={**os.environ, name: value}, expect=1)[1]
            self.assertEqual(error, f"posetape: {name}={value}: expected {expected}\n")
            run("info", "--machine", env={**os.environ, name: ""})
        self.assertIn("file is required", run("info", expect=2)[1])

    def test_refining_says_what_it_gained(self):
        file = arrays(WORK / "lifted.npz")
        exact = {name: array for name, array in file.items()}
        for name, truth in file.items():
            if name.endswith("/pose_3d"):
                exact[name.replace("pose_3d", "noisy_3d")] = truth - truth[:, :1]
        np.savez(WORK / "exact.npz", **exact)
        for data in ("lifted.npz", "exact.npz"):
            out, error = run("refine", WORK / "refiner.safetensors", WORK / data, "-o",
                             WORK / "gain.npz")
            base, refined = map(float, re.search(
                r"; MPJPE: base ([\d.]+) mm, refined ([\d.]+) mm", out).groups())
            result = arrays(WORK / "gain.npz")
            for field, said in (("noisy_3d", base), ("refined_3d", refined)):
                errors = np.concatenate([
                    np.linalg.norm(result[name.replace("pose_3d", field)] - truth + truth[:, :1],
                                   axis=-1)
                    for name, truth in result.items() if name.endswith("/pose_3d")])
                self.assertAlmostEqual(1000 * errors.mean(), said, delta=0.01)
            self.assertEqual("made the poses worse" in error, refined > base)
        self.assertEqual(base, 0)
        self.assertIn("gain.npz: refining made the poses worse: base 0.00 mm", error)

    def test_training_says_what_it_gained(self):
        out, error = run("train", "refiner", WORK / "lifted.npz", "-o", WORK / "gain.safetensors",
                         *REFINER, "--epochs", 1)
        base, refined = map(float, re.search(
            r"refiner  validation of epoch 1: base ([\d.]+) mm, refined ([\d.]+) mm", out).groups())
        self.assertEqual("refining made the poses worse" in error, refined > base)
        with open(WORK / "gain.log.jsonl") as log:
            self.assertAlmostEqual(json.loads(log.readline())["validation_mm"], refined, delta=0.01)

    def test_missing_file(self):
        line = refused("refine", WORK / "refiner.safetensors", WORK / "no.npz", "-o", WORK / "o.npz")
        self.assertIn("no.npz", line)
        self.assertIn("no.safetensors", refused("info", WORK / "no.safetensors"))

    def test_truncated_npz(self):
        data = (WORK / "lifted.npz").read_bytes()
        for size in (0, 10, len(data) // 2, len(data) - 30):
            (WORK / "cut.npz").write_bytes(data[:size])
            self.assertIn("cut.npz", refused("refine", WORK / "refiner.safetensors",
                                             WORK / "cut.npz", "-o", WORK / "never.npz"))

    def test_truncated_checkpoint(self):
        data = (WORK / "refiner.safetensors").read_bytes()
        (WORK / "cut.safetensors").write_bytes(data[: len(data) // 2])
        line = refused("refine", WORK / "cut.safetensors", WORK / "lifted.npz", "-o", WORK / "o.npz")
        self.assertIn("cut.safetensors", line)

    def test_wrong_rank_and_joint_count(self):
        line = self.refine("rank", noisy_3d=self.good("noisy_3d")[0])
        self.assertIn("a/b", line)
        self.assertIn("(17, 3)", line)
        line = self.refine("joints", noisy_3d=self.good("noisy_3d")[:, :16])
        self.assertIn("16", line)

    def test_lengths_differ(self):
        self.assertIn("a/b", self.refine("lengths", noisy_3d=self.good("noisy_3d")[:-1]))

    def test_missing_fields(self):
        self.assertIn("image_size", self.refine("size", image_size=None))
        self.assertIn("noisy_3d", self.refine("noisy", noisy_3d=None))

    def test_long_gaps_name_sequence_joint_and_frames(self):
        for name, value in (("nan", np.nan), ("inf", np.inf)):
            poses = self.good("noisy_3d")
            poses[7:33, 3, 1] = value
            line = self.refine(name, noisy_3d=poses)
            self.assertIn("a/b/noisy_3d", line)
            self.assertIn("joint 3 (RFoot) is NaN or infinite in frames 7 to 32 (26 frames)", line)
            self.assertIn("--drop-invalid", line)

    def test_drop_invalid_skips_and_counts(self):
        file = arrays(WORK / "lifted.npz")
        file["P4/walk_1/0/noisy_3d"][3:40, 2, 1] = np.nan
        np.savez(WORK / "one_bad.npz", **file)
        _, error = run("refine", WORK / "refiner.safetensors", WORK / "one_bad.npz", "-o",
                       WORK / "kept.npz", "--drop-invalid")
        self.assertIn("dropped 1 invalid", error)
        kept = arrays(WORK / "kept.npz")
        self.assertNotIn("P4/walk_1/0/pose_2d", kept)
        whole = arrays(WORK / "refined.npz")
        for name, array in kept.items():
            if name.endswith("/refined_3d"):
                self.assertEqual(array.tobytes(), whole[name].tobytes())

    def test_a_checkpoint_of_another_kind(self):
        line = refused("refine", WORK / "lifter.safetensors", WORK / "lifted.npz", "-o",
                       WORK / "o.npz")
        self.assertIn("not a refiner checkpoint", line)
        line = refused("lift", WORK / "refiner.safetensors", WORK / "data.npz", "-o", WORK / "o.npz")
        self.assertIn("not a lifter checkpoint", line)

    def test_a_lifter_that_claims_other_sizes(self):
        run("train", "lifter", WORK / "data.npz", "-o", WORK / "claims.safetensors", "--model",
            "mixste", "--epochs", 1, "--folds", 0, *LIFTER)
        content = (WORK / "claims.safetensors").read_bytes()
        size = int.from_bytes(content[:8], "little")
        for claim, what in (({"width": 10**9}, "a size of 1000000000"), ({"depth": 9999}, "blocks"),
                            ({"width": 99999}, "99999 wide"), ({"heads": 0}, "a size of 0"),
                            ({"heads": 3}, "multiple of heads"), ({"step": -1}, "a size of -1"),
                            ({"frames": 81}, "this model needs [81, 1, 16]"),
                            ({"model": "lstm"}, "stcformer, mixste"),
                            ({"model": "stcformer"}, "pose_emb.weight is missing")):
            header = json.loads(content[8 : 8 + size])
            config = json.loads(header["__metadata__"]["config"])
            header["__metadata__"] = {**header["__metadata__"],
                                      "config": json.dumps({**config, **claim})}
            for checksums in ("crc32.tensors", "crc32.metadata"):
                del header["__metadata__"][checksums]
            text = json.dumps(header).encode()
            (WORK / "claims.safetensors").write_bytes(
                len(text).to_bytes(8, "little") + text + content[8 + size :])
            line = refused("lift", WORK / "claims.safetensors", WORK / "data.npz", "-o",
                           WORK / "o.npz")
            self.assertIn("claims.safetensors", line)
            self.assertIn(what, line)

    def test_frames_that_the_model_was_not_made_for(self):
        line = refused("refine", WORK / "refiner.safetensors", WORK / "lifted.npz", "-o",
                       WORK / "o.npz", "--frames", 27)
        self.assertIn("windows of 9 frames", line)

    def test_too_many_denoising_steps(self):
        self.assertIn("51", refused("refine", WORK / "refiner.safetensors", WORK / "lifted.npz",
                                    "-o", WORK / "o.npz", "--steps", 51))

    def test_an_amc_with_a_bone_that_the_asf_lacks(self):
        subject = WORK / "cmu" / "99"
        subject.mkdir(parents=True, exist_ok=True)
        (subject / "99.asf").write_text(
            ":units\n  length 0.45\n  angle deg\n:root\n  order TX TY TZ RX RY RZ\n  axis XYZ\n"
            "  position 0 0 0\n  orientation 0 0 0\n:bonedata\n:hierarchy\n  begin\n  end\n")
        (subject / "99_01.amc").write_text(
            ":FULLY-SPECIFIED\n:DEGREES\n1\nroot 0 0 0 0 0 0\ntail 1 2 3\n")
        line = refused("prepare", "cmu", WORK / "cmu", "-o", WORK / "o.npz")
        self.assertTrue("99.asf" in line or "99_01.amc" in line, line)

    def test_a_full_disk_keeps_the_old_file(self):
        path = WORK / "keep.npz"
        path.write_bytes(b"old")

        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))

        line = refused("refine", WORK / "refiner.safetensors", WORK / "lifted.npz", "-o", path,
                       preexec_fn=limit)
        self.assertIn(str(path), line)
        self.assertEqual(path.read_bytes(), b"old")
        self.assertEqual([p.name for p in WORK.glob("*keep.npz*")], ["keep.npz"])

    def evaluation(self, name, change, *options):
        """Changes the arrays of a refined file, and returns how `evaluate` refuses it."""
        file = arrays(WORK / "refined.npz")
        change(file)
        path = WORK / f"{name}.npz"
        np.savez(path, **file)
        line = refused("evaluate", path, *options)
        self.assertIn(str(path), line)
        return line

    def test_evaluation_without_ground_truth(self):
        line = self.evaluation("truth", lambda file: file.pop("P4/walk_1/0/pose_3d"))
        self.assertIn("'P4/walk_1/0'", line)
        self.assertIn("'pose_3d'", line)
        self.assertIn("add it", line)

    def test_evaluation_of_mixed_frame_rates(self):
        line = self.evaluation(
            "fps", lambda file: file.update({"P4/walk_1/1/fps": np.float32(25)}))
        self.assertIn("'P4/walk_1/1' 25", line)
        self.assertIn("one rate", line)

    def test_evaluation_of_partly_refined_sequences(self):
        line = self.evaluation("partly", lambda file: file.pop("P4/walk_1/1/refined_3d"))
        self.assertIn("'P4/walk_1/1' has no 'refined_3d'", line)
        line = refused("evaluate", WORK / "refined.npz", WORK / "lifted.npz")
        self.assertIn("lifted.npz: has no 'refined_3d'", line)

    def test_evaluation_of_refinements_of_different_bases(self):
        file = arrays(WORK / "refined.npz")
        file["P4/walk_1/0/noisy_3d"][0, 1, 0] += 0.1
        np.savez(WORK / "base.npz", **file)
        line = refused("evaluate", WORK / "refined.npz", WORK / "base.npz")
        self.assertIn("base.npz", line)
        self.assertIn("one base", line)

    def test_protocols_that_do_not_exist_or_do_not_fit(self):
        for command in (("evaluate", WORK / "refined.npz"),
                        ("lift", WORK / "lifter.safetensors", WORK / "data.npz", "-o", "o.npz"),
                        ("refine", WORK / "refiner.safetensors", WORK / "lifted.npz", "-o", "o.npz")):
            _, error = run(*command, "--protocol", "mixste", expect=2)
            self.assertIn('--protocol: protocol "mixste" is unknown; choose one of: sequence, '
                          "mixste-seq2seq, stcformer-centre, vp3d", error)
        lift = ("lift", WORK / "lifter.safetensors", WORK / "data.npz", "-o", WORK / "o.npz")
        self.assertIn("--stride 3", refused(*lift, "--protocol", "vp3d", "--stride", 3))
        self.assertIn("these are 3 apart",
                      refused(*lift, "--protocol", "mixste-seq2seq", "--step", 3))
        self.assertIn("--stride 10", refused(*lift, "--stride", 10))
        # Estimates of ours whose windows nobody has noted.
        ours = np.frombuffer(b'{"noisy_3d": {}, "refined_3d": {}}', "u1")
        line = self.evaluation("frames", lambda file: file.update(metadata=ours), "--protocol",
                               "mixste-seq2seq")
        self.assertIn("--frames", line)

    def test_wrong_usage_is_exit_code_2(self):
        run(expect=2)
        run("refine", expect=2)
        run("train", "lifter", WORK / "data.npz", expect=2)
        run("evaluate", WORK / "refined.npz", "--subjects", "some", expect=2)
        run("evaluate", WORK / "refined.npz", "--format", "xml", expect=2)
        for command in ("prepare", "train", "lift", "refine", "evaluate", "info", "gradcheck"):
            out, _ = run(command, "--help")
            self.assertIn(command, out)

    def test_cuda_is_named_as_missing(self):
        if CUDA == "emulated":
            self.skipTest("this build has an emulated device")
        if CUDA == "nvcc" and os.path.exists("/dev/nvidia0"):
            self.skipTest("this machine has a GPU")
        line = refused("info", WORK / "data.npz", "--device", "cuda")
        self.assertIn("--device cpu", line)

    def test_an_option_that_changes_nothing(self):
        train = ("train", "refiner", WORK / "lifted.npz", "-o", WORK / "o.safetensors")
        for other in (("--states", "rollout"), ("--error-source", "real", "--states", "forward"),
                      ("--objective", "regression")):
            line = refused(*train, "--noise", "ar1", *other)
            other = other[:2]
            self.assertIn("--noise ar1", line)
            self.assertIn(" ".join(other), line)
        for other in (("--states", "rollout"), ("--objective", "regression")):
            line = refused(*train, "--error-source", "mixed", *other)
            self.assertIn("--error-source mixed", line)
            self.assertIn(" ".join(other), line)
        # The advice works where rollout is the default.
        for option in (("--noise", "ar1"), ("--error-source", "mixed")):
            self.assertIn("give --states forward, too", refused(*train, *option))

    def test_errors_that_are_drawn_or_real_by_chance(self):
        out, _ = run("train", "refiner", WORK / "lifted.npz", "-o", WORK / "mixed.safetensors",
                     "--error-source", "mixed", "--states", "forward", "--epochs", 1, "--frames", 9,
                     "--width", 8, "--depth", 1, "--heads", 1)
        self.assertIn("wrote", out)
        out, _ = run("info", WORK / "mixed.safetensors")
        self.assertIn("mixed", out)

    def test_more_steps_of_inference_than_the_diffusion_has(self):
        line = refused("train", "refiner", WORK / "lifted.npz", "-o", WORK / "o.safetensors",
                       "--steps", 4, "--inference-steps", 5)
        self.assertIn("--inference-steps 5", line)
        self.assertIn("choose 1 to 4", line)

    def test_unknown_choices_list_the_known(self):
        train = ("train", "refiner", WORK / "lifted.npz", "-o", WORK / "o.safetensors")
        for command, option, known in (
                (train, "--schedule", "cosine, linear, sigmoid"),
                (train, "--noise", "independent, ar1"),
                (train, "--error-source", "conditional, real, mixed"),
                (train, "--objective", "diffusion, regression"),
                (train, "--states", "forward, rollout"),
                (train, "--normalization", "mean-abs, per-coordinate"),
                (train, "--loss", "l2, mse"),
                (train, "--precision", "f32, bf16"),
                (train, "--device", "cpu, cuda"),
                (train, "--log-format", "text, json"),
                (("prepare", "bvh", WORK, "-o", WORK / "o.npz"), "--up",
                 "y, z, x, -y, -z, -x"),
                (("evaluate", WORK / "refined.npz"), "--format", "text, markdown, csv, json"),
                (("export", WORK / "refined.npz", "-o", WORK / "o.csv"), "--bones", "mean, exact"),
                (("refine", WORK / "lifted.npz", "-o", WORK / "o.npz"), "--control",
                 "bias, linear, savitzky-golay, one-euro")):
            _, error = run(*command, option, "square", expect=2)
            self.assertIn(f'{option}: {option[2:]} "square" is unknown; choose one of: {known}\n',
                          error)
            help_text, _ = run(*command[:2] if command[0] in ("train", "prepare") else command[:1],
                               "--help")
            words = " ".join(help_text.split())
            for name in known.split(", "):
                self.assertIn(name, words)


def damage(name, change):
    """A copy of the refined file in which `change(arrays)` has changed something."""
    file = arrays(WORK / "refined.npz")
    change(file)
    np.savez(WORK / name, **file)
    return WORK / name


class Gaps(unittest.TestCase):
    """Joints that an estimator missed: every command that reads poses treats them alike."""

    CLIP = "P4/walk_1/0"

    def commands(self, path, out):
        return {
            "lift": ("lift", WORK / "lifter.safetensors", path, "-o", out / "o.npz"),
            "refine": ("refine", WORK / "refiner.safetensors", path, "-o", out / "o.npz"),
            "control": ("refine", path, "-o", out / "o.npz", "--control", "one-euro"),
            "evaluate": ("evaluate", path, "-o", out / "o.txt"),
            "export": ("export", path, "-o", out / "o.csv", "--field", "noisy_3d"),
            "bvh": ("export", path, "-o", out / "bvh", "--format", "bvh", "--field", "noisy_3d"),
            "inspect": ("inspect", WORK / "refiner.safetensors", path, "--sequence", self.CLIP, "-o",
                        out / "o.npz"),
            "report": ("report", path, WORK / "refiner.safetensors", "-o", out / "o.html"),
            "train": ("train", "refiner", path, "-o", out / "o.safetensors", "--epochs", 1, *REFINER),
            "smoothnet": ("train", "smoothnet", path, "-o", out / "s.safetensors", "--epochs", 1,
                          *SMOOTHNET),
            "lifter": ("train", "lifter", path, "-o", out / "l.safetensors", "--epochs", 1, "--folds",
                       0, *LIFTER),
            "info": ("info", path),
        }

    def test_half_a_second_is_interpolated_and_counted(self):
        def lose(file):
            file[f"{self.CLIP}/noisy_3d"][10:35, 3, 1] = np.nan
            file[f"{self.CLIP}/pose_2d"][0, 5] = np.inf

        path = damage("gap.npz", lose)
        out = WORK / "gaps"
        out.mkdir()
        for name, command in self.commands(path, out).items():
            said, error = run(*command)
            if name == "info":
                self.assertIn("noisy_3d: 25 missing joints in 25 frames of 1 sequences", said)
                self.assertIn("pose_2d: 1 missing joints in 1 frames of 1 sequences", said)
                self.assertEqual(error, "")
                continue
            self.assertIn("gap.npz: note: interpolated 26 missing joints of 1 sequences: "
                          f"{self.CLIP}/pose_2d 1 in 1 frames, {self.CLIP}/noisy_3d 25 in 25 frames",
                          error, name)
            for file in out.glob("*.npz"):
                for array, values in arrays(file).items():
                    if values.dtype.kind == "f":
                        self.assertTrue(np.isfinite(values).all(), (name, array))
                metadata = json.loads(bytes(arrays(file)["metadata"]))
                self.assertEqual(metadata["interpolated_joints"], {self.CLIP: 26}, name)
                file.unlink(missing_ok=True)
        self.assertNotIn("nan", (out / "o.csv").read_text())
        self.assertNotIn("nan", (out / "o.txt").read_text())

    def test_interpolation_is_linear_in_time_and_held_at_the_ends(self):
        def lose(file):
            file[f"{self.CLIP}/noisy_3d"][10:35, 3, 1] = np.nan
            file[f"{self.CLIP}/noisy_3d"][45:, 9] = -np.inf

        path = damage("linear.npz", lose)
        run("refine", path, "-o", WORK / "linear_out.npz", "--control", "one-euro")
        before = arrays(WORK / "refined.npz")[f"{self.CLIP}/noisy_3d"]
        after = arrays(WORK / "linear_out.npz")[f"{self.CLIP}/noisy_3d"]
        t = ((np.arange(10, 35) - 9) / 26)[:, None]
        np.testing.assert_allclose(after[10:35, 3], (1 - t) * before[9, 3] + t * before[35, 3],
                                   atol=1e-6)
        np.testing.assert_array_equal(after[45:, 9], np.repeat(before[44:45, 9], len(after) - 45, 0))
        same = np.ones(after.shape, bool)
        same[10:35, 3] = same[45:, 9] = False
        np.testing.assert_array_equal(after[same], before[same])

    def test_longer_gaps_are_refused_and_the_advice_works(self):
        def lose(file):
            file[f"{self.CLIP}/noisy_3d"][10:36, 3, 1] = np.nan

        path = damage("long.npz", lose)
        out = WORK / "long"
        out.mkdir()
        for name, command in self.commands(path, out).items():
            line = refused(*command)
            self.assertIn(f"{path}: array '{self.CLIP}/noisy_3d': joint 3 (RFoot) is NaN or infinite "
                          "in frames 10 to 35 (26 frames)", line, name)
            self.assertIn("--drop-invalid", line, name)
            self.assertEqual(list(out.iterdir()), [], name)
            if name == "inspect":  # of the sequence that is left out
                command = [c if c != self.CLIP else "P4/walk_1/1" for c in command]
            said, error = run(*command, "--drop-invalid")
            self.assertIn(self.CLIP, said if name == "info" else error, name)
            for file in (*out.glob("*.npz"), *out.glob("*.safetensors"), *out.glob("*.jsonl"),
                         *out.glob("o.*"), *out.glob("bvh/*")):
                if file.suffix == ".bvh" or file.name == "o.csv":
                    self.assertNotIn("P4_walk_1_0.bvh", file.name)
                    self.assertNotIn(self.CLIP + ",", file.read_text())
                file.unlink(missing_ok=True)
            for folder in out.iterdir():
                folder.rmdir()

    def test_the_truth_is_not_invented(self):
        path = damage("truth_gap.npz",
                      lambda file: file[f"{self.CLIP}/pose_3d"].__setitem__((5, 2), np.nan))
        line = refused("evaluate", path)
        self.assertIn("pose_3d': joint 2 (RKnee) is NaN or infinite in frame 5; the truth is not "
                      "interpolated", line)
        run("evaluate", path, "--drop-invalid")


class NamedFiles(unittest.TestCase):
    """What becomes of the files that a command line names."""

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(dir=WORK))
        for name in ("data.npz", "lifted.npz", "refined.npz", "lifter.safetensors",
                     "refiner.safetensors", "refiner.log.jsonl"):
            (self.folder / name).write_bytes((WORK / name).read_bytes())

    def wrong(self, *arguments, **options):
        """The one line with which a wrong command line is refused, and nothing touched."""
        before = {p: p.read_bytes() for p in self.folder.rglob("*") if p.is_file()}
        said, error = run(*arguments, expect=2, cwd=self.folder, **options)
        lines = error.strip().splitlines()
        self.assertEqual(len(lines), 1, error)
        self.assertTrue(lines[0].startswith("posetape: "), error)
        self.assertEqual(said, "")
        after = {p: p.read_bytes() for p in self.folder.rglob("*") if p.is_file()}
        self.assertEqual(after, before)
        return lines[0]

    def test_an_output_that_is_an_input_is_refused_by_any_name(self):
        refined = self.folder / "refined.npz"
        (self.folder / "soft.npz").symlink_to("refined.npz")
        os.link(refined, self.folder / "hard.npz")
        (self.folder / "sub").mkdir()
        names = ("refined.npz", "./refined.npz", "sub/../refined.npz", refined, "soft.npz",
                 "hard.npz")
        for name in names:
            line = self.wrong("evaluate", "refined.npz", "-o", name)
            self.assertIn(f"{name}: is the file that is read (input refined.npz)", line)
            self.wrong("evaluate", name, "--json", "refined.npz")
        run("evaluate", "refined.npz", "-o", "sub/refined.npz", cwd=self.folder)

    def test_every_command_refuses_to_write_over_what_it_reads(self):
        train = ("--epochs", 1, "--frames", 9, "--width", 16, "--depth", 1)
        for command in (
            ("lift", "lifter.safetensors", "data.npz", "-o", "data.npz"),
            ("lift", "lifter.safetensors", "data.npz", "-o", "lifter.safetensors"),
            ("refine", "refiner.safetensors", "lifted.npz", "-o", "lifted.npz"),
            ("refine", "refiner.safetensors", "lifted.npz", "-o", "refiner.safetensors"),
            ("refine", "lifted.npz", "--control", "one-euro", "-o", "lifted.npz"),
            ("evaluate", "lifted.npz", "refined.npz", "-o", "refined.npz"),
            ("evaluate", "refined.npz", "--json", "refined.npz"),
            ("export", "refined.npz", "-o", "refined.npz"),
            ("export", "refined.npz", "-o", "refined.npz", "--format", "bvh"),
            ("report", "refined.npz", "refiner.log.jsonl", "-o", "refiner.log.jsonl"),
            ("report", "refined.npz", "-o", "refined.npz"),
            ("inspect", "refiner.safetensors", "lifted.npz", "-o", "lifted.npz"),
            ("inspect", "refiner.safetensors", "lifted.npz", "-o", "refiner.safetensors"),
            ("convert", "lifter.safetensors", "-o", "lifter.safetensors"),
            ("train", "refiner", "lifted.npz", "-o", "lifted.npz", *train),
            ("train", "lifter", "data.npz", "-o", "data.npz", *train),
            ("train", "smoothnet", "lifted.npz", "-o", "lifted.npz", "--frames", 9),
            ("prepare", "keypoints", "data.npz", "-o", "data.npz"),
            ("prepare", "h36m", "data.npz", "refined.npz", "-o", "refined.npz"),
        ):
            self.assertIn("is the file that is read", self.wrong(*command))

    def test_what_training_writes_beside_its_output_counts_too(self):
        data = (self.folder / "lifted.npz").read_bytes()
        for name in ("x.log.jsonl", "x.last.safetensors"):
            (self.folder / name).write_bytes(data)
            line = self.wrong("train", "refiner", name, "-o", "x.safetensors", "--epochs", 1)
            self.assertIn(f"beside --output {name}: is the file that is read", line)
            (self.folder / name).unlink()

    def test_a_file_of_a_folder_that_is_read_is_refused(self):
        run("export", "refined.npz", "-o", "motion", "--format", "bvh", "--sequences",
            "P1/walk_1/0,P1/run_1/0", cwd=self.folder)
        line = self.wrong("prepare", "bvh", "motion", "-o", "motion/P1_walk_1_0.bvh")
        self.assertIn("is one of the files that are read", line)
        for _ in range(2):  # a dataset beside them is none of them
            run("prepare", "bvh", "motion", "-o", "motion/o.npz", "--cameras", 0, cwd=self.folder)

    def test_two_outputs_are_two_files(self):
        for command in (
            ("evaluate", "refined.npz", "-o", "new", "--json", "./new"),
            ("profile", "--json", "new", "--trace", self.folder / "new"),
            ("gradcheck", "--fast", "--json", "new", "--html", "new"),
            ("train", "refiner", "lifted.npz", "-o", "x.jsonl", "--log", "x.jsonl"),
        ):
            self.assertIn("a file of its own", self.wrong(*command))

    def test_an_output_that_cannot_be_written_is_found_before_the_work(self):
        for command in (
            ("train", "refiner", "lifted.npz", "-o", "none/x.safetensors", *REFINER),
            ("train", "refiner", "lifted.npz", "-o", "x.safetensors", "--log", "none/x.jsonl",
             *REFINER),
            ("lift", "lifter.safetensors", "data.npz", "-o", "none/x.npz"),
            ("prepare", "synthetic", "-o", "none/x.npz"),
            ("gradcheck", "--json", "none/x.json"),
            ("profile", "--trace", "none/x.json"),
            ("report", "refined.npz", "-o", "none/x.html"),
        ):
            said, error = run(*command, expect=1, cwd=self.folder)
            self.assertEqual(said, "")
            self.assertEqual(len(error.splitlines()), 1, error)
            self.assertIn("make the directory 'none' first", error)
        (self.folder / "folder").mkdir()
        self.assertIn("folder: cannot be written",
                      refused("lift", "lifter.safetensors", "data.npz", "-o", "folder",
                              cwd=self.folder))
        self.assertEqual([p.name for p in self.folder.iterdir() if ".tmp" in p.name], [])

    def test_a_full_disk_leaves_no_half_file_of_any_format(self):
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))

        for command, output in (
            (("export", "refined.npz", "-o"), "o.csv"),
            (("export", "refined.npz", "--format", "bvh", "--sequences", "P1/walk_1/0", "-o"), "o.bvh"),
            (("evaluate", "refined.npz", "--json"), "o.json"),
            (("evaluate", "refined.npz", "--format", "markdown", "-o"), "o.md"),
            (("report", "refined.npz", "-o"), "o.html"),
            (("inspect", "refiner.safetensors", "lifted.npz", "-o"), "o.npz"),
            (("convert", "lifter.safetensors", "-o"), "o.safetensors"),
            (("prepare", "synthetic", "--people", 1, "--takes", 1, "--seconds", 0.2, "-o"), "p.npz"),
            (("gradcheck", "--op", "add", "--fast", "--json"), "g.json"),
            (("profile", *Profile.SMALL, "--trace"), "t.json"),
        ):
            (self.folder / output).write_bytes(b"old")
            _, error = run(*command, output, expect=1, cwd=self.folder, preexec_fn=limit)
            self.assertEqual(len(error.splitlines()), 1, error)
            self.assertIn(f"{output}: cannot be written", error)
            self.assertEqual((self.folder / output).read_bytes(), b"old")
        self.assertEqual([p.name for p in self.folder.iterdir() if ".tmp" in p.name], [])

    def test_standard_output_that_is_full_is_a_failure(self):
        for command in (("info", "refined.npz"), ("evaluate", "refined.npz"), ("--help",),
                        ("export", "refined.npz", "-o", "-")):
            with open("/dev/full", "wb") as full:
                done = subprocess.run([POSETAPE, *command], stdout=full, stderr=subprocess.PIPE,
                                      text=True, cwd=self.folder)
            self.assertEqual(done.returncode, 1, command)
            self.assertEqual(done.stderr.splitlines()[-1].split(":")[0], "posetape", done.stderr)


class Streams(unittest.TestCase):
    """Standard input and output, pipes and devices in the place of files."""

    def run(self, result=None):
        self.temporary = Path(tempfile.mkdtemp(dir=WORK))
        return super().run(result)

    def piped(self, *arguments, stdin=None, expect=0):
        """(standard output in bytes, standard error) with `stdin`, a file or bytes, piped in."""
        given = stdin.read_bytes() if isinstance(stdin, Path) else stdin or b""
        done = subprocess.run([POSETAPE, *map(str, arguments)], input=given, capture_output=True,
                              cwd=self.temporary, env={**os.environ, "TMPDIR": str(self.temporary)})
        self.assertEqual(done.returncode, expect, done.stderr)
        self.assertEqual(list(self.temporary.iterdir()), [])  # no file named "-", none temporary
        return done.stdout, done.stderr.decode()

    def test_every_format_is_written_to_standard_output(self):
        refined, lifter = WORK / "refined.npz", WORK / "lifter.safetensors"
        for command in (
            ("export", refined),
            ("export", refined, "--format", "bvh", "--sequences", "P1/walk_1/0"),
            ("lift", lifter, WORK / "data.npz"),
            ("refine", WORK / "refiner.safetensors", WORK / "lifted.npz"),
            ("evaluate", refined, "--format", "csv"),
            ("inspect", WORK / "refiner.safetensors", WORK / "lifted.npz"),
            ("report", refined),
            ("convert", lifter),
            ("prepare", "synthetic", "--people", 1, "--takes", 1, "--seconds", 0.2),
        ):
            file = WORK / ("streamed.bvh" if "bvh" in command else "streamed")
            said, warned = run(*command, "-o", file)
            for name in ("-", "/dev/stdout"):
                data, error = self.piped(*command, "-o", name)
                self.assertEqual(data, file.read_bytes(), command)
                # What was said goes to standard error, with another name.
                self.assertEqual(error, (warned + said).replace(str(file), "standard output"))

    def test_figures_of_a_second_output(self):
        run("evaluate", WORK / "refined.npz", "--json", WORK / "streamed.json")
        data, error = self.piped("evaluate", WORK / "refined.npz", "--json", "-")
        self.assertEqual(data, (WORK / "streamed.json").read_bytes())
        self.assertIn("MPJPE", error)
        data, _ = self.piped("profile", *Profile.SMALL, "--json", "-")
        self.assertEqual(json.loads(data)["batch"], 2)
        data, _ = self.piped("gradcheck", "--op", "add", "--fast", "--json", "-")
        json.loads(data)

    def test_every_command_reads_standard_input(self):
        refined = WORK / "refined.npz"
        for command, stdin in (
            (("info", "-"), refined),
            (("info", "-"), WORK / "refiner.safetensors"),
            (("export", "-", "-o", "-"), refined),
            (("refine", WORK / "refiner.safetensors", "-", "-o", "-"), WORK / "lifted.npz"),
            (("refine", "-", WORK / "lifted.npz", "-o", "-"), WORK / "refiner.safetensors"),
            (("evaluate", "-"), refined),
            (("convert", "-", "-o", "-"), WORK / "lifter.safetensors"),
        ):
            by_name, _ = self.piped(*[stdin if c == "-" and k and command[k - 1] != "-o" else c
                                      for k, c in enumerate(command)])
            for name in ("-", "/dev/stdin"):
                given = [name if c == "-" and k and command[k - 1] != "-o" else c
                         for k, c in enumerate(command)]
                data, _ = self.piped(*given, stdin=stdin)
                self.assertEqual(data.replace(b"standard input", bytes(stdin)).replace(
                    b"/dev/stdin", bytes(stdin)), by_name, command)

    def test_pipes_and_process_substitution(self):
        script = ('"$0" lift lifter.safetensors data.npz -o - 2>/dev/null |'
                  '"$0" refine <(cat refiner.safetensors) - -o >(cat > piped.npz) &&'
                  '"$0" evaluate <(cat refined.npz) <(cat refined.npz) --json >(cat > piped.json);'
                  'sleep 0.5')
        done = subprocess.run(["bash", "-c", script, POSETAPE], cwd=WORK, capture_output=True,
                              text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual((WORK / "piped.npz").read_bytes(), (WORK / "refined.npz").read_bytes())
        self.assertEqual(len(json.loads((WORK / "piped.json").read_text())), 2)

    def test_errors_of_streams_have_names(self):
        _, error = self.piped("info", "-", stdin=b"not much", expect=1)
        self.assertTrue(error.startswith("posetape: standard input: "), error)
        _, error = self.piped("info", "-", expect=1)
        self.assertIn("standard input: the file is empty", error)
        data, _ = self.piped("export", "-", "-o", "-", stdin=b"not much", expect=1)
        self.assertEqual(data, b"")

    def test_closed_descriptors_are_named(self):
        for script, words in (('"$0" info - <&-', "standard input: cannot be read"),
                              ('"$0" export refined.npz -o - >&-', "standard output: cannot be")):
            done = subprocess.run(["bash", "-c", script, POSETAPE], cwd=WORK, capture_output=True,
                                  text=True)
            self.assertEqual(done.returncode, 1)
            self.assertIn(words, done.stderr)

    def test_where_a_stream_makes_no_sense(self):
        for command, words in (
            (("train", "refiner", WORK / "lifted.npz", "-o", "-"), "write ./- for one of that name"),
            (("train", "refiner", WORK / "lifted.npz", "-o", "x.safetensors", "--log", "-"),
             "write ./-"),
            (("prepare", "bvh", "-", "-o", "x.npz"), "must be a folder"),
            (("evaluate", "-", "-"), "one file only"),
            (("evaluate", WORK / "refined.npz", "-o", "-", "--json", "-"), "a file of its own"),
        ):
            _, error = self.piped(*command, expect=2)
            self.assertIn(words, error)
            self.assertEqual(len(error.splitlines()), 1)
        run("evaluate", WORK / "refined.npz", "-o", "./-", cwd=WORK)
        self.assertTrue((WORK / "-").exists())


class KindsOfFiles(unittest.TestCase):
    """Who gives a file of another kind reads what it is."""

    def test_each_command_says_what_it_was_given(self):
        files = {
            "a PyTorch checkpoint": "net.pth",
            "a single npy array": "x.npy",
            "JSON text": "x.json",
            "text, not": "x.csv",
            "motion in BVH": "x.bvh",
            "a folder": "kinds",
            "is empty": "empty",
        }
        folder = WORK / "kinds"
        folder.mkdir()
        with zipfile.ZipFile(folder / "net.pth", "w") as torch:
            torch.writestr("net/data.pkl", b"\x80\x02}.")
            torch.writestr("net/version", "3")
        np.save(folder / "x.npy", np.zeros(3))
        (folder / "x.json").write_text('{"a": 1}')
        (folder / "x.csv").write_text("a,b\n1,2\n")
        (folder / "x.bvh").write_text("HIERARCHY\nROOT Hips\n")
        (folder / "empty").write_bytes(b"")
        (folder / "kinds").mkdir()
        checkpoint, data = WORK / "refiner.safetensors", WORK / "lifted.npz"
        files["npz file, as datasets are"] = data
        files["safetensors file, as networks are"] = checkpoint
        for words, name in files.items():
            path = folder / name
            commands = {
                "npz": [("refine", checkpoint, path, "-o", "o"), ("refine", path, "-o", "o",
                        "--control", "one-euro"), ("evaluate", path), ("export", path, "-o", "o"),
                        ("inspect", checkpoint, path, "-o", "o"),
                        ("lift", WORK / "lifter.safetensors", path, "-o", "o"),
                        ("train", "refiner", path, "-o", "o"), ("train", "lifter", path, "-o", "o"),
                        ("prepare", "h36m", path, "-o", "o")],
                "safetensors": [("refine", path, data, "-o", "o"), ("lift", path, data, "-o", "o"),
                                ("inspect", path, data, "-o", "o")],
                "both": [("info", path)],
            }
            if path == data:
                commands = {"safetensors": commands["safetensors"]}
            if path == checkpoint:
                commands = {"npz": commands["npz"]}
            for command in sum(commands.values(), []):
                line = refused(*command, cwd=WORK)
                self.assertIn(str(path), line)
                self.assertIn(words, line)
                if name == "net.pth":
                    self.assertIn("`posetape convert`", line)
            self.assertFalse((WORK / "o").exists())
        line = refused("report", folder / "net.pth", "-o", "o.html", cwd=WORK)
        self.assertIn("a PyTorch checkpoint", line)

    def test_names_do_not_matter(self):
        for name, copy in (("refined.npz", "r.bin"), ("refiner.safetensors", "ck"),
                           ("refiner.log.jsonl", "log.txt")):
            (WORK / copy).write_bytes((WORK / name).read_bytes())
        self.assertIn("sequences", run("info", WORK / "r.bin")[0])
        self.assertIn("tensors", run("info", WORK / "ck")[0])
        run("report", WORK / "r.bin", WORK / "ck", WORK / "log.txt", "-o", WORK / "names.html")


class OneClip(unittest.TestCase):
    def test_figures_without_an_interval_are_dashes(self):
        def keep(file):
            for name in list(file):
                if "/" in name and not name.startswith("P4/walk_1/0/"):
                    del file[name]

        one = damage("one_clip.npz", keep)
        run("refine", one, "-o", WORK / "one_euro.npz", "--control", "one-euro")
        json_path = WORK / "one_clip.json"
        outputs = [run("evaluate", one, "--json", json_path)[0],
                   run("evaluate", one, WORK / "one_euro.npz", "--json", json_path)[0]]
        for form in ("markdown", "csv", "json"):
            outputs.append(run("evaluate", one, WORK / "one_euro.npz", "--format", form)[0])
        outputs.append(json_path.read_text())
        for text in outputs:
            self.assertNotRegex(text.lower(), r"\bnan\b|\binf\b")
        self.assertRegex(outputs[1], r"\| one_clip \| [\d.]+ \([-+][\d.]+ %, -\) \|")
        intervals = json.loads(outputs[-1])["one_clip"]["gain_percent"]
        self.assertIsNone(intervals["mpjpe"]["low"])

    def test_files_of_one_name_keep_their_figures(self):
        (WORK / "other").mkdir()
        (WORK / "other" / "refined.npz").write_bytes((WORK / "refined.npz").read_bytes())
        run("evaluate", "refined.npz", "other/refined.npz", "--json", "two.json", cwd=WORK)
        self.assertEqual(list(json.loads((WORK / "two.json").read_text())),
                         ["refined.npz", "other/refined.npz"])
        self.assertIn("more than once", refused("evaluate", "refined.npz", "refined.npz", cwd=WORK))


class Profile(unittest.TestCase):
    SMALL = "--batch 2 --frames 9 --width 16 --depth 1 --heads 2 --steps 2".split()

    def test_a_training_step(self):
        path, trace = WORK / "profile.json", WORK / "trace.json"
        out, _ = run("profile", *self.SMALL, "--json", path, "--trace", trace)
        self.assertIn("axial_attention.cross.stc backward", out)
        self.assertIn("kept for the backward pass", out)
        report = json.loads(path.read_text())
        calls = {(op["op"], op["backward"]): op for op in report["ops"]}
        # Two STC modules in the one block, and one optimiser step.
        self.assertEqual(calls[("axial_attention.cross.stc", False)]["calls"], 2)
        self.assertEqual(calls[("axial_attention.cross.stc", True)]["calls"], 2)
        self.assertEqual(calls[("adam", False)]["calls"], 1)
        # 2 x 2 x 9 x 17 tokens x 16 x 48 and its like: 2 x weights x tokens in all, at least.
        flops = sum(op["flops"] for op in report["ops"] if op["op"].startswith("linear"))
        self.assertGreater(flops, 2 * 2 * 9 * 17 * 16 * 48)
        self.assertGreater(report["peak_bytes"], report["saved_bytes"])
        events = json.loads(trace.read_text())["traceEvents"]
        self.assertEqual(len(events), 2 * sum(op["calls"] for op in report["ops"]))
        starts = [event["ts"] for event in events]
        self.assertEqual(starts, sorted(starts))

    def test_inference_runs_no_backward_rule(self):
        out, _ = run("profile", "--inference", "--model", "stcformer", *self.SMALL)
        self.assertNotIn("backward", out)
        self.assertNotIn("adam", out)


class Gradcheck(unittest.TestCase):
    CHECK = ("gradcheck", "--op", "tanh")  # quick, and all oracles know it

    def test_list(self):
        out, _ = run("gradcheck", "--list")
        cases = out.split()
        self.assertEqual(len(cases), len(set(cases)))
        self.assertTrue(all(case.count("/") == 1 for case in cases), out)
        out, _ = run("gradcheck", "--list", "--op", "relu")
        self.assertEqual(out.split(), [case for case in cases if case.startswith("relu/")])

    def test_one_op_prints_its_rows(self):
        out, error = run(*self.CHECK)
        self.assertEqual(error, "")
        self.assertNotIn("\x1b", out)
        lines = out.splitlines()
        rows = [line.split() for line in lines[2 : lines.index("")]]
        self.assertTrue(all(row[0] == "tanh" for row in rows), out)
        listed, _ = run(*self.CHECK, "--list")
        self.assertEqual({"/".join(row[:2]) for row in rows}, set(listed.split()))
        self.assertLessEqual({"differences", "adjoint", "complex-step"}, {row[5] for row in rows})
        self.assertTrue(lines[-1].startswith(f"{len(rows)} rows: "), lines[-1])
        self.assertIn(" 0 failed", lines[-1])

    def test_one_case_and_quiet(self):
        out, _ = run("gradcheck", "--op", "relu", "--case", "positive")
        rows = [line.split() for line in out.splitlines() if line.startswith("relu")]
        self.assertEqual({row[1] for row in rows}, {"positive"})
        out, _ = run(*self.CHECK, "--quiet", "--json", WORK / "quiet.json")
        self.assertEqual(len(out.splitlines()), 1)

    def test_random_programs(self):
        def untimed(*options):
            return run("gradcheck", "--fuzz", "30", *options)[0].rpartition("; ")[0]

        out = untimed("--seed", "5")
        self.assertEqual(out, untimed("--seed", "5", "--threads", "1"))
        self.assertNotEqual(out, untimed("--seed", "6"))
        self.assertEqual(len(untimed("--quiet").splitlines()), 1)
        self.assertIn("30 programs of ", out.splitlines()[-1])
        self.assertIn(" 0 failed", out.splitlines()[-1])
        self.assertEqual({line.split()[0] for line in untimed("--op", "gelu").splitlines()[2:4]}, {"gelu"})
        _, line = run("gradcheck", "--fuzz", "30", "--op", "layernorm", expect=2)
        self.assertIn("no op 'layernorm'", line)
        run("gradcheck", "--fuzz", "0", expect=2)
        run("gradcheck", "--fuzz", "30", "--list", expect=2)

    def test_planted_errors_are_counted_and_noticed(self):
        path = WORK / "mutants.json"
        out, _ = run("gradcheck", "--op", "softmax", "--mutants", "--json", path)
        mutants = json.loads(path.read_text())["mutants"]
        self.assertGreater(len({m["mutation"] for m in mutants}), 8)
        for m in mutants:
            self.assertNotEqual(m["killed"], m["proof_of_equivalence"] != "", m)
        row = next(line.split() for line in out.splitlines() if line.startswith("all "))
        self.assertEqual((int(row[1]), int(row[-1])), (len(mutants), 0))

    def test_unknown_names_list_the_known(self):
        _, line = run("gradcheck", "--op", "layernorm", expect=2)
        self.assertIn("layernorm", line)
        self.assertIn("layer_norm", line)
        _, line = run("gradcheck", "--op", "relu", "--case", "sideways", expect=2)
        self.assertIn("sideways", line)
        self.assertIn("positive", line)
        _, line = run("gradcheck", "--case", "sideways", "--list", expect=2)
        self.assertIn("positive", line)

    def test_wrong_usage(self):
        run("gradcheck", "--ops", "relu", expect=2)
        run("gradcheck", "--seed", "many", expect=2)
        run("gradcheck", "--device", "tpu", expect=2)
        if CUDA != "emulated":
            return
        line = run("gradcheck", "--mutants", "--device", "cuda", expect=1)[1].splitlines()[-1]
        self.assertIn("leave --device out", line)
        self.assertIn("no/r.json", refused(*self.CHECK, "--json", WORK / "no" / "r.json"))

    def test_json_adds_up(self):
        path = WORK / "gradcheck.json"
        run(*self.CHECK, "--seed", 3, "--threads", 2, "--json", path)
        report = json.loads(path.read_text(), parse_constant=self.fail)
        self.assertEqual(report["format"], "posetape gradcheck 1")
        self.assertEqual((report["seed"], report["device"], report["threads"], report["fast"]),
                         (3, "cpu", 2, False))
        self.assertIn(report["isa"],
                      ("baseline", "avx2", "avx512", "avx512_bf16", "avx512_amx"))
        rows = report["rows"]
        self.assertEqual(report["passed"] + report["failed"] + report["skipped"], len(rows))
        self.assertEqual(report["failed"], sum(not row["passed"] for row in rows))
        self.assertEqual(report["failed"], 0)
        for row in rows:
            self.assertEqual(list(row), "op case input check dtype device verdict passed error "
                             "trust analytic oracle seconds where note rerun".split())
        # The line to paste does what it says.
        self.assertTrue(rows[0]["rerun"].startswith("posetape gradcheck --op tanh --case "))
        out, _ = run(*rows[0]["rerun"].split()[1:])
        self.assertIn(rows[0]["case"], out)

    @unittest.skipIf("SANITIZED" in os.environ, "minutes; test_engine runs the same checks")
    def test_html_is_self_contained_and_has_every_op(self):
        path = WORK / "gradcheck.html"
        out, _ = run("gradcheck", "--fast", "--quiet", "--html", path)
        self.assertIn(" 0 failed", out.splitlines()[-1])
        page = path.read_text()
        for reference in ("http://", "https://", "src=", "@import", "url("):
            self.assertNotIn(reference, page)
        out, _ = run("gradcheck", "--list")
        for op in {case.split("/")[0] for case in out.split()}:
            self.assertIn(f">{op}</button>", page)

    def test_colours_are_for_terminals(self):
        out = on_a_terminal(*self.CHECK)
        self.assertIn("\x1b[32magree\x1b[0m", out)
        # The progress line is no colour: it takes itself away.
        out = on_a_terminal(*self.CHECK, NO_COLOR="1")
        self.assertIn("agree", out)
        self.assertNotIn("\x1b[3", out)
        self.assertNotIn("\x1b", on_a_terminal(*self.CHECK, "--quiet", NO_COLOR="1"))


if __name__ == "__main__":
    # What runs in the background, or under nohup, has signals ignored, and so would its children.
    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    POSETAPE = os.path.abspath(sys.argv.pop(1))
    CUDA = sys.argv.pop(1)
    if len(sys.argv) > 1 and "/" in sys.argv[1]:
        PART = tuple(map(int, sys.argv.pop(1).split("/")))
    with tempfile.TemporaryDirectory() as folder:
        WORK = Path(folder)
        unittest.main(verbosity=1)
