#!/usr/bin/env python3
"""Features that are each tested alone, together: combinations_test.py PATH_OF_POSETAPE

What one command leaves is what the next one needs, in every space, at every rate and under every protocol;
what can't be together is refused, and nothing that was asked for is left out without a word. Skipped
(exit code 77) without numpy.
"""

import base64
import json
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
SIZE = "--frames 9 --width 16 --depth 1 --heads 2 --epochs 1 --batch 8".split()
CLIP = "P4/walk_1/random0"  # seen from above, so that a level camera sees it turned
PAPER = "--recipe paper --force --quiet".split()


def run(*arguments, expect=0):
    done = subprocess.run([POSETAPE, *map(str, arguments)], capture_output=True, text=True, timeout=300,
                          cwd=WORK)
    assert done.returncode == expect, (arguments, done.stdout, done.stderr)
    return done.stdout, done.stderr


def refused(*arguments, expect=1):
    _, error = run(*arguments, expect=expect)
    assert expect == 2 or error.count("\n") == 1, error
    return error


def arrays(name):
    with np.load(WORK / name) as file:
        return {key: file[key] for key in file.files}


def save(name, content):
    np.savez(WORK / name, **content)
    return name


def about(name, field):
    return json.loads(bytes(arrays(name)["metadata"])).get(field)


def page_of(name):
    text = (WORK / name).read_text("utf-8")
    return json.loads(re.search(r'<script type="application/json"[^>]*>(.*?)</script>', text)[1])


def poses_of(text):
    """Poses as the page stores them: differences in zigzag varints of a quarter of a millimetre."""
    values, value, shift = [], 0, 0
    for byte in base64.b64decode(text):
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            values.append((value >> 1) ^ -(value & 1))
            value, shift = 0, 0
    return np.cumsum(np.reshape(values, (-1, 51)), axis=0).reshape(-1, 17, 3) * 0.00025


def setUpModule():
    run("prepare", "synthetic", "-o", "data.npz", "--people", 4, "--takes", 1, "--seconds", 1,
        "--cameras", "0,random", "--joints", "keypoints", "--detector", "openpose")
    run("train", "lifter", "data.npz", "-o", "lifter.safetensors", *SIZE)
    run("lift", "lifter.safetensors", "data.npz", "-o", "lifted.npz", "--quiet")
    for name, options in (("refiner", []), ("rays", ["--normalise", "rays"])):
        run("train", "refiner", "lifted.npz", "-o", f"{name}.safetensors", *SIZE, *options)
    run("train", "uncertainty", "refiner.safetensors", "lifted.npz", "-o", "sure.safetensors", "--epochs", 1)


