#!/usr/bin/env python3
"""`posetape pose` with the networks that come along: pose_test.py PATH_OF_POSETAPE

Trains nothing. Clips are the embedded motion, filmed by cameras that no training saw; what a detector
would have written of them is written here.
"""

import json
import os
import re
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

POSETAPE = None
WORK = None
TRUTH = {}
# Of BODY_25's keypoints, the joint of ours that is there; 18 is the ears' side, which stays unseen.
BODY_25 = {0: 9, 2: 14, 3: 15, 4: 16, 5: 11, 6: 12, 7: 13, 8: 0, 9: 1, 10: 2, 11: 3, 12: 4, 13: 5, 14: 6,
           15: 10, 16: 10}


def run(*arguments, expect=0):
    done = subprocess.run([POSETAPE, *map(str, arguments)], capture_output=True, text=True, timeout=300)
    assert done.returncode == expect, (arguments, done.stdout, done.stderr)
    return done.stdout, done.stderr


def refused(*arguments, expect=1):
    _, error = run(*arguments, expect=expect)
    line = error.strip().splitlines()[0]
    return line


def openpose_folder(folder, poses, unseen=()):
    """One file a frame, as OpenPose writes them; `unseen` are (frame, keypoint)."""
    folder.mkdir()
    for f, pose in enumerate(poses):
        values = np.zeros((25, 3))
        for keypoint, joint in BODY_25.items():
            if (f, keypoint) not in unseen:
                values[keypoint] = [*pose[joint], 0.9]
        people = [{"pose_keypoints_2d": values.ravel().tolist()}]
        (folder / f"video_{f:012d}_keypoints.json").write_text(json.dumps({"people": people}))


def mpjpe(a, b):
    return 1000 * np.linalg.norm((a - a[:, :1]) - (b - b[:, :1]), axis=-1).mean()


def setUpModule():
    seconds = 0.6 if "SANITIZED" in os.environ else 2  # a network that is checked takes minutes
    run("prepare", "synthetic", "-o", WORK / "truth.npz", "--people", 1, "--takes", 1, "--seconds",
        seconds, "--cameras", "random", "--joints", "keypoints", "--detector", "openpose", "--seed", 5)
    with np.load(WORK / "truth.npz") as file:
        for name in file.files:
            if name.endswith("/walk_1/random0/pose_2d"):
                clip = name.removesuffix("/pose_2d")
        TRUTH.update({field: file[f"{clip}/{field}"] for field in ("pose_2d", "pose_3d", "image_size")})
    openpose_folder(WORK / "me", TRUTH["pose_2d"], {(f, 4) for f in range(10, 18)})


