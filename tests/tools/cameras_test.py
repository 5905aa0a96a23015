"""Cameras, joints, detectors, frame rates and windows from outside: cameras_test.py PATH_OF_POSETAPE

Skipped (exit code 77) without numpy.
"""

import json
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

POSETAPE = str(Path(sys.argv.pop(1)).resolve())
WORK = None
SIZE = "--frames 9 --width 16 --depth 1 --heads 2 --batch 8 --epochs 1 --folds 0 --threads 2".split()
MOTION = "--people 3 --takes 1 --seconds 1".split()


def run(*arguments, expect=0):
    done = subprocess.run([POSETAPE, *map(str, arguments)], capture_output=True, text=True,
                          timeout=300, cwd=WORK)
    assert done.returncode == expect, (arguments, done.stdout, done.stderr)
    return done


def refused(*arguments, code=1):
    error = run(*arguments, expect=code).stderr
    assert code == 2 or error.count("\n") == 1, error
    return error


def arrays(name):
    with np.load(WORK / name) as file:
        return {key: file[key] for key in file.files}


def metadata(name):
    return json.loads(arrays(name)["metadata"].tobytes())


def convention(name):
    """What a checkpoint says of the poses it was trained on."""
    data = (WORK / name).read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return json.loads(header["__metadata__"]["convention"])


def setUpModule():
    run("prepare", "synthetic", "-o", "data.npz", *MOTION, "--cameras", 0)
    run("prepare", "synthetic", "-o", "random.npz", *MOTION, "--cameras", "random:2", "--detector", "gt")
    run("train", "lifter", "data.npz", "-o", "lifter.safetensors", *SIZE)