class Inspecting(unittest.TestCase):
    def test_results_are_in_the_space_of_the_file(self):
        run("refine", "rays.safetensors", "lifted.npz", "-o", "refined.npz", *PAPER)
        refined = arrays("refined.npz")[f"{CLIP}/refined_3d"]
        run("inspect", "rays.safetensors", "lifted.npz", "-o", "whole.npz", "--sequence", CLIP, "--force")
        whole = arrays("whole.npz")
        np.testing.assert_array_equal(whole[f"{CLIP}/refined_3d"], refined)
        # Its arrays are in the network's, and it says how that is turned.
        rotation = np.array(about("whole.npz", "inspect")["rotation"])
        self.assertGreater(np.degrees(np.arccos((np.trace(rotation) - 1) / 2)), 5)
        np.testing.assert_allclose(whole["refined"] @ rotation, refined, atol=1e-6)
        # A window is that of the clip, and not of a clip of its own that a camera levels anew.
        run("inspect", "rays.safetensors", "lifted.npz", "-o", "window.npz", "--sequence", CLIP, "--force",
            "--window", 2)
        window = arrays("window.npz")
        first = about("window.npz", "inspect")["first_frame"]
        for name in ("refined", "step.1.x_k", "step.2.x_hat", f"{CLIP}/refined_3d", f"{CLIP}/noisy_3d"):
            np.testing.assert_array_equal(window[name], whole[name][first:first + 9], name)

    def test_what_was_refined_before_goes(self):
        run("refine", "sure.safetensors", "lifted.npz", "-o", "before.npz", "--quiet", "--force")
        slow = arrays("before.npz")
        slow[f"{CLIP}/fps"] = np.float32(25)
        save("slow.npz", slow)
        for file, options in (("before.npz", []), ("before.npz", ["--window", 1]), ("slow.npz", [])):
            run("inspect", "refiner.safetensors", file, "-o", "inspected.npz", "--sequence", CLIP, "--force",
                *options)
            self.assertEqual([n for n in arrays("inspected.npz") if "/refined" in n], [f"{CLIP}/refined_3d"])
            self.assertIsNone(about("inspected.npz", "refined_3d"))

    def test_pages_draw_one_space(self):
        clip = {name: array for name, array in arrays("lifted.npz").items()
                if name.startswith(CLIP) or "/" not in name}
        save("clip.npz", clip)
        run("report", "clip.npz", "rays.safetensors", "-o", "page.html", "--subjects", "all", "--force")
        run("refine", "rays.safetensors", "clip.npz", "-o", "refined.npz", *PAPER, "--stride", 9)
        refined = arrays("refined.npz")[f"{CLIP}/refined_3d"]
        run("inspect", "rays.safetensors", "clip.npz", "-o", "inspected.npz", "--force")
        run("report", "inspected.npz", "-o", "inspected.html", "--force")
        for page, frames in (("page.html", 9), ("inspected.html", 50)):
            path, = page_of(page)["diffusion"]["paths"]
            first, count = path["first_frame"], path["frames"]
            self.assertEqual(count, frames)
            last = poses_of(path["states"][-1]["x0"])
            np.testing.assert_allclose(last[:, 1:], refined[first:first + count, 1:], atol=2e-4)
            truth = clip[f"{CLIP}/pose_3d"][first:first + count]
            np.testing.assert_allclose(poses_of(path["truth"]), truth - truth[:, :1], atol=5e-4)

    def test_figures_of_the_noise_are_of_what_the_network_sees(self):
        file = arrays("lifted.npz")
        upright, square = dict(file), dict(file)
        for name in file:
            if not name.endswith("/image_size"):
                continue
            clip = name[: -len("/image_size")]
            upright[name] = np.array([600, 1000], np.int32)
            square[name] = np.array([1000, 1000], np.int32)
            upright[f"{clip}/pose_2d"] = file[f"{clip}/pose_2d"] - np.float32([200, 0])
            square[f"{clip}/pose_2d"] = upright[f"{clip}/pose_2d"] + np.float32([200, 0])
        noise = []
        for name, content in (("upright", upright), ("square", square)):
            run("report", save(f"{name}.npz", content), "refiner.safetensors", "-o", "page.html", "--force")
            noise.append(page_of("page.html")["noise"])
        self.assertGreater(noise[0]["scored"], 0)
        self.assertEqual(*noise)


