"""The C interface through ctypes: library_test.py PATH_OF_POSETAPE LIBRARY EXAMPLE

EXAMPLE is tools/examples/refine.py. Skipped (exit code 77) without numpy.
"""

import ctypes
import importlib.util
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path

try:
    import numpy as np
except ImportError:
    print("numpy is missing: install python3-numpy")
    sys.exit(77)

POSETAPE, LIBRARY, EXAMPLE = sys.argv[1:4]
del sys.argv[1:4]
WORK = None
CLIP = "P4/walk_1/0"


class Options(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name in ("steps", "stride", "flip_average")]


class Options2(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_size_t), ("steps", ctypes.c_int), ("stride", ctypes.c_int),
                ("flip_average", ctypes.c_int), ("force", ctypes.c_int), ("fps", ctypes.c_float), ("raw", ctypes.c_int),
                ("confidence", ctypes.c_void_p), ("intrinsics", ctypes.c_void_p),
                ("up", ctypes.c_void_p), ("refined_std", ctypes.c_void_p)]


class Options3(ctypes.Structure):
    """As a later version may have them."""
    _fields_ = [*Options2._fields_, ("later", ctypes.c_int)]


def load():
    c = ctypes.CDLL(LIBRARY)
    c.posetape_last_error.restype = ctypes.c_char_p
    c.posetape_last_warning.restype = ctypes.c_char_p
    c.posetape_version.restype = ctypes.c_char_p
    c.posetape_refiner_load.restype = ctypes.c_void_p
    c.posetape_refiner_load.argtypes = [ctypes.c_char_p]
    c.posetape_refiner_free.argtypes = [ctypes.c_void_p]
    c.posetape_refiner_frames.argtypes = [ctypes.c_void_p]
    pointer = ctypes.c_void_p
    c.posetape_refine.argtypes = [pointer, ctypes.c_int64, pointer, pointer, ctypes.c_int,
                                  ctypes.c_int, ctypes.POINTER(Options), pointer]
    c.posetape_refine2.argtypes = [*c.posetape_refine.argtypes[:6], pointer, pointer]
    return c