class Cameras(unittest.TestCase):
    def test_random_cameras_see_the_person_and_are_stored(self):
        file = arrays("random.npz")
        clips = {name[: -len("/pose_2d")] for name in file if name.endswith("/pose_2d")}
        self.assertEqual({clip.split("/")[-1] for clip in clips}, {"random0", "random1"})
        inside = []
        for clip in clips:
            width, height = file[clip + "/image_size"]
            pose = file[clip + "/pose_2d"]
            inside.append(((pose >= 0) & (pose < [width, height])).all(-1).mean())
            fx, fy, cx, cy, k1, k2, p1, p2, k3 = file[clip + "/intrinsics"]
            point = file[clip + "/pose_3d"].astype(float)
            x, y = point[..., 0] / point[..., 2], point[..., 1] / point[..., 2]
            r2 = x * x + y * y
            radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
            u = fx * (x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)) + cx
            v = fy * (y * radial + 2 * p2 * x * y + p1 * (r2 + 2 * y * y)) + cy
            np.testing.assert_allclose(pose, np.stack([u, v], -1), atol=2e-2)
            # Everybody stands upright: the head is up.
            up = file[clip + "/up"]
            self.assertAlmostEqual(np.linalg.norm(up), 1)
            self.assertGreater(np.mean((point[:, 10] - point[:, 3]) @ up), 0.5)
        self.assertGreater(min(inside), 0.8)
        self.assertGreater(np.mean(inside), 0.95)
        self.assertEqual(metadata("random.npz")["random_cameras"], 2)

    def test_cameras_are_a_matter_of_seed_and_name_alone(self):
        more = ["prepare", "synthetic", *MOTION, "--detector", "gt", "--cameras"]
        run(*more, "3,random:1", "--threads", 1, "-o", "mixed.npz")
        run(*more, "random", "--seed", 5, "-o", "seed.npz")
        first, mixed, seed = arrays("random.npz"), arrays("mixed.npz"), arrays("seed.npz")
        clip = "P1/walk_1/random0/pose_2d"
        np.testing.assert_array_equal(first[clip], mixed[clip])
        self.assertIn("P1/walk_1/3/pose_2d", mixed)
        self.assertIn("P1/walk_1/3/intrinsics", mixed)
        self.assertFalse(np.array_equal(first[clip], seed[clip]))

    def test_the_four_cameras_are_what_they_were(self):
        names = {name.split("/")[-1] for name in arrays("data.npz")}
        self.assertEqual(names, {"pose_2d", "pose_3d", "image_size", "fps", "test_subjects",
                                 "metadata"})

    def test_wrong_cameras_are_refused(self):
        for text in ("4", "-1", "random:0", "random:", "randomly", "x", "0,0"):
            run("prepare", "synthetic", "-o", "o.npz", *MOTION, f"--cameras={text}",
                expect=1 if text == "0,0" else 2)

    def test_own_cameras_film_and_lift(self):
        (WORK / "cameras.json").write_text(json.dumps({"cameras": [
            {"name": "left", "size": [1280, 720], "focal": 900, "radial": [-0.05, 0, 0],
             "rotation": [[1, 0, 0], [0, 0, -1], [0, 1, 0]], "position": [0, -5, 1.2]}]}))
        run("prepare", "synthetic", "-o", "own.npz", *MOTION, "--camera", "cameras.json",
            "--detector", "gt")
        file = arrays("own.npz")
        np.testing.assert_allclose(file["P1/walk_1/left/up"], [0, -1, 0], atol=1e-12)
        self.assertEqual(metadata("own.npz")["own_cameras"], ["left"])
        np.testing.assert_allclose(file["P1/walk_1/left/pose_3d"][:, 0, 2].mean(), 4, atol=1)
        # Lifting through a level camera is turned back to the camera that filmed.
        run("lift", "lifter.safetensors", "own.npz", "-o", "lifted.npz", "--camera", "cameras.json")
        run("lift", "lifter.safetensors", "own.npz", "-o", "other.npz", "--intrinsics",
            "900,900,640,360,-0.05,0,0,0", "--up=0,-1,0")
        name = "P1/walk_1/left/noisy_3d"
        np.testing.assert_allclose(arrays("lifted.npz")[name], arrays("other.npz")[name], atol=1e-5)
        np.testing.assert_array_equal(arrays("lifted.npz")["P1/walk_1/left/pose_2d"],
                                      file["P1/walk_1/left/pose_2d"])
        self.assertIn("no camera", refused("lift", "lifter.safetensors", "random.npz", "-o", "o.npz",
                                           "--camera", self.two_cameras()))
        self.assertIn("needs --intrinsics", refused("lift", "lifter.safetensors", "own.npz", "-o",
                                                    "o.npz", "--up", "0,-1,0"))
        (WORK / "lens.json").write_text('{"cameras": [{"size": [9, 9], "focal": 9}]}')
        self.assertIn("rotation", refused("prepare", "synthetic", "-o", "o.npz", *MOTION, "--camera",
                                          "lens.json"))

    def two_cameras(self):
        one = {"size": [9, 9], "focal": 9}
        (WORK / "two.json").write_text(json.dumps({"cameras": [dict(one, name=n) for n in "ab"]}))
        return "two.json"

    def test_a_network_trained_on_rays_needs_them(self):
        run("train", "lifter", "random.npz", "-o", "rays.safetensors", *SIZE, "--normalise", "rays")
        self.assertEqual(convention("rays.safetensors")["normalisation"], "rays")
        run("lift", "rays.safetensors", "random.npz", "-o", "lifted.npz")
        self.assertIn("--camera FILE", refused("lift", "rays.safetensors", "data.npz", "-o", "o.npz"))
        self.assertIn("--camera FILE", refused("train", "lifter", "data.npz", "-o", "o.safetensors",
                                               *SIZE, "--normalise", "rays"))
        # The whole job goes on: a refiner on rays, its result and a look inside.
        refiner = [*SIZE[:12], "--threads", 2]
        run("train", "refiner", "lifted.npz", "-o", "refiner.safetensors", *refiner, "--normalise",
            "rays")
        run("refine", "refiner.safetensors", "lifted.npz", "-o", "refined.npz")
        run("inspect", "refiner.safetensors", "lifted.npz", "-o", "taps.npz", "--sequence",
            "P1/walk_1/random0")
        self.assertTrue(np.isfinite(arrays("refined.npz")["P1/walk_1/random0/refined_3d"]).all())


