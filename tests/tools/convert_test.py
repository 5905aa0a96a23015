#!/usr/bin/env python3
"""posetape convert on checkpoints of PyTorch's two formats: convert_test.py PATH_OF_POSETAPE

The checkpoints are written here byte by byte, without PyTorch, and STCFormer and MixSTE are computed
here as their released code lays the weights out, so that `posetape lift` with the converted weights
must agree.
Skipped (exit code 77) without numpy.
"""

import argparse
import collections
import io
import json
import math
import os
import pathlib
import pickle
import struct
import subprocess
import sys
import tempfile
import types
import unittest
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Callable, NamedTuple

try:
    import numpy as np
except ImportError:
    print("numpy is missing: install python3-numpy")
    sys.exit(77)

POSETAPE = None
WORK = None

WIDTH, HEADS, DEPTH, RATIO, FRAMES = 32, 4, 2, 2, 9
PARTS = [0, 1, 1, 1, 2, 2, 2, 0, 0, 0, 0, 3, 3, 3, 4, 4, 4]


def run(*arguments, expect=0):
    done = subprocess.run([POSETAPE, *map(str, arguments)], capture_output=True, text=True,
                          timeout=120)
    assert done.returncode == expect, (arguments, done.stdout, done.stderr)
    return done


def refused(path):
    error = run("convert", path, "-o", WORK / "refused.safetensors", expect=1).stderr
    assert error.count("\n") == 1 and error.startswith("posetape: "), error
    return error


# ---- Checkpoints without PyTorch: modules and classes of its names, which pickle goes by ----

TYPES = {"f4": "FloatStorage", "f8": "DoubleStorage", "f2": "HalfStorage",
         "u2": "BFloat16Storage", "i8": "LongStorage", "c8": "ComplexFloatStorage",
         "u1": "UntypedStorage"}
torch = types.ModuleType("torch")
torch._utils = types.ModuleType("torch._utils")
torch._tensor = types.ModuleType("torch._tensor")
net = types.ModuleType("net")


def named(module, name, value):
    value.__module__, value.__qualname__, value.__name__ = module.__name__, name, name
    setattr(module, name, value)
    return value


for storage in TYPES.values():
    named(torch, storage, type(storage, (), {}))
for function in ("tensor", "tensor_v2", "tensor_v3", "parameter", "parameter_with_state",
                 "sparse_tensor"):
    named(torch._utils, "_rebuild_" + function, lambda *a: a)
named(torch._tensor, "_rebuild_from_type_v2", lambda *a: a)
named(torch, "Tensor", type("Tensor", (), {}))
named(torch, "float8_e4m3fn", lambda: None)
named(net, "Model", type("Model", (), {}))
sys.modules.update({"torch": torch, "torch._utils": torch._utils, "torch._tensor": torch._tensor,
                    "net": net})


class Storage:
    def __init__(self, array, key):
        self.array, self.key = array, key


class FakeTensor:
    """A view of a storage; `more` are the arguments that only some have."""

    def __init__(self, storage, offset, size, stride, *more, function="_rebuild_tensor_v2"):
        self.arguments = (storage, offset, tuple(size), tuple(stride), False, OrderedDict(), *more)
        self.function = getattr(torch._utils, function)

    def __reduce__(self):
        return self.function, self.arguments


class Call:
    """What pickle makes of it: a call of a function or class."""

    def __init__(self, function, *arguments):
        self.parts = function, arguments

    def __reduce__(self):
        return self.parts