class Companions(unittest.TestCase):
    """What lies beside poses is of these poses."""

    def test_a_new_base_has_no_results_of_the_old(self):
        run("refine", "sure.safetensors", "lifted.npz", "-o", "before.npz", "--quiet", "--force")
        self.assertIn(f"{CLIP}/refined_std", arrays("before.npz"))
        run("lift", "lifter.safetensors", "before.npz", "-o", "again.npz", "--quiet")
        self.assertEqual([name for name in arrays("again.npz") if "/refined" in name], [])
        self.assertIsNone(about("again.npz", "refined_3d"))

    def test_last_windows_are_made_as_the_others(self):
        for options in ([], ["--with-estimate"]):
            run("lift", "lifter.safetensors", "lifted.npz", "-o", f"windows{len(options)}.npz", "--protocol",
                "mixste-seq2seq", "--quiet", *options)
        estimate = arrays("lifted.npz")[f"{CLIP}/noisy_3d"][-9:]
        own, mean = (arrays(f"windows{i}.npz")[f"{CLIP}/noisy_3d_last_window"] for i in (0, 1))
        np.testing.assert_allclose(mean, (own + estimate - estimate[:, :1]) / 2, atol=1e-7)
        for options in (["--filter", "savitzky-golay"], ["--bone-lengths", "constant"], ["--feet", "planted"]):
            self.assertIn(f"{options[0]}", refused(
                "refine", "refiner.safetensors", "windows0.npz", "-o", "no.npz", "--force", "--quiet",
                "--protocol", "mixste-seq2seq", *options))

    def test_a_head_learns_from_the_windows_that_poses_come_of(self):
        # Under a paper's protocol frames are taken as they are, at any rate.
        slow = arrays("lifted.npz")
        for name in slow:
            if name.endswith("/fps"):
                slow[name] = slow[name] / 2
        save("slow.npz", slow)
        run("train", "uncertainty", "refiner.safetensors", "slow.npz", "-o", "slow.safetensors", "--epochs", 1,
            "--protocol", "stcformer-centre", "--force", "--residuals", "residuals.safetensors")
        data = (WORK / "residuals.safetensors").read_bytes()
        header = json.loads(data[8:8 + int.from_bytes(data[:8], "little")])
        frames = sum(tensor["shape"][0] for name, tensor in header.items() if name != "__metadata__")
        clips = sum(name.endswith("/pose_2d") and name[:2] == "P2" for name in slow)
        self.assertEqual(frames, clips * len(range(0, 50, 3)))  # ten a second of 25

    def test_the_way_to_pytorch_and_back_keeps_what_weights_do_not_say(self):
        run("train", "lifter", "lifted.npz", "-o", "own.safetensors", *SIZE, "--normalise", "rays", "--step", 2)
        run("convert", "own.safetensors", "-o", "theirs.safetensors")
        out, _ = run("convert", "theirs.safetensors", "-o", "back.safetensors")
        self.assertIn("windows of 9 frames, 2 apart", out)
        poses = []
        for name in ("own", "back"):
            run("lift", f"{name}.safetensors", "lifted.npz", "-o", "out.npz", "--quiet", "--force")
            poses.append(arrays("out.npz")[f"{CLIP}/noisy_3d"])
        np.testing.assert_array_equal(*poses)
        out, _ = run("convert", "theirs.safetensors", "-o", "back.safetensors", "--frames", 27, "--step", 1)
        self.assertIn("windows of 27 frames, 1 apart", out)