class Normalisation(unittest.TestCase):
    def test_checkpoints_say_what_they_were_trained_on(self):
        self.assertEqual(convention("lifter.safetensors"),
                         {"normalisation": "longer-side", "fps": 50.0, "joints": "skeleton"})

    def test_images_that_are_not_upright_train_to_the_same_weights(self):
        run("train", "lifter", "data.npz", "-o", "width.safetensors", *SIZE, "--normalise", "width")
        a, b = ((WORK / name).read_bytes() for name in ("lifter.safetensors", "width.safetensors"))
        start = [8 + int.from_bytes(data[:8], "little") for data in (a, b)]
        self.assertEqual(a[start[0] :], b[start[1] :])

    def test_a_clip_upright_is_a_clip_in_a_square(self):
        file = arrays("data.npz")
        upright, square = dict(file), dict(file)
        for name in file:
            if name.endswith("/image_size"):
                upright[name] = np.array([600, 1000], "i4")
                square[name] = np.array([1000, 1000], "i4")
            if name.endswith("/pose_2d"):
                upright[name] = file[name] * np.float32(0.5)
                square[name] = upright[name] + np.array([200, 0], "f4")
        np.savez(WORK / "upright.npz", **upright)
        np.savez(WORK / "square.npz", **square)
        for name in ("upright", "square"):
            run("lift", "lifter.safetensors", f"{name}.npz", "-o", f"{name}_lifted.npz")
        a, b = arrays("upright_lifted.npz"), arrays("square_lifted.npz")
        clip = "P2/walk_1/0/"
        np.testing.assert_allclose(a[clip + "noisy_3d"], b[clip + "noisy_3d"], atol=1e-5)
        np.testing.assert_array_equal(a[clip + "pose_2d"], upright[clip + "pose_2d"])


class Rates(unittest.TestCase):
    def test_clips_are_resampled_and_results_come_back(self):
        run("prepare", "synthetic", "-o", "fast.npz", *MOTION, "--cameras", 0, "--fps", 100,
            "--detector", "gt")
        run("prepare", "synthetic", "-o", "slow.npz", *MOTION, "--cameras", 0, "--detector", "gt")
        # Exact 2D poses are none of a detector's, which the lifter was trained on.
        alike = {"lifter.safetensors: note: 24 of 24 sequences lie outside of what the network was "
                 "trained on"}

        def other(said):
            return [line for line in said.splitlines() if line.split(", and may")[0] not in alike]
        done = run("lift", "lifter.safetensors", "fast.npz", "-o", "fast_lifted.npz")
        self.assertIn("resampled", done.stderr)
        said = run("lift", "lifter.safetensors", "slow.npz", "-o", "slow_lifted.npz").stderr
        self.assertEqual(other(said), [])
        name = "P2/walk_1/0/noisy_3d"
        fast, slow = arrays("fast_lifted.npz")[name], arrays("slow_lifted.npz")[name]
        self.assertEqual(len(fast), len(arrays("fast.npz")["P2/walk_1/0/pose_2d"]))
        # The same motion at the same instants.
        both = len(slow) - 9  # the last window of the one begins half a frame after the other's
        np.testing.assert_allclose(fast[::2][:both], slow[:both], atol=5e-3)
        kept = run("lift", "lifter.safetensors", "fast.npz", "-o", "kept.npz", "--keep-rate")
        self.assertNotIn("resampled", kept.stderr)
        self.assertFalse(np.allclose(arrays("kept.npz")[name], fast, atol=1e-4))
        # Protocols take frames as they are.
        self.assertNotIn("resampled", run("lift", "lifter.safetensors", "fast.npz", "-o", "kept.npz",
                                          "--protocol", "mixste-seq2seq").stderr)

    def test_inspection_is_of_the_frames_that_the_network_sees(self):
        run("lift", "lifter.safetensors", "data.npz", "-o", "lifted.npz")
        size = [o for o in SIZE if o not in ("--folds", "0")]
        run("train", "refiner", "lifted.npz", "-o", "refiner.safetensors", *size)
        file = arrays("lifted.npz")
        for name in list(file):
            if name.endswith("/fps"):
                file[name] = np.float32(100)
        np.savez(WORK / "fast.npz", **file)
        done = run("inspect", "refiner.safetensors", "fast.npz", "-o", "taps.npz")
        self.assertIn("100 frames a second, resampled to the 50 of", done.stderr)
        self.assertEqual(len(arrays("taps.npz")["step.1.x_k"]), 25 + 1)
        run("report", "fast.npz", "refiner.safetensors", "-o", "report.html")

    def test_an_unknown_rate_is_said(self):
        file = {name: value for name, value in arrays("data.npz").items()
                if not name.endswith("/fps")}
        np.savez(WORK / "unknown.npz", **file)
        done = run("lift", "lifter.safetensors", "unknown.npz", "-o", "lifted.npz")
        self.assertIn("don't say their frame rate", done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1)
        self.assertNotIn("P2/walk_1/0/fps", arrays("lifted.npz"))