class Pose(unittest.TestCase):
    def pose(self, output, *options, source="me"):
        width, height = TRUTH["image_size"]
        return run("pose", WORK / source, "-o", WORK / output, "--fps", 50, "--image-size",
                   f"{width},{height}", *options)

    def test_a_folder_of_a_detector_becomes_3d(self):
        out, error = self.pose("me.npz")
        self.assertEqual(error, "")
        self.assertRegex(out, r"\nClip +frames +guessed joints")
        self.assertIn(f"wrote {WORK}/me.npz", out)
        with np.load(WORK / "me.npz") as file:
            name = next(n for n in file.files if n.endswith("refined_3d")).removesuffix("/refined_3d")
            base, refined = file[f"{name}/noisy_3d"], file[f"{name}/refined_3d"]
            made = json.loads(bytes(file["metadata"]))
        truth = TRUTH["pose_3d"]
        self.assertEqual(refined.shape, truth.shape)
        # A still figure in the middle of the data has 250 mm and more.
        self.assertLess(mpjpe(base, truth), 100)
        self.assertLess(mpjpe(refined, truth), 100)
        self.assertEqual(made["refined_3d"]["filter"], "savitzky-golay")
        self.assertEqual((made["refined_3d"]["flip_average"], made["refined_3d"]["strength"]),
                         ("yes", 0.5))

    def test_the_small_networks_come_near(self):
        self.pose("large.npz")
        self.pose("small.npz", "--networks", "small")
        poses = []
        for name in ("large", "small"):
            with np.load(WORK / f"{name}.npz") as file:
                poses.append(next(file[n] for n in file.files if n.endswith("refined_3d")))
                made = json.loads(bytes(file["metadata"]))["refined_3d"]
            self.assertEqual(made["strength"], {"large": 0.5, "small": 0.8}[name])
        self.assertGreater(mpjpe(*poses), 0)
        self.assertLess(mpjpe(*poses), 100)

    def test_every_format_by_its_ending(self):
        for name in ("me.csv", "me.json", "me.glb", "me.bvh", "me.trc", "me.c3d"):
            out, _ = self.pose(name, "--networks", "small")
            frames = len(TRUTH["pose_2d"])
            self.assertIn(f"wrote {WORK}/{name}: {frames} frames of 1 sequences", out)
            self.assertGreater((WORK / name).stat().st_size, 1000)
        out, _ = self.pose("folder", "--format", "bvh", "--quiet", "--networks", "small")
        names = sorted(p.name.removeprefix("me_clip_0") for p in (WORK / "folder").iterdir())
        self.assertEqual(names, [".bvh", ".confidence.csv", ".std.csv"])

    def test_results_are_those_of_the_commands(self):
        self.pose("me.npz", "--report", WORK / "me.html")
        self.assertIn("</html>", (WORK / "me.html").read_text())
        width, height = TRUTH["image_size"]
        weights = WEIGHTS / "large_"
        run("prepare", "keypoints", WORK / "me", "-o", WORK / "2d.npz", "--fps", 50, "--image-size",
            f"{width},{height}")
        run("lift", f"{weights}lifter.safetensors", WORK / "2d.npz", "-o", WORK / "3d.npz",
            "--flip-average")
        run("refine", f"{weights}refiner.safetensors", WORK / "3d.npz", "-o", WORK / "refined.npz",
            "--flip-average", "--strength", 0.5)
        with np.load(WORK / "me.npz") as one, np.load(WORK / "refined.npz") as many:
            self.assertEqual(one.files, many.files)
            for name in one.files:
                np.testing.assert_array_equal(one[name], many[name], name)

    def test_it_says_how_sure_it_is(self):
        self.pose("sure.npz", "--networks", "small")
        self.pose("again.npz", "--networks", "small", "--threads", 1)
        self.assertEqual((WORK / "sure.npz").read_bytes(), (WORK / "again.npz").read_bytes())
        with np.load(WORK / "sure.npz") as file:
            std = next(file[n] for n in file.files if n.endswith("/refined_std"))
            regions = json.loads(bytes(file["metadata"]))["refined_3d"]["regions"]
        self.assertEqual(std.shape, TRUTH["pose_3d"].shape)
        self.assertTrue((std[:, 0] == 0).all())
        self.assertTrue((std[:, 1:] > 0.002).all() and (std[:, 1:] < 0.5).all())
        # Depth is what a camera does not see, and hips lie nearer to the root than hands.
        self.assertLess(std[..., :2].mean(), std[..., 2].mean())
        self.assertLess(std[:, 1].mean(), std[:, 13].mean())
        for axis in ("image plane", "depth"):
            self.assertEqual(sorted(regions[axis]), regions[axis])

        def table(name):
            return np.genfromtxt(WORK / name, delimiter=",", names=True, dtype=None, encoding=None)

        run("export", WORK / "sure.npz", "-o", WORK / "sure.csv")
        run("export", WORK / "sure.npz", "-o", WORK / "sure.json", "--format", "json", "--unit", "mm")
        run("export", WORK / "sure.npz", "-o", WORK / "sure.trc", "--format", "trc", "--up", "z")
        run("export", WORK / "sure.npz", "-o", WORK / "sure.c3d", "--format", "c3d")
        np.testing.assert_allclose(table("sure.csv")["LWrist_z_std"], std[:, 13, 2], rtol=1e-5)
        frames = json.loads((WORK / "sure.json").read_text())["frames"]
        np.testing.assert_allclose([f["std"] for f in frames], 1000 * std, rtol=1e-5)
        # z up: its y is the depth.
        np.testing.assert_allclose(table("sure.std.csv")["LWrist_y"], std[:, 13, 2], rtol=1e-5)
        c3d = (WORK / "sure.c3d").read_bytes()
        points = np.frombuffer(c3d, "<f4", offset=512 * (int.from_bytes(c3d[16:18], "little") - 1))
        lengths = np.linalg.norm(std.astype(float), axis=-1).ravel()
        np.testing.assert_allclose(points[3::4][:len(lengths)], (lengths / 0.002).clip(0, 255), atol=0.51)

    def test_a_network_that_does_not_know_gives_the_same_poses(self):
        self.pose("sure.npz", "--networks", "small")
        data = (WEIGHTS / "small_refiner.safetensors").read_bytes()
        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8:8 + size])
        for name in [n for n in header if n.startswith("uncertainty.")]:
            begin, end = header[name]["data_offsets"]
            header[name]["gone"] = (begin, end)
        gone = sorted(header.pop(n)["gone"] for n in list(header) if "gone" in header[n])
        body = data[8 + size:]
        kept, at = b"", {}
        for name, entry in sorted(((n, e) for n, e in header.items() if n != "__metadata__"),
                                  key=lambda item: item[1]["data_offsets"]):
            begin, end = entry["data_offsets"]
            at[name] = [len(kept), len(kept) + end - begin]
            kept += body[begin:end]
        for name, place in at.items():
            header[name]["data_offsets"] = place
        self.assertGreater(len(gone), 5)
        for key in ("uncertainty", "crc32.tensors", "crc32.metadata"):
            header["__metadata__"].pop(key)
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        (WORK / "old.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + kept)
        _, error = self.pose("old.npz", "--networks", "small", "--refiner", WORK / "old.safetensors",
                             "--strength", 0.8)
        self.assertEqual(error, "")
        with np.load(WORK / "sure.npz") as sure, np.load(WORK / "old.npz") as old:
            self.assertFalse(any("refined_std" in n for n in old.files))
            for name in old.files:
                if name != "metadata":
                    np.testing.assert_array_equal(sure[name], old[name], name)

    def test_a_dataset_with_the_truth_says_what_was_gained(self):
        out, _ = run("pose", WORK / "truth.npz", "-o", WORK / "again.npz")
        self.assertRegex(out, r"MPJPE: base \d+\.\d+ mm, refined \d+\.\d+ mm")
        self.assertNotRegex(run("pose", WORK / "truth.npz", "-o", WORK / "again.npz", "--quiet")[0],
                            r"\S")

    def test_truths_lie_where_it_says(self):
        run("pose", WORK / "truth.npz", "-o", WORK / "again.npz", "--networks", "small")
        scores = json.loads(run("evaluate", WORK / "again.npz", "--subjects", "all", "--format",
                                "json")[0])["uncertainty"]
        inside = {axis: np.zeros((3, 17)) for axis in ("image plane", "depth")}
        with np.load(WORK / "again.npz") as file:
            regions = json.loads(bytes(file["metadata"]))["refined_3d"]["regions"]
            clips = [n.removesuffix("/refined_std") for n in file.files if n.endswith("/refined_std")]
            frames = sum(len(file[f"{n}/pose_3d"]) for n in clips)
            for n in clips:
                truth, pose, std = (file[f"{n}/{field}"].astype(float)
                                    for field in ("pose_3d", "refined_3d", "refined_std"))
                error = np.abs(pose - truth + truth[:, :1])
                for axis, c in (("image plane", slice(0, 2)), ("depth", slice(2, 3))):
                    for k, times in enumerate(regions[axis]):
                        hits = (error <= times * std)[..., c].mean(-1).sum(0)
                        inside[axis][k] += 100 * hits / frames
        names = list(scores["inside_percent"])
        for axis, share in inside.items():
            found = np.array([scores["inside_percent"][n][axis] for n in names]).T
            np.testing.assert_allclose(found[:, 1:], share[:, 1:], atol=0.01)
            np.testing.assert_allclose(found[:, 0], share[:, 1:].mean(-1), atol=0.01)

    def test_quality_is_what_numpy_says(self):
        self.pose("me.npz")
        line = next(line for line in run("info", "--quality", WORK / "me.npz")[0].splitlines()
                    if line.startswith("me/clip/0"))
        figures = [float(x) for x in re.findall(r"[\d.]+", line.removeprefix("me/clip/0"))]
        with np.load(WORK / "me.npz") as file:
            base, refined = (next(1000 * file[n].astype(float) for n in file.files if n.endswith(kind))
                             for kind in ("noisy_3d", "refined_3d"))
        expected = [len(base), 100 * 8 / (17 * len(base))]
        for figure in (lambda p: np.linalg.norm(np.diff(p, 2, axis=0), axis=-1)[:, 1:].mean(),
                       lambda p: np.quantile(np.linalg.norm(
                           np.diff(p[:, [3, 6, 13, 16]], axis=0), axis=-1), 0.99) * 50 / 1000,
                       lambda p: 100 * np.mean([(b := np.linalg.norm(
                           p[:, c] - p[:, parent], axis=-1)).std() / b.mean() for c, parent in
                           enumerate([0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15], 1)])):
            expected += [figure(base), figure(refined)]
        np.testing.assert_allclose(figures, expected, atol=0.051)

    def test_planted_feet_stand(self):
        line = refused("pose", WORK / "truth.npz", "-o", WORK / "x.npz", "--feet", "standing", expect=2)
        self.assertIn("free, planted", line)
        self.pose("free.npz", "--networks", "small")
        done = subprocess.run([POSETAPE, "pose", WORK / "me", "-o", WORK / "x.npz", "--fps", "50", "--image-size",
                               ",".join(map(str, TRUTH["image_size"])), "--networks", "small", "--feet",
                               "planted"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("has no lens", done.stderr)
        # The data set has the lens.
        for name, options in (("free", ()), ("stand", ("--feet", "planted")),
                              ("again", ("--feet", "planted", "--threads", 1))):
            out, _ = run("pose", WORK / "truth.npz", "-o", WORK / f"{name}.npz", "--networks", "small", *options)
            self.assertEqual("feet slide (mm/frame)" in out, name != "free")
        self.assertEqual((WORK / "stand.npz").read_bytes(), (WORK / "again.npz").read_bytes())
        down = slid = 0
        with np.load(WORK / "free.npz") as free, np.load(WORK / "stand.npz") as file:
            self.assertEqual(json.loads(bytes(file["metadata"]))["refined_3d"]["feet"], "planted")
            for clip in (n.removesuffix("/refined_root") for n in file.files if n.endswith("refined_root")):
                before, poses = (f[f"{clip}/refined_3d"].astype(float) for f in (free, file))
                root = file[f"{clip}/refined_root"].astype(float)[:, None]
                others = [j for j in range(17) if j not in (2, 3, 5, 6)]
                np.testing.assert_array_equal(poses[:, others], before[:, others])
                for i, foot in enumerate((3, 6)):
                    stands = file[f"{clip}/feet_down"][:, i] > 0
                    pairs = stands[1:] & stands[:-1]
                    step = np.linalg.norm(np.diff((root + poses)[:, foot], axis=0), axis=-1)
                    self.assertLess(step[pairs].max(initial=0), 1e-3)
                    slid += np.linalg.norm(np.diff((root + before)[:, foot], axis=0), axis=-1)[pairs].sum()
                    down += pairs.sum()
                    for j in (foot - 1, foot):
                        bone = [np.linalg.norm(p[:, j] - p[:, j - 1], axis=-1) for p in (before, poses)]
                        np.testing.assert_allclose(*bone, rtol=1e-5)
        self.assertGreater(down, 20)
        self.assertGreater(slid / down, 1e-3)  # so there was something to do
        # An export goes the person's way.
        run("export", WORK / "stand.npz", "-o", WORK / "stand.json", "--format", "json")
        with np.load(WORK / "stand.npz") as file:
            first = json.loads((WORK / "stand.json").read_text())["frames"][0]
            np.testing.assert_allclose(first["joints"][0], file[f"{first['sequence']}/refined_root"][0],
                                       atol=1e-6)

    def test_the_mean_with_another_estimate(self):
        lifter = WEIGHTS / "small_lifter.safetensors"
        run("lift", lifter, WORK / "truth.npz", "-o", WORK / "lifted.npz")
        with np.load(WORK / "lifted.npz") as file:
            arrays = dict(file)
            del arrays["metadata"]
        clip = next(n for n in arrays if n.endswith("/noisy_3d"))
        estimate = arrays[clip] + np.random.default_rng(1).normal(0, 0.02, arrays[clip].shape).astype("f4")
        estimate -= estimate[:, :1]
        np.savez(WORK / "other.npz", **{**arrays, clip: estimate})
        run("lift", lifter, WORK / "other.npz", "-o", WORK / "mean.npz", "--with-estimate")
        with np.load(WORK / "mean.npz") as file:
            np.testing.assert_allclose(file[clip], (arrays[clip] + estimate) / 2, atol=1e-6)
            self.assertIn("averaged_with", json.loads(bytes(file["metadata"]))["noisy_3d"])
        self.assertIn("noisy_3d", refused("lift", lifter, WORK / "truth.npz", "-o", WORK / "x.npz",
                                          "--with-estimate"))

    def test_what_cannot_be(self):
        self.assertIn(".bvh", refused("pose", WORK / "me", "-o", WORK / "me.xyz", expect=2))
        line = refused("pose", WORK / "me", "-o", WORK / "never.npz", "--fps", 50)
        self.assertIn("--image-size", line)
        self.assertFalse((WORK / "never.npz").exists())
        for name, words in (("nowhere/me.npz", "make the directory"), ("all.bvh", "--format bvh")):
            run("prepare", "synthetic", "-o", WORK / "two.npz", "--people", 1, "--takes", 1,
                "--seconds", 1, "--cameras", "0,1")
            done = subprocess.run([POSETAPE, "pose", WORK / "two.npz", "-o", WORK / name],
                                  capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stdout), (1, ""))  # before the work
            self.assertIn(words, done.stderr)
        lone = WORK / "alone"
        lone.mkdir()
        (lone / "posetape").write_bytes(Path(POSETAPE).read_bytes())
        (lone / "posetape").chmod(0o755)
        done = subprocess.run([lone / "posetape", "pose", WORK / "me", "-o", WORK / "never.npz"],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("large_lifter.safetensors is neither in ", done.stderr)
        self.assertIn("--lifter FILE", done.stderr)


if __name__ == "__main__":
    POSETAPE = str(Path(sys.argv.pop(1)).resolve())
    WEIGHTS = Path(__file__).resolve().parents[2] / "model/weights"
    with tempfile.TemporaryDirectory() as folder:
        WORK = Path(folder)
        unittest.main(verbosity=1)