class Asked(unittest.TestCase):
    """What is asked for is done, or refused."""

    def test_part_of_the_way(self):
        run("train", "smoothnet", "lifted.npz", "-o", "smooth.safetensors", *SIZE[:2], "--epochs", 1,
            "--width", 16, "--hidden", 8, "--depth", 1)
        made = {}
        for strength in (0, 0.5, 1):
            run("refine", "smooth.safetensors", "lifted.npz", "-o", "out.npz", *PAPER, "--strength", strength)
            made[strength] = arrays("out.npz")[f"{CLIP}/refined_3d"]
        estimate = arrays("lifted.npz")[f"{CLIP}/noisy_3d"]
        np.testing.assert_array_equal(made[0], estimate - estimate[:, :1])
        self.assertGreater(np.abs(made[1] - made[0]).max(), 0.01)
        np.testing.assert_allclose(made[0.5], (made[0] + made[1]) / 2, atol=1e-6)
        # Half of it is for the large refiner that comes along, and not for another one.
        run("pose", "lifted.npz", "-o", "out.npz", "--lifter", "lifter.safetensors", "--refiner",
            "refiner.safetensors", "--force", "--quiet")
        self.assertNotIn("strength", about("out.npz", "refined_3d"))

    def test_filters_and_networks_without_steps_refuse_them(self):
        for option in ("--strength", "--steps", "--stride"):
            self.assertTrue(refused("refine", "lifted.npz", "--control", "one-euro", option, 0.5 if "th" in option
                                    else 3, "-o", "no.npz", expect=2).startswith(f"{option}: a filter"))
        run("train", "refiner", "lifted.npz", "-o", "regression.safetensors", *SIZE, "--objective", "regression")
        for checkpoint, options in (("regression.safetensors", []), ("refiner.safetensors", ["--control", "bias"])):
            self.assertIn("--steps 3: a", refused("refine", checkpoint, "lifted.npz", "-o", "no.npz", "--quiet",
                                                  "--steps", 3, *options))
        self.assertIn("is a regression, and has none", refused("convert", "regression.safetensors", "-o", "no.onnx",
                                                               "--steps", 3))

    def test_a_filter_takes_the_lens_that_is_given(self):
        file = {name: array for name, array in arrays("lifted.npz").items() if "intrinsics" not in name}
        save("no_lens.npz", {n: a for n, a in file.items() if n.startswith("P4/walk_1/0") or "/" not in n})
        run("refine", "no_lens.npz", "-o", "out.npz", "--control", "one-euro", "--feet", "planted", "--intrinsics",
            "1145,1144,512,515", "--force", "--quiet")
        self.assertIn("P4/walk_1/0/refined_root", arrays("out.npz"))

    def test_fewer_folds_than_asked_for_are_said(self):
        folds = ["train", "lifter", "data.npz", "-o", "folds.safetensors", *SIZE, "--folds"]
        _, error = run(*folds, 2)
        self.assertIn("warning: --folds 2: one subject to train on, so that there are none; training sequences are "
                      "lifted by the lifter that knows them", error)
        self.assertNotIn("--folds", run(*folds, 0)[1])

    def test_each_sequence_has_a_file_of_its_own(self):
        file = arrays("lifted.npz")
        renamed = {name: array for name, array in file.items() if "/" not in name}
        for clip, name in ((CLIP, "a/b_c/0"), ("P4/walk_1/0", "a_b/c/0")):
            renamed |= {key.replace(clip, name): array for key, array in file.items() if key.startswith(clip + "/")}
        save("renamed.npz", renamed)
        error = refused("export", "renamed.npz", "-o", "folder", "--format", "bvh", "--field", "noisy_3d", "--force")
        self.assertIn("sequences a/b_c/0 and a_b/c/0 would both be a_b_c_0.bvh", error)
        self.assertIn("has no sequence typo", refused("export", "lifted.npz", "-o", "one.bvh", "--field", "noisy_3d",
                                                      "--sequences", f"{CLIP},typo"))

    def test_what_a_dataset_does_not_say(self):
        networks = ["--lifter", "lifter.safetensors", "--refiner", "refiner.safetensors", "--force", "--quiet"]
        file = arrays("data.npz")
        save("no_rate.npz", {name: array for name, array in file.items() if not name.endswith("/fps")})
        run("pose", "no_rate.npz", "-o", "given.npz", "--fps", 25, *networks)
        slow = {name: np.float32(25) if name.endswith("/fps") else array for name, array in file.items()}
        run("pose", save("slow.npz", slow), "-o", "said.npz", *networks)
        np.testing.assert_array_equal(*(arrays(f"{n}.npz")[f"{CLIP}/refined_3d"] for n in ("given", "said")))
        self.assertIn("has 50 frames a second, as it says; leave --fps 25 out",
                      refused("pose", "data.npz", "-o", "no.npz", "--fps", 25, *networks))
        for option, value in (("--image-size", "100,100"), ("--layout", "coco"), ("--person", 2)):
            self.assertIn(f"{option}: data.npz is a dataset, which says it",
                          refused("pose", "data.npz", "-o", "no.npz", option, value, *networks, expect=2))
        out, _ = run("pose", "data.npz", "-o", "folder", "--format", "bvh", "--report", "page.html", *networks)
        self.assertEqual(out, "")

    def test_options_that_a_conversion_does_not_have(self):
        for command, option in (
                (("lifter.safetensors", "-o", "no.onnx"), ("--step", 2)),
                (("lifter.safetensors", "-o", "no.safetensors"), ("--frames", 27)),
                (("refiner.safetensors", "-o", "no.onnx"), ("--lifter", "fold1"))):
            error = refused("convert", *command, *option)
            self.assertTrue(error.startswith(f"posetape: {option[0]}: ") and "leave it out" in error, error)


if __name__ == "__main__":
    POSETAPE = str(Path(sys.argv[1]).absolute())
    with tempfile.TemporaryDirectory() as folder:
        WORK = Path(folder)
        unittest.main(argv=[sys.argv[0], *sys.argv[2:]])
