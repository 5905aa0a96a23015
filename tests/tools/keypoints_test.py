#!/usr/bin/env python3
"""posetape prepare keypoints and estimates on files in the layouts of other people's tools:
keypoints_test.py PATH_OF_POSETAPE

The files are written here, from one synthetic person who walks; what is read is compared with the
person's joints.
Skipped (exit code 77) without numpy.
"""

import json
import sys
import tempfile
import unittest
from pathlib import Path
from subprocess import run as start

try:
    import numpy as np
except ImportError:
    print("numpy is missing: install python3-numpy")
    sys.exit(77)

POSETAPE = None
WORK = None

FRAMES, WIDTH, HEIGHT, FOCAL = 40, 1920, 1080, 1500.0
H36M = ["hip", "rhip", "rknee", "rankle", "lhip", "lknee", "lankle", "spine", "neck", "nose",
        "top", "lshoulder", "lelbow", "lwrist", "rshoulder", "relbow", "rwrist"]
COCO = ["nose", "leye", "reye", "lear", "rear", "lshoulder", "rshoulder", "lelbow", "relbow",
        "lwrist", "rwrist", "lhip", "rhip", "lknee", "rknee", "lankle", "rankle"]
OPENPOSE = ["nose", "neck", "rshoulder", "relbow", "rwrist", "lshoulder", "lelbow", "lwrist",
            "hip", "rhip", "rknee", "rankle", "lhip", "lknee", "lankle", "reye", "leye", "rear",
            "lear"]
TOES = ["ltoe", "lsmall", "lheel", "rtoe", "rsmall", "rheel"]
LAYOUTS = {
    "h36m": H36M,
    "coco": COCO,
    "coco-18": OPENPOSE[:8] + OPENPOSE[9:],
    "coco-wholebody": COCO + TOES + ["nose"] * 68 + ["lwrist"] * 21 + ["rwrist"] * 21,
    "halpe": COCO + ["top", "neck", "hip", "ltoe", "rtoe", "lsmall", "rsmall", "lheel", "rheel"],
    "openpose": OPENPOSE + TOES,
    "body-25b": COCO + ["nape", "top"] + TOES,
    "mpi-inf-3dhp": ["top", "neck", "rshoulder", "relbow", "rwrist", "lshoulder", "lelbow", "lwrist",
                     "rhip", "rknee", "rankle", "lhip", "lknee", "lankle", "hip", "spine", "nose"],
    "mediapipe": ["nose", "leye", "leye", "leye", "reye", "reye", "reye", "lear", "rear", "nose",
                  "nose", "lshoulder", "rshoulder", "lelbow", "relbow", "lwrist", "rwrist",
                  "lwrist", "rwrist", "lwrist", "rwrist", "lwrist", "rwrist", "lhip", "rhip",
                  "lknee", "rknee", "lankle", "rankle", "lheel", "rheel", "ltoe", "rtoe"],
    "smpl": ["hip", "lhip", "rhip", "low", "lknee", "rknee", "spine", "lankle", "rankle", "high",
             "ltoe", "rtoe", "neck", "lshoulder", "rshoulder", "skull", "lshoulder", "rshoulder",
             "lelbow", "relbow", "lwrist", "rwrist", "lwrist", "rwrist"],
}
MEDIAPIPE_NAMES = """nose left_eye_inner left_eye left_eye_outer right_eye_inner right_eye
right_eye_outer left_ear right_ear mouth_left mouth_right left_shoulder right_shoulder left_elbow
right_elbow left_wrist right_wrist left_pinky right_pinky left_index right_index left_thumb
right_thumb left_hip right_hip left_knee right_knee left_ankle right_ankle left_heel right_heel
left_foot_index right_foot_index""".split()
# The joints that detectors without a landmark of their own have elsewhere.
MIDDLES = {"hip": ("lhip", "rhip"), "neck": ("lshoulder", "rshoulder"), "top": ("leye", "reye"),
           "spine": ("hip", "neck")}


def body(frames=FRAMES):
    """{landmark: (frames, 3)} in a camera's axes: a person who walks 4 m away, half turned."""
    t = np.arange(frames) / 25.0
    swing = np.sin(2 * np.pi * t)
    points = {}

    def put(name, left, up, front):
        zero = np.zeros(frames)
        points[name] = np.stack([left + zero, up + zero, front + zero], -1)

    for side, sign in (("l", 1), ("r", -1)):
        step = sign * swing
        put(side + "hip", 0.13 * sign, 0.92, 0)
        put(side + "knee", 0.12 * sign, 0.5, 0.10 + 0.18 * step)
        put(side + "ankle", 0.11 * sign, 0.09, 0.25 * step)
        put(side + "heel", 0.11 * sign, 0.03, 0.25 * step - 0.06)
        put(side + "toe", 0.11 * sign, 0.02, 0.25 * step + 0.16)
        put(side + "small", 0.15 * sign, 0.02, 0.25 * step + 0.12)
        put(side + "shoulder", 0.18 * sign, 1.42, -0.02)
        put(side + "elbow", 0.22 * sign, 1.15, -0.10 * step)
        put(side + "wrist", 0.24 * sign, 0.93, -0.20 * step + 0.08)
        put(side + "eye", 0.035 * sign, 1.64, 0.09)
        put(side + "ear", 0.075 * sign, 1.62, 0.0)
    put("nose", 0, 1.60, 0.11)
    put("top", 0, 1.75, 0.0)
    put("nape", 0, 1.55, -0.05)
    put("skull", 0, 1.58, 0.01)
    put("low", 0, 1.03, 0.0)
    put("high", 0, 1.3, -0.03)
    turn = 0.5 + 0.3 * np.sin(np.pi * t)
    for name, p in points.items():
        left, up, front = p.T
        x = left * np.cos(turn) + front * np.sin(turn)
        z = 4 + 0.2 * t + left * np.sin(turn) - front * np.cos(turn)
        points[name] = np.stack([x + 0.1 * t, 1.0 - up, z], -1)
    for name in ("hip", "neck", "spine"):
        points[name] = sum(points[p] for p in MIDDLES[name]) / 2
    return points


def pixels(points):
    return {n: np.stack([FOCAL * p[:, 0] / p[:, 2] + WIDTH / 2,
                         FOCAL * p[:, 1] / p[:, 2] + HEIGHT / 2], -1) for n, p in points.items()}


def stacked(points, layout):
    return np.stack([points[n] for n in LAYOUTS[layout]], 1)


def joints(points, layout):
    """The 17 joints that are expected of a layout, from its landmarks alone."""
    have = LAYOUTS[layout]

    def place(name):
        if name in have:
            return points[name]
        if name == "top" and "skull" in have:
            return points["skull"] + 1.2 * (points["skull"] - points["neck"])
        if name == "nose" and "skull" in have:
            return points["skull"]
        return sum(place(p) for p in MIDDLES[name]) / 2

    return np.stack([place(n) for n in H36M], 1)


POINTS = body()
IMAGE = pixels(POINTS)
SIZE = ("--image-size", f"{WIDTH},{HEIGHT}")


def run(*arguments, expect=0):
    done = start([POSETAPE, *map(str, arguments)], capture_output=True, text=True, timeout=120)
    assert done.returncode == expect, (arguments, done.stdout, done.stderr)
    return done.stdout if expect == 0 else done.stderr


def prepare(path, *options, command="keypoints"):
    """The sequences of what was made of a file, {name: {field: array}}, and what was said."""
    out = WORK / "made.npz"
    said = run("prepare", command, path, "-o", out, *options)
    with np.load(out) as file:
        made = {}
        for key in file.files:
            if "/" in key:
                name, field = key.rsplit("/", 1)
                made.setdefault(name, {})[field] = file[key]
    return made, said


