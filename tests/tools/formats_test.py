#!/usr/bin/env python3
"""posetape export and prepare, format by format: formats_test.py PATH_OF_POSETAPE

Every format of `export` is read here, by a reader of a few lines, and has to have the poses of the
dataset; c3d and trc go back in through `prepare`. Skipped (exit code 77) without numpy.
"""

import base64
import csv
import json
import os
import struct
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
JOINTS = ("Hip RHip RKnee RFoot LHip LKnee LFoot Spine Thorax Neck Head LShoulder LElbow LWrist "
          "RShoulder RElbow RWrist").split()
CLIP = "P1/walk_1/0"
# The names that Mixamo's skeletons have for ours, and their parents.
MIXAMO = [("Hips", None, (0, 100, 0)), ("Spine", "Hips", (0, 12, 0)), ("Spine1", "Spine", (0, 16, 0)),
          ("Neck", "Spine1", (0, 26, 0)), ("Head", "Neck", (0, 10, 0)), ("HeadTop", "Head", (0, 18, 0)),
          *((s + n, s + p if p in ("Arm", "ForeArm", "UpLeg", "Leg") else p,
             (x * (1 if s == "Left" else -1), y, 0))
            for s in ("Left", "Right")
            for n, p, x, y in (("Arm", "Spine1", 18, 22), ("ForeArm", "Arm", 28, 0),
                               ("Hand", "ForeArm", 25, 0), ("UpLeg", "Hips", 9, -4),
                               ("Leg", "UpLeg", 0, -42), ("Foot", "Leg", 0, -40)))]


def run(*arguments, expect=0, cwd=None):
    done = subprocess.run([POSETAPE, *map(str, arguments)], capture_output=True, text=True,
                          timeout=120, cwd=cwd or WORK)
    assert done.returncode == expect, (arguments, done.returncode, done.stdout, done.stderr)
    return done.stdout if expect == 0 else done.stderr


def refused(*arguments, expect=1):
    error = run(*arguments, expect=expect)
    assert expect != 1 or error.count("\n") == 1, error
    return error


def exported(name, *options, field="pose_3d", clip=CLIP):
    """A file that `export` wrote, and what it said."""
    format = Path(name).suffix[1:].replace("glb", "gltf")
    said = run("export", "sure.npz", "-o", name, "--format", format, "--field", field,
               "--sequences", clip, *options)
    return WORK / name, said


def turned(poses, up):
    x, y, z = np.moveaxis(poses.astype(float), -1, 0)
    return np.stack({"camera": (x, y, z), "y": (x, -y, -z), "z": (x, z, -y)}[up], -1)


def read_trc(path):
    lines = path.read_text().split("\n")
    keys, values = lines[1].split("\t"), lines[2].split("\t")
    head = dict(zip(keys, values))
    names = lines[3].split("\t")[2::3]
    rows = [[float(c) for c in line.split("\t")] for line in lines[6:] if line]
    return head, [n for n in names if n], np.array(rows)[:, 2:].reshape(len(rows), -1, 3)


def read_c3d(path):
    """Points and fourth words of a C3D file of floats, by its header alone."""
    raw = path.read_bytes()
    points, _, first, last = struct.unpack_from("<4H", raw, 2)
    start, = struct.unpack_from("<H", raw, 16)
    values = np.frombuffer(raw, "<f4", (last - first + 1) * points * 4, (start - 1) * 512)
    values = values.reshape(-1, points, 4)
    return values[..., :3], values[..., 3]