def run(*arguments):
    done = subprocess.run([POSETAPE, *map(str, arguments)], capture_output=True, text=True,
                          timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def setUpModule():
    run("prepare", "synthetic", "-o", WORK / "data.npz", "--people", 4, "--takes", 1, "--seconds", 1,
        "--cameras", 0)
    size = "--frames 9 --width 16 --depth 1 --heads 2 --batch 8 --epochs 1".split()
    run("train", "lifter", WORK / "data.npz", "-o", WORK / "lifter.safetensors", "--folds", 0, *size)
    run("lift", WORK / "lifter.safetensors", WORK / "data.npz", "-o", WORK / "lifted.npz")
    run("train", "refiner", WORK / "lifted.npz", "-o", WORK / "refiner.safetensors", *size)
    run("train", "refiner", WORK / "lifted.npz", "-o", WORK / "sure.safetensors", *size, "--confidence")
    with np.load(WORK / "lifted.npz") as file:
        clip = {name: file[f"{CLIP}/{name}"] for name in ("pose_2d", "noisy_3d", "image_size")}
        truth = file[f"{CLIP}/pose_3d"]
    # What a lifter so small gives is no pose. This is one.
    clip["noisy_3d"] = (0.97 * (truth - truth[:, :1])).astype("f4")
    np.savez(WORK / "clip.npz", **clip)
    np.savez(WORK / "one.npz", **{f"one/{name}": array for name, array in clip.items()})


class CInterface(unittest.TestCase):
    def setUp(self):
        self.c = load()
        self.refiner = self.c.posetape_refiner_load(bytes(WORK / "refiner.safetensors"))
        with np.load(WORK / "clip.npz") as clip:
            self.pose_2d, self.noisy = clip["pose_2d"], clip["noisy_3d"]
            self.size = [int(n) for n in clip["image_size"]]

    def tearDown(self):
        self.c.posetape_refiner_free(self.refiner)

    def refine(self, options=None, noisy=None, pose_2d=None, frames=None, size=None, refiner=0):
        noisy = self.noisy if noisy is None else noisy
        pose_2d = self.pose_2d if pose_2d is None else pose_2d
        out = np.full_like(self.noisy, 7)
        status = self.c.posetape_refine(
            self.refiner if refiner == 0 else refiner, len(noisy) if frames is None else frames,
            pose_2d.ctypes.data, noisy.ctypes.data, *(size or self.size),
            options and ctypes.byref(options), out.ctypes.data)
        return status, out

    def refine2(self, options, noisy=None, checkpoint=None):
        noisy = self.noisy if noisy is None else noisy
        out = np.full_like(self.noisy, 7)
        refiner = self.refiner
        if checkpoint is not None:
            refiner = self.c.posetape_refiner_load(bytes(WORK / checkpoint))
            self.addCleanup(self.c.posetape_refiner_free, refiner)
        status = self.c.posetape_refine2(
            refiner, len(noisy), self.pose_2d.ctypes.data, noisy.ctypes.data, *self.size,
            options and ctypes.byref(options), out.ctypes.data)
        return status, out

    def by_command(self, *options):
        run("refine", WORK / "refiner.safetensors", WORK / "one.npz", "-o", WORK / "out.npz", *options)
        with np.load(WORK / "out.npz") as file:
            return file["one/refined_3d"]

    def refused(self, words, **arguments):
        status, out = self.refine(**arguments)
        self.assertEqual(status, -1)
        self.assertTrue((out == 7).all())
        error = self.c.posetape_last_error().decode()
        self.assertIn(words, error)
        self.assertNotIn("\n", error)

    def test_it_says_what_it_is(self):
        self.assertEqual(self.c.posetape_api_version(), 4)
        self.assertEqual(self.c.posetape_version().decode(), run("--version").strip())
        self.assertEqual(self.c.posetape_refiner_frames(self.refiner), 9)
        self.assertEqual(self.c.posetape_refiner_frames(None), -1)

    def test_results_are_those_of_the_command(self):
        for options, arguments in ((None, ()), (Options(3), ("--steps", 3)),
                                   (Options(0, 4, 1), ("--stride", 4, "--flip-average"))):
            status, out = self.refine(options)
            self.assertEqual(status, 0, self.c.posetape_last_error())
            np.testing.assert_array_equal(out, self.by_command(*arguments))

    def test_options_that_can_grow(self):
        size = ctypes.sizeof(Options2)
        for options, arguments in (
                (None, ()), (Options2(size), ()), (Options2(size, 3), ("--steps", 3)),
                (Options2(size, 0, 4, 1), ("--stride", 4, "--flip-average")),
                (Options2(size, raw=1), ("--filter", "none", "--bone-lengths", "free")),
                # Of a program from before and from after this library.
                (Options2(Options2.fps.offset, 3, 0, 0, 0, 1e9), ("--steps", 3)),
                (Options3(ctypes.sizeof(Options3), 3), ("--steps", 3))):
            status, out = self.refine2(options)
            self.assertEqual(status, 0, self.c.posetape_last_error())
            np.testing.assert_array_equal(out, self.by_command(*arguments))
        for options, words in ((Options2(0, 3), b"struct_size is 0"),
                               (Options2(1 << 40, 3), b"struct_size"),
                               (Options2(size, 0, 0, 0, 0, -5), b"-5 frames a second"),
                               (Options3(ctypes.sizeof(Options3), later=1),
                                b"does not know")):
            status, out = self.refine2(options)
            self.assertEqual(status, -1)
            self.assertTrue((out == 7).all())
            self.assertIn(words, self.c.posetape_last_error())

    def test_confidence_and_lens_are_those_of_the_command(self):
        sure = np.full(self.pose_2d.shape[:2], 0.9, "f4")
        sure[5:20, 3] = 0
        intrinsics = np.array([1150, 1150, 500, 500, -0.2, 0.2, 0, 0, 0], "f8")
        up = np.array([0, -0.98, -0.2], "f8")
        with np.load(WORK / "one.npz") as file:
            arrays = {name: file[name] for name in file.files}
        np.savez(WORK / "more.npz", **arrays, **{"one/confidence": sure})
        for options, arguments in (
                (Options2(confidence=sure.ctypes.data), ()),
                (Options2(confidence=sure.ctypes.data, intrinsics=intrinsics.ctypes.data),
                 ("--intrinsics", ",".join(map(str, intrinsics)))),
                (Options2(confidence=sure.ctypes.data, intrinsics=intrinsics.ctypes.data,
                          up=up.ctypes.data),
                 ("--intrinsics", ",".join(map(str, intrinsics)), "--up", ",".join(map(str, up))))):
            options.struct_size = ctypes.sizeof(Options2)
            run("refine", WORK / "sure.safetensors", WORK / "more.npz", "-o", WORK / "out.npz", *arguments)
            with np.load(WORK / "out.npz") as file:
                expected = file["one/refined_3d"]
            status, out = self.refine2(options, checkpoint="sure.safetensors")
            self.assertEqual(status, 0, self.c.posetape_last_error())
            np.testing.assert_array_equal(out, expected)
        self.assertFalse(np.array_equal(out, self.refine2(None, checkpoint="sure.safetensors")[1]))
        sure[2, 1] = 2
        size = ctypes.sizeof(Options2)
        for options, words in (
                (Options2(size, confidence=sure.ctypes.data), b"confidence: 2 in frame 2, joint 1"),
                (Options2(size, up=up.ctypes.data), b"up needs intrinsics")):
            status, out = self.refine2(options)
            self.assertEqual(status, -1)
            self.assertTrue((out == 7).all())
            self.assertIn(words, self.c.posetape_last_error())

    def test_how_sure_it_is_is_that_of_the_command(self):
        run("train", "uncertainty", WORK / "refiner.safetensors", WORK / "lifted.npz", "-o",
            WORK / "knows.safetensors", "--epochs", 1)
        run("refine", WORK / "knows.safetensors", WORK / "one.npz", "-o", WORK / "out.npz")
        with np.load(WORK / "out.npz") as file:
            expected = file["one/refined_std"]
        std = np.full_like(self.noisy, 7)
        options = Options2(ctypes.sizeof(Options2), refined_std=std.ctypes.data)
        status, out = self.refine2(options, checkpoint="knows.safetensors")
        self.assertEqual(status, 0, self.c.posetape_last_error())
        np.testing.assert_array_equal(std, expected)
        np.testing.assert_array_equal(out, self.by_command())
        self.assertEqual(self.refine2(options)[0], 0)
        self.assertTrue(np.isnan(std).all())

    def test_a_clip_of_another_rate_is_resampled_as_by_the_command(self):
        with np.load(WORK / "one.npz") as file:
            np.savez(WORK / "rate.npz", **{name: file[name] for name in file.files},
                     **{"one/fps": np.float32(100)})
        run("refine", WORK / "refiner.safetensors", WORK / "rate.npz", "-o", WORK / "out.npz")
        with np.load(WORK / "out.npz") as file:
            expected = file["one/refined_3d"]
        status, out = self.refine2(Options2(ctypes.sizeof(Options2), fps=100))
        self.assertEqual(status, 0, self.c.posetape_last_error())
        np.testing.assert_array_equal(out, expected)
        self.assertFalse(np.array_equal(out, self.refine2(None)[1]))

    def test_it_refuses_what_the_command_refuses(self):
        for words, noisy in (("look like millimetres; multiply noisy_3d by 0.001", 1000 * self.noisy),
                             ("relative to joint 0", self.noisy + np.float32([0, 0.1, 4.5])),
                             ("numpy: noisy_3d * [1, -1, 1]", self.noisy * np.float32([1, -1, 1]))):
            self.refused(words, noisy=noisy)
            self.assertIn("force", self.c.posetape_last_error().decode())
            status, _ = self.refine2(Options2(ctypes.sizeof(Options2), 0, 0, 0, 1), noisy)
            self.assertEqual(status, 0, self.c.posetape_last_error())
            self.assertIn(words, self.c.posetape_last_warning().decode())
        _, expected = self.refine()
        self.assertEqual(self.c.posetape_last_warning(), b"")
        status, out = self.refine(noisy=self.noisy + np.float32([0, 0, 0.3]))
        self.assertEqual(status, 0)
        self.assertIn("0.300 m from the origin", self.c.posetape_last_warning().decode())
        np.testing.assert_allclose(out, expected, atol=1e-4)

    def test_short_gaps_are_interpolated_as_the_command_does(self):
        pose_2d, noisy = self.pose_2d.copy(), self.noisy.copy()
        noisy[11:36, 3, 1], pose_2d[:4, 9] = np.nan, np.inf
        status, out = self.refine(noisy=noisy, pose_2d=pose_2d)
        self.assertEqual(status, 0, self.c.posetape_last_error())
        np.savez(WORK / "one.npz", **{"one/pose_2d": pose_2d, "one/noisy_3d": noisy,
                                      "one/image_size": self.size})
        try:
            np.testing.assert_array_equal(out, self.by_command())
        finally:
            np.savez(WORK / "one.npz", **{"one/pose_2d": self.pose_2d, "one/noisy_3d": self.noisy,
                                          "one/image_size": self.size})

    def test_the_example_refines_an_array(self):
        subprocess.run([sys.executable, EXAMPLE, LIBRARY, WORK / "refiner.safetensors",
                        WORK / "clip.npz", WORK / "refined.npy"], check=True)
        np.testing.assert_array_equal(np.load(WORK / "refined.npy"), self.by_command())
        spec = importlib.util.spec_from_file_location("example", EXAMPLE)
        example = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(example)
        with self.assertRaisesRegex(RuntimeError, "missing.safetensors"):
            example.refine(LIBRARY, str(WORK / "missing.safetensors"), self.pose_2d, self.noisy, 1, 1)

    def test_the_result_may_lie_on_the_estimate(self):
        _, expected = self.refine()
        both = self.noisy.copy()
        status = self.c.posetape_refine(self.refiner, len(both), self.pose_2d.ctypes.data,
                                        both.ctypes.data, *self.size, None, both.ctypes.data)
        self.assertEqual(status, 0)
        np.testing.assert_array_equal(both, expected)

    def test_bad_calls_are_refused_in_one_line(self):
        gap = self.noisy.copy()
        gap[11:37, 3, 1] = np.nan
        self.refused("noisy_3d: joint 3 (RFoot) is NaN or infinite in frames 11 to 36", noisy=gap)
        self.refused("thighs and shins without length", noisy=np.full_like(self.noisy, 3e38))
        status, _ = self.refine2(Options2(ctypes.sizeof(Options2), 0, 0, 0, 1),
                                 np.full_like(self.noisy, 3e38))
        self.assertEqual(status, -1)
        self.assertIn(b"refiner.safetensors: its result is", self.c.posetape_last_error())
        self.refused("0 frames", frames=0)
        self.refused("image of 0 x 5 pixels", size=[0, 5])
        self.refused("-1 steps", options=Options(-1))
        self.refused("stride of 10", options=Options(0, 10))
        self.refused("refiner is NULL", refiner=None)
        self.assertIsNone(self.c.posetape_refiner_load(None))
        self.assertIn("path is NULL", self.c.posetape_last_error().decode())
        self.assertIsNone(self.c.posetape_refiner_load(bytes(WORK / "lifter.safetensors")))
        self.assertIn("not a refiner checkpoint", self.c.posetape_last_error().decode())
        self.assertEqual(self.c.posetape_set_threads(0), -1)

    def test_threads_share_a_refiner_and_have_errors_of_their_own(self):
        _, expected = self.refine()
        results, errors = [], []

        def work(fails):
            for _ in range(10):
                if fails:
                    self.refine(frames=-1)
                else:
                    results.append(self.refine())
            errors.append(self.c.posetape_last_error().decode())

        threads = [threading.Thread(target=work, args=(i == 3,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(results), 30)
        for status, out in results:
            self.assertEqual(status, 0)
            np.testing.assert_array_equal(out, expected)
        self.assertEqual(sorted(errors)[:3], ["", "", ""])
        self.assertIn("-1 frames", sorted(errors)[3])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        WORK = Path(folder)
        unittest.main(verbosity=1)