def refused(path, *options, command="keypoints"):
    out = WORK / "refused.npz"
    error = run("prepare", command, path, "-o", out, *options, expect=1)
    assert error.count("\n") == 1 and error.startswith("posetape: "), error
    assert not out.exists()
    return error


def person(values, confidence=0.9):
    """x, y, c, x, y, c, ... of one person in a frame."""
    sure = np.broadcast_to(confidence, values.shape[:1])
    rows = np.concatenate([values, sure[:, None]], -1)
    rows[~np.isfinite(rows).all(-1)] = 0
    return [float(v) for v in rows.reshape(-1)]


def openpose_frame(*people):
    return {"version": 1.3, "people": [
        {"person_id": [-1], "pose_keypoints_2d": p, "face_keypoints_2d": [],
         "hand_left_keypoints_2d": [], "hand_right_keypoints_2d": [], "pose_keypoints_3d": []}
        for p in people]}


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def write_openpose(folder, values, name="walk_{:012d}_keypoints.json", skip=(), confidence=0.9):
    for f in range(len(values)):
        if f not in skip:
            write_json(WORK / folder / name.format(f), openpose_frame(person(values[f], confidence)))
    return WORK / folder


def objects(*values):
    """An array of Python objects, as numpy makes it of lists of unequal length."""
    array = np.empty(len(values), object)
    array[:] = values
    return array


class Case(unittest.TestCase):
    def same(self, made, expected, field="pose_2d", atol=0.01):
        np.testing.assert_allclose(made[field], expected, rtol=0, atol=atol)

    def one(self, made):
        self.assertEqual(len(made), 1, list(made))
        return next(iter(made.values()))


class OpenPose(Case):
    def test_every_layout_in_a_folder(self):
        for layout in ("coco", "coco-18", "coco-wholebody", "halpe", "openpose", "body-25b"):
            values = stacked(IMAGE, layout)
            made, said = prepare(write_openpose("op_" + layout, values), *SIZE, "--fps", 25)
            made = self.one(made)
            self.same(made, joints(IMAGE, layout))
            np.testing.assert_allclose(made["confidence"], 0.9, rtol=1e-6)
            self.assertEqual(made["fps"], 25)
            self.assertEqual("looks like " + layout in said, layout in ("openpose", "body-25b"), said)

    def test_files_in_the_order_of_their_numbers_and_frames_that_are_missing(self):
        values = stacked(IMAGE, "halpe")
        folder = write_openpose("numbers", values, "cam 1.{}.json", skip=(9, 10, 11))
        made, said = prepare(folder, *SIZE)
        self.assertEqual(list(made), ["numbers/clip/0"])
        self.assertIn("interpolated 51 of 680", said)
        self.assertIn("frames a second are not known", said)
        made = self.one(made)
        expected = joints(IMAGE, "halpe")
        seen = np.ones(FRAMES, bool)
        seen[9:12] = False
        self.same({"p": made["pose_2d"][seen]}, expected[seen], "p")
        self.same({"p": made["pose_2d"][10]}, (expected[8] + expected[12]) / 2, "p")
        np.testing.assert_array_equal(made["confidence"][9:12], 0)
        folder = write_openpose("high", values, "f{}.json")
        for f in range(FRAMES):
            (folder / f"f{f}.json").rename(folder / f"f{f + 995}.json")
        self.same(self.one(prepare(folder, *SIZE)[0]), expected)

    def test_a_folder_for_each_video(self):
        folder = WORK / "videos"
        for name in ("b", "a"):
            values = stacked(IMAGE, "halpe") + (100 if name == "b" else 0)
            write_openpose(f"videos/{name}", values)
        made, said = prepare(folder, *SIZE)
        self.assertEqual(list(made), ["videos/a/0", "videos/b/0"])
        self.same(made["videos/a/0"], joints(IMAGE, "halpe"))
        self.same(made["videos/b/0"], joints(IMAGE, "halpe") + 100)

    def test_zeros_are_missing(self):
        values = stacked(IMAGE, "openpose").copy()
        values[5:8, 7] = np.nan
        made = self.one(prepare(write_openpose("zeros", values), *SIZE)[0])
        self.assertEqual(list(made["confidence"][4:9, 13] == 0), [False, True, True, True, False])
        expected = joints(IMAGE, "openpose")
        self.same({"p": made["pose_2d"][6, 13]}, (expected[4, 13] + expected[8, 13]) / 2, "p")

    def test_several_people(self):
        values = stacked(IMAGE, "halpe")
        small = values * 0.4 + [1300, 500]
        folder = WORK / "people"
        for f in range(FRAMES):
            people = [person(values[f]), person(small[f])]
            write_json(folder / f"v_{f:06d}.json", openpose_frame(*people[:: 1 if f % 2 else -1]))
        made, said = prepare(folder, *SIZE)
        self.same(self.one(made), joints(IMAGE, "halpe"))
        self.assertIn("2 people: 1 in 40 frames, 2 in 40 frames; followed is person 1", said)
        made, said = prepare(folder, *SIZE, "--person", 2)
        self.same(self.one(made), joints(IMAGE, "halpe") * 0.4 + [1300, 500])
        made, said = prepare(folder, *SIZE, "--person", "all")
        self.assertEqual(list(made), ["people/clip_person1/0", "people/clip_person2/0"])
        self.assertIn("there is no person 3", refused(folder, *SIZE, "--person", 3))
        run("prepare", "keypoints", folder, "-o", WORK / "x.npz", "--person", 0, expect=2)

    def test_nobody_for_long_splits_the_clip(self):
        values = stacked(body_image(100), "halpe")
        folder = write_openpose("gap", values, skip=range(30, 70))
        made, said = prepare(folder, *SIZE, "--fps", 25)
        self.assertEqual(list(made), ["gap/clip/0", "gap/clip_2/0"])
        self.assertEqual([len(m["pose_2d"]) for m in made.values()], [30, 30])
        self.assertIn("nobody in frames 30 to 69 (40), left out; what follows is gap/clip_2/0", said)
        expected = joints(body_image(100), "halpe")
        self.same(made["gap/clip/0"], expected[:30])
        self.same(made["gap/clip_2/0"], expected[70:])
        for f in range(30, 70):
            nobody = openpose_frame() if f % 2 else {"version": 1.3, "people": [{}, {}]}
            write_json(folder / f"walk_{f:012d}_keypoints.json", nobody)
        again, _ = prepare(folder, *SIZE, "--fps", 25)
        for name in made:
            np.testing.assert_array_equal(made[name]["pose_2d"], again[name]["pose_2d"])


    def test_frames_of_another_person_are_not_empty(self):
        values = stacked(body_image(100), "halpe")
        values[70:] = values[70:] * 0.2 + [1500, 100]
        values[:30] = np.nan
        made, said = prepare(write_openpose("another", values), *SIZE, "--fps", 25)
        self.assertEqual([len(m["pose_2d"]) for m in made.values()], [40])
        self.assertIn("2 people: 1 in 40 frames, 2 in 30 frames; followed is person 1", said)
        self.assertIn("nobody in frames 0 to 29 (30), left out", said)
        self.assertIn("frames 70 to 99 (30) left out: another person is followed", said)


def body_image(frames):
    return pixels(body(frames))