class Joints(unittest.TestCase):
    def test_definitions_are_stated_and_compared(self):
        common = ["prepare", "synthetic", *MOTION, "--cameras", 0, "--detector", "gt"]
        run(*common, "-o", "keypoints.npz", "--joints", "keypoints")
        file = arrays("keypoints.npz")
        self.assertEqual(metadata("keypoints.npz")["joints"], "keypoints")
        pose = file["P1/walk_1/0/pose_3d"]
        np.testing.assert_allclose(pose[:, 0], (pose[:, 1] + pose[:, 4]) / 2, atol=1e-5)
        np.testing.assert_allclose(pose[:, 8], (pose[:, 11] + pose[:, 14]) / 2, atol=1e-5)
        np.testing.assert_allclose(pose[:, 7], (pose[:, 0] + pose[:, 8]) / 2, atol=1e-5)
        warned = run("lift", "lifter.safetensors", "keypoints.npz", "-o", "lifted.npz").stderr
        self.assertIn("warning", warned)
        self.assertIn("'keypoints'", warned)
        self.assertEqual(warned.count("warning"), 1)
        run("train", "lifter", "keypoints.npz", "-o", "keypoints.safetensors", *SIZE)
        self.assertEqual(convention("keypoints.safetensors")["joints"], "keypoints")
        self.assertEqual(run("lift", "keypoints.safetensors", "keypoints.npz", "-o",
                             "lifted.npz").stderr, "")


class Detectors(unittest.TestCase):
    def test_parts_are_chosen_by_name(self):
        common = ["prepare", "synthetic", *MOTION, "--cameras", 0]
        run(*common, "-o", "exact.npz", "--detector", "gt")
        exact = arrays("exact.npz")["P1/walk_1/0/pose_2d"]
        for detector in ("openpose", "mediapipe"):
            run(*common, "-o", "seen.npz", "--detector", detector)
            seen = arrays("seen.npz")
            off = np.linalg.norm(seen["P1/walk_1/0/pose_2d"] - exact, axis=-1)
            self.assertGreater(np.median(off), 1)
            self.assertEqual(seen["P1/walk_1/0/confidence"].shape, exact.shape[:2])
        run(*common, "-o", "seen.npz", "--detector", "openpose", "--detector-parts", "bias")
        seen = arrays("seen.npz")
        self.assertNotIn("P1/walk_1/0/confidence", seen)
        self.assertEqual(metadata("seen.npz")["detector_parts"], ["bias"])
        self.assertLess(np.linalg.norm(seen["P1/walk_1/0/pose_2d"] - exact, axis=-1).max(), 60)
        self.assertIn("has no parts", refused(*common, "-o", "o.npz", "--detector-parts", "bias"))
        self.assertIn("hips, bias", refused(*common, "-o", "o.npz", "--detector", "openpose",
                                            "--detector-parts", "noise"))


