#!/usr/bin/env python3
"""posetape prepare h36m and keypoints on files as VideoPose3D's: h36m_test.py PATH_OF_POSETAPE

The files are written here, by numpy, from made-up motion. Skipped (exit code 77) without numpy.
"""

import json
import os
import pickle
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

KEPT = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]
# World point, camera space (metres), pixel: subject, camera, from the public loaders' formulas.
KNOWN = [
    ("S1", 0, (0, 0, 1), (-0.320303, -0.435265, 5.288662), (443.3168, 421.4839)),
    ("S9", 3, (0.3, -0.2, 0.9), (0.342096, -0.405022, 4.163775), (608.7874, 390.8305)),
    ("S11", 2, (-0.5, 0.4, 1.5), (1.004684, -1.103495, 4.672149), (762.6247, 234.8948)),
]
HIP = {subject: point for subject, _, point, _, _ in KNOWN}


def run(*arguments, expect=0):
    if arguments[0] == "prepare":
        arguments = (*arguments, "--force")  # the bodies are random points
    done = subprocess.run([POSETAPE, *map(str, arguments)], capture_output=True, text=True,
                          timeout=120)
    assert done.returncode == expect, (arguments, done.stdout, done.stderr)
    return done.stdout if expect == 0 else done.stderr


def refused(*arguments):
    error = run("prepare", "h36m", *arguments, "-o", WORK / "refused.npz", expect=1)
    assert error.count("\n") == 1, error
    return error


def motion(subject, frames, seed):
    """(frames, 32, 3) in the world: a body around a hip that does not move."""
    rng = np.random.default_rng(seed)
    body = rng.normal(size=(1, 32, 3)) * 0.2 + rng.normal(size=(frames, 32, 3)) * 0.01
    body[:, 0] = 0
    return (body + np.array(HIP.get(subject, (0, 0, 1)))).astype("f4")


def positions():
    return {
        subject: {
            "Directions 1": motion(subject, 7, 1),
            "WalkingDog": motion(subject, 9, 2),
            **({} if subject == "S11" else {"Directions": motion(subject, 5, 3)}),
        }
        for subject in ("S1", "S5", "S9", "S11")
    }


def exact(clips):
    """Exact projections (frames, 17, 2) by name, as posetape makes them without 2D poses."""
    np.savez(WORK / "exact3d.npz", positions_3d=np.array(clips, dtype=object))
    run("prepare", "h36m", WORK / "exact3d.npz", "-o", WORK / "exact.npz")
    with np.load(WORK / "exact.npz") as file:
        return {n[: -len("/pose_2d")]: file[n] for n in file.files if n.endswith("/pose_2d")}


def keypoints(clips, offset, more=0):
    """What a detector that is always `offset` pixels off sees, with `more` frames at the end."""
    pixels = exact(clips)
    found = {
        subject: {
            action: [
                np.concatenate([pixels[f"{subject}/{action.replace('WalkingDog', 'WalkDog')}/{c}"]
                                + np.float32(offset), np.zeros((more, 17, 2), "f4")])
                for c in range(4)
            ]
            for action in actions
        }
        for subject, actions in clips.items()
    }
    return found


METADATA = {
    "layout_name": "h36m",
    "num_joints": np.int64(17),
    "keypoints_symmetry": [[4, 5, 6, 11, 12, 13], [np.int64(1), 2, 3, 14, 15, 16]],
}


def write(name, **objects):
    path = WORK / name
    wrapped = {key: np.array(value, dtype=object) for key, value in objects.items()}
    np.savez_compressed(path, **wrapped)
    return path