class MissingJoints(Case):
    def test_a_joint_that_is_hidden_for_long_moves_with_the_body(self):
        image = body_image(100)
        values = stacked(image, "halpe").copy()
        values[20:80, 9] = np.nan  # the left wrist
        made, said = prepare(write_openpose("hidden", values), *SIZE, "--fps", 25)
        made = self.one(made)
        self.assertIn("guessed 60 of 1700", said)
        np.testing.assert_array_equal(made["confidence"][20:80, 13], 0)
        self.assertEqual(np.count_nonzero(made["confidence"] == 0), 60)
        far = np.linalg.norm(made["pose_2d"] - joints(image, "halpe"), axis=-1)
        self.assertLess(far[:, 13].max(), 120)
        self.assertLess(np.delete(far, 13, 1).max(), 0.01)

    def test_half_a_body(self):
        values = stacked(IMAGE, "coco").copy()
        values[:, 13:] = np.nan
        made, said = prepare(write_openpose("half", values), *SIZE)
        made = self.one(made)
        self.assertIn("never seen: RKnee, RFoot, LKnee, LFoot", said)
        np.testing.assert_array_equal(made["confidence"][:, [2, 3, 5, 6]], 0)
        expected = joints(IMAGE, "coco")
        far = np.linalg.norm(made["pose_2d"] - expected, axis=-1)
        tall = np.ptp(expected[..., 1])
        self.assertLess(far[:, [2, 3, 5, 6]].max(), 0.25 * tall)

    def test_from_behind_the_head_comes_from_the_ears(self):
        values = stacked(IMAGE, "coco").copy()
        values[:, :3] = np.nan  # nose and eyes
        made, said = prepare(write_openpose("behind", values), *SIZE)
        made = self.one(made)
        self.assertIn("took 80 of 680 joints from other keypoints", said)
        ears = (IMAGE["lear"] + IMAGE["rear"]) / 2
        self.same({"p": made["pose_2d"][:, 10]}, ears, "p")
        np.testing.assert_allclose(made["confidence"], 0.9, rtol=1e-6)
        values[:, :5] = np.nan
        made, said = prepare(write_openpose("no_head", values), *SIZE)
        self.assertIn("never seen: Neck, Head", said)
        made = self.one(made)
        np.testing.assert_array_equal(made["confidence"][:, 9:11], 0)
        self.assertTrue((made["pose_2d"][:, 10, 1] < made["pose_2d"][:, 8, 1]).all())

    def test_low_confidence(self):
        sure = np.full(17, 0.9)
        sure[9] = 0.1
        folder = write_openpose("unsure", stacked(IMAGE, "coco"), confidence=sure)
        made = self.one(prepare(folder, *SIZE)[0])
        np.testing.assert_allclose(made["confidence"][:, 13], 0.1, rtol=1e-6)
        made, said = prepare(folder, *SIZE, "--min-confidence", 0.2)
        np.testing.assert_array_equal(self.one(made)["confidence"][:, 13], 0)
        self.assertIn("never seen: LWrist", said)

    def test_a_moment_of_low_confidence_is_interpolated(self):
        sure = np.full((FRAMES, 17), 0.9)
        sure[10:13, 9] = 0.2  # left wrist
        sure[:, 10] = 0.2  # right wrist, always
        values = stacked(IMAGE, "coco").copy()
        values[10:13, 9] += 150
        folder = WORK / "moment"
        for f in range(FRAMES):
            write_json(folder / f"v_{f:06d}.json", openpose_frame(person(values[f], sure[f])))
        made, said = prepare(folder, *SIZE)
        made = self.one(made)
        expected = joints(IMAGE, "coco")
        self.same({"p": made["pose_2d"][11, 13]}, (expected[9, 13] + expected[13, 13]) / 2, "p")
        np.testing.assert_array_equal(made["confidence"][9:14, 13] > 0, [1, 0, 0, 0, 1])
        self.same({"p": made["pose_2d"][:, 16]}, expected[:, 16], "p")
        np.testing.assert_allclose(made["confidence"][:, 16], 0.2, rtol=1e-6)
        self.assertIn("interpolated 3 of 680", said)

    def test_too_little_of_a_person(self):
        values = np.full((FRAMES, 17, 2), np.nan)
        values[:, :4] = stacked(IMAGE, "coco")[:, :4]
        self.assertIn("only 2 are ever seen (Neck, Head)",
                      refused(write_openpose("face", values), *SIZE))


class AlphaPose(Case):
    def entries(self, layout="halpe", skip=(), **more):
        return [{"image_id": f"{f}.jpg", "category_id": 1,
                 "keypoints": person(stacked(IMAGE, layout)[f]), "score": 2.9,
                 "box": [1, 2, 3, 4], **more} for f in range(FRAMES) if f not in skip]

    def test_results(self):
        for layout in ("coco", "halpe"):
            path = write_json(WORK / "alphapose-results.json", self.entries(layout))
            made, _ = prepare(path, *SIZE)
            self.assertEqual(list(made), ["alphapose-results/clip/0"])
            self.same(self.one(made), joints(IMAGE, layout))
        extra = [e | {"keypoints": e["keypoints"] + [0.0] * 330} for e in self.entries()]
        self.same(self.one(prepare(write_json(WORK / "136.json", extra), *SIZE)[0]),
                  joints(IMAGE, "halpe"))

    def test_frames_that_are_missing_and_confidences_above_1(self):
        entries = self.entries(skip=(7, 20))
        entries[3]["keypoints"][2] = 1.5
        made, said = prepare(write_json(WORK / "ap.json", entries[::-1]), *SIZE)
        self.assertIn("interpolated 34 of 680", said)
        self.assertIn("1 confidences above 1 count as 1", said)
        self.assertEqual(self.one(made)["confidence"].max(), 1)

    def test_people_by_their_numbers(self):
        values = stacked(IMAGE, "halpe")
        entries = self.entries(idx=7)
        entries += [e | {"idx": [3.0], "keypoints": person(values[f] * 0.5 + [900, 300])}
                    for f, e in enumerate(entries)]
        made, said = prepare(write_json(WORK / "two.json", entries), *SIZE)
        self.assertIn("1 in 40 frames (the file's 7), 2 in 40 frames (the file's 3)", said)
        self.same(self.one(made), joints(IMAGE, "halpe"))

    def test_the_other_forms(self):
        values = stacked(IMAGE, "coco-18")
        cmu = {f"{f}.png": {"version": "AlphaPose v0.3", "bodies": [{"joints": person(values[f])}]}
               for f in range(FRAMES)}
        self.same(self.one(prepare(write_json(WORK / "cmu.json", cmu), *SIZE)[0]),
                  joints(IMAGE, "coco-18"))
        op = {f"{f}.png": {"version": "AlphaPose v0.3",
                           "people": [{"pose_keypoints_2d": person(values[f])}]}
              for f in range(FRAMES)}
        self.same(self.one(prepare(write_json(WORK / "open.json", op), *SIZE)[0]),
                  joints(IMAGE, "coco-18"))


