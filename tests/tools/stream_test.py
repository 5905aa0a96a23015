"""refine --stream and --delay as their users meet them: stream_test.py PATH_OF_POSETAPE CUDA LIBRARY

LIBRARY is the shared one with the C interface, or nothing. Skipped (exit code 77) without numpy.
"""

import ctypes
import json
import os
import signal
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

POSETAPE, CUDA, LIBRARY = (sys.argv[1:4] + [None])[:3]
del sys.argv[1:]
WORK = None
SIZE = "1000,1000"


def run(*arguments, expect=0, stdin=b""):
    done = subprocess.run([POSETAPE, *map(str, arguments)], input=stdin, capture_output=True, timeout=300)
    assert done.returncode == expect, (arguments, done.returncode, done.stdout[-500:], done.stderr)
    return done.stdout, done.stderr.decode()


def stream(stdin, *options, expect=0, checkpoint="refiner.safetensors"):
    fps = () if "--fps" in options else ("--fps", 50)
    return run("refine", WORK / checkpoint, "--stream", "--image-size", SIZE, *fps, *options,
               stdin=stdin, expect=expect)


def line(pose_2d, noisy_3d, **more):
    return json.dumps({"pose_2d": pose_2d.tolist(), "noisy_3d": noisy_3d.tolist(), **more}).encode() + b"\n"


def lines(clip):
    sure = clip.get("confidence")
    return b"".join(
        line(p, n, **({} if sure is None else {"confidence": sure[f].tolist()}))
        for f, (p, n) in enumerate(zip(clip["pose_2d"], clip["noisy_3d"])))


def raw(clip):
    parts = [clip[name].reshape(len(clip["pose_2d"]), -1)
             for name in ("pose_2d", "noisy_3d", "confidence") if name in clip]
    return np.concatenate(parts, 1).astype("<f4").tobytes()


def poses(output, field="refined_3d"):
    """[frames][17][3] of JSON lines, NaN for null."""
    frames = [json.loads(text) for text in output.splitlines()]
    assert [frame["frame"] for frame in frames] == list(range(len(frames)))
    return np.array([[joint or [np.nan] * 3 for joint in frame[field]] for frame in frames], "f4")


def delayed(name, *options, checkpoint="refiner.safetensors"):
    run("refine", WORK / checkpoint, WORK / name, "-o", WORK / "out.npz", "--quiet", *options)
    with np.load(WORK / "out.npz") as file:
        return file["one/refined_3d"], json.loads(bytes(file["metadata"]).decode())


def setUpModule():
    run("prepare", "synthetic", "-o", WORK / "data.npz", "--people", 4, "--takes", 1, "--seconds", 1,
        "--cameras", 0)
    size = "--frames 9 --width 16 --depth 1 --heads 2 --batch 8 --epochs 1".split()
    run("train", "lifter", WORK / "data.npz", "-o", WORK / "lifter.safetensors", "--folds", 0, *size)
    run("lift", WORK / "lifter.safetensors", WORK / "data.npz", "-o", WORK / "lifted.npz")
    for name, options in (("refiner", ()), ("sure", ("--confidence",))):
        run("train", "refiner", WORK / "lifted.npz", "-o", WORK / f"{name}.safetensors", *size, *options)
    run("train", "smoothnet", WORK / "lifted.npz", "-o", WORK / "smoothnet.safetensors", "--frames", 9,
        "--width", 32, "--hidden", 8, "--depth", 1, "--epochs", 1)
    with np.load(WORK / "lifted.npz") as file:
        truth = file["P4/walk_1/0/pose_3d"]
        CLIP["pose_2d"] = file["P4/walk_1/0/pose_2d"]
    # What a lifter so small gives is no pose. This is one.
    CLIP["noisy_3d"] = (0.97 * (truth - truth[:, :1])).astype("f4")
    save("one.npz", CLIP)


def save(name, clip):
    np.savez(WORK / name, **{f"one/{field}": array for field, array in clip.items()},
             **{"one/image_size": [int(n) for n in SIZE.split(",")], "one/fps": np.float32(50)})


CLIP = {}


