#!/usr/bin/env python3
"""posetape convert to ONNX: onnx_test.py PATH_OF_POSETAPE

ONNX Runtime computes what `posetape lift` and `posetape refine` do, for each network.
Skipped (exit code 77) without numpy or onnxruntime.
"""

import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

try:
    import numpy as np
    import onnxruntime
except ImportError as error:
    print(f"{error.name} is missing: pip install onnxruntime numpy")
    sys.exit(77)

POSETAPE = None
WORK = None
FRAMES = 9
SIZE = f"--frames {FRAMES} --width 16 --heads 2 --batch 8 --epochs 1".split()


def run(*arguments, expect=0):
    done = subprocess.run([POSETAPE, *map(str, arguments)], capture_output=True, text=True, cwd=WORK)
    assert done.returncode == expect, f"{arguments}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def setUpModule():
    run("prepare", "synthetic", "-o", "data.npz", "--people", 4, "--takes", 1, "--seconds", 1,
        "--cameras", "0,1")
    run("train", "lifter", "data.npz", "-o", "stcformer.safetensors", "--depth", 2, *SIZE)
    run("train", "lifter", "data.npz", "-o", "mixste.safetensors", "--model", "mixste", "--depth", 2,
        *SIZE)
    run("lift", "stcformer.safetensors", "data.npz", "-o", "lifted.npz")
    run("train", "refiner", "lifted.npz", "-o", "refiner.safetensors", "--depth", 2, *SIZE)
    run("train", "refiner", "lifted.npz", "-o", "regression.safetensors", "--depth", 1, "--objective",
        "regression", "--normalization", "per-coordinate", *SIZE)
    run("train", "smoothnet", "lifted.npz", "-o", "smoothnet.safetensors", "--frames", FRAMES,
        "--width", 32, "--hidden", 8, "--depth", 2, "--batch", 8, "--epochs", 1)


def windows(path, field):
    """The first windows of the file's sequences, [sequences, N, 17, C]."""
    file = np.load(WORK / path)
    names = sorted(n for n in file.files if n.endswith("/" + field))
    return np.stack([file[n][:FRAMES] for n in names])


def screen(path):
    """Pixels as a network takes them (data/README.md, "normalisation")."""
    file = np.load(WORK / path)
    sizes = [file[n] for n in sorted(file.files) if n.endswith("/image_size")]
    poses = windows(path, "pose_2d")
    return np.stack([(p * 2 - s) / s[0] for p, s in zip(poses, sizes)]).astype(np.float32)