class MMPose(Case):
    def instance(self, values, confidence=0.8):
        return {"keypoints": values.tolist(), "keypoint_scores": [confidence] * len(values),
                "bbox": [[1.0, 2.0, 3.0, 4.0]], "bbox_score": 0.9}

    def test_forms_of_2d(self):
        for layout in ("coco", "halpe", "coco-wholebody"):
            values = stacked(IMAGE, layout)
            frames = [{"frame_id": f, "instances": [self.instance(values[f])]}
                      for f in range(FRAMES)]
            made = self.one(prepare(write_json(WORK / "mm.json", frames), *SIZE)[0])
            self.same(made, joints(IMAGE, layout))
            np.testing.assert_allclose(made["confidence"], 0.8, rtol=1e-6)
            demo = {"meta_info": {"dataset_name": "coco", "keypoint_id2name": {"0": "nose"}},
                    "instance_info": [{"frame_id": f + 1, "instances": [self.instance(values[f])]}
                                      for f in range(FRAMES)]}
            self.same(self.one(prepare(write_json(WORK / "demo.json", demo), *SIZE)[0]),
                      joints(IMAGE, layout))
            for f in range(FRAMES):
                write_json(WORK / f"mm_{layout}" / f"image{f}.json", [self.instance(values[f])])
            write_json(WORK / f"mm_{layout}" / "image0.json", [])
            made, said = prepare(WORK / f"mm_{layout}", *SIZE)
            self.same({"p": self.one(made)["pose_2d"][1:]}, joints(IMAGE, layout)[1:], "p")
            self.assertIn("interpolated 17 of 680", said)

    def test_frames_of_a_folder_have_the_numbers_of_their_names(self):
        values = stacked(body_image(100), "coco")
        for f in [*range(30), *range(70, 100)]:
            write_json(WORK / "mm_gap" / f"{f + 7:06d}.json", [self.instance(values[f])])
        made, said = prepare(WORK / "mm_gap", *SIZE, "--fps", 25)
        self.assertEqual(list(made), ["mm_gap/clip/0", "mm_gap/clip_2/0"])
        self.assertIn("nobody in frames 30 to 69 (40)", said)
        self.same(made["mm_gap/clip_2/0"], joints(body_image(100), "coco")[70:])

    def test_a_folder_of_videos(self):
        values = stacked(IMAGE, "coco")
        for folder in ("predictions", "views/left"):
            for video, shift in (("v1", 0), ("v2", 100)):
                frames = [{"frame_id": f, "instances": [self.instance(values[f] + shift)]}
                          for f in range(FRAMES)]
                write_json(WORK / folder / f"{video}.json", {"instance_info": frames})
        for path, names in (("predictions", ["predictions/v1/0", "predictions/v2/0"]),
                            ("views", ["views/left_v1/0", "views/left_v2/0"])):
            made, _ = prepare(WORK / path, *SIZE)
            self.assertEqual(list(made), names)
            for name, shift in zip(names, (0, 100)):
                self.same(made[name], joints(IMAGE, "coco") + shift)
        write_json(WORK / "mixture" / "0.json", [self.instance(values[0])])
        write_json(WORK / "mixture" / "1.json", frames)
        self.assertIn("1.json: is of a whole video", refused(WORK / "mixture", *SIZE))

    def test_estimates(self):
        rel = stacked(POINTS, "h36m") - POINTS["hip"][:, None]
        shown = np.stack([-rel[..., 0], rel[..., 2], -rel[..., 1]], -1)  # as the demo draws it
        shown[..., 2] -= shown[..., 2].min(-1, keepdims=True)
        frames = [{"frame_id": f, "instances": [self.instance(shown[f])]} for f in range(FRAMES)]
        path = write_json(WORK / "mm3d.json", frames)
        image = write_openpose("mm2d", stacked(IMAGE, "halpe"))
        made, said = prepare(path, "--keypoints", image, *SIZE, command="estimates")
        made = self.one(made)
        self.same(made, rel, "noisy_3d", 1e-5)
        self.same(made, joints(IMAGE, "halpe"))
        self.assertIn("joint 0 was up to", said)
        self.assertIn("`posetape prepare estimates`", refused(path, *SIZE))