def tensor(array, key, transposed=False):
    if transposed:  # kept column by column
        kept = np.ascontiguousarray(array.T)
        return FakeTensor(Storage(kept.ravel(), key), 0, array.shape,
                          [s // array.itemsize for s in kept.T.strides])
    array = np.ascontiguousarray(array)
    return FakeTensor(Storage(array.ravel(), key), 0, array.shape,
                      [s // array.itemsize for s in array.strides])


class Pickler(pickle.Pickler):
    def __init__(self, file, legacy, protocol):
        super().__init__(file, protocol=protocol)
        self.legacy, self.storages = legacy, {}

    def persistent_id(self, value):
        if not isinstance(value, Storage):
            return None
        self.storages[value.key] = value
        kind = getattr(torch, TYPES[value.array.dtype.str[1:]])
        name = ("storage", kind, value.key, "cpu", value.array.size)
        return name + (None,) if self.legacy else name


def zipped(content, folder="archive", protocol=2, order="little", more=()):
    pickled = io.BytesIO()
    pickler = Pickler(pickled, legacy=False, protocol=protocol)
    pickler.dump(content)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"{folder}/data.pkl", pickled.getvalue())
        archive.writestr(f"{folder}/byteorder", order)
        for storage in pickler.storages.values():
            array = storage.array if order == "little" else storage.array.byteswap()
            archive.writestr(f"{folder}/data/{storage.key}", array.tobytes())
        archive.writestr(f"{folder}/version", "3\n")
        for name in more:
            archive.writestr(f"{folder}/{name}", "")
    return file.getvalue()


def without_sums(archive):
    """As a writer leaves them that does not compute check sums: 0 in both headers of an entry."""
    data = bytearray(archive)
    for mark, at in ((b"PK\3\4", 14), (b"PK\1\2", 16)):
        found = data.find(mark)
        while found >= 0:
            data[found + at : found + at + 4] = bytes(4)
            found = data.find(mark, found + 4)
    return bytes(data)


def legacy(content, protocol=2):
    file = io.BytesIO()
    for head in (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True,
                                                "type_sizes": {"short": 2, "int": 4, "long": 4}}):
        pickle.dump(head, file, protocol=protocol)
    pickler = Pickler(file, legacy=True, protocol=protocol)
    pickler.dump(content)
    keys = sorted(pickler.storages)
    pickle.dump(keys, file, protocol=protocol)
    for key in keys:
        array = pickler.storages[key].array
        file.write(struct.pack("<q", array.size) + array.tobytes())
    return file.getvalue()


# ---- STCFormer as released ----


def stcformer_weights():
    rng = np.random.default_rng(7)
    half, head = WIDTH // 2, WIDTH // 2 // HEADS
    result = OrderedDict()

    def add(name, *shape):
        result[name] = (rng.normal(size=shape) / math.sqrt(shape[-1])).astype("f4")

    add("pose_emb.weight", WIDTH, 2)
    for i in range(DEPTH):
        block = f"stcformer.stc_block.{i}."
        for norm in ("layer_norm", "stc_att.layer_norm"):
            add(block + norm + ".weight", WIDTH)
            add(block + norm + ".bias", WIDTH)
            result[block + norm + ".weight"] += 1
        add(block + "mlp.fc1.weight", RATIO * WIDTH, WIDTH)
        add(block + "mlp.fc2.weight", WIDTH, RATIO * WIDTH)
        add(block + "stc_att.qkv.weight", 3 * WIDTH, WIDTH)
        add(block + "stc_att.qkv.bias", 3 * WIDTH)
        add(block + "stc_att.proj.weight", WIDTH, WIDTH)
        add(block + "stc_att.proj.bias", WIDTH)
        # Large enough to be seen in spite of its factor of 1e-4.
        result[block + "stc_att.emb.weight"] = (rng.normal(size=(5, head)) * 3000).astype("f4")
        for convolution in ("sep2_t", "sep2_s"):
            add(f"{block}stc_att.{convolution}.weight", half, 1, 3, 3)
            add(f"{block}stc_att.{convolution}.bias", half)
    add("regress_head.weight", 3, WIDTH)
    return result


def layer_norm(x, weight, bias, eps=1e-5):
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + eps) * weight + bias


def gelu(x):
    return 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def depthwise(v, weight, bias):
    """v (T, J, C), a 3 x 3 filter for each channel over (T, J)."""
    padded = np.pad(v, ((1, 1), (1, 1), (0, 0)))
    result = np.broadcast_to(bias, v.shape).copy()
    for t in range(3):
        for j in range(3):
            result += weight[:, 0, t, j] * padded[t : t + v.shape[0], j : j + v.shape[1]]
    return result


def stcformer(w, y):
    """y (T, J, 2) -> (T, J, 3)."""
    w = {name: value.astype("f8") for name, value in w.items()}
    frames, joints = y.shape[:2]
    half, head = WIDTH // 2, WIDTH // 2 // HEADS
    x = gelu(y @ w["pose_emb.weight"].T)
    for i in range(DEPTH):
        att = lambda name: w[f"stcformer.stc_block.{i}.stc_att.{name}"]
        h = layer_norm(x, att("layer_norm.weight"), att("layer_norm.bias"))
        qkv = (h @ att("qkv.weight").T + att("qkv.bias")).reshape(frames, joints, WIDTH, 3)
        q, k, v = np.moveaxis(qkv, -1, 0)
        scale = half**-0.5
        heads = []
        for n in range(HEADS):
            c = slice(n * head, (n + 1) * head)
            spatial = softmax(np.einsum("tic,tjc->tij", q[..., c], k[..., c]) * scale)
            s = np.einsum("tij,tjc->tic", spatial, v[..., c])
            s += depthwise(v[..., :half], att("sep2_s.weight"), att("sep2_s.bias"))[..., c]
            s += 1e-4 * att("emb.weight")[PARTS]
            c = slice(half + n * head, half + (n + 1) * head)
            temporal = softmax(np.einsum("ijc,kjc->jik", q[..., c], k[..., c]) * scale)
            t = np.einsum("jik,kjc->ijc", temporal, v[..., c])
            t += depthwise(v[..., half:], att("sep2_t.weight"),
                           att("sep2_t.bias"))[..., n * head : (n + 1) * head]
            heads += [s, t]
        x = x + np.concatenate(heads, -1) @ att("proj.weight").T + att("proj.bias")
        block = lambda name: w[f"stcformer.stc_block.{i}.{name}"]
        h = layer_norm(x, block("layer_norm.weight"), block("layer_norm.bias"))
        x = x + gelu(h @ block("mlp.fc1.weight").T) @ block("mlp.fc2.weight").T
    return x @ w["regress_head.weight"].T


# ---- MixSTE as released ----


def mixste_weights():
    rng = np.random.default_rng(8)
    result = OrderedDict()

    def add(name, *shape):
        result[name] = (rng.normal(size=shape) / math.sqrt(shape[-1])).astype("f4")

    def add_layer(name, *shape):
        add(name + ".weight", *shape)
        add(name + ".bias", shape[0])
        if len(shape) == 1:
            result[name + ".weight"] += 1

    add("Spatial_pos_embed", 1, 17, WIDTH)
    add("Temporal_pos_embed", 1, FRAMES, WIDTH)
    add_layer("Spatial_patch_to_embedding", WIDTH, 2)
    for axis in ("STEblocks", "TTEblocks"):
        for i in range(DEPTH):
            block = f"{axis}.{i}."
            add_layer(block + "norm1", WIDTH)
            add_layer(block + "attn.qkv", 3 * WIDTH, WIDTH)
            add_layer(block + "attn.proj", WIDTH, WIDTH)
            add_layer(block + "norm2", WIDTH)
            add_layer(block + "mlp.fc1", RATIO * WIDTH, WIDTH)
            add_layer(block + "mlp.fc2", WIDTH, RATIO * WIDTH)
    add_layer("Spatial_norm", WIDTH)
    add_layer("Temporal_norm", WIDTH)
    add_layer("head.0", WIDTH)
    add_layer("head.1", 3, WIDTH)
    return result


def mixste(w, y):
    """y (T, J, 2) -> (T, J, 3)."""
    w = {name: value.astype("f8") for name, value in w.items()}
    layer = lambda name, x: x @ w[name + ".weight"].T + w[name + ".bias"]
    norm = lambda name, x, eps=1e-6: layer_norm(x, w[name + ".weight"], w[name + ".bias"], eps)

    def block(name, x):
        """x (sequences, tokens, channels)."""
        sequences, tokens = x.shape[:2]
        qkv = layer(name + ".attn.qkv", norm(name + ".norm1", x))
        q, k, v = qkv.reshape(sequences, tokens, 3, HEADS, -1).transpose(2, 0, 3, 1, 4)
        scores = softmax(q @ k.swapaxes(-2, -1) * (WIDTH // HEADS) ** -0.5)
        x = x + layer(name + ".attn.proj", (scores @ v).swapaxes(1, 2).reshape(x.shape))
        hidden = gelu(layer(name + ".mlp.fc1", norm(name + ".norm2", x)))
        return x + layer(name + ".mlp.fc2", hidden)

    x = layer("Spatial_patch_to_embedding", y) + w["Spatial_pos_embed"]
    for i in range(DEPTH):
        x = norm("Spatial_norm", block(f"STEblocks.{i}", x)).swapaxes(0, 1)
        if i == 0:
            x = x + w["Temporal_pos_embed"]
        x = norm("Temporal_norm", block(f"TTEblocks.{i}", x)).swapaxes(0, 1)
    return layer("head.1", norm("head.0", x, 1e-5))


class Network(NamedTuple):
    weights: Callable  # () -> the state_dict's arrays
    lift: Callable  # (weights, y (T, J, 2)) -> (T, J, 3)
    options: tuple  # of convert, for what the weights don't tell


NETWORKS = {
    "stcformer": Network(stcformer_weights, stcformer, ("--frames", FRAMES)),
    "mixste": Network(mixste_weights, mixste, ("--heads", HEADS)),
}


def read_safetensors(path):
    data = Path(path).read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    types = {"F32": "f4", "F64": "f8", "I32": "i4"}
    return {
        name: np.frombuffer(data[8 + length :][slice(*e["data_offsets"])],
                            types[e["dtype"]]).reshape(e["shape"])
        for name, e in header.items()
    }


def checkpoint(w, prefix="", transposed=True):
    """A state_dict; weights of the layers are kept column by column to see that strides count."""
    return OrderedDict(
        (prefix + name, tensor(array, str(i), transposed and array.ndim == 2))
        for i, (name, array) in enumerate(w.items())
    )


def write(name, content):
    path = WORK / name
    path.write_bytes(content)
    return path


class Convert(unittest.TestCase):
    def check_lifter(self, path, network):
        rng = np.random.default_rng(3)
        pixels = (500 + 150 * rng.normal(size=(FRAMES, 17, 2))).astype("f4")
        np.savez(WORK / "one.npz", **{"S1/Walk/0/pose_2d": pixels,
                                      "S1/Walk/0/image_size": np.array([1000, 1002], "i4")})
        run("lift", path, WORK / "one.npz", "-o", WORK / "one_lifted.npz", "--force")
        found = np.load(WORK / "one_lifted.npz")["S1/Walk/0/noisy_3d"]
        y = pixels.astype("f8") * 2 / 1000 - [1, 1.002]
        expected = network.lift(network.weights(), y)
        np.testing.assert_allclose(found[:, 1:], expected[:, 1:], atol=2e-5 * np.abs(expected).max())

    def test_both_formats_give_a_lifter_that_computes_the_same(self):
        for kind, network in NETWORKS.items():
            for name, content in (("new.pth", zipped), ("old.pth", legacy)):
                path = write(name, content(checkpoint(network.weights())))
                out = run("convert", path, "-o", WORK / "lifter.safetensors",
                          *network.options).stdout
                self.assertIn(f"{kind} of", out)
                self.assertIn(f"({WIDTH} wide, {DEPTH} blocks, {HEADS} heads)", out)
                self.assertIn(f"windows of {FRAMES} frames", out)
                self.check_lifter(WORK / "lifter.safetensors", network)

    def test_frames_are_as_far_apart_as_the_networks_were_released(self):
        path = write("step.pth", zipped(checkpoint(stcformer_weights())))
        for options, apart in ((("--frames", 81), 3), (("--frames", 243), 2), (("--frames", 9), 1),
                               (("--frames", 27, "--step", 4), 4)):
            out = run("convert", path, "-o", WORK / "step.safetensors", *options).stdout
            self.assertIn(f"windows of {options[1]} frames, {apart} apart", out)

    def test_and_back_under_the_names_of_pytorch(self):
        for network in NETWORKS.values():
            path = write("back.pth", zipped(checkpoint(network.weights())))
            run("convert", path, "-o", WORK / "there.safetensors", *network.options)
            run("convert", WORK / "there.safetensors", "-o", WORK / "back.safetensors")
            found = read_safetensors(WORK / "back.safetensors")
            self.assertEqual(set(found), set(network.weights()))
            for name, array in network.weights().items():
                np.testing.assert_array_equal(found[name], array, name)
            # A file of safetensors with those names is read as well.
            run("convert", WORK / "back.safetensors", "-o", WORK / "again.safetensors",
                *network.options)
            self.assertEqual((WORK / "again.safetensors").read_bytes(),
                             (WORK / "there.safetensors").read_bytes())

    def test_inputs_beside_2d_go_there_and_back(self):
        options = ["--frames", 9, "--width", 16, "--depth", 1, "--heads", 2, "--epochs", 1]
        run("prepare", "synthetic", "-o", WORK / "few.npz", "--people", 3, "--takes", 1, "--seconds", 1,
            "--cameras", 0)
        run("train", "lifter", WORK / "few.npz", "-o", WORK / "first.safetensors", *options)
        run("lift", WORK / "first.safetensors", WORK / "few.npz", "-o", WORK / "more.npz")
        for more, numbers in ((["--confidence"], 3), (["--estimate"], 5), (["--confidence", "--estimate"], 6)):
            for model, weight in (("stcformer", "pose_emb"), ("mixste", "Spatial_patch_to_embedding")):
                run("train", "lifter", WORK / "more.npz", "-o", WORK / "own.safetensors", *options, *more,
                    "--model", model)
                out = run("convert", WORK / "own.safetensors", "-o", WORK / "theirs.safetensors").stdout
                self.assertIn(f"{weight}.weight takes {numbers} numbers a joint, where the released code has 2", out)
                heads = ["--heads", 2] if model == "mixste" else []
                run("convert", WORK / "theirs.safetensors", "-o", WORK / "again.safetensors", "--frames", 9,
                    "--step", 1, *heads)
                own, again = (read_safetensors(WORK / f"{name}.safetensors") for name in ("own", "again"))
                self.assertEqual(read_safetensors(WORK / "theirs.safetensors")[f"{weight}.weight"].shape,
                                 (16, numbers))
                self.assertEqual(set(own), set(again))
                for name, array in own.items():
                    np.testing.assert_array_equal(again[name], array, name)

    def test_a_state_dict_among_other_things(self):
        for network in NETWORKS.values():
            self.check_training_state(network)

    def check_training_state(self, network):
        moments = {0: {"step": 7, "exp_avg": tensor(np.zeros(3, "f4"), "m")}}
        content = {
            "epoch": 3,
            "lr": 1e-3,
            "random_state": np.random.RandomState(1),
            "optimizer": {"state": moments, "param_groups": [{"lr": 1e-3, "params": [0]}]},
            "model_pos": checkpoint(network.weights(), "module."),
        }
        for name, form in (("whole.pth", zipped), ("whole_old.pth", legacy)):
            path = write(name, form(content))
            run("convert", path, "-o", WORK / "whole.safetensors", *network.options)
            self.check_lifter(WORK / "whole.safetensors", network)
        # An average beside the weights is another set; of two that are none, one must be chosen.
        zeros = checkpoint({name: 0 * array for name, array in network.weights().items()}, "")
        for storage in zeros.values():
            storage.arguments[0].key += "z"
        content["ema"] = zeros
        path = write("two.pth", zipped(content))
        done = run("convert", path, "-o", WORK / "whole.safetensors", *network.options)
        self.assertIn("weights: model_pos (--weights takes another: ema)", done.stdout)
        self.check_lifter(WORK / "whole.safetensors", network)
        content["other"] = content.pop("ema")
        path = write("two.pth", zipped(content))
        self.assertIn("several sets of weights (model_pos, other); choose one with --weights",
                      refused(path))
        run("convert", path, "-o", WORK / "whole.safetensors", *network.options, "--weights",
            "model_pos")
        self.check_lifter(WORK / "whole.safetensors", network)
        done = run("convert", path, "-o", WORK / "o", "--weights", "x", expect=1)
        self.assertIn("no weights 'x', but model_pos, other", done.stderr)
        for form in (zipped, legacy):
            line = refused(write("none.pth", form({"epoch": 1, "optimizer": content["optimizer"]})))
            self.assertIn("no weights under names, but epoch (an integer), optimizer (a dict)", line)

    def test_other_types_of_numbers(self):
        w = stcformer_weights()
        bf16 = (w["pose_emb.weight"].view("u4") >> 16).astype("u2")
        w["pose_emb.weight"] = bf16
        w["regress_head.weight"] = w["regress_head.weight"].astype("f2")
        w["stcformer.stc_block.0.mlp.fc1.weight"] = w[
            "stcformer.stc_block.0.mlp.fc1.weight"].astype("f8")
        path = write("types.pth", zipped(checkpoint(w)))
        run("convert", path, "-o", WORK / "types.safetensors")
        run("convert", WORK / "types.safetensors", "-o", WORK / "back.safetensors")
        found = read_safetensors(WORK / "back.safetensors")
        w["pose_emb.weight"] = (bf16.astype("u4") << 16).view("f4")
        for name, array in w.items():
            np.testing.assert_array_equal(found[name], array.astype("f4"), name)

    def check_same(self, what, content, *options, says=""):
        """The file makes the lifter that the plain state_dict makes."""
        plain = write("plain.pth", zipped(checkpoint(stcformer_weights())))
        run("convert", plain, "-o", WORK / "plain.safetensors")
        with self.subTest(what):
            path = write("kind.pth", content)
            done = run("convert", path, "-o", WORK / "kind.safetensors", *options)
            self.assertIn(says, done.stdout)
            self.assertEqual((WORK / "kind.safetensors").read_bytes(),
                             (WORK / "plain.safetensors").read_bytes())

    def test_prefixes_are_taken_off(self):
        w = stcformer_weights()
        for prefix in ("module.", "_orig_mod.", "model.", "net.", "module._orig_mod.",
                       "_orig_mod.module.", "_fsdp_wrapped_module.", "a.b._module.c."):
            self.check_same(prefix, zipped(checkpoint(w, prefix)))
        for wrapper in ("_fsdp_wrapped_module.", "_checkpoint_wrapped_module.", "_orig_mod."):
            inner = {n.replace("stc_att.", "stc_att." + wrapper): a for n, a in w.items()}
            self.check_same(wrapper, zipped(checkpoint(inner)))
        averaged = checkpoint(w, "module.")
        averaged["n_averaged"] = tensor(np.array([2**40]), "n")
        self.check_same("AveragedModel", zipped(averaged), says="left out: n_averaged (int64)")
        lightning = checkpoint(w, "model.")
        lightning["loss.weight"] = tensor(np.ones(3, "f4"), "l")
        lightning["ema_model.pose_emb.weight"] = tensor(np.ones((32, 2), "f4"), "e")
        self.check_same("LightningModule", zipped({"state_dict": lightning}),
                        says="weights: state_dict.model (--weights takes another: "
                        "state_dict.ema_model)\n  left out: loss.weight, ema_model.pose_emb")
        both = {**checkpoint(w), "module.pose_emb.weight": tensor(np.ones((32, 2), "f4"), "m")}
        self.assertIn("tensors 'pose_emb.weight' and 'module.pose_emb.weight' are both",
                      refused(write("both.pth", zipped(both))))
        # As safetensors, with counters in it.
        entries, data = {}, b""
        for name, array in {**{"model." + n: a.astype("f2") for n, a in w.items()},
                            "model.n": np.array([1])}.items():
            start, data = len(data), data + array.tobytes()
            entries[name] = {"dtype": {"f": "F16", "i": "I64"}[array.dtype.kind],
                             "shape": array.shape, "data_offsets": [start, len(data)]}
        header = json.dumps(entries).encode()
        path = write("half.pth", struct.pack("<Q", len(header)) + header + data)
        done = run("convert", path, "-o", WORK / "half.safetensors")
        self.assertIn("left out: n (I64)", done.stdout)
        run("convert", WORK / "half.safetensors", "-o", WORK / "back.safetensors")
        for name, array in read_safetensors(WORK / "back.safetensors").items():
            np.testing.assert_array_equal(array, w[name].astype("f2").astype("f4"))

    def test_what_lies_beside_is_passed_over(self):
        plain = checkpoint(stcformer_weights())
        module = Call(net.Model)
        beside = {
            "epoch": tensor(np.array(7), "a"), "loss": tensor(np.float32([0.5]), "b"),
            "args": argparse.Namespace(lr=1e-3, out=pathlib.PurePosixPath("runs/a")),
            "history": collections.defaultdict(list, {"loss": [0.5]}),
            "queue": collections.deque([tensor(np.zeros(3, "c8"), "c")]),
            "counts": collections.Counter("aab"), "set": {1, 2}, "frozen": frozenset("a"),
            "bytes": bytearray(b"abc"), "range": range(3), "complex": 1j, "big": 2**70,
            "numpy": [np.float32(1), np.zeros(3, "f2"), np.array([None]), np.random.RandomState(1)],
            "storage": Storage(np.zeros(3, "f4"), "s"),
            "sparse": Call(torch._utils._rebuild_sparse_tensor, "coo", ()), "type": net.Model,
            "model": module, 3: "x", None: "y",
        }
        for protocol in (2, 3, 4, 5):
            for form in (zipped, legacy):
                self.check_same(f"protocol {protocol}",
                                form({**beside, "state_dict": plain}, protocol=protocol))
        for what, content in {
            "deep": {"a": [{"b": {"c": plain}}]}, "list": [1, plain], "tuple": (plain, 2),
            "attribute": argparse.Namespace(model=plain), "by number": {0: plain},
            "elements": collections.deque([plain]), "dict of a class": collections.defaultdict(
                dict, {"model": plain}), "twice": {"a": plain, "b": plain},
            "pairs of Python 2": Call(OrderedDict, [[n, t] for n, t in plain.items()]),
            "optimiser by name": {"o": {"state": plain, "param_groups": []}, "model": plain},
            "moments": {"optim": {"exp_avg": dict(plain)}, "grads": dict(plain), "net": plain},
        }.items():
            self.check_same(what, zipped(content))

    def test_how_tensors_are_kept(self):
        w = stcformer_weights()
        wrap = lambda f: OrderedDict((n, f(t)) for n, t in checkpoint(w).items())
        for what, f in {
            "parameter": lambda t: Call(torch._utils._rebuild_parameter, t, True, OrderedDict()),
            "with attributes": lambda t: Call(torch._utils._rebuild_parameter_with_state, t, True,
                                              OrderedDict(), {"a": 1}),
            "buffer": lambda t: Call(torch._tensor._rebuild_from_type_v2, t.function, torch.Tensor,
                                     t.arguments, {"persistent": True}),
        }.items():
            for form in (zipped, legacy):
                self.check_same(what, form(wrap(f)))
        negative = checkpoint({n: -a for n, a in w.items()})
        for t in negative.values():
            t.arguments += ({"neg": True},)
        self.check_same("negated lazily", zipped(negative))
        self.check_same("big-endian", zipped(checkpoint(w), order="big"))
        self.check_same("no check sums", without_sums(zipped(checkpoint(w))))
        bare = checkpoint(w)
        for t in bare.values():
            t.arguments, t.function = t.arguments[:4], torch._utils._rebuild_tensor
        self.check_same("four arguments", zipped(bare))

        name = "stcformer.stc_block.0.layer_norm.bias"
        for what, array, kept in (
                ("expanded", np.full(WIDTH, 0.5, "f4"),
                 FakeTensor(Storage(np.float32([1, 0.5]), "x"), 1, (WIDTH,), (0,))),
                ("f8", np.full(WIDTH, -1.125, "f4"),
                 FakeTensor(Storage(np.full(WIDTH, 0xB9, "u1"), "x"), 0, (WIDTH,), (1,),
                            torch.float8_e4m3fn, function="_rebuild_tensor_v3"))):
            with self.subTest(what):
                content = {**checkpoint(w), name: kept}
                run("convert", write("x.pth", zipped(content)), "-o", WORK / "x.safetensors")
                run("convert", WORK / "x.safetensors", "-o", WORK / "back.safetensors")
                found = read_safetensors(WORK / "back.safetensors")
                np.testing.assert_array_equal(found[name], array)

    def test_what_holds_no_weights_is_called_by_its_name(self):
        w = stcformer_weights()
        module = net.Model()
        module.__dict__.update(_parameters=checkpoint(w), _modules=OrderedDict())
        for form in (zipped, legacy):
            for content in (module, {"model": module}):
                line = refused(write("whole.pth", form(content)))
                self.assertIn("whole module (net.Model)", line)
                self.assertIn("torch.save(model.state_dict(), ...)", line)
        self.check_same("and its weights", zipped({"m": module, "state_dict": checkpoint(w)}))
        self.assertIn("TorchScript",
                      refused(write("script.pt", zipped({}, more=["constants.pkl"]))))
        other = zipped({"model": {f"layer{i}.weight": tensor(np.ones(3, "f4"), "0")
                                  for i in range(9)}})
        line = refused(write("other.pth", other))
        self.assertIn("'pose_emb.weight' or 'Spatial_pos_embed'", line)
        self.assertIn("it has model: layer0.weight, model: layer1.weight", line)
        self.assertIn("and 3 more", line)
        for content, what in ((b"\x1f\x8b\x08", "gzip"), (bytes(257) + b"ustar\0", "tar archive"),
                              (pickle.dumps({"a": 1}, 4), "plain pickle"), (b"", "empty file"),
                              (b"<!DOCTYPE html>", "web page"), (b"{}", "JSON"),
                              (b"version https://git-lfs.github.com/", "git lfs pull")):
            self.assertIn(what, refused(write("x.pth", content)))
        (WORK / "dcp").mkdir()
        self.assertIn("a folder", refused(WORK / "dcp"))
        write("dcp/.metadata", b"")
        self.assertIn("dcp_to_torch", refused(WORK / "dcp"))
        np.savez(WORK / "x.npz", a=np.ones(3))
        self.assertIn("an npz file", refused(WORK / "x.npz"))

        name = "stcformer.stc_block.1.mlp.fc1.weight"
        w[name][2, 3] = np.nan
        done = run("convert", write("nan.pth", zipped(checkpoint(w))), "-o", WORK / "o", expect=1)
        self.assertIn(f"NaN or infinite: {name}: 1 of {RATIO * WIDTH * WIDTH}", done.stdout)
        self.assertIn("1 tensors hold NaN", done.stderr)
        w[name] = np.ones(w[name].shape, "i8")
        done = run("convert", write("i8.pth", zipped(checkpoint(w))), "-o", WORK / "o", expect=1)
        self.assertIn(f"missing: {name} (is int64)", done.stdout)

    def test_what_does_not_fit_is_said_key_by_key(self):
        w = stcformer_weights()
        del w["stcformer.stc_block.1.mlp.fc2.weight"]
        w["stcformer.stc_block.0.stc_att.proj.bias"] = np.zeros(31, "f4")
        w["head.weight"] = np.zeros((3, 3), "f4")
        done = run("convert", write("bad.pth", zipped(checkpoint(w))), "-o", WORK / "o", expect=1)
        self.assertIn("missing: stcformer.stc_block.1.mlp.fc2.weight", done.stdout)
        self.assertIn("wrong shape: stcformer.stc_block.0.stc_att.proj.bias: [31] instead of [32]",
                      done.stdout)
        self.assertIn("not of stcformer: head.weight", done.stdout)
        self.assertIn("1 tensors are missing, 1 have a wrong shape and 1 are not", done.stderr)
        self.assertIn("neither STCFormer nor MixSTE",
                      refused(write("other.pth", zipped({"a": tensor(np.zeros(3, "f4"), "0")}))))

    def test_what_does_not_fit_of_mixste(self):
        w = mixste_weights()
        w["Spatial_pos_embed"] = np.zeros((1, 16, WIDTH), "f4")
        w["STEblocks.1.norm3.bias"] = w.pop("TTEblocks.1.norm2.bias")
        done = run("convert", write("bad.pth", zipped(checkpoint(w))), "-o", WORK / "o", expect=1)
        self.assertIn("missing: TTEblocks.1.norm2.bias", done.stdout)
        self.assertIn("wrong shape: Spatial_pos_embed: [1, 16, 32] instead of [1, 17, 32]",
                      done.stdout)
        self.assertIn("not of mixste: STEblocks.1.norm3.bias", done.stdout)
        path = write("mixste.pth", zipped(checkpoint(mixste_weights())))
        for options, what in ((("--frames", 27), f"windows have {FRAMES} frames"),
                              (("--heads", 5), "--heads says how many")):
            done = run("convert", path, "-o", WORK / "o", *options, expect=1)
            self.assertIn(what, done.stderr)
        del w["Temporal_pos_embed"]
        self.assertIn("no tensor 'Temporal_pos_embed'",
                      refused(write("bad.pth", zipped(checkpoint(w)))))

    def test_no_code_is_run_and_no_memory_is_made_up(self):
        class Evil:
            def __reduce__(self):
                return os.system, (f"touch {WORK}/marker",)

        for form in (zipped, legacy):
            line = refused(write("evil.pth", form({"model": Evil()})))
            self.assertIn("system', which is refused", line)
        self.assertFalse((WORK / "marker").exists())

        storage = Storage(np.zeros(4, "f4"), "0")
        for size, stride, offset in (((5,), (1,), 0), ((2, 2), (3, 1), 0),
                                     ((4,), (1,), 1), ((4,), (-1,), 3), ((-1,), (1,), 0),
                                     ((2, 2), (2**62, 2**62), 0)):
            content = {"pose_emb.weight": FakeTensor(storage, offset, size, stride)}
            for form in (zipped, legacy):
                self.assertIn("does not fit its storage", refused(write("s.pth", form(content))))
        # An element many times is an expanded tensor, but not so many.
        content = {"pose_emb.weight": FakeTensor(storage, 0, (2**40,), (0,))}
        for form in (zipped, legacy):
            self.assertIn("more numbers than a file of this size",
                          refused(write("s.pth", form(content))))
        many = {f"a{i}": FakeTensor(storage, 0, (4,), (1,)) for i in range(10)}
        self.assertIn("pose_emb", refused(write("shared.pth", zipped(many))))

    def test_a_file_cut_off_anywhere_is_refused(self):
        for form in (zipped, legacy):
            whole = form(checkpoint(stcformer_weights()))
            for part in (0.0005, 0.01, 0.3, 0.9, 0.99999):
                refused(write("cut.pth", whole[: int(part * len(whole))]))
        self.assertIn("cannot be read", refused(WORK / "nowhere.pth"))


if __name__ == "__main__":
    POSETAPE = os.path.abspath(sys.argv.pop(1))
    with tempfile.TemporaryDirectory() as folder:
        WORK = Path(folder)
        unittest.main(verbosity=1)