class Onnx(unittest.TestCase):
    def check(self, checkpoint, inputs, expected, *options):
        model = f"{checkpoint}.onnx"
        run("convert", f"{checkpoint}.safetensors", "-o", model, *options)
        session = onnxruntime.InferenceSession(str(WORK / model),
                                               providers=["CPUExecutionProvider"])
        self.assertEqual({i.name: i.type for i in session.get_inputs()},
                         {name: "tensor(float)" for name in inputs})
        batch = session.get_inputs()[0].shape[0]
        self.assertEqual([i.shape[:3] for i in session.get_inputs()],
                         [[batch, FRAMES, 17]] * len(inputs))
        out = [session.run(None, {n: x[i:i + batch] for n, x in inputs.items()})[0]
               for i in range(0, len(expected), batch)]
        error = np.abs(np.concatenate(out) - expected).max() / np.abs(expected).max()
        print(f"{checkpoint} {' '.join(map(str, options))}: {error:.1e}", file=sys.stderr)
        self.assertLess(error, 1e-5)
        return session

    def test_lifters(self):
        for name in ("stcformer", "mixste"):
            run("lift", f"{name}.safetensors", "data.npz", "-o", "out.npz", "--stride", FRAMES)
            self.check(name, {"pose_2d": screen("data.npz")}, windows("out.npz", "noisy_3d"))

    def test_a_second_pass(self):
        run("train", "lifter", "lifted.npz", "-o", "second.safetensors", "--frames", FRAMES, "--width", 16,
            "--depth", 1, "--heads", 2, "--epochs", 1, "--estimate")
        run("lift", "second.safetensors", "lifted.npz", "-o", "out.npz", "--stride", FRAMES)
        self.check("second", {"pose_2d": screen("lifted.npz"), "noisy_3d": windows("lifted.npz", "noisy_3d")},
                   windows("out.npz", "noisy_3d"))

    def test_refiner_of_some_steps(self):
        inputs = {"pose_2d": screen("lifted.npz"), "noisy_3d": windows("lifted.npz", "noisy_3d")}
        for options, steps in ((("--steps", 1), 1), ((), 2), (("--steps", 5, "--batch", 2), 5)):
            run("refine", "refiner.safetensors", "lifted.npz", "-o", "out.npz", "--recipe", "paper",
                "--stride", FRAMES, "--steps", steps)
            session = self.check("refiner", inputs, windows("out.npz", "refined_3d"), *options)
            metadata = session.get_modelmeta().custom_metadata_map
            self.assertEqual(json.loads(metadata["convention"])["normalisation"], "longer-side")

    def test_denoiser_under_a_sampler_of_ones_own(self):
        run("refine", "refiner.safetensors", "lifted.npz", "-o", "out.npz", "--recipe", "paper",
            "--stride", FRAMES, "--steps", 3)
        x, y = windows("lifted.npz", "noisy_3d"), screen("lifted.npz")
        run("convert", "refiner.safetensors", "-o", "denoiser.onnx", "--denoiser", "--batch", len(x))
        session = onnxruntime.InferenceSession(str(WORK / "denoiser.onnx"),
                                               providers=["CPUExecutionProvider"])
        alpha_bar = np.array(json.loads(session.get_modelmeta().custom_metadata_map["alpha_bar"]))
        a, s = np.sqrt(alpha_bar, dtype="f4"), np.sqrt(1 - alpha_bar, dtype="f4")
        self.assertEqual(len(alpha_bar), 51)
        for k, j in ((50, 33), (33, 17), (17, 0)):  # DDIM in three steps
            t = np.full(len(x), k, np.int32)
            error, = session.run(None, {"x_t": x, "pose_2d": y, "t": t})
            x0 = (x - s[k] * error) / (a[k] + s[k])
            x = (a[j] + s[j]) * x0 + s[j] * error
        x[:, :, 0] = 0
        expected = windows("out.npz", "refined_3d")
        self.assertLess(np.abs(x - expected).max() / np.abs(expected).max(), 1e-5)

    def test_refiner_by_regression(self):
        inputs = {"pose_2d": screen("lifted.npz"), "noisy_3d": windows("lifted.npz", "noisy_3d")}
        run("refine", "regression.safetensors", "lifted.npz", "-o", "out.npz", "--recipe", "paper",
            "--stride", FRAMES)
        self.check("regression", inputs, windows("out.npz", "refined_3d"), "--format", "onnx")

    def test_smoother(self):
        run("refine", "smoothnet.safetensors", "lifted.npz", "-o", "out.npz", "--recipe", "paper",
            "--stride", FRAMES)
        self.check("smoothnet", {"noisy_3d": windows("lifted.npz", "noisy_3d")},
                   windows("out.npz", "refined_3d"))

    def test_the_file_is_as_onnx_wants_it(self):
        try:
            import onnx
        except ImportError:
            self.skipTest("onnx is missing: pip install onnx")
        run("convert", "refiner.safetensors", "-o", "checked.onnx", "--frames", 27)
        model = onnx.load(WORK / "checked.onnx")
        onnx.checker.check_model(model, full_check=True)
        self.assertEqual([d.dim_value for d in model.graph.output[0].type.tensor_type.shape.dim],
                         [1, 27, 17, 3])
        self.assertIn("blocks.0.stc1.qkv.weight", [i.name for i in model.graph.initializer])
        before = (WORK / "checked.onnx").read_bytes()
        run("convert", "refiner.safetensors", "-o", "checked.onnx", "--frames", 27)
        self.assertEqual(before, (WORK / "checked.onnx").read_bytes())

    def test_refused(self):
        def refused(*arguments):
            out = run("convert", *arguments, expect=1)
            self.assertFalse((WORK / "no.onnx").exists())
            return out

        self.assertIn("--steps 3: stcformer.safetensors is no refiner",
                      refused("stcformer.safetensors", "-o", "no.onnx", "--steps", 3))
        self.assertIn("--denoiser: stcformer.safetensors is no refiner",
                      refused("stcformer.safetensors", "-o", "no.onnx", "--denoiser"))
        self.assertIn("a regression has no timestep",
                      refused("regression.safetensors", "-o", "no.onnx", "--denoiser"))
        self.assertIn("its windows have 9 frames, so --frames 27 cannot be",
                      refused("smoothnet.safetensors", "-o", "no.onnx", "--frames", 27))
        self.assertIn("51 denoising steps for T = 50",
                      refused("refiner.safetensors", "-o", "no.onnx", "--steps", 51))
        self.assertIn("--batch: is for ONNX",
                      refused("stcformer.safetensors", "-o", "no.safetensors", "--batch", 2))
        self.assertIn("has no lifter 'fold7'",
                      refused("stcformer.safetensors", "-o", "no.onnx", "--lifter", "fold7"))
        run("convert", "stcformer.safetensors", "-o", "pytorch.safetensors")
        self.assertIn("convert them to a lifter", refused("pytorch.safetensors", "-o", "no.onnx"))


if __name__ == "__main__":
    POSETAPE = str(Path(sys.argv.pop(1)).resolve())
    with tempfile.TemporaryDirectory() as folder:
        WORK = Path(folder)
        unittest.main(verbosity=1)