class MediaPipe(Case):
    def landmarks(self):
        """(F, 33, 4) as MediaPipe gives them."""
        xy = stacked(IMAGE, "mediapipe") / [WIDTH, HEIGHT]
        depth = stacked(POINTS, "mediapipe")[..., 2:] - POINTS["hip"][:, None, 2:]
        return np.concatenate([xy, depth, np.full(xy.shape[:2] + (1,), 0.7)], -1)

    def world(self):
        rel = stacked(POINTS, "mediapipe") - POINTS["hip"][:, None]
        return np.concatenate([rel, np.full(rel.shape[:2] + (1,), 0.7)], -1)

    def check(self, path, confidence=0.7):
        made = self.one(prepare(path, *SIZE)[0])
        self.same(made, joints(IMAGE, "mediapipe"))
        np.testing.assert_allclose(made["confidence"], confidence, rtol=1e-5)

    def dicts(self, rows):
        return [dict(zip(("x", "y", "z", "visibility"), map(float, r))) for r in rows]

    def test_arrays(self):
        marks, world = self.landmarks(), self.world()
        path = WORK / "mp.npz"
        np.savez(path, landmarks=marks, world=world, fps=30.0, size=[WIDTH, HEIGHT])
        made, said = prepare(path)
        self.assertEqual(self.one(made)["fps"], 30)
        self.same(self.one(made), joints(IMAGE, "mediapipe"))
        made = self.one(prepare(path, command="estimates")[0])
        expected = joints(POINTS, "mediapipe")
        self.same(made, expected - expected[:, :1], "noisy_3d", 1e-5)
        self.same(made, joints(IMAGE, "mediapipe"))
        np.save(WORK / "mp.npy", marks)
        self.check(WORK / "mp.npy")
        np.save(WORK / "mp3.npy", marks[..., :3])
        self.check(WORK / "mp3.npy", 1)
        np.save(WORK / "mpv.npy", marks[..., [0, 1, 3]])
        self.check(WORK / "mpv.npy")
        np.save(WORK / "flat.npy", marks.reshape(FRAMES, -1))
        self.check(WORK / "flat.npy")
        self.assertIn("--image-size", refused(WORK / "mp.npy"))

    def test_json(self):
        marks, world = self.landmarks(), self.world()
        frames = [self.dicts(m) for m in marks]
        forms = {
            "lists": frames,
            "numbers": [m.tolist() for m in marks],
            "people": [[f] for f in frames],
            "tasks": [{"landmarks": [f], "worldLandmarks": [self.dicts(w)]}
                      for f, w in zip(frames, world)],
            "python": {"fps": 25, "frames": [{"frame": i, "pose_landmarks": {"landmark": f}}
                                             for i, f in enumerate(frames)]},
        }
        for name, value in forms.items():
            self.check(write_json(WORK / f"{name}.json", value))
        lines = "\n".join(json.dumps({"frame": i, "landmarks": f}) for i, f in enumerate(frames))
        (WORK / "lines.jsonl").write_text(lines + "\n")
        self.check(WORK / "lines.jsonl")
        made = self.one(prepare(WORK / "tasks.json", *SIZE, command="estimates")[0])
        expected = joints(POINTS, "mediapipe")
        self.same(made, expected - expected[:, :1], "noisy_3d", 1e-5)
        frames[4] = None
        frames[5] = []
        made, said = prepare(write_json(WORK / "none.json", frames), *SIZE)
        self.assertIn("interpolated 34 of 680", said)

    def test_tables(self):
        marks = self.landmarks()
        heads = {
            "named.csv": [f"{n}_{c}" for n in MEDIAPIPE_NAMES for c in ("x", "y", "z", "visibility")],
            "upper.csv": [f"{n.upper()}_{c}" for n in MEDIAPIPE_NAMES for c in "XYZV"],
            "x1.csv": [f"{c}{i}" for i in range(1, 34) for c in "xyzv"],
            "lmk.csv": [f"lmk{i}_{c}" for i in range(33) for c in ("x", "y", "z", "vis")],
        }
        for name, head in heads.items():
            rows = [",".join(["frame", "ms", *head])]
            rows += [",".join(map(repr, [f, 40.0 * f, *map(float, m.reshape(-1))]))
                     for f, m in enumerate(marks)]
            (WORK / name).write_text("\r\n".join(rows) + "\r\n")
            self.check(WORK / name)
        rows = ["frame;landmark;x;y;z;visibility"]
        rows += [";".join(map(str, [f, MEDIAPIPE_NAMES[k], *map(float, marks[f, k])]))
                 for f in range(FRAMES) for k in range(33)]
        (WORK / "long.csv").write_text("\n".join(rows))
        self.check(WORK / "long.csv")
        rows[5] = rows[5].replace(";0.7", ";much")
        (WORK / "bad.csv").write_text("\n".join(rows))
        self.assertIn("bad.csv:6: expected a number in column 6, found 'much'",
                      refused(WORK / "bad.csv", *SIZE))
        rows[5] = rows[4]
        (WORK / "bad.csv").write_text("\n".join(rows))
        self.assertIn("bad.csv:6: has 'left_eye_outer' of frame 0 again",
                      refused(WORK / "bad.csv", *SIZE))

    def table(self, name, head, rows):
        lines = [",".join(head)] + [",".join(map(str, row)) for row in rows]
        (WORK / name).write_text("\n".join(lines) + "\n")
        return WORK / name

    def test_numbers_of_frames(self):
        image = body_image(100)
        marks = stacked(image, "mediapipe") / [WIDTH, HEIGHT]
        numbers = [*range(30), *range(70, 100)]
        head = [f"{n}_{c}" for n in MEDIAPIPE_NAMES for c in "xy"]
        rows = marks[numbers].reshape(60, -1)
        paths = [self.table(f"{name}.csv", [name, *head], [[form.format(f + 5), *row]
                                                           for f, row in zip(numbers, rows)])
                 for name, form in (("frame", "{}"), ("frame_id", "f{:04d}.png"))]
        paths += [write_json(WORK / f"{name}.json", [
            {name: f + 5, "landmarks": [dict(zip("xy", map(float, p))) for p in marks[f]]}
            for f in numbers]) for name in ("frame", "frame_index")]
        for path in paths:
            made, said = prepare(path, *SIZE, "--fps", 25)
            self.assertIn("nobody in frames 30 to 69 (40)", said)
            first, second = made.values()
            self.same(first, joints(image, "mediapipe")[:30])
            self.same(second, joints(image, "mediapipe")[70:])
        back = self.table("back.csv", ["frame", *head], [[f % 20, *rows[f]] for f in range(40)])
        self.assertIn("back.csv:22: has frame 0 after 19", refused(back, *SIZE))
        half = self.table("half.csv", ["frame", *head], [[f / 2, *rows[f]] for f in range(40)])
        self.assertIn("half.csv:3: expected the number of a frame in column 1, found '0.5'",
                      refused(half, *SIZE))
        back = [{"frame": f % 20, "landmarks": marks[f].tolist()} for f in range(40)]
        self.assertIn("frame 20: has the number 0 after 19",
                      refused(write_json(WORK / "back.json", back), *SIZE))
        # People one after another in a table with a line for each in each frame.
        two = self.table("two_lines.csv", ["frame", "person", *head], [
            [f, q, *(row * scale)] for q, scale in ((1, 0.5), (2, 1)) for f, row in enumerate(rows)])
        made, said = prepare(two, *SIZE)
        self.assertIn("1 in 60 frames (the file's 2), 2 in 60 frames (the file's 1)", said)
        self.same(self.one(made), joints(image, "mediapipe")[numbers])
        two = self.table("named_people.csv", ["person", *head], [
            [who, *(row * scale)] for row in rows for who, scale in (("anna", 0.5), ("ben", 1))])
        made, said = prepare(two, *SIZE)
        self.assertIn("1 in 60 frames (the file's 1), 2 in 60 frames (the file's 0)", said)
        self.same(self.one(made), joints(image, "mediapipe")[numbers])

    def test_world_landmarks_in_tables(self):
        marks, world = self.landmarks(), self.world()
        expected = joints(POINTS, "mediapipe")
        for form in ("{n}_world_{c}", "world_{n}_{c}", "{n}_{c}_world", "world_{c}{k}", "{c}_world{k}",
                     "{n}_{c}3d", "pose_world_landmark_{k}_{c}", "{n} world {c}"):
            head = [form.format(n=n, k=k, c=c) for k, n in enumerate(MEDIAPIPE_NAMES) for c in "xyz"]
            path = self.table("world.csv", [f"{n}_{c}" for n in MEDIAPIPE_NAMES for c in "xyzv"] + head,
                              np.hstack([marks.reshape(FRAMES, -1), world[..., :3].reshape(FRAMES, -1)]))
            made = self.one(prepare(path, *SIZE, command="estimates")[0])
            self.same(made, expected - expected[:, :1], "noisy_3d", 1e-5)
            self.same(made, joints(IMAGE, "mediapipe"))

    def test_who_comes_back_is_the_same_person(self):
        marks = self.landmarks()[..., :2]
        marks[10:14] = np.nan
        head = [f"{n}_{c}" for n in MEDIAPIPE_NAMES for c in "xy"]
        path = self.table("nobody.csv", head, marks.reshape(FRAMES, -1))
        made, said = prepare(path, *SIZE)
        self.assertNotIn("people", said)
        self.assertIn("interpolated 68 of 680", said)
        marks[20:] = marks[20:] * 0.4 + 0.5
        path = self.table("smaller.csv", head, marks.reshape(FRAMES, -1))
        people = [{"landmarks": [] if np.isnan(m).any() else [m.tolist()]} for m in marks]
        for path in (path, write_json(WORK / "smaller.json", people)):
            made, said = prepare(path, *SIZE)
            self.assertNotIn("people", said)
            self.same({"p": self.one(made)["pose_2d"][20:]},
                      joints(IMAGE, "mediapipe")[20:] * 0.4 + [0.5 * WIDTH, 0.5 * HEIGHT], "p")

    def test_hands_and_faces_are_left_out_of_tables(self):
        marks = self.landmarks()[..., :3].reshape(FRAMES, 99)
        hand, face = np.full((FRAMES, 63), 0.4), np.full((FRAMES, 468 * 3), 0.2)
        for left, right, head in (("left_hand", "right_hand", "face"), ("lh", "rh", "mesh")):
            names = [f"{part}_{k}_{c}" for part, count in (("pose", 33), (left, 21), (right, 21),
                                                           (head, 468))
                     for k in range(count) for c in "xyz"]
            self.check(self.table("holistic.csv", names, np.hstack([marks, hand, hand, face])), 1)
        rows = [[f, kind, k, *(self.landmarks()[f, k] if kind == "pose" else [0.4] * 4)]
                for f in range(FRAMES)
                for kind, count in (("face", 468), ("left_hand", 21), ("pose", 33))
                for k in range(count)]
        head = ["frame", "type", "landmark_index", "x", "y", "z", "visibility"]
        self.check(self.table("holistic_long.csv", head, rows))
        # Numbers before names are no people.
        names = [f"{k}_{n}_{c}" for k, n in enumerate(MEDIAPIPE_NAMES) for c in "xyz"]
        self.check(self.table("both.csv", names, marks), 1)

    def test_tables_of_several_people(self):
        marks = self.landmarks()[..., :2]
        small = marks * 0.5 + 0.3
        wide = self.table("two_wide.csv",
                          [f"p{q}_{n}_{c}" for q in (1, 2) for n in MEDIAPIPE_NAMES for c in "xy"],
                          np.hstack([small.reshape(FRAMES, -1), marks.reshape(FRAMES, -1)]))
        long = self.table("two_long.csv", ["frame", "person", "landmark", "x", "y"],
                          [[f, q, k, *who[f, k]] for f in range(FRAMES)
                           for q, who in ((1, small), (2, marks)) for k in range(33)])
        for path in (wide, long):
            made, said = prepare(path, *SIZE)
            self.same(self.one(made), joints(IMAGE, "mediapipe"))
            self.assertIn("1 in 40 frames (the file's 2), 2 in 40 frames (the file's 1)", said)
            made, said = prepare(path, *SIZE, "--person", 2)
            self.same(self.one(made), joints(IMAGE, "mediapipe") * 0.5 + [0.3 * WIDTH, 0.3 * HEIGHT])
        names = [f"{n}_{c}" for n in MEDIAPIPE_NAMES for c in "xy"] + ["Nose X"]
        again = self.table("again.csv", names, np.zeros((3, 67)))
        self.assertIn("columns 'nose_x' and 'Nose X' are both of one landmark",
                      refused(again, *SIZE))