def read_gltf(path):
    raw = path.read_bytes()
    if path.suffix == ".glb":
        size, = struct.unpack_from("<I", raw, 12)
        file, data = json.loads(raw[20:20 + size]), raw[28 + size:]
    else:
        file = json.loads(raw)
        data = base64.b64decode(file["buffers"][0]["uri"].split(",")[1])
    animation = file["animations"][0]

    def floats(accessor):
        view = file["bufferViews"][file["accessors"][accessor]["bufferView"]]
        return np.frombuffer(data, "<f4", view["byteLength"] // 4, view["byteOffset"])

    parents = {c: p for p, node in enumerate(file["nodes"]) for c in node.get("children", [])}
    joints = []
    for node in range(17):
        moved = floats(animation["samplers"][node]["output"]).reshape(-1, 3).astype(float)
        joints.append(moved if node not in parents else joints[parents[node]] + moved)
    return file, floats(animation["samplers"][0]["input"]), np.stack(joints, 1)


def write_bvh(path, names=None, scale=1.0, up="y", head=""):
    """A person who stands, in BVH."""
    names = names or (lambda n: n)
    children = {}
    for name, parent, offset in MIXAMO:
        children.setdefault(parent, []).append((name, offset))

    def block(name, offset, depth):
        x, y, z = (scale * v for v in offset)
        x, y, z = (x, y, z) if up == "y" else (x, -z, y)
        kind = "ROOT" if depth == 0 else "JOINT"
        channels = "6 Xposition Yposition Zposition " if depth == 0 else "3 "
        text = (f"{kind} {names(name)}\n{{\nOFFSET {x} {y} {z}\n"
                f"CHANNELS {channels}Zrotation Xrotation Yrotation\n")
        text += "".join(block(*child, depth + 1) for child in children.get(name, []))
        if name not in children:
            text += "End Site\n{\nOFFSET 0 0 0\n}\n"
        return text + "}\n"

    at = [0, 100 * scale, 0] if up == "y" else [0, 0, 100 * scale]
    frame = " ".join(map(str, at + [0] * 3 * len(MIXAMO)))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(head + "HIERARCHY\n" + block(*MIXAMO[0][::2], 0) +
                    f"MOTION\nFrames: 3\nFrame Time: 0.02\n{(frame + chr(10)) * 3}",
                    encoding="utf-8")


def prepared(*arguments):
    said = run("prepare", *arguments, "-o", "back.npz", "--cameras", 0, "--detector", "gt")
    with np.load(WORK / "back.npz") as file:
        return said, {name: file[name] for name in file.files}


def distances(poses):
    return np.linalg.norm(poses[:, :, None].astype(float) - poses[:, None], axis=-1)


class Out(unittest.TestCase):
    def setUp(self):
        self.poses = SURE[f"{CLIP}/pose_3d"].astype(float)

    def test_trc(self):
        for unit, scale in (("m", 1), ("mm", 1000)):
            for up in ("y", "z"):
                path, _ = exported("walk.trc", "--unit", unit, "--up", up)
                head, names, points = read_trc(path)
                self.assertEqual((head["Units"], head["NumFrames"], head["NumMarkers"],
                                  head["DataRate"]), (unit, str(len(self.poses)), "17", "50"))
                self.assertEqual(names, JOINTS)
                np.testing.assert_allclose(points / scale, turned(self.poses, up), atol=1e-6)
        self.assertEqual(read_trc(exported("walk.trc")[0])[0]["Units"], "m")

    def test_c3d(self):
        points, residuals = read_c3d(exported("walk.c3d")[0])
        np.testing.assert_allclose(points / 1000, turned(self.poses, "z"), atol=1e-5)
        np.testing.assert_array_equal(residuals,
                                      np.round(100 * (1 - SURE[f"{CLIP}/confidence"])))
        points, residuals = read_c3d(exported("run.c3d", "--unit", "m", "--up", "y",
                                              clip="P1/run_1/0")[0])
        np.testing.assert_allclose(points, turned(SURE["P1/run_1/0/pose_3d"], "y"), atol=1e-6)
        self.assertTrue((residuals == 0).all())  # nothing is known

    def test_gltf(self):
        for name in ("walk.glb", "walk.gltf"):
            file, times, points = read_gltf(exported(name)[0])
            self.assertEqual(file["asset"]["version"], "2.0")
            self.assertEqual([n["name"] for n in file["nodes"]], JOINTS + ["person"])
            np.testing.assert_allclose(times, np.arange(len(self.poses)) / 50, atol=1e-6)
            np.testing.assert_allclose(points, turned(self.poses, "y"), atol=1e-5)
        self.assertIn("--up: an animation in glTF has its own, m and x right, y up", refused(
            "export", "sure.npz", "-o", "o.glb", "--format", "gltf", "--field", "pose_3d", "--up",
            "z"))

    def test_json_and_csv(self):
        for options, scale, up in (((), 1, "camera"), (("--unit", "mm", "--up", "z"), 1000, "z")):
            file = json.loads(exported("walk.json", *options)[0].read_text())
            self.assertEqual(file["joints"], JOINTS)
            self.assertEqual(file["unit"], "m" if scale == 1 else "mm")
            points = np.array([frame["joints"] for frame in file["frames"]])
            np.testing.assert_allclose(points / scale, turned(self.poses, up), rtol=2e-7, atol=1e-9)
            np.testing.assert_array_equal(
                np.array([frame["confidence"] for frame in file["frames"]], "f4"),
                SURE[f"{CLIP}/confidence"])
            with open(exported("walk.csv", *options)[0], newline="") as lines:
                rows = list(csv.DictReader(lines))
            points = [[[float(row[f"{j}_{c}"]) for c in "xyz"] for j in JOINTS] for row in rows]
            np.testing.assert_allclose(np.array(points) / scale, turned(self.poses, up), rtol=2e-7,
                                       atol=1e-9)
            np.testing.assert_array_equal(
                np.array([[row[f"{j}_confidence"] for j in JOINTS] for row in rows], "f4"),
                SURE[f"{CLIP}/confidence"])

    def test_a_known_vertical_is_that_of_the_file(self):
        # A camera that looks down by 30 degrees, and one that stands level, at the same people.
        c, s = np.cos(np.pi / 6), np.sin(np.pi / 6)
        tilt = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
        file = {name: value for name, value in SURE.items() if name.startswith(CLIP + "/")}
        file[f"{CLIP}/pose_3d"] = (self.poses @ tilt.T).astype("f4")
        file[f"{CLIP}/up"] = tilt @ [0, -1, 0]
        np.savez(WORK / "tilted.npz", **file)
        for name in ("tilted.trc", "tilted.csv"):
            run("export", "tilted.npz", "-o", name, "--field", "pose_3d", "--force", "--format",
                name[-3:])
        np.testing.assert_allclose(read_trc(WORK / "tilted.trc")[2], turned(self.poses, "y"), atol=1e-5)
        with open(WORK / "tilted.csv", newline="") as lines:
            row = next(csv.DictReader(lines))
        np.testing.assert_allclose([float(row[f"Head_{a}"]) for a in "xyz"],
                                   file[f"{CLIP}/pose_3d"][0, 10], atol=1e-6)

    def test_confidence_lies_beside_formats_without_a_place_for_it(self):
        for name in ("walk.bvh", "walk.trc", "walk.glb"):
            table = WORK / "walk.confidence.csv"
            table.unlink(missing_ok=True)
            exported(name)
            with open(table, newline="") as lines:
                rows = [[float(row[j]) for j in JOINTS] for row in csv.DictReader(lines)]
            np.testing.assert_array_equal(np.array(rows, "f4"), SURE[f"{CLIP}/confidence"])
        exported("run.trc", clip="P1/run_1/0")
        self.assertFalse((WORK / "run.confidence.csv").exists())
        # Nor stays one of an earlier export; what is no table of ours does.
        (WORK / "walk.std.csv").write_text("my own\n")
        exported("walk.trc", clip="P1/run_1/0")
        self.assertFalse((WORK / "walk.confidence.csv").exists())
        self.assertEqual((WORK / "walk.std.csv").read_text(), "my own\n")
        (WORK / "walk.std.csv").unlink()

    def test_the_name_says_the_format(self):
        one = ["--field", "pose_3d", "--sequences", CLIP]
        for name, begins in (("q.bvh", b"HIERARCHY"), ("q.trc", b"PathFileType"), ("q.glb", b"glTF"),
                             ("q.GLTF", b'{"asset"'), ("q.csv", b"sequence,frame"), ("q.poses", b"sequence,frame")):
            run("export", "data.npz", "-o", name, *one)
            self.assertTrue((WORK / name).read_bytes().startswith(begins), name)
        self.assertIn("q.bvh: is the name of motion in BVH; with --format trc the file ends in .trc",
                      refused("export", "data.npz", "-o", "q.bvh", "--format", "trc", *one))
        self.assertIn("--bones: markers in TRC has none",
                      refused("export", "data.npz", "-o", "q.trc", "--bones", "exact", *one))

    def test_sequences_without_the_poses_are_said(self):
        part = {name: array for name, array in SURE.items() if name != f"{CLIP}/pose_3d"}
        np.savez(WORK / "part.npz", **part)
        done = subprocess.run([POSETAPE, "export", "part.npz", "-o", "part.csv", "--field", "pose_3d"],
                              capture_output=True, text=True, cwd=WORK)
        self.assertIn("part.npz: note: 1 of 8 sequences have no pose_3d, and are left out", done.stderr)
        self.assertIn("of 7 sequences", done.stdout)
        self.assertIn(f"sequence {CLIP} has no pose_3d", refused(
            "export", "part.npz", "-o", "part.csv", "--field", "pose_3d", "--sequences", f"P1/run_1/0,{CLIP}"))

    def test_a_folder_gets_a_file_a_sequence(self):
        for format, ending in (("c3d", ".c3d"), ("trc", ".trc"), ("gltf", ".glb")):
            run("export", "data.npz", "-o", f"{format}/P1", "--format", format, "--field", "pose_3d")
            self.assertEqual(len(list((WORK / format / "P1").iterdir())), 8)
            self.assertTrue((WORK / format / "P1" / f"P1_walk_1_0{ending}").exists())
            self.assertIn("holds one sequence", refused(
                "export", "data.npz", "-o", f"all{ending}", "--format", format, "--field",
                "pose_3d"))
            self.assertFalse((WORK / f"all{ending}").exists())
        self.assertIn("export them as csv", refused("export", "data.npz", "-o", "o.trc", "--format",
                                                    "trc", "--field", "pose_2d"))
        self.assertIn("choose one of: bvh, c3d, trc, csv, gltf, json",
                      refused("export", "data.npz", "-o", "o", "--format", "fbx", expect=2))


class In(unittest.TestCase):
    def test_what_was_written_comes_back(self):
        for name, options in (("walk.c3d", ()), ("walk.c3d", ("--unit", "m", "--up", "y")),
                              ("walk.trc", ()), ("walk.trc", ("--unit", "mm", "--up", "z")),
                              ("walk.bvh", ("--bones", "exact"))):
            path, _ = exported(name, *options)
            said, back = prepared(path.suffix[1:], path)
            poses = back[f"{WORK.name}/walk/0/pose_3d"]
            self.assertEqual(poses.shape, SURE[f"{CLIP}/pose_3d"].shape)
            np.testing.assert_allclose(distances(poses), distances(SURE[f"{CLIP}/pose_3d"]),
                                       atol=1e-4)
            if path.suffix != ".bvh":
                self.assertIn("note: ", said)
                self.assertIn("lengths are read as", said)
                self.assertEqual(json.loads(bytes(back["metadata"]))["source"], path.suffix[1:])

    def test_markers_are_mapped(self):
        path, _ = exported("walk.trc")
        text = path.read_text()
        for joint in JOINTS:
            text = text.replace(f"\t{joint}\t", f"\tm{joint}\t")
        (WORK / "odd").mkdir(exist_ok=True)
        (WORK / "odd" / "walk.TRC").write_text(text)
        error = refused("prepare", "trc", "odd", "-o", "o.npz")
        for joint in ("RFoot", "Thorax", "LWrist", "mHip, mRHip", "--markers"):
            self.assertIn(joint, error)
        (WORK / "my.map").write_text("".join(f"{j} = m{j}\n" for j in JOINTS))
        _, back = prepared("trc", "odd", "--markers", "my.map")
        np.testing.assert_allclose(distances(back["odd/walk/0/pose_3d"]),
                                   distances(SURE[f"{CLIP}/pose_3d"]), atol=1e-4)

    def test_a_marker_on_the_nose_is_where_the_nose_is(self):
        path, _ = exported("nose.trc")
        text = path.read_text()
        for old, new in (("Neck", "Nose"), ("Spine", "Extra1"), ("Thorax", "Extra2"), ("Hip", "Extra3"),
                         ("RFoot", "RAnkle"), ("LFoot", "LAnkle")):
            text = text.replace(f"\t{old}\t", f"\t{new}\t")
        path.write_text(text)
        own = SURE[f"{CLIP}/pose_3d"]
        for joints, head in (("skeleton", 0), ("keypoints", 0.13), ("keypoints-top", 0)):
            _, back = prepared("trc", path, "--joints", joints)
            poses = back[f"{WORK.name}/nose/0/pose_3d"]
            kept = [1, 2, 3, 9, 11] + [10] * (head == 0)
            np.testing.assert_allclose(distances(poses[:, kept]), distances(own[:, kept]), atol=1e-4)
            # Beside a nose a "Head" is its top; the eyes are 0.10 m lower and 0.09 m before it.
            moved = np.linalg.norm(poses[:, 10] - poses[:, 9], axis=-1)
            if head:
                np.testing.assert_allclose(moved, np.hypot(0.04, 0.02), atol=1e-4)

    def test_rows_that_are_missing_are_missing(self):
        path, _ = exported("rows.trc")
        lines = path.read_text().splitlines(keepends=True)
        first = next(i for i, line in enumerate(lines) if line.startswith("1\t"))
        whole = SURE[f"{CLIP}/pose_3d"]
        # A few are interpolated, of many the rest is taken; no motion becomes slower.
        for begin, end, frames in ((20, 24, 50), (26, 46, 26)):
            path.write_text("".join(lines[:first + begin] + lines[first + end:]))
            said, back = prepared("trc", path)
            self.assertIn(f"{end - begin} of 50 frames have no row, by the times in the table", said)
            poses = back[f"{WORK.name}/rows/0/pose_3d"]
            self.assertEqual((len(poses), float(back[f"{WORK.name}/rows/0/fps"])), (frames, 50))
            np.testing.assert_allclose(distances(poses[:20]), distances(whole[:20]), atol=1e-4)
            np.testing.assert_allclose(distances(poses[24:26]), distances(whole[24:26]), atol=1e-4)
        # Times that go back say nothing of rows, and many small steps don't take the memory of an hour's.
        back = [line.replace(f"\t{i / 50:.6f}", f"\t{i / 50 - 0.5 * (i > 30):.6f}", 1)
                for i, line in enumerate(lines[first:])]
        path.write_text("".join(lines[:first] + back))
        self.assertEqual(len(prepared("trc", path)[1][f"{WORK.name}/rows/0/pose_3d"]), 50)
        far = [line.replace(f"\t{i / 50:.6f}", f"\t{i / 50 + 80 * max(0, i - 30):.6f}", 1)
               for i, line in enumerate(lines[first:])]
        path.write_text("".join(lines[:first] + far))
        self.assertIn("expected times that go on, found ", refused("prepare", "trc", path, "-o", "o.npz"))
        path.write_text("".join(lines[:-1]) + lines[-1].replace("\t0.980000", "\t1e9", 1))
        self.assertIn("expected times that go on, found 1000000000 s after 0.96 s",
                      refused("prepare", "trc", path, "-o", "o.npz"))

    def test_a_body_is_of_one_subject(self):
        path, _ = exported("two.trc")
        lines = path.read_text().splitlines()
        head, (labels, axes, *rows) = lines[:3], lines[3:]
        names = labels.split("\t")[2:]
        both = labels.split("\t")[:2] + ["A:" * bool(n) + n for n in names] + ["B:" * bool(n) + n for n in names]
        rows = [row + "\t" + row.split("\t", 2)[2] if row else row for row in rows]
        path.write_text("\n".join([*head, "\t".join(both), axes, *rows]) + "\n")
        (WORK / "bodies.map").write_text("".join(f"{j} = {j}\n" for j in JOINTS))
        self.assertIn("'Hip' of bodies.map may be of several subjects, 'A:' and 'B:'",
                      refused("prepare", "trc", path, "--markers", "bodies.map", "-o", "o.npz"))
        (WORK / "bodies.map").write_text("".join(f"{j} = B:{j}\n" for j in JOINTS))
        _, back = prepared("trc", path, "--markers", "bodies.map")
        np.testing.assert_allclose(distances(back[f"{WORK.name}/two/0/pose_3d"]),
                                   distances(SURE[f"{CLIP}/pose_3d"]), atol=1e-4)

    def test_files_beside_folders_and_names_that_meet(self):
        text = exported("walk.trc")[0].read_text()
        lines = text.splitlines(keepends=True)
        gap = "".join(lines[:-27] + lines[-26:-25] + lines[-1:]).replace("\t0.98", "\t2.98")  # two parts
        for name in ("loose/walk.trc", "loose/sub/run.trc"):
            (WORK / name).parent.mkdir(parents=True, exist_ok=True)
            (WORK / name).write_text(text)
        _, back = prepared("trc", "loose")
        self.assertEqual(sorted(n for n in back if n.endswith("pose_3d")),
                         ["loose/walk/0/pose_3d", "sub/run/0/pose_3d"])
        (WORK / "loose/sub/deep").mkdir()
        (WORK / "loose/sub/deep/y.trc").write_text(text)
        self.assertIn("sub/deep", refused("prepare", "trc", "loose", "-o", "o.npz"))
        for name in ("met/walk.trc", "met/walk.TRC", "met/walk_2.trc"):
            (WORK / name).parent.mkdir(exist_ok=True)
            (WORK / name).write_text(text)
        _, back = prepared("trc", "met")
        self.assertEqual(len([n for n in back if n.endswith("pose_3d")]), 3)

    def test_bvh_of_other_programs(self):
        write_bvh(WORK / "b" / "s" / "WALK.BVH", names=lambda n: "mixamorig:" + n, head="\ufeff")
        said, back = prepared("bvh", "b")
        shin = np.linalg.norm(back["s/WALK/0/pose_3d"][:, 2] - back["s/WALK/0/pose_3d"][:, 3], axis=-1)
        np.testing.assert_allclose(shin, 0.4, atol=1e-5)
        self.assertNotIn("note", said)
        meta = json.loads(bytes(back["metadata"]))
        self.assertEqual((meta["metres_per_unit"], meta["up"], meta["hip"]), (0.01, "y", "root"))
        _, one = prepared("bvh", WORK / "b" / "s" / "WALK.BVH")
        np.testing.assert_array_equal(one["s/WALK/0/pose_3d"], back["s/WALK/0/pose_3d"])
        for scale, up, word in ((0.01, "y", "taken as m,"), (1 / 2.54, "y", "taken as in,"),
                                (1, "z", "vertical axis is taken as z")):
            write_bvh(WORK / "c" / "walk.bvh", scale=scale, up=up)
            said, other = prepared("bvh", "c")
            self.assertIn(word, said)
            np.testing.assert_allclose(other["c/walk/0/pose_3d"], back["s/WALK/0/pose_3d"], atol=1e-5)
        self.assertIn("--unit", refused("prepare", "bvh", "c", "-o", "o.npz", "--unit", "mm"))

    def test_missing_joints_are_named_at_once_and_can_be_mapped(self):
        odd = {"LeftLeg": "Knie links", "RightLeg": "Knie rechts", "Head": "Kopf"}
        write_bvh(WORK / "d" / "walk.bvh", names=lambda n: odd.get(n, n))
        error = refused("prepare", "bvh", "d", "-o", "o.npz")
        self.assertIn("expected a joint for RKnee, LKnee, Neck, Head,", error)
        self.assertIn("Knie links", error)
        self.assertIn("--joints-map", error)
        self.assertFalse((WORK / "o.npz").exists())
        (WORK / "joints.map").write_text("RKnee = Knie rechts\nLKnee = Knie links\nNeck = Kopf\n"
                                         "Head = HeadTop\n")
        _, back = prepared("bvh", "d", "--joints-map", "joints.map")
        self.assertEqual(json.loads(bytes(back["metadata"]))["joints_map"], "joints.map")
        (WORK / "joints.map").write_text("Knee = Knie rechts\n")
        self.assertIn("joints.map:1: expected one of Hip, ",
                      refused("prepare", "bvh", "d", "-o", "o.npz", "--joints-map", "joints.map"))

    def test_files_of_the_wrong_kind_say_what_they_are(self):
        path, _ = exported("walk.c3d")
        self.assertIn("is motion capture in C3D, not", refused("info", path))
        self.assertIn("`posetape prepare c3d`", refused("info", path))
        self.assertIn("is markers in TRC, not motion capture in C3D; `posetape prepare trc`",
                      refused("prepare", "c3d", exported("walk.trc")[0], "-o", "o.npz"))
        (WORK / "a.c3d").write_bytes(path.read_bytes()[:1500])
        self.assertIn("copy it again", refused("prepare", "c3d", "a.c3d", "-o", "o.npz"))
        (WORK / "none").mkdir(exist_ok=True)
        for format in ("c3d", "trc", "bvh"):
            self.assertIn(f"expected .{format} files", refused("prepare", format, "none", "-o",
                                                               "o.npz"))
        copy = WORK / "c3ds" / "a.c3d"
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(path.read_bytes())
        self.assertIn("is one of the files that are read",
                      refused("prepare", "c3d", "c3ds", "-o", copy, expect=2))


def main():
    global POSETAPE, WORK, SURE
    POSETAPE = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        WORK = Path(folder)
        run("prepare", "synthetic", "-o", "data.npz", "--people", 1, "--takes", 1, "--seconds", 1,
            "--cameras", 0)
        with np.load(WORK / "data.npz") as file:
            SURE = {name: file[name] for name in file.files}
        random = np.random.default_rng(1)
        SURE[f"{CLIP}/confidence"] = random.random((50, 17)).astype("f4")
        np.savez(WORK / "sure.npz", **SURE)
        done = unittest.main(argv=[sys.argv[0], *sys.argv[2:]], exit=False)
    sys.exit(0 if done.result.wasSuccessful() else 1)


SURE = {}
main()