class Streams(unittest.TestCase):
    def refused(self, words, stdin, *options):
        output, error = stream(stdin, *options, expect=1)
        text = [text for text in error.splitlines() if "note: " not in text]
        self.assertEqual(len(text), 1, error)
        self.assertTrue(text[0].startswith("posetape: "), error)
        for word in [words] if isinstance(words, str) else words:
            self.assertIn(word, text[0])
        return output

    def test_a_stream_and_a_file_have_the_same_bits(self):
        device = [] if CUDA == "disabled" else [("--device", "cuda")]
        for options in [(), ("--delay", 0), ("--delay", 7, "--steps", 3), ("--filter", "one-euro"),
                        ("--filter", "none", "--flip-average"), ("--precision", "bf16"),
                        ("--control", "linear"), ("--recipe", "paper", "--threads", 1), *device]:
            delay = () if "--delay" in options else ("--delay", 3)
            expected, _ = delayed("one.npz", *options, *delay)
            output, _ = stream(lines(CLIP), *options)
            np.testing.assert_array_equal(poses(output), expected, err_msg=str(options))
            output, _ = stream(raw(CLIP), *options, "--input-format", "raw", "--output-format", "raw")
            np.testing.assert_array_equal(np.frombuffer(output, "<f4").reshape(-1, 17, 3), expected)
        self.assertFalse(np.isnan(expected).any())
        expected, _ = delayed("one.npz", "--delay", 2, checkpoint="smoothnet.safetensors")
        output, _ = stream(lines(CLIP), "--delay", 2, checkpoint="smoothnet.safetensors")
        np.testing.assert_array_equal(poses(output), expected)

    def test_confidence_lens_and_an_upright_image_are_those_of_the_file(self):
        sure = np.random.default_rng(1).uniform(0.1, 1, CLIP["pose_2d"].shape[:2]).astype("f4")
        clip = {**CLIP, "confidence": sure}
        save("sure.npz", clip)
        lens = ("--intrinsics", "1150,1150,500,500,-0.2,0.2,0,0,0", "--up=0,-0.98,-0.2")
        for options in ((), lens):
            expected, _ = delayed("sure.npz", "--delay", 3, *options, checkpoint="sure.safetensors")
            output, _ = stream(lines(clip), *options, checkpoint="sure.safetensors")
            np.testing.assert_array_equal(poses(output), expected)
            output, _ = stream(raw(clip), *options, "--input-format", "raw-confidence",
                               checkpoint="sure.safetensors")
            np.testing.assert_array_equal(poses(output), expected)
        other, _ = stream(lines(CLIP), *lens, checkpoint="sure.safetensors")
        self.assertFalse(np.array_equal(poses(other), expected))

    def test_how_sure_each_result_is(self):
        knows = WORK / "knows.safetensors"
        for words in ("which would be lost", None):
            output = WORK / "refiner.safetensors" if words else knows
            _, error = run("train", "uncertainty", WORK / "refiner.safetensors", WORK / "lifted.npz", "-o",
                           output, "--epochs", 1, "--quiet", expect=2 if words else 0)
            self.assertIn(words or "", error)
        plain, _ = delayed("one.npz", "--delay", 3)
        got, metadata = delayed("one.npz", "--delay", 3, checkpoint=knows)
        np.testing.assert_array_equal(got, plain)
        self.assertEqual(len(metadata["refined_3d"]["regions"]["depth"]), 3)
        with np.load(WORK / "out.npz") as file:
            std = file["one/refined_std"]
        self.assertTrue((std[:, 0] == 0).all() and (std[:, 1:] > 0).all())
        output, error = stream(lines(CLIP), checkpoint=knows)
        np.testing.assert_array_equal(poses(output), plain)
        np.testing.assert_array_equal(poses(output, "refined_std"), std)
        self.assertNotIn(b"refined_std", stream(lines(CLIP), "--control", "linear", checkpoint=knows)[0])
        # Of poses that are made in another way.
        _, error = run("refine", knows, WORK / "one.npz", "-o", WORK / "out.npz", "--strength", 0.25)
        self.assertIn("note: its standard deviations are those of poses that are made with strength: default",
                      error)

    def test_how_it_was_made_is_stored(self):
        _, metadata = delayed("one.npz", "--delay", 4)
        made = metadata["refined_3d"]
        self.assertEqual(made["delay_frames"], 4)
        self.assertIn("one up to each frame", made["windows"])
        self.assertEqual(made["filter"], "savitzky-golay")

    def test_each_result_is_there_at_once(self):
        process = subprocess.Popen([POSETAPE, "refine", WORK / "refiner.safetensors", "--stream",
                                    "--image-size", SIZE, "--delay", "2"],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        with process:
            for f in range(5):
                process.stdin.write(line(CLIP["pose_2d"][f], CLIP["noisy_3d"][f]))
                process.stdin.flush()
                if f >= 2:  # would wait for ever otherwise
                    self.assertEqual(json.loads(process.stdout.readline())["frame"], f - 2)
            process.stdin.close()
            self.assertEqual([json.loads(text)["frame"] for text in process.stdout], [3, 4])
            error = process.stderr.read().decode()
        self.assertEqual(process.returncode, 0)
        self.assertIn("refined 5 frames", error)
        self.assertIn("don't say their frame rate", error)

    def test_nobody_reading_and_ctrl_c_are_no_failures(self):
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run([POSETAPE, "refine", WORK / "refiner.safetensors", "--stream", "--quiet",
                               "--image-size", SIZE, "--fps", "50"],
                              input=lines(CLIP), stdout=writer, stderr=subprocess.PIPE)
        os.close(writer)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        process = subprocess.Popen([POSETAPE, "refine", WORK / "refiner.safetensors", "--stream",
                                    "--image-size", SIZE, "--fps", "50", "--delay", "0"],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        with process:
            process.stdin.write(line(CLIP["pose_2d"][0], CLIP["noisy_3d"][0]))
            process.stdin.flush()
            process.stdout.readline()
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.stderr.read(), b"")
        self.assertEqual(process.returncode, -signal.SIGINT)

    def test_missing_joints_are_held_then_null(self):
        pose_2d, noisy = CLIP["pose_2d"].copy(), CLIP["noisy_3d"].copy()
        pose_2d[:2, 3] = 0  # not seen yet
        noisy[10:45, 6, 1] = np.nan
        text = b""
        for p, n in zip(pose_2d, noisy):
            n = [None if np.isnan(joint).any() else joint.tolist() for joint in n]
            text += json.dumps({"pose_2d": p.tolist(), "noisy_3d": n}).encode() + b"\n\n"
        output, error = stream(text)
        got = poses(output)
        self.assertEqual(len(got), len(noisy))
        null = np.isnan(got).any(-1)
        expected = np.zeros_like(null)
        expected[:2] = True
        expected[10 + 25:45, 6] = True
        np.testing.assert_array_equal(null, expected)
        self.assertEqual(error.count("is missing in frame"), 1)
        self.assertIn("joint 3 (RFoot) is missing in frame 0", error)
        output, _ = stream(raw({"pose_2d": pose_2d, "noisy_3d": noisy}), "--input-format", "raw",
                           "--output-format", "raw")
        np.testing.assert_array_equal(np.frombuffer(output, "<f4").reshape(-1, 17, 3), got)

    def test_bad_lines_are_named(self):
        good = line(CLIP["pose_2d"][0], CLIP["noisy_3d"][0])
        p, n = CLIP["pose_2d"][0], CLIP["noisy_3d"][0]
        nan = n.copy()
        nan[3, 1] = np.nan
        for bad, words in (
                (b"{oops\n", "expected a JSON object"),
                (b"[1, 2]\n", "expected a JSON object"),
                (line(p, nan), ["expected a JSON object", "NaN is no JSON, write null"]),
                (b"{}\n", "no \"pose_2d\"; expected 17 joints [x, y]"),
                (line(p[:16], n), "\"pose_2d\": expected 17 joints [x, y], found an array of 16"),
                (line(p, n[:, :2]), "\"noisy_3d\", joint 0: expected [x, y, z] or null, found an array of 2"),
                (line(np.float32(5), n), "\"pose_2d\": expected 17 joints [x, y], found 5.0"),
                (good.replace(b"[0.0, 0.0, 0.0]", b"[true, 0.0, 0.0]", 1), "found true"),
                (good.replace(b"[0.0, 0.0, 0.0]", b"[1e99, 0.0, 0.0]", 1), "found 1e+99"),
                (line(p, n, confidence=[1] * 16), "\"confidence\": expected 17 numbers from 0 to 1"),
                (line(p, n, confidence=[1] * 16 + [1.5]), "confidence 1.5 of joint 16"),
                (b"\"" + b"x" * 3000000, "longer than"),
                (b"\x00\xff\n", "expected a JSON object")):
            output = self.refused(words, 5 * good + b"\n" + bad)
            self.assertEqual(len(poses(output)), 2)
            self.assertIn("standard input, line 7: ", stream(5 * good + b"\n" + bad, expect=1)[1])
        self.refused("standard input, frame 2: it ends after 100 of 340 bytes", raw(CLIP)[:780],
                     "--input-format", "raw")

    def test_poses_that_make_no_sense_are_refused(self):
        millimetres = {**CLIP, "noisy_3d": 1000 * CLIP["noisy_3d"]}
        output = self.refused(["standard input: ", "look like millimetres; multiply noisy_3d by 0.001",
                               "--force"], lines(millimetres))
        self.assertEqual(len(poses(output)), 8 - 3)  # the frames before the ninth
        self.refused("millimetres", b"".join(lines(millimetres).splitlines(True)[:4]))
        output, error = stream(lines(millimetres), "--force")
        self.assertIn("warning: standard input: ", error)
        self.assertEqual(len(poses(output)), len(CLIP["noisy_3d"]))
        off = {**CLIP, "noisy_3d": CLIP["noisy_3d"] + np.float32([0, 0, 0.25])}
        output, error = stream(lines(off))
        self.assertIn("from the origin", error)
        np.testing.assert_allclose(poses(output), poses(stream(lines(CLIP))[0]), atol=1e-4)

    def test_frames_of_another_rate_are_resampled(self):
        frames = len(CLIP["noisy_3d"])
        kept = delayed("one.npz", "--delay", 3, checkpoint="sure.safetensors")[0]
        for fps, delay in ((25, 0), (25, 3), (30, 2), (60, 3), (120, 5)):
            with np.load(WORK / "one.npz") as file:
                np.savez(WORK / "rate.npz", **{**file, "one/fps": np.float32(fps)})
            at_fps = ("refine", WORK / "sure.safetensors", "--stream", "--image-size", SIZE, "--fps", fps)
            output, _ = run(*at_fps, "--delay", delay, stdin=lines(CLIP))
            self.assertEqual(len(poses(output)), frames)
            twin, _ = delayed("rate.npz", "--delay", delay, checkpoint="sure.safetensors")
            np.testing.assert_array_equal(poses(output), twin)
            self.assertGreater(np.abs(twin - kept).max(), 1e-4)
        _, error = run(*at_fps, "--delay", 2, expect=1, stdin=lines(CLIP))
        self.assertIn("120 a second are resampled to it, which takes a delay of 3 or more", error)
        output, _ = run(*at_fps, "--keep-rate", stdin=lines(CLIP))
        self.assertEqual(len(poses(output)), frames)

    def test_wrong_usage(self):
        checkpoint = WORK / "refiner.safetensors"
        for words, *arguments in (
                ("needs --image-size", checkpoint, "--stream"),
                ("leave the file out", checkpoint, WORK / "one.npz", "--stream", "--image-size", SIZE),
                ("leave it out", checkpoint, "-o", WORK / "x.npz", "--stream", "--image-size", SIZE),
                ("give a file", "-", "--stream", "--image-size", SIZE),
                ("--output", checkpoint, WORK / "one.npz"),
                ("files say it", checkpoint, WORK / "one.npz", "-o", WORK / "x.npz", "--fps", 50),
                ("--stride", checkpoint, WORK / "one.npz", "-o", WORK / "x.npz", "--delay", 3, "--stride", 3),
                ("--control", checkpoint, WORK / "one.npz", "-o", WORK / "x.npz", "--delay", 3,
                 "--control", "one-euro"),
                ("needs whole clips", checkpoint, WORK / "one.npz", "-o", WORK / "x.npz", "--delay", 3,
                 "--bone-lengths", "constant"),
                ("needs whole clips", checkpoint, WORK / "one.npz", "-o", WORK / "x.npz", "--delay", 3,
                 "--feet", "planted"),
                ("--delay", checkpoint, WORK / "one.npz", "-o", WORK / "x.npz", "--delay", -1)):
            _, error = run("refine", *arguments, expect=2)
            self.assertIn(words, error)

    def test_an_empty_stream_has_no_results(self):
        self.assertEqual(stream(b"")[0], b"")

    @unittest.skipUnless(LIBRARY, "no shared library")
    def test_the_c_interface_has_the_same_bits(self):
        class Options(ctypes.Structure):
            _fields_ = [("struct_size", ctypes.c_size_t), ("steps", ctypes.c_int),
                        ("flip_average", ctypes.c_int), ("raw", ctypes.c_int),
                        ("force", ctypes.c_int), ("fps", ctypes.c_float),
                        ("intrinsics", ctypes.c_void_p), ("up", ctypes.c_void_p)]

        c = ctypes.CDLL(LIBRARY)
        pointer = ctypes.c_void_p
        c.posetape_last_error.restype = c.posetape_last_warning.restype = ctypes.c_char_p
        c.posetape_refiner_load.restype = c.posetape_stream_new.restype = pointer
        c.posetape_refiner_load.argtypes = [ctypes.c_char_p]
        c.posetape_refiner_free.argtypes = c.posetape_stream_free.argtypes = [pointer]
        c.posetape_stream_new.argtypes = [pointer, ctypes.c_int, ctypes.c_int, ctypes.c_int, pointer]
        c.posetape_stream_push.argtypes = [pointer] * 4
        c.posetape_stream_pull.argtypes = [pointer] * 2
        c.posetape_stream_std.argtypes = [pointer] * 2
        c.posetape_stream_finish.argtypes = [pointer]
        size = ctypes.sizeof(Options)
        refiner = c.posetape_refiner_load(bytes(WORK / "sure.safetensors"))
        self.addCleanup(c.posetape_refiner_free, refiner)

        def push(s, f, clip):
            sure = clip.get("confidence")
            return c.posetape_stream_push(s, clip["pose_2d"][f].ctypes.data, clip["noisy_3d"][f].ctypes.data,
                                          None if sure is None else sure[f].ctypes.data)

        def through(s, clip, delay):
            got, pose = [], np.zeros((17, 3), "f4")
            for f in range(len(clip["noisy_3d"])):
                self.assertEqual(push(s, f, clip), 0, c.posetape_last_error())
                while c.posetape_stream_pull(s, pose.ctypes.data) == 1:
                    got.append(pose.copy())
                self.assertEqual(len(got), max(0, f + 1 - delay))
            self.assertEqual(c.posetape_stream_finish(s), 0)
            while c.posetape_stream_pull(s, pose.ctypes.data) == 1:
                got.append(pose.copy())
            return np.array(got)

        sure = np.full(CLIP["pose_2d"].shape[:2], 0.75, "f4")
        intrinsics = np.array([1150, 1150, 500, 500, -0.2, 0.2, 0, 0, 0], "f8")
        up = np.array([0, -0.98, -0.2], "f8")
        for options, delay, clip, arguments in (
                (None, 3, CLIP, ()),
                (Options(size, 3, 1, 1, 0, 50), 0, CLIP, ("--steps", 3, "--flip-average", "--filter", "none")),
                (Options(size, fps=30), 4, CLIP, ("--fps", 30)),
                (Options(size, intrinsics=intrinsics.ctypes.data, up=up.ctypes.data), 5,
                 {**CLIP, "confidence": sure},
                 ("--intrinsics", ",".join(map(str, intrinsics)), "--up", ",".join(map(str, up))))):
            s = c.posetape_stream_new(refiner, 1000, 1000, delay, options and ctypes.byref(options))
            self.assertIsNotNone(s, c.posetape_last_error())
            got = through(s, clip, delay)
            expected = poses(stream(lines(clip), "--delay", delay, *arguments, checkpoint="sure.safetensors")[0])
            np.testing.assert_array_equal(got, expected)
            np.testing.assert_array_equal(through(s, clip, delay), expected)  # anew
            c.posetape_stream_free(s)

        run("train", "uncertainty", WORK / "refiner.safetensors", WORK / "lifted.npz", "-o",
            WORK / "knows2.safetensors", "--epochs", 1)
        knows = c.posetape_refiner_load(bytes(WORK / "knows2.safetensors"))
        self.addCleanup(c.posetape_refiner_free, knows)
        for checkpoint, known in ((refiner, 0), (knows, 1)):
            s, std = c.posetape_stream_new(checkpoint, 1000, 1000, 0, None), np.full((17, 3), -1, "f4")
            push(s, 0, CLIP)
            c.posetape_stream_pull(s, std.ctypes.data)
            self.assertEqual(c.posetape_stream_std(s, std.ctypes.data), known)
            c.posetape_stream_free(s)
        output, _ = stream(lines(CLIP), "--delay", 0, checkpoint="knows2.safetensors")
        np.testing.assert_array_equal(std, poses(output, "refined_std")[0])

        s = c.posetape_stream_new(refiner, 1000, 1000, 3, None)
        millimetres = {**CLIP, "noisy_3d": 1000 * CLIP["noisy_3d"]}
        self.assertEqual([push(s, f, millimetres) for f in range(9)], 8 * [0] + [-1])
        self.assertIn(b"look like millimetres", c.posetape_last_error())
        self.assertIn(b"posetape_stream_options's force", c.posetape_last_error())
        pose = np.zeros((17, 3), "f4")
        self.assertEqual([c.posetape_stream_pull(s, pose.ctypes.data) for _ in range(6)], 5 * [1] + [0])
        self.assertEqual(len(through(s, CLIP, 3)), len(CLIP["noisy_3d"]))
        gone = {**CLIP, "pose_2d": 0 * CLIP["pose_2d"]}
        self.assertEqual(push(s, 0, gone), 0)
        self.assertIn(b"joint 0 (Hip) is missing in frame", c.posetape_last_warning())
        self.assertEqual(c.posetape_stream_pull(s, pose.ctypes.data), 1)
        self.assertTrue(np.isnan(pose).all())
        self.assertEqual(c.posetape_stream_push(s, None, None, None), -1)
        self.assertIn(b"pose_2d is NULL", c.posetape_last_error())
        c.posetape_stream_free(s)
        for arguments, words in (((None, 1000, 1000, 3, None), b"refiner is NULL"),
                                 ((refiner, 0, 1000, 3, None), b"0 x 1000 pixels"),
                                 ((refiner, 1000, 1000, -1, None), b"a delay of -1"),
                                 ((refiner, 1000, 1000, 0, ctypes.byref(Options(size, fps=30))),
                                  b"trained at 50"),
                                 ((refiner, 1000, 1000, 3, ctypes.byref(Options(8))), b"struct_size is 8"),
                                 ((refiner, 1000, 1000, 3, ctypes.byref(Options(size, -1))), b"-1 steps"),
                                 ((refiner, 1000, 1000, 3, ctypes.byref(Options(size, up=up.ctypes.data))),
                                  b"up needs intrinsics")):
            self.assertIsNone(c.posetape_stream_new(*arguments))
            self.assertIn(words, c.posetape_last_error())
            self.assertNotIn(b"\n", c.posetape_last_error())
        self.assertEqual(c.posetape_stream_pull(None, pose.ctypes.data), -1)
        self.assertEqual(c.posetape_stream_std(None, pose.ctypes.data), -1)
        self.assertEqual(c.posetape_stream_finish(None), -1)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        WORK = Path(folder)
        unittest.main(verbosity=1)