class Arrays(Case):
    def test_reconstruction_of_the_demos(self):
        values = stacked(IMAGE, "h36m")
        path = WORK / "keypoints.npz"
        for array in (values[None], np.concatenate([values, np.full((FRAMES, 17, 1), 0.6)], -1)[None],
                      values):
            np.savez(path, reconstruction=array)
            made, _ = prepare(path, *SIZE)
            self.assertEqual(list(made), ["keypoints/clip/0"])
            self.same(self.one(made), values)
        np.savez(path, reconstruction=np.stack([values, values * 0.5]))
        made, _ = prepare(path, *SIZE)
        self.assertEqual(list(made), ["keypoints/person1/0", "keypoints/person2/0"])
        self.assertIn("is a dataset already", refused(WORK / "made.npz"))

    def test_people_in_frames(self):
        values = stacked(IMAGE, "h36m")
        small = values * 0.5 + [800, 300]
        path = WORK / "frames_people.npy"
        nobody = np.full_like(values, np.nan)
        np.save(path, np.stack([values, small, nobody], 1))
        made, said = prepare(path, *SIZE, "--layout", "h36m")
        self.assertIn("2 people: 1 in 40 frames, 2 in 40 frames; followed is person 1", said)
        self.same(self.one(made), values)
        made, _ = prepare(path, *SIZE, "--layout", "h36m", "--person", 2)
        self.same(self.one(made), small)
        np.savez(WORK / "named.npz", keypoints_2d=np.stack([values, small], 1))
        made, _ = prepare(WORK / "named.npz", *SIZE, "--layout", "h36m")
        self.same(self.one(made), values)
        clips = np.stack([values[f:f + 9] for f in range(30)])
        np.save(path, clips)
        self.assertIn("shape (30, 9, 17, 2) may be 30 frames of 9 people or 30 clips",
                      refused(path, *SIZE))
        np.savez(WORK / "clips.npz", reconstruction=clips)
        made, _ = prepare(WORK / "clips.npz", *SIZE)
        self.assertEqual(len(made), 30)

    def test_an_array_has_one_person(self):
        values = stacked(body_image(180), "h36m")
        values[60:120] = np.nan
        values[120:] = values[120:] * 0.5 + [800, 300]
        np.save(WORK / "back.npy", values)
        made, said = prepare(WORK / "back.npy", *SIZE, "--layout", "h36m")
        self.assertNotIn("people", said)
        self.assertIn("nobody in frames 60 to 119 (60), left out", said)
        first, second = made.values()
        self.same(first, values[:60])
        self.same(second, values[120:])

    def test_from_a_pipe(self):
        np.savez(WORK / "keypoints.npz", reconstruction=stacked(IMAGE, "h36m"))
        with open(WORK / "keypoints.npz", "rb") as pipe:
            done = start([POSETAPE, "prepare", "keypoints", "-", "-o", "-", *SIZE], stdin=pipe,
                         capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        (WORK / "made.npz").write_bytes(done.stdout)
        with np.load(WORK / "made.npz") as made:
            self.same({"p": made["clip/clip/0/pose_2d"]}, stacked(IMAGE, "h36m"), "p")

    def test_custom_npz(self):
        values = stacked(IMAGE, "coco").astype("f4")
        sure = np.concatenate([values, np.full((FRAMES, 17, 1), 0.6, "f4")], -1)
        metadata = {"layout_name": "coco", "num_joints": 17,
                    "keypoints_symmetry": [[1, 3, 5, 7, 9, 11, 13, 15], [2, 4, 6, 8, 10, 12, 14, 16]],
                    "video_metadata": {"../vids/a.mp4": {"w": WIDTH, "h": HEIGHT}}}
        path = WORK / "custom.npz"
        for array in ([values], values, [sure], sure, values[None], values.tolist(),
                      [values.tolist()], (values,)):
            np.savez(path, positions_2d={"../vids/a.mp4": {"custom": array}}, metadata=metadata)
            made, _ = prepare(path)
            self.assertEqual(list(made), ["a.mp4/custom/0"])
            self.same(self.one(made), joints(IMAGE, "coco"))
        names = {"w": WIDTH, "h": HEIGHT}
        metadata["video_metadata"] = {"x/größe.mp4": names, "y/größe.mp4": names, "z\n": names}
        clips = {n: {"custom": [values]} for n in metadata["video_metadata"]}
        np.savez(path, positions_2d=clips, metadata=metadata)
        made, _ = prepare(path)
        self.assertEqual(list(made), ["größe.mp4/custom/0", "größe.mp4_2/custom/0", "z_/custom/0"])
        run("info", WORK / "made.npz")
        del metadata["layout_name"]
        np.savez(path, positions_2d={"z\n": {"custom": [values]}}, metadata=metadata)
        made, said = prepare(path)
        self.assertIn("looks like coco", said)
        self.same(self.one(made), joints(IMAGE, "coco"))

    def test_layouts_of_seventeen_are_told_apart(self):
        for layout in ("coco", "h36m", "mpi-inf-3dhp"):
            np.save(WORK / "x.npy", stacked(IMAGE, layout))
            made, said = prepare(WORK / "x.npy", *SIZE)
            self.assertIn("looks like " + layout, said)
            self.same(self.one(made), joints(IMAGE, layout))
        _, said = prepare(WORK / "x.npy", *SIZE, "--layout", "coco")
        self.assertIn("looks like mpi-inf-3dhp rather than coco", said)
        rng = np.random.default_rng(1)
        np.save(WORK / "x.npy", rng.random((9, 17, 2)) * 900)
        self.assertIn("may be h36m, coco, mpi-inf-3dhp", refused(WORK / "x.npy", *SIZE))

    def test_smoothnet(self):
        values = stacked(IMAGE, "h36m").reshape(FRAMES, 34)
        names = objects([f"{i}.jpg" for i in range(FRAMES)], ["0.jpg"] * 10)
        path = WORK / "h36m_hrnet_2D_test.npz"
        np.savez(path, imgname=names, joints_2d=objects(values, values[:10]))
        made, _ = prepare(path, *SIZE)
        self.assertEqual([len(m["pose_2d"]) for m in made.values()], [FRAMES, 10])
        self.same(made["h36m_hrnet_2D_test/0/0"], stacked(IMAGE, "h36m"))
        rel = (stacked(POINTS, "h36m") - POINTS["hip"][:, None]) * 1000
        np.savez(path, imgname=names, joints_3d=objects(rel.reshape(FRAMES, 51),
                                                        rel[:10].reshape(10, 51)))
        made, said = prepare(path, command="estimates")
        self.same(made["h36m_hrnet_2D_test/0/0"], rel / 1000, "noisy_3d", 1e-5)
        self.assertIn("no 2D poses; made by projecting", said)
        np.testing.assert_array_equal(made["h36m_hrnet_2D_test/1/0"]["confidence"], 0)

    def test_freemocap(self):
        marks = np.full((2, FRAMES, 553, 3), np.nan)
        marks[:, :, :33, :2] = stacked(IMAGE, "mediapipe")
        marks[:, :, :33, 2] = 0.1
        marks[1, :, :, :2] += [30, 0]
        path = WORK / "mediapipe_2dData_numCams_numFrames_numTrackedPoints_pixelXY.npy"
        np.save(path, marks)
        made, _ = prepare(path, *SIZE)
        self.assertEqual([n.split("/")[-1] for n in made], ["0", "1"])
        first, second = made.values()
        self.same(first, joints(IMAGE, "mediapipe"))
        self.same(second, joints(IMAGE, "mediapipe") + [30, 0])
        # A world: millimetres, z up, turned by 30 degrees.
        p = stacked(POINTS, "mediapipe") * 1000
        c, s = np.cos(np.pi / 6), np.sin(np.pi / 6)
        world = np.stack([c * p[..., 0] - s * p[..., 2], s * p[..., 0] + c * p[..., 2], -p[..., 1]],
                         -1) + [500, 300, 900]
        np.save(WORK / "mediapipe_body_3d_xyz.npy", world)
        np.save(path, marks[0, :, :33])
        made, said = prepare(WORK / "mediapipe_body_3d_xyz.npy", "--keypoints", path, *SIZE, "--turn",
                             "image", command="estimates")
        expected = joints(POINTS, "mediapipe")
        self.same(self.one(made), expected - expected[:, :1], "noisy_3d", 0.03)
        self.assertIn("stands along z", said)


class Estimates(Case):
    def setUp(self):
        self.rel = stacked(POINTS, "h36m") - POINTS["hip"][:, None]
        self.image = write_openpose("image", stacked(IMAGE, "coco"))
        self.path = WORK / "X3D.npy"

    def estimates(self, array, *options, path=None):
        np.save(self.path, array)
        made, said = prepare(self.path, "--keypoints", self.image, *SIZE, *options,
                             command="estimates")
        return self.one(made), said

    def refused(self, array, *options):
        np.save(self.path, array)
        return refused(self.path, "--keypoints", self.image, *SIZE, *options, command="estimates")

    def test_units_are_found(self):
        for unit in (1, 100, 1000):
            made, _ = self.estimates(self.rel * unit)
            self.same(made, self.rel, "noisy_3d", 1e-5)
        made, _ = self.estimates(self.rel / 0.0254, "--unit", "in")
        self.same(made, self.rel, "noisy_3d", 1e-5)
        self.assertIn("thigh and shin would be", self.refused(self.rel, "--unit", "mm"))

    def test_normalised_estimates_need_a_height(self):
        small = (self.rel * 0.35).astype("f4")  # as MotionBERT's
        error = self.refused(small)
        self.assertIn("--height 1.7", error)
        made, said = self.estimates(small, "--height", 1.75)
        ratio = made["noisy_3d"] / np.where(np.abs(self.rel) < 1e-3, np.nan, self.rel)
        self.assertLess(np.nanmax(ratio) - np.nanmin(ratio), 1e-3)
        self.assertAlmostEqual(np.nanmean(ratio), 1, delta=0.06)
        self.assertIn("units tall, made 1.75 m", said)

    def test_axes(self):
        x, y, z = np.moveaxis(self.rel, -1, 0)
        made, said = self.estimates(np.stack([x, -y, -z], -1), "--up", "y")
        self.same(made, self.rel, "noisy_3d", 1e-5)
        made, said = self.estimates(np.stack([x, -y, -z], -1))
        self.same(made, self.rel, "noisy_3d", 1e-5)
        self.assertIn("stands along y", said)
        made, said = self.estimates(np.stack([x, z, -y], -1))
        self.same(made, self.rel, "noisy_3d", 1e-5)
        made, _ = self.estimates(self.rel * [-1, 1, 1], "--mirror")
        self.same(made, self.rel, "noisy_3d", 1e-5)
        made, _ = self.estimates(self.rel * [-1, 1, -1], "--turn", 180)
        self.same(made, self.rel, "noisy_3d", 1e-5)
        self.assertIn("--mirror", self.refused(self.rel * [-1, 1, 1]))
        self.assertIn("--mirror", self.refused(self.rel * [1, 1, -1]))
        self.assertIn("--turn image", self.refused(self.rel * [-1, 1, -1]))
        self.assertIn("below the hips", self.refused(self.rel, "--up", "y"))

    def test_other_layouts(self):
        rel = stacked(POINTS, "smpl") - POINTS["hip"][:, None]
        made, _ = self.estimates(rel)
        expected = joints(POINTS, "smpl")
        self.same(made, expected - expected[:, :1], "noisy_3d", 1e-5)
        made, _ = self.estimates(rel[:, :22])
        self.same(made, expected - expected[:, :1], "noisy_3d", 1e-5)
        rel = stacked(POINTS, "coco")
        made, said = self.estimates(rel, "--layout", "coco")
        expected = joints(POINTS, "coco")
        self.same(made, expected - expected[:, :1], "noisy_3d", 1e-5)
        self.assertIn("m from the origin, subtracted", said)

    def test_demos_npz_and_gaps(self):
        path = WORK / "output_keypoints_3d.npz"
        np.savez(path, reconstruction=self.rel.astype("f4"))
        made, _ = prepare(path, "--keypoints", self.image, *SIZE, command="estimates")
        self.same(self.one(made), self.rel, "noisy_3d", 1e-5)
        self.assertIn("depth", refused(path, *SIZE))
        broken = self.rel.copy()
        broken[10:13] = np.nan
        made, said = self.estimates(broken)
        self.assertIn("interpolated 51 of 680", said)
        self.same(made, self.rel, "noisy_3d", 0.05)

    def test_estimates_of_detected_frames_alone(self):
        entries = [{"image_id": f"{f}.jpg", "category_id": 1, "score": 1.0,
                    "keypoints": person(stacked(IMAGE, "halpe")[f])}
                   for f in range(FRAMES) if f not in (7, 8)]
        image = write_json(WORK / "alphapose-results.json", entries)
        np.save(self.path, np.delete(self.rel, [7, 8], 0))
        made, said = prepare(self.path, "--keypoints", image, *SIZE, command="estimates")
        self.assertIn("its 38 poses go with the frames", said)
        self.same(self.one(made), self.rel, "noisy_3d", 0.05)
        self.same(self.one(made), joints(IMAGE, "halpe"), atol=5)

    def test_what_does_not_belong_together(self):
        self.assertIn("has 30 frames, its 2D poses", self.refused(self.rel[:30]))
        self.assertIn("in no unit", self.refused(self.rel * 5))
        np.save(self.path, np.concatenate([stacked(IMAGE, "h36m"), np.full((FRAMES, 17, 1), 0.5)], -1))
        self.assertIn("`posetape prepare keypoints` reads 2D",
                      refused(self.path, *SIZE, command="estimates"))

    def test_what_is_made_can_be_refined(self):
        self.estimates(self.rel)
        run("refine", WORK / "made.npz", "-o", WORK / "smooth.npz", "--control", "one-euro")


class Garbage(Case):
    """Files that are not what they should be: each is refused in a line that says what to do."""

    def test_refusals(self):
        coco = stacked(IMAGE, "coco")
        good = openpose_frame(person(coco[0]))
        entry = {"image_id": "0.jpg", "category_id": 1, "keypoints": person(coco[0]), "score": 1}
        frame = {"frame_id": 0, "instances": [{"keypoints": coco[0].tolist()}]}
        text = {
            "empty.json": ("", "the file is empty"),
            "cut.json": (json.dumps([entry] * 3)[:-40], "line 1: the JSON ends before"),
            "words.json": ('[{"image_id": oops}]', "line 1: is not JSON"),
            "deep.json": ("[" * 100000, "nest deeper than 32"),
            "deep_object.json": ('{"a":' * 100000, "nest deeper than 32"),
            "other.json": ('{"a": 1}', "no keypoints of a known format"),
            "null.json": ("null", "keypoints"),
            "number.json": ("[1, 2, 3]", "no keypoints of a known format"),
            "latin.json": (b'{"people": "\xe9"}', "not JSON"),
            "nobody.json": (json.dumps(openpose_frame()), "no person in any"),
            "two_thirds.json": (json.dumps(openpose_frame([1.0, 2.0])), "found 2 numbers"),
            "texts.json": (json.dumps(openpose_frame(["a"] * 51)), "expected a number, found string"),
            "fourteen.json": (json.dumps(openpose_frame(person(coco[0, :14]))), "has 14 keypoints"),
            "mixed.json": (json.dumps([entry, entry | {"keypoints": person(coco[0, :14])}]),
                           "has 14 keypoints, those before it 17"),
            "no_number.json": (json.dumps([entry | {"image_id": "walk.jpg"}]), "has no number"),
            "negative.json": (json.dumps([entry | {"image_id": -5}]), "frame -5 is no frame"),
            "huge.json": (json.dumps([entry, entry | {"image_id": 10**18}]), "is no frame of a video"),
            "minus.json": (json.dumps([entry | {"keypoints": person(coco[0], -2)}]),
                           "the confidence is -2"),
            "no_kp.json": (json.dumps([entry, {"image_id": "1.jpg"}]), "entry 1: expected 'image_id'"),
            "scores.json": (json.dumps([{"frame_id": 0, "instances": [
                {"keypoints": coco[0].tolist(), "keypoint_scores": [1.0]}]}]), "and 1 scores"),
            "four.json": (json.dumps([{"frame_id": 0, "instances": [
                {"keypoints": [[1, 2, 3, 4]] * 17}]}]), "of 2 or 3 coordinates"),
            "nan.json": (json.dumps([entry | {"keypoints": [float("nan")] * 51}]),
                         "no frame has 3 keypoints"),
            "fractions.json": (json.dumps([entry | {"keypoints": person(coco[0] / 2000)}]),
                               "--coordinates"),
            "x.csv": ("a,b\n1,2\n", "no keypoints of a known format"),
            "x.bvh": ("HIERARCHY\nROOT Hips\n", "`posetape prepare bvh`"),
            "x.pth": ("<html>", "no keypoints of a known format"),
        }
        for name, (content, words) in text.items():
            (WORK / name).write_bytes(content if isinstance(content, bytes) else content.encode())
            self.assertIn(words, refused(WORK / name, *SIZE), name)
        arrays = {
            "scalar.npy": (np.float32(1), "expected shape"),
            "flat.npy": (np.zeros(51), "expected shape"),
            "columns.npy": (np.zeros((5, 17, 1)), "expected shape"),
            "none.npy": (np.zeros((0, 17, 2)), "expected shape"),
            "zeros.npy": (np.zeros((5, 17, 2)), "no frame has 3 keypoints"),
            "text.npy": (np.array(["a", "b"]), "text.npy"),
            "complex.npy": (np.zeros((5, 17, 2), complex), "complex.npy"),
        }
        for name, (array, words) in arrays.items():
            np.save(WORK / name, array)
            self.assertIn(words, refused(WORK / name, *SIZE), name)
        np.savez(WORK / "two.npz", a=coco, b=coco)
        self.assertIn("2 arrays look like 2D poses (it has 'a', 'b')", refused(WORK / "two.npz", *SIZE))
        np.savez(WORK / "nothing.npz", a=np.zeros(3))
        self.assertIn("0 arrays look like", refused(WORK / "nothing.npz", *SIZE))
        np.savez(WORK / "amass.npz", poses=np.zeros((9, 156)), trans=np.zeros((9, 3)))
        self.assertIn("0 arrays look like 3D", refused(WORK / "amass.npz", command="estimates"))
        (WORK / "hollow").mkdir()
        self.assertIn("found none", refused(WORK / "hollow", *SIZE))
        write_json(WORK / "double" / "a_1.json", good)
        write_json(WORK / "double" / "b_1.json", good)
        self.assertIn("has the number of the file before it", refused(WORK / "double", *SIZE))
        for f in range(3):
            write_json(WORK / "videos_of_one" / f"a_{f}.json", good)
            write_json(WORK / "videos_of_one" / f"b_{f}.json", good)
            write_json(WORK / "videos_of_two" / f"a_{f}.json", good)
            write_json(WORK / "videos_of_two" / f"b_{f + 3}.json", good)
        self.assertIn("b_0.json is of another video than the file before it; give a folder for each "
                      "video", refused(WORK / "videos_of_one", *SIZE))
        self.assertIn("b_3.json is of another video", refused(WORK / "videos_of_two", *SIZE))
        write_json(WORK / "notes" / "0001.json", good)
        write_json(WORK / "notes" / "0002.json", {"note": 1})
        self.assertIn("0002.json: expected OpenPose's 'people'", refused(WORK / "notes", *SIZE))
        self.assertIn("No such file", refused(WORK / "missing.json", *SIZE))
        self.assertIn("no keypoints", refused(WORK / "other.json", *SIZE))
        self.assertIn("--layout", refused(write_openpose("wrong", coco), *SIZE, "--layout", "halpe"))
        self.assertIn("is a folder, and alphapose is a file",
                      refused(WORK / "wrong", *SIZE, "--format", "alphapose"))
        self.assertIn("expected 'image_id'", refused(write_json(WORK / "mm.json", [frame]), *SIZE,
                                                     "--format", "alphapose"))

    def test_other_types_and_spellings_are_read(self):
        coco = stacked(IMAGE, "coco")
        for kind in ("f4", ">f8", "i4", "i8"):
            np.save(WORK / "x.npy", np.asfortranarray(coco.astype(kind)))
            made, _ = prepare(WORK / "x.npy", *SIZE)
            self.same(self.one(made), joints(IMAGE, "coco"), atol=1.01)
        entries = [{"image_id": f"Ünïcode frame-{f:05d}.png", "keypoints": person(coco[f])}
                   for f in range(FRAMES)]
        path = WORK / "größe.json"
        path.write_bytes(b"\xef\xbb\xbf" + json.dumps(entries, ensure_ascii=False).encode())
        made, _ = prepare(path, *SIZE)
        self.assertEqual(list(made), ["größe/clip/0"])
        values = coco.copy()
        values[3, 5] = np.nan
        entries[3]["keypoints"][15:17] = [float("nan"), float("nan")]
        path.write_text(json.dumps(entries))
        made, said = prepare(path, *SIZE)
        self.assertIn("interpolated 3 of 680", said)  # shoulder, thorax, spine
        screen = coco / WIDTH * 2 - [1, HEIGHT / WIDTH]
        np.save(WORK / "x.npy", screen)
        made, _ = prepare(WORK / "x.npy", *SIZE, "--coordinates", "screen")
        self.same(self.one(made), joints(IMAGE, "coco"))
        np.save(WORK / "x.npy", coco / [WIDTH, HEIGHT])
        made, _ = prepare(WORK / "x.npy", *SIZE, "--coordinates", "fractions")
        self.same(self.one(made), joints(IMAGE, "coco"))


if __name__ == "__main__":
    POSETAPE = str(Path(sys.argv.pop(1)).resolve())
    with tempfile.TemporaryDirectory() as folder:
        WORK = Path(folder)
        unittest.main()