class Prepare(unittest.TestCase):
    def test_known_points(self):
        source = write("a3d.npz", positions_3d=positions())
        out = run("prepare", "h36m", source, "-o", WORK / "known.npz")
        self.assertIn("test subjects: S9, S11", out)
        with np.load(WORK / "known.npz") as file:
            for subject, camera, _, local, pixel in KNOWN:
                name = f"{subject}/Directions 1/{camera}"
                self.assertEqual(file[name + "/pose_3d"].shape, (7, 17, 3))
                np.testing.assert_allclose(file[name + "/pose_3d"][:, 0], [local] * 7, atol=2e-6)
                np.testing.assert_allclose(file[name + "/pose_2d"][:, 0], [pixel] * 7, atol=2e-4)
                self.assertEqual(list(file[name + "/image_size"]),
                                 [1000, 1002 if camera in (0, 3) else 1000])
                self.assertEqual(file[name + "/fps"], 50)
                # Distances are those of the 17 joints that are kept.
                world = positions()[subject]["Directions 1"][:, KEPT].astype(float)
                found = file[name + "/pose_3d"].astype(float)
                np.testing.assert_allclose(np.linalg.norm(found - found[:, :1], axis=-1),
                                           np.linalg.norm(world - world[:, :1], axis=-1), atol=3e-6)
            names = {n.rsplit("/", 1)[0] for n in file.files if n.count("/") == 3}
        self.assertEqual(len(names), 11 * 4)
        self.assertIn("S5/WalkDog/2", names)

    def test_detections_are_cut_and_the_rest_is_said(self):
        clips = positions()
        found = keypoints(clips, 3, more=2)
        del found["S5"]["Directions"]
        found["S4"] = {"Walking": found["S1"]["Directions"]}
        found["S11"]["Directions"] = found["S1"]["Directions"]
        clips["S2"] = {"Walking": motion("S2", 4, 5)}
        three = write("b3d.npz", positions_3d=clips)
        two = write("b2d.npz", positions_2d=found, metadata=METADATA)
        out = run("prepare", "h36m", three, two, "-o", WORK / "b.npz")
        self.assertIn("S5/Directions: left out, it has no 2D poses", out)
        self.assertIn("S2/Walking: left out, its cameras are not public", out)
        self.assertIn("1 clips of 2D poses have no 3D ones", out)
        self.assertIn("S9/WalkDog: 1 takes instead of 2", out)
        self.assertNotIn("S11/Directions", out)
        self.assertIn("2 actions instead of 15", out)
        self.assertIn("train    20 sequences       148 frames (the whole data set: 600 and 1559752)",
                      out)
        self.assertIn("test     20 sequences       148 frames (the whole data set: 236 and 543344)",
                      out)
        self.assertIn("not the whole data set; 2D poses are 4.24 pixels", out)
        with np.load(WORK / "b.npz") as file:
            truth = np.load(WORK / "exact.npz")
            name = "S9/Directions/1/pose_2d"
            np.testing.assert_array_equal(file[name], truth[name] + np.float32(3))
            made_by = json.loads(bytes(file["metadata"]))
        self.assertEqual((made_by["keypoints"], made_by["complete"]), ("b2d.npz", False))

    def test_a_choice_of_cameras_and_subjects(self):
        source = write("c3d.npz", positions_3d=positions())
        out = run("prepare", "h36m", source, "-o", WORK / "c.npz", "--cameras", "2,0",
                  "--subjects", "S1,S5", "--test-subjects", "S5")
        self.assertIn("test subjects: S5", out)
        with np.load(WORK / "c.npz") as file:
            names = [n.rsplit("/", 1)[0] for n in file.files if n.endswith("/pose_2d")]
        self.assertEqual(len(names), 2 * 3 * 2)
        self.assertEqual(names[:2], ["S1/Directions 1/2", "S1/Directions 1/0"])
        self.assertIn("'S7' is not in the data, which has S1, S5, S9, S11",
                      refused(source, "--subjects", "S7"))

    def test_what_does_not_fit_is_refused(self):
        clips = positions()
        three = write("d3d.npz", positions_3d=clips)

        def two(found):
            return write("d2d.npz", positions_2d=found, metadata=METADATA)

        found = keypoints(clips, 0)
        found["S1"]["Directions"][3] = found["S1"]["Directions"][3][:-1]
        line = refused(three, two(found))
        for part in ("d2d.npz: S1/Directions, camera 3", "4 frames for 5"):
            self.assertIn(part, line)
        found = keypoints(clips, 0)
        found["S1"]["Directions"].pop()
        self.assertIn("4 cameras, found 3", refused(three, two(found)))
        found = keypoints(clips, 0)
        found["S1"]["Directions"][0] = found["S1"]["Directions"][0][:, :16]
        self.assertIn("17 joints of Human3.6M, found 16", refused(three, two(found)))
        found = keypoints(clips, 0)
        found["S1"]["Directions"][0] = np.zeros((5, 17, 3), "f4")
        self.assertIn("(frames, joints, 2), found (5, 17, 3)", refused(three, two(found)))
        # Cameras in another order.
        found = {s: {a: v[::-1] for a, v in actions.items()}
                 for s, actions in keypoints(clips, 0).items()}
        self.assertIn("pixels from where the cameras see", refused(three, two(found)))
        self.assertIn("no such array", refused(three, three))

        clips["S1"]["Directions"] = clips["S1"]["Directions"] * 1000
        self.assertIn("divide millimetres", refused(write("d3d.npz", positions_3d=clips)))
        clips["S1"]["Directions"] = np.zeros((5, 17, 3), "f4")
        self.assertIn("32, 3)", refused(write("d3d.npz", positions_3d=clips)))
        clips["S1"]["Directions"] = np.full((5, 32, 3), np.nan, "f4")
        self.assertIn("NaN", refused(write("d3d.npz", positions_3d=clips)))
        clips["S1"]["Directions"] = [1, 2]
        self.assertIn("expected a numpy array, found a list",
                      refused(write("d3d.npz", positions_3d=clips)))
        self.assertIn("no subject of Human3.6M",
                      refused(write("d3d.npz", positions_3d={"video": {}})))
        np.savez(WORK / "d3d.npz", positions_3d=np.zeros(3))
        self.assertIn("expected Python objects", refused(WORK / "d3d.npz"))

    def test_keypoints_of_own_videos(self):
        rng = np.random.default_rng(1)
        poses = (rng.random((6, 17, 2)) * 500 + 10).astype("f4")  # COCO's order
        poses[2, 0] = np.nan
        metadata = {"layout_name": "coco", "num_joints": 17,
                    "keypoints_symmetry": [[1, 3, 5, 7, 9, 11, 13, 15], [2, 4, 6, 8, 10, 12, 14, 16]],
                    "video_metadata": {"dance.mp4": {"w": 1920, "h": 1080}}}
        source = write("own.npz", positions_2d={"dance.mp4": {"custom": [poses]}}, metadata=metadata)
        out = run("prepare", "keypoints", source, "-o", WORK / "own_out.npz", "--fps", 30)
        self.assertIn("dance.mp4/custom/0: interpolated 1 of 102 joints", out)
        with np.load(WORK / "own_out.npz") as file:
            found = file["dance.mp4/custom/0/pose_2d"]
            self.assertEqual(list(file["dance.mp4/custom/0/image_size"]), [1920, 1080])
            self.assertEqual(file["dance.mp4/custom/0/fps"], 30)
        np.testing.assert_array_equal(found[:, 13], poses[:, 9])
        np.testing.assert_allclose(found[:, 0], (poses[:, 11] + poses[:, 12]) / 2, rtol=1e-6)
        np.testing.assert_allclose(found[2, 9], (poses[1, 0] + poses[3, 0]) / 2, rtol=1e-6)

        def refused_keypoints(path, *options):
            return run("prepare", "keypoints", path, "-o", WORK / "no.npz", *options, expect=1)

        self.assertIn("26 joints, found 17", refused_keypoints(source, "--layout", "halpe"))
        del metadata["video_metadata"], metadata["layout_name"]
        source = write("own.npz", positions_2d={"dance.mp4": {"custom": [poses]}}, metadata=metadata)
        self.assertIn("--layout", refused_keypoints(source))
        self.assertIn("--image-size", refused_keypoints(source, "--layout", "coco"))
        run("prepare", "keypoints", source, "-o", WORK / "own_out.npz", "--layout", "coco",
            "--image-size", "640,480")

    def test_one_array_in_many_places_does_not_fill_the_memory(self):
        array = motion("S1", 100, 1)
        clips = {f"S{i}": {f"A{j}": array for j in range(1000)} for i in range(50)}
        self.assertIn("occurs in too many places", refused(write("e3d.npz", positions_3d=clips)))

    def test_no_code_is_run(self):
        class Evil:
            def __reduce__(self):
                return os.system, (f"touch {WORK}/marker",)

        line = refused(write("f3d.npz", positions_3d={"S1": Evil()}))
        self.assertIn("system', which is refused", line)
        self.assertFalse((WORK / "marker").exists())
        pickle.loads(pickle.dumps(Evil()))  # the file is as bad as it is meant to be
        self.assertTrue((WORK / "marker").exists())


if __name__ == "__main__":
    POSETAPE = os.path.abspath(sys.argv.pop(1))
    with tempfile.TemporaryDirectory() as folder:
        WORK = Path(folder)
        unittest.main(verbosity=1)