class Confidence(unittest.TestCase):
    def test_networks_are_given_it_where_they_were_trained_with_it(self):
        run("prepare", "synthetic", "-o", "seen.npz", *MOTION, "--cameras", 0, "--detector",
            "openpose")
        run("train", "lifter", "seen.npz", "-o", "plain.safetensors", *SIZE)
        run("train", "lifter", "seen.npz", "-o", "sure.safetensors", *SIZE, "--confidence")
        run("lift", "sure.safetensors", "seen.npz", "-o", "lifted.npz")
        size = [o for o in SIZE if o not in ("--folds", "0")]
        run("train", "refiner", "lifted.npz", "-o", "refiner.safetensors", *size, "--confidence",
            "--states", "rollout")
        file = arrays("lifted.npz")
        name = next(n[: -len("/confidence")] for n in file if n.endswith("/confidence"))
        changed, unknown = dict(file), dict(file)
        changed[name + "/confidence"] = np.ones_like(file[name + "/confidence"])
        for clip in list(unknown):
            if clip.endswith("/confidence"):
                del unknown[clip]
        for path, content in (("changed.npz", changed), ("unknown.npz", unknown)):
            np.savez(WORK / path, **content)
        for command, checkpoint, field, differs in (
                ("lift", "plain.safetensors", "noisy_3d", False),
                ("lift", "sure.safetensors", "noisy_3d", True),
                ("refine", "refiner.safetensors", "refined_3d", True)):
            out = {}
            for path in ("lifted.npz", "changed.npz", "unknown.npz"):
                run(command, checkpoint, path, "-o", "out.npz", "--quiet")
                out[path] = arrays("out.npz")[f"{name}/{field}"]
            self.assertNotEqual(np.array_equal(out["lifted.npz"], out["changed.npz"]), differs)
            # Where nothing is known it is 1.
            np.testing.assert_array_equal(out["changed.npz"], out["unknown.npz"])
        # A training goes on with what it was started with.
        more = [{"--epochs": "2"}.get(before, o) for before, o in zip([None, *SIZE], SIZE)]
        run("train", "lifter", "seen.npz", "-o", "sure.safetensors", *more, "--confidence",
            "--resume")
        error = run("train", "lifter", "seen.npz", "-o", "sure.safetensors", *more, "--resume",
                    expect=1).stderr
        self.assertIn("was started with --confidence, now --no-confidence", error)
        for options in ((), ("--window", 2)):
            run("inspect", "refiner.safetensors", "lifted.npz", "--sequence", name, "-o", "taps.npz",
                *options)
            taps = arrays("taps.npz")
            self.assertEqual(taps[name + "/confidence"].shape, taps[name + "/pose_2d"].shape[:2])
        sure = file[name + "/confidence"]
        np.testing.assert_array_equal(taps[name + "/confidence"], sure[18 : 18 + 9])
        run("report", "lifted.npz", "refiner.safetensors", "-o", "report.html")


class Windows(unittest.TestCase):
    def test_no_seams_by_default(self):
        name = "P2/walk_1/0/noisy_3d"

        def lift(*options):
            run("lift", "lifter.safetensors", "data.npz", "-o", "w.npz", *options)
            return arrays("w.npz")[name], metadata("w.npz")["noisy_3d"]["windows"]

        smooth, made = lift()
        self.assertEqual(made, "9 frames every 4, overlaps averaged by a raised cosine")
        np.testing.assert_array_equal(lift("--stride", 4)[0], smooth)
        plain, made = lift("--stride", 4, "--overlap", "average")
        self.assertEqual(made, "9 frames every 4, overlaps averaged")
        self.assertFalse(np.array_equal(plain, smooth))
        apart, made = lift("--stride", 9)
        self.assertIn("every 9, the last ends with the clip", made)
        self.assertIn("every 9", lift("--protocol", "mixste-seq2seq")[1])

        def jump(poses):
            second = np.linalg.norm(poses[2:] - 2 * poses[1:-1] + poses[:-2], axis=-1).mean(-1)
            middle = np.arange(1, len(poses) - 1)
            at_seam = np.isin(middle % 9, (0, 8))
            return second[at_seam].mean() / second[~at_seam].mean()

        self.assertLess(jump(smooth), jump(apart))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        WORK = Path(folder)
        unittest.main(verbosity=1)
