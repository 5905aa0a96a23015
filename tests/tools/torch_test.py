#!/usr/bin/env python3
"""posetape convert against PyTorch itself: torch_test.py PATH_OF_POSETAPE

STCFormer and MixSTE as modules with the parameter names of their released code; what torch.save
writes of them, in both of its formats, becomes lifters that must lift as PyTorch does, and what
`convert` writes back must load into the modules. Then what other people's programs save: the same
weights under prefixes, among other things, in every form that torch.load reads, which must become
the same lifter to the bit, and what holds none, which must be refused in the right words. Skipped
(exit code 77) without PyTorch; TORCH_PYTHON=PATH names another Python that has it.
"""

import argparse
import collections
import copy
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import io
import os
import pathlib
import pickle
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import types
import unittest
import uuid
import warnings
import zipfile
from collections import OrderedDict
from pathlib import Path

try:
    import numpy as np
    import torch
    from torch import nn
    from torch.nn import functional as F
except ImportError:
    other = os.environ.pop("TORCH_PYTHON", None)
    if other:
        os.execv(other, [other, *sys.argv])
    print("PyTorch is missing: pip install torch numpy, or TORCH_PYTHON=PATH of a Python that has it")
    sys.exit(77)

try:
    import safetensors.torch
except ImportError:
    safetensors = None

POSETAPE = None
WORK = None

JOINTS = 17
PARTS = torch.tensor([0, 1, 1, 1, 2, 2, 2, 0, 0, 0, 0, 3, 3, 3, 4, 4, 4])
TOLERANCE = 1e-5  # relative to the largest coordinate


class Holder(nn.Module):
    """Modules by their names."""

    def __init__(self, **modules):
        super().__init__()
        for name, module in modules.items():
            self.add_module(name, module)


def mlp(width, hidden, bias):
    return Holder(fc1=nn.Linear(width, hidden, bias), fc2=nn.Linear(hidden, width, bias))


def run_mlp(layers, x):
    return layers.fc2(F.gelu(layers.fc1(x)))


class StcAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        half = width // 2
        self.heads = heads
        self.layer_norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.emb = nn.Embedding(5, half // heads)
        self.sep2_t = nn.Conv2d(half, half, 3, padding=1, groups=half)
        self.sep2_s = nn.Conv2d(half, half, 3, padding=1, groups=half)

    def forward(self, x):
        b, n, j, width = x.shape
        half, h = width // 2, self.heads
        q, k, v = self.qkv(self.layer_norm(x)).view(b, n, j, width, 3).unbind(-1)
        spatial, temporal = [[t[..., c].reshape(b, n, j, h, half // h) for t in (q, k, v)]
                             for c in (slice(0, half), slice(half, width))]
        scale = half**-0.5

        def local(convolution, value):
            grid = value.reshape(b, n, j, half).permute(0, 3, 1, 2)
            return convolution(grid).permute(0, 2, 3, 1).reshape(value.shape)

        part = self.emb(PARTS)[None, None, :, None]
        q, k, v = spatial
        p = torch.einsum("bnihc,bnkhc->bnhik", q, k).mul(scale).softmax(-1)
        s = torch.einsum("bnhik,bnkhc->bnihc", p, v) + local(self.sep2_s, v) + 1e-4 * part
        q, k, v = temporal
        p = torch.einsum("bnjhc,bmjhc->bjhnm", q, k).mul(scale).softmax(-1)
        t = torch.einsum("bjhnm,bmjhc->bnjhc", p, v) + local(self.sep2_t, v) + 1e-9 * part
        return x + self.proj(torch.cat((s, t), -1).reshape(b, n, j, width))


class Stcformer(nn.Module):
    options = ()

    def __init__(self, frames, width=32, depth=2, heads=4):
        super().__init__()
        self.frames = frames
        self.pose_emb = nn.Linear(2, width, bias=False)
        self.regress_head = nn.Linear(width, 3, bias=False)
        self.stcformer = Holder(stc_block=nn.ModuleList(
            Holder(layer_norm=nn.LayerNorm(width), mlp=mlp(width, 4 * width, False),
                   stc_att=StcAttention(width, heads)) for _ in range(depth)))
        self.options = ("--frames", frames)

    def forward(self, y):
        x = F.gelu(self.pose_emb(y))
        for block in self.stcformer.stc_block:
            x = block.stc_att(x)
            x = x + run_mlp(block.mlp, block.layer_norm(x))
        return self.regress_head(x)


class Mixste(nn.Module):
    def __init__(self, frames, width=32, depth=2, heads=4):
        super().__init__()
        self.frames, self.heads = frames, heads
        norm = lambda: nn.LayerNorm(width, eps=1e-6)
        self.Spatial_patch_to_embedding = nn.Linear(2, width)
        self.Spatial_pos_embed = nn.Parameter(torch.zeros(1, JOINTS, width))
        self.Temporal_pos_embed = nn.Parameter(torch.zeros(1, frames, width))
        for axis in ("STEblocks", "TTEblocks"):
            self.add_module(axis, nn.ModuleList(
                Holder(norm1=norm(), norm2=norm(), mlp=mlp(width, 2 * width, True),
                       attn=Holder(qkv=nn.Linear(width, 3 * width), proj=nn.Linear(width, width)))
                for _ in range(depth)))
        self.Spatial_norm, self.Temporal_norm = norm(), norm()
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 3))
        self.options = ("--heads", heads)

    def block(self, block, x):
        """x [sequences, tokens, channels]"""
        s, t, width = x.shape
        qkv = block.attn.qkv(block.norm1(x)).view(s, t, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape)
        x = x + block.attn.proj(mixed)
        return x + run_mlp(block.mlp, block.norm2(x))

    def forward(self, y):
        b, n, j, _ = y.shape
        x = self.Spatial_patch_to_embedding(y) + self.Spatial_pos_embed
        for i, (space, time) in enumerate(zip(self.STEblocks, self.TTEblocks)):
            x = self.Spatial_norm(self.block(space, x.reshape(b * n, j, -1)))
            x = x.view(b, n, j, -1).transpose(1, 2).reshape(b * j, n, -1)
            if i == 0:
                x = x + self.Temporal_pos_embed
            x = self.Temporal_norm(self.block(time, x))
            x = x.view(b, j, n, -1).transpose(1, 2)
        return self.head(x)


def trained(network):
    """One step of its optimiser away from random weights; network and optimiser."""
    torch.manual_seed(11)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    kinds = {Stcformer: lambda p: torch.optim.Adam(p, 1e-3, amsgrad=True),
             Mixste: lambda p: torch.optim.AdamW(p, 4e-5, weight_decay=0.1)}
    optimiser = kinds[type(network)](network.parameters())
    network(torch.randn(1, network.frames, JOINTS, 2)).square().mean().backward()
    optimiser.step()
    return network, optimiser


def run(*arguments):
    done = subprocess.run([POSETAPE, *map(str, arguments)], capture_output=True, text=True,
                          timeout=300)
    assert done.returncode == 0, (arguments, done.stdout, done.stderr)


class Torch(unittest.TestCase):
    networks = (lambda: Stcformer(9), lambda: Mixste(9))

    def check_lifted(self, checkpoint, network):
        """The lifter of the checkpoint against the network in f64."""
        rng = np.random.default_rng(3)
        clip = "S1/Walk/0/"
        pixels = (500 + 150 * rng.normal(size=(network.frames, JOINTS, 2))).astype("f4")
        np.savez(WORK / "one.npz", **{clip + "pose_2d": pixels,
                                      clip + "image_size": np.array([1000, 1002], "i4")})
        run("convert", checkpoint, "-o", WORK / "lifter.safetensors", *network.options)
        run("lift", WORK / "lifter.safetensors", WORK / "one.npz", "--force", "-o", WORK / "lifted.npz")
        found = np.load(WORK / "lifted.npz")[clip + "noisy_3d"]
        y = torch.from_numpy(pixels.astype("f8") * 2 / 1000 - [1, 1.002])
        with torch.no_grad():
            expected = network.double()(y[None])[0].numpy()
        network.float()
        error = np.abs(found - expected)[:, 1:].max() / np.abs(expected).max()
        self.assertLess(error, TOLERANCE, f"{type(network).__name__} of {checkpoint}")

    def test_what_torch_saves_lifts_as_torch_does(self):
        for make in self.networks:
            network, optimiser = trained(make())
            wrapped = nn.DataParallel(network)
            whole = {"epoch": 3, "lr": 4e-5, "random_state": np.random.RandomState(1).get_state(),
                     "optimizer": optimiser.state_dict(), "model_pos": wrapped.state_dict()}
            for content in (network.state_dict(), wrapped.state_dict(), whole):
                for zipped in (True, False):
                    path = WORK / "saved.pth"
                    torch.save(content, path, _use_new_zipfile_serialization=zipped)
                    self.check_lifted(path, network)

    def test_half_precision(self):
        for make in self.networks:
            for dtype in (torch.float16, torch.bfloat16, torch.float64):
                network = trained(make())[0].to(dtype)
                torch.save(network.state_dict(), WORK / "half.pth")
                self.check_lifted(WORK / "half.pth", network.float())

    def test_what_convert_writes_loads_into_the_modules(self):
        if safetensors is None:
            self.skipTest("pip install safetensors")
        for make in self.networks:
            network, _ = trained(make())
            torch.save(network.state_dict(), WORK / "saved.pth")
            run("convert", WORK / "saved.pth", "-o", WORK / "there.safetensors", *network.options)
            run("convert", WORK / "there.safetensors", "-o", WORK / "back.safetensors")
            other = make()
            other.load_state_dict(safetensors.torch.load_file(WORK / "back.safetensors"))
            for (name, a), b in zip(network.named_parameters(), other.parameters()):
                self.assertTrue(torch.equal(a, b), name)


# ---- What other people's programs save ----


class Config(dict):
    """As EasyDict, AttributeDict, ..."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.__dict__ = self


class Colour(enum.Enum):
    red = 1


@dataclasses.dataclass
class Settings:
    width: int = 32
    nested: object = None


Pair = collections.namedtuple("Pair", "epoch model")


class Slots:
    __slots__ = ("a", "weights")


class Nested:
    class Inner:
        pass


class ListOfMine(list):
    pass


class TensorOfMine(torch.Tensor):
    pass


def inputs(network):
    return torch.randn(1, network.frames, JOINTS, 2)


def with_prefix(state, prefix):
    return OrderedDict((prefix + name, value) for name, value in state.items())


def among(state, part, wrapper):
    """The names of modules that are wrapped where they stand."""
    return OrderedDict((name.replace(part, part + wrapper), v) for name, v in state.items())


def one_storage(state):
    """All tensors as views of one storage, in reverse order."""
    flat = torch.cat([torch.zeros(3)] + [v.flatten() for v in reversed(state.values())])
    result, at = OrderedDict(), 3
    for name, value in reversed(state.items()):
        result[name] = flat[at : at + value.numel()].view(value.shape)
        at += value.numel()
    return result


def every_second(value):
    wide = torch.full((*value.shape, 2), float("nan"))
    wide[..., 1] = value
    return wide[..., 1]


def things_beside():
    """Name -> what may lie beside a state_dict in a file."""
    generator = np.random.default_rng(1)
    f32 = torch.arange(6.0)
    quantised = torch.quantize_per_tensor(f32, 0.1, 0, torch.qint8)
    channels = torch.quantize_per_channel(f32.view(2, 3), torch.ones(2), torch.zeros(2), 0,
                                          torch.quint8)
    eye = torch.eye(4)
    result = {
        "epoch tensor": torch.tensor(7),
        "loss tensor": torch.tensor(0.25),
        "best tensor of f64": torch.tensor(0.25, dtype=torch.float64),
        "random states": [torch.get_rng_state(), [torch.get_rng_state()], np.random.get_state(),
                          random.getstate()],
        "numpy RandomState": np.random.RandomState(1),
        "numpy Generator": generator,
        "torch.Size": torch.Size([2, 3]),
        "torch.device": torch.device("cuda", 1),
        "torch.dtype": [torch.float16, torch.float8_e4m3fn, torch.uint16],
        "torch.layout": [torch.strided, torch.sparse_coo],
        "Parameter": nn.Parameter(f32),
        "UninitializedParameter": nn.parameter.UninitializedParameter(),
        "set": {1, 2, "x"},
        "frozenset": frozenset({1, 2}),
        "Counter": collections.Counter("abca"),
        "defaultdict": collections.defaultdict(list, {"loss": [0.5, 0.25]}),
        "deque": collections.deque([1.0, 2.0], maxlen=3),
        "ChainMap": collections.ChainMap({"a": 1}, {"b": 2}),
        "bytes": bytes(range(256)) * 2,
        "bytearray": bytearray(b"abc"),
        "complex": 1 + 2j,
        "slice and range": [slice(1, 9, 2), range(5)],
        "Ellipsis": [Ellipsis, NotImplemented],
        "integers of any size": [2**31, -(2**31), 2**63, -(2**70), 10**40],
        "floats": [float("nan"), float("inf"), -0.0, 1e-320],
        "text": ["\u00fc\u20ac\U0001f600", "line\nfeed\0", "x" * 300],
        "keys that are no text": {1: 2, None: 3, (1, 2): 4, 0.5: 5, b"x": 6, True: 7},
        "datetime": [datetime.datetime(2024, 2, 29, 1, 2, 3), datetime.timedelta(days=1),
                     datetime.date(2024, 1, 1), datetime.timezone.utc],
        "Decimal and Fraction": [decimal.Decimal("1.5"), fractions.Fraction(1, 3)],
        "uuid": uuid.UUID(int=7),
        "pathlib": [pathlib.Path("runs/a"), pathlib.PurePosixPath("/x"),
                    pathlib.PureWindowsPath("C:/x")],
        "Enum": [Colour.red],
        "argparse.Namespace": argparse.Namespace(lr=1e-3, dirs=[pathlib.Path("x")], model=None),
        "SimpleNamespace": types.SimpleNamespace(a=1, b=types.SimpleNamespace(c=2)),
        "dict with attributes": Config(lr=1e-3, model=Config(width=32)),
        "dataclass": Settings(nested=Settings()),
        "namedtuple": Pair(1, None),
        "list of a class": ListOfMine([1, 2]),
        "class within a class": Nested.Inner(),
        "classes and functions": [nn.Linear, int, Colour, F.gelu, len, torch.relu],
        "partial": functools.partial(F.gelu, approximate="tanh"),
        "numpy scalars": [np.float32(1.5), np.float64(2.5), np.int64(3), np.bool_(True),
                          np.float16(0.5), np.uint8(4), np.complex64(1j), np.str_("x"),
                          np.datetime64("2024-01-01")],
        "numpy arrays": [np.arange(6).reshape(2, 3), np.zeros(3, "f2"), np.zeros(2, "c8"),
                         np.array(["a", "bc"]), np.array([None, {"a": 1}], dtype=object),
                         np.zeros(2, [("x", "f4"), ("y", "i4")]), np.asfortranarray(np.ones((2, 3))),
                         np.ma.masked_array([1.0, 2.0], [True, False]), np.dtype("f4")],
        "sparse": [eye.to_sparse(), eye.to_sparse_csr(), eye.to_sparse_csc(),
                   eye.to_sparse_bsr((2, 2)), eye.to_sparse_bsc((2, 2))],
        "quantised": [quantised, channels],
        "nested tensors": torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
        "complex tensors": [torch.ones(2, dtype=t)
                            for t in (torch.complex32, torch.complex64, torch.complex128)],
        "conjugated": torch.ones(2, dtype=torch.complex64).conj(),
        "negated": torch.ones(2, dtype=torch.complex64).conj().imag,
        "integers": [torch.ones(3).to(t) for t in (
            torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.uint16,
            torch.uint32, torch.uint64, torch.bool)],
        "float8": [torch.ones(3).to(t) for t in (
            torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz,
            torch.float8_e8m0fnu)],
        "float4": torch.zeros(3, dtype=torch.uint8).view(torch.float4_e2m1fn_x2),
        "meta": torch.zeros(3, device="meta"),
        "no elements": [torch.zeros(0), torch.zeros(2, 0, 3), torch.zeros(())],
        "seven dimensions": torch.zeros((1,) * 7),
        "storages": [torch.arange(5.0).untyped_storage(), torch.arange(3).untyped_storage()],
        "itself": [],
    }
    result["itself"].append(result["itself"])
    return result


class Others(unittest.TestCase):
    """Each kind of file against the lifter that the plain state_dict makes."""

    @classmethod
    def setUpClass(cls):
        warnings.simplefilter("ignore")
        cls.count = 0
        cls.network, cls.optimiser = trained(Stcformer(9))
        cls.mixste = trained(Mixste(9))[0]
        cls.expected = {}

    @property
    def state(self):
        return self.network.state_dict()

    def lifter(self, path, *options, network=None):
        """The bytes that convert makes of the file, and what it says."""
        done = subprocess.run(
            [POSETAPE, "convert", path, "-o", WORK / "kind.safetensors",
             *map(str, (network or self.network).options), *options],
            capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, (str(path), done.stdout, done.stderr))
        type(self).count += 1
        return (WORK / "kind.safetensors").read_bytes(), done.stdout

    def plain(self, network, dtype=None):
        """What the state_dict makes, rounded to a type."""
        key = (id(network), dtype)
        if key not in self.expected:
            state = network.state_dict()
            if dtype:
                state = {name: v.to(dtype).float() for name, v in state.items()}
            torch.save(state, WORK / "plain.pth")
            self.expected[key] = self.lifter(WORK / "plain.pth", network=network)[0]
        return self.expected[key]

    def check(self, what, content, *options, network=None, dtype=None, save=torch.save,
              name="kind.pth", says=""):
        with self.subTest(what):
            path = WORK / name
            save(content, path)
            network = network or self.network
            found, said = self.lifter(path, *options, network=network)
            self.assertTrue(found == self.plain(network, dtype), f"{what}: other weights")
            self.assertIn(says, said)

    def refused(self, what, path, *parts, options=()):
        with self.subTest(what):
            done = subprocess.run([POSETAPE, "convert", path, "-o", WORK / "no.safetensors",
                                   *options], capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 1, (what, done.stdout, done.stderr))
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
            self.assertFalse((WORK / "no.safetensors").exists())
            for part in parts:
                self.assertIn(part, done.stderr + done.stdout, what)
            type(self).count += 1

    def saved(self, content, name="bad.pth", **options):
        torch.save(content, WORK / name, **options)
        return WORK / name

    def test_prefixes(self):
        for network in (self.network, self.mixste):
            state = network.state_dict()
            for prefix in ("module.", "_orig_mod.", "model.", "net.", "module._orig_mod.",
                           "_orig_mod.module.", "model._orig_mod.module.", "_fsdp_wrapped_module.",
                           "_forward_module.model.", "_module.", "a.b.c.", "module.module."):
                self.check(prefix, with_prefix(state, prefix), network=network)
            for content, what in (
                    (nn.DataParallel(network), "DataParallel"), (torch.compile(network), "compile"),
                    (torch.compile(nn.DataParallel(network)), "compile of DataParallel"),
                    (torch.optim.swa_utils.AveragedModel(network), "AveragedModel"),
                    (torch.optim.swa_utils.AveragedModel(torch.compile(network)),
                     "AveragedModel of compile"),
                    (Holder(net=network, loss=nn.Linear(3, 4)), "a loss with weights"),
                    (Holder(model=network, ema=torch.optim.swa_utils.AveragedModel(network)),
                     "an average in the module")):
                self.check(what, content.state_dict(), network=network)
        state = self.state
        for part in ("stc_block.0.", "stc_att."):
            for wrapper in ("_fsdp_wrapped_module.", "_checkpoint_wrapped_module.", "_orig_mod."):
                self.check(part + wrapper, among(state, part, wrapper))

    def test_what_lies_beside(self):
        everything = things_beside()
        for what, thing in everything.items():
            content = {"before": thing, "state_dict": self.state, "after": thing}
            self.check(what, content)
            # Tensors in the state_dict itself that are no weights.
            if isinstance(thing, torch.Tensor) and not thing.dtype.is_floating_point:
                self.check(what + " within", {**self.state, "counter": thing}, says="left out: cou")
        content = {"model": self.state, **everything}
        content.pop("meta")  # the old format can't keep it beside others
        for protocol in (2, 3, 4, 5):
            for zipped in (True, False):
                self.check(f"all of it, protocol {protocol}, zip {zipped}", content,
                           save=functools.partial(torch.save, pickle_protocol=protocol,
                                                  _use_new_zipfile_serialization=zipped))
        tracked = OrderedDict(self.state)
        tracked["bn.num_batches_tracked"] = torch.tensor(2**40)
        self.check("num_batches_tracked", tracked, says="left out: bn.num_batches_tracked (int64)")

    def test_optimisers(self):
        network = self.network
        for make in (torch.optim.Adam, torch.optim.AdamW, torch.optim.Adagrad, torch.optim.LBFGS,
                     lambda p: torch.optim.SGD(p, 0.1, momentum=0.9)):
            clone = copy.deepcopy(network)
            optimiser = make(clone.parameters())
            clone(inputs(clone)).square().mean().backward()
            optimiser.step(lambda: torch.tensor(0.0))
            schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser)
            name = type(optimiser).__name__
            content = {"optimizer": optimiser.state_dict(), "scheduler": schedule.state_dict(),
                       "scaler": torch.amp.GradScaler("cpu").state_dict(), "net": self.state}
            self.check(name, content)
            self.check(name + ", whole", {"opt": optimiser, "sched": schedule, "model": self.state})
            by_name = {"state": {n: {"exp_avg": v} for n, v in self.state.items()},
                       "param_groups": [{"params": list(self.state)}]}
            moments = OrderedDict((n, torch.zeros_like(v)) for n, v in self.state.items())
            self.check(name + ", by name", {"o": by_name, "m": self.state,
                                            "optim": {"exp_avg": moments}, "grads": moments})
        self.refused("optimiser alone", self.saved(self.optimiser.state_dict()),
                     "no weights under names", "param_groups (a list)", "model.state_dict()")

    def test_where_it_lies(self):
        state = self.state
        nested = {"checkpoint": {"epoch": 1, "a": {"b": {"c": [{"state_dict": state}]}}}}
        holder = Slots()
        holder.a, holder.weights = 1, state
        cases = {
            "Lightning": {"epoch": 1, "global_step": 2, "pytorch-lightning_version": "2.5.0",
                          "state_dict": with_prefix(state, "model."),
                          "loops": {"fit_loop": {"state_dict": {}}}, "callbacks": {
                              "ModelCheckpoint{'monitor': 'v'}": {"best": torch.tensor(0.1)}},
                          "optimizer_states": [self.optimiser.state_dict()],
                          "lr_schedulers": [], "hyper_parameters": Config(width=32)},
            "deep": nested, "in a list": [1, {"epoch": 2}, state],
            "in a tuple": (state, self.optimiser.state_dict(), 3),
            "in a defaultdict": collections.defaultdict(dict, {"model": state}),
            "by number": {0: {"model": state}}, "dict": dict(state),
            "in a Namespace": argparse.Namespace(model=state), "in a dataclass": Settings(1, state),
            "in slots": holder, "in a deque": collections.deque([state]),
            "in a list of a class": ListOfMine([state]), "in a namedtuple": Pair(1, state),
            "a dict with attributes": Config(state), "in such": Config(model=state),
            "twice the same": {"model": state, "best": state},
        }
        for what, content in cases.items():
            self.check(what, content)
        for name in ("ema", "model_ema", "ema_state_dict", "swa_model", "teacher"):
            zeros = {n: torch.zeros_like(v) for n, v in state.items()}
            self.check(f"beside {name}", {name: zeros, "model": state},
                       says=f"weights: model (--weights takes another: {name})")
            self.check(f"{name} chosen", {name: state, "model": zeros}, "--weights", name)
        self.check("average alone", {"ema": state})
        two = self.saved({"model_a": state, "model_b": dict(state)}, "two.pth")
        self.refused("two", two, "several sets of weights (model_a, model_b)", "--weights NAME")
        self.refused("neither", two, "no weights 'x', but model_a, model_b",
                     options=("--weights", "x"))
        self.check("one of two", {"a": state, "b": dict(state)}, "--weights", "b")

    def test_how_tensors_are_kept(self):
        state = self.state
        each = lambda f: OrderedDict((n, f(v)) for n, v in state.items())
        parameter = lambda v: nn.Parameter(v)

        def marked(v):
            v = nn.Parameter(v)
            v._no_weight_decay = True
            return v

        def tagged(v):
            v = v.clone()
            v.tag = {"a": torch.ones(1)}
            return v

        cases = {
            "parameters": each(parameter), "parameters with attributes": each(marked),
            "parameters without gradient": each(lambda v: nn.Parameter(v, requires_grad=False)),
            "buffers": each(lambda v: nn.Buffer(v.clone())), "tensors with attributes": each(tagged),
            "a class of tensors": each(lambda v: v.clone().as_subclass(TensorOfMine)),
            "with gradients": each(lambda v: v.clone().requires_grad_()),
            "computed": each(lambda v: v.clone().requires_grad_() * 1),
            "columns": each(lambda v: v.t().contiguous().t() if v.dim() == 2 else v),
            "channels last": each(lambda v: v.contiguous(memory_format=torch.channels_last)
                                  if v.dim() == 4 else v),
            "strided": each(every_second), "one storage": one_storage(state),
            "negated lazily": each(lambda v: torch.complex(
                torch.zeros_like(v), -v).conj().imag),
            "module.state_dict(keep_vars=True)": self.network.state_dict(keep_vars=True),
            "named_parameters": dict(self.network.named_parameters()),
        }
        for what, content in cases.items():
            for zipped in (True, False):
                self.check(f"{what}, zip {zipped}", content,
                           save=functools.partial(torch.save,
                                                  _use_new_zipfile_serialization=zipped))
        for dtype in (torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn,
                      torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz):
            for zipped in (True, False):
                self.check(f"{dtype}, zip {zipped}", each(lambda v: v.to(dtype)), dtype=dtype,
                           save=functools.partial(torch.save,
                                                  _use_new_zipfile_serialization=zipped))

    def test_expanded_tensors(self):
        network = copy.deepcopy(self.network)
        ones = lambda v: torch.full((1,) * v.dim(), 0.5).expand(v.shape)
        wide = {n: ones(v) if "bias" in n or "mlp" in n else v for n, v in
                network.state_dict().items()}
        network.load_state_dict(wide)
        for zipped in (True, False):
            self.check(f"expanded, zip {zipped}", wide, network=network, save=functools.partial(
                torch.save, _use_new_zipfile_serialization=zipped))
        huge = {**self.state, "pose_emb.weight": torch.zeros(1).expand(2**40, 2)}
        self.refused("expanded beyond reason", self.saved(huge), "pose_emb.weight",
                     "more numbers than a file of this size")

    def test_ways_of_writing(self):
        state = {"state_dict": self.state}

        def without_sums(content, path):
            torch.serialization.set_crc32_options(False)
            try:
                torch.save(content, path)
            finally:
                torch.serialization.set_crc32_options(True)

        def to_memory(content, path):
            buffer = io.BytesIO()
            torch.save(content, buffer)
            path.write_bytes(buffer.getvalue())

        def aligned(content, path):
            before = torch.utils.serialization.config.save.storage_alignment
            torch.utils.serialization.config.save.storage_alignment = 4096
            try:
                torch.save(content, path)
            finally:
                torch.utils.serialization.config.save.storage_alignment = before

        def packed_again(content, path, kind=zipfile.ZIP_DEFLATED, change=lambda n, d: d):
            torch.save(content, path)
            with zipfile.ZipFile(path) as old:
                entries = [(name, old.read(name)) for name in old.namelist()]
            with zipfile.ZipFile(path, "w", kind) as new:
                for name, data in entries:
                    new.writestr(name, change(name, data))

        def big_endian(name, data):
            if name.endswith("/byteorder"):
                return b"big"
            return np.frombuffer(data, ">f4").astype("<f4").tobytes() if "/data/" in name else data

        self.check("without check sums", state, save=without_sums)
        self.check("to memory", state, save=to_memory)
        self.check("aligned", state, save=aligned)
        self.check("deflated", state, save=packed_again)
        self.check("big-endian", state,
                   save=functools.partial(packed_again, kind=zipfile.ZIP_STORED, change=big_endian))
        self.check("without a byte order", state, save=functools.partial(
            torch.save, _disable_byteorder_record=True))
        for name in ("a.bin", "pytorch_model.bin", "x.ckpt", "x.pt", "no suffix", "x.pth.tar"):
            self.check(name, state, name=name)
        if safetensors is None:
            self.skipTest("pip install safetensors")
        def save(content, path):
            safetensors.torch.save_file({n: v.contiguous() for n, v in content.items()}, path)
        state = self.state
        self.check("safetensors", state, save=save, name="x.safetensors")
        self.check("safetensors called .pth", state, save=save, name="x.pth")
        self.check("safetensors, prefix", with_prefix(state, "module._orig_mod."), save=save,
                   name="x.safetensors")
        for dtype in (torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn,
                      torch.float8_e5m2):
            self.check(f"safetensors, {dtype}", {n: v.to(dtype) for n, v in state.items()},
                       save=save, name="x.safetensors", dtype=dtype)
        more = {"model." + n: v for n, v in state.items()}
        for i, dtype in enumerate((torch.int64, torch.uint8, torch.bool, torch.int16,
                                   torch.uint16)):
            more[f"model.count{i}"] = torch.ones(3).to(dtype)
        self.check("safetensors with integers", more, save=save, name="x.safetensors",
                   says="left out: count0 (I64)")
        save({n: v.to(torch.int8) for n, v in state.items()}, WORK / "i8.safetensors")
        self.refused("safetensors of integers", WORK / "i8.safetensors", "pose_emb.weight (I8)")

    def test_what_holds_no_weights_is_called_by_its_name(self):
        state, network = self.state, self.network
        advice = "torch.save(model.state_dict(), ...)"
        for zipped in (True, False):
            for content, what in ((network, "Stcformer"), ({"model": network, "epoch": 1}, "Stc"),
                                  (self.mixste, "Mixste"), (nn.DataParallel(network), "DataPar"),
                                  ([network], "Stcformer")):
                path = self.saved(content, _use_new_zipfile_serialization=zipped)
                self.refused("whole module", path, "whole module", what, advice)
        self.check("module beside its state_dict", {"net": network, "state_dict": state})
        scripted = torch.jit.trace(network, inputs(network), check_trace=False)
        torch.jit.save(scripted, WORK / "script.pt")
        self.refused("TorchScript", WORK / "script.pt", "TorchScript", "torch.jit.load(FILE)")
        loaded = torch.jit.load(WORK / "script.pt").state_dict()
        self.check("TorchScript's state_dict", loaded)
        other = self.saved({"epoch": 1, "model": nn.Linear(3, 4).state_dict()})
        self.refused("another network", other, "neither STCFormer nor MixSTE",
                     "'pose_emb.weight'", "'Spatial_pos_embed'", "model: weight, model: bias")
        for content, what in (([torch.ones(3)], "a list"), (torch.ones(3), "a tensor"), (7, "an int"),
                              ({"epoch": 1, "lr": 0.5}, "epoch (an integer), lr (a float)")):
            self.refused(what, self.saved(content), "no weights under names", what, advice)

        def broken(change):
            return {n: change(v) if n == "pose_emb.weight" else v for n, v in state.items()}
        for what, change in (("int64", lambda v: v.long()), ("complex64", lambda v: v + 0j),
                             ("sparse", lambda v: v.to_sparse()),
                             ("quantised", lambda v: torch.quantize_per_tensor(
                                 v, 0.1, 0, torch.qint8)),
                             ("meta", lambda v: v.to("meta"))):
            self.refused(what, self.saved(broken(change)), "pose_emb.weight", what)
        inner = "stcformer.stc_block.1.mlp.fc1.weight"
        self.refused("integers further in", self.saved({**state, inner: state[inner].long()}),
                     f"missing: {inner}", "missing")
        for bad in (float("nan"), float("inf")):
            poisoned = copy.deepcopy(state)
            poisoned[inner][3, 4] = bad
            self.refused(str(bad), self.saved(poisoned), "NaN or infinite", f"{inner}: 1 of")
        for size, what in ((4, "kept"), (33, "dropped")):
            extra = {**state, "head.weight": torch.ones(size)}
            self.refused(f"extra, {what}", self.saved(extra), "not of stcformer: head.weight")

        class Evil:
            def __reduce__(self):
                return os.system, (f"touch {WORK}/marker",)
        for protocol in (2, 4):
            for content in ({"x": Evil(), "state_dict": state}, [Evil()]):
                self.refused("evil", self.saved(content, pickle_protocol=protocol),
                             "system', which is refused")
        self.assertFalse((WORK / "marker").exists())

    def test_other_files(self):
        torch.save(self.state, WORK / "whole.pth")
        whole = (WORK / "whole.pth").read_bytes()
        with tarfile.open(WORK / "x.tar.gz", "w:gz") as archive:
            archive.add(WORK / "whole.pth", "whole.pth")
        with tarfile.open(WORK / "x.tar", "w") as archive:
            archive.add(WORK / "whole.pth", "whole.pth")
        with zipfile.ZipFile(WORK / "x.zip", "w") as archive:
            archive.write(WORK / "whole.pth", "whole.pth")
        files = {
            "x.tar.gz": "gzip archive", "x.tar": "tar archive", "x.zip": "whole.pth",
            "x.pkl": (pickle.dumps(self.state), "plain pickle"),
            "x.onnx": (b"\x08\x08\x12\x07pytorch", "ONNX"),
            "x.html": (b"<!DOCTYPE html><html>", "web page"),
            "x.json": (b'{"weight_map": {}}', "JSON"), "x.h5": (b"\x89HDF\r\n\x1a\n", "HDF5"),
            "lfs.pth": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
            "empty.pth": (b"", "empty"), "x.npy": (b"\x93NUMPY\1\0", "numpy array"),
        }
        for name, what in files.items():
            if not isinstance(what, str):
                (WORK / name).write_bytes(what[0])
                what = what[1]
            self.refused(name, WORK / name, name, what)
        np.savez(WORK / "x.npz", a=np.ones(3))
        self.refused("npz", WORK / "x.npz", "no checkpoint", "a.npy")
        program = torch.export.export(self.network, (inputs(self.network),))
        torch.export.save(program, WORK / "x.pt2")
        self.refused("torch.export", WORK / "x.pt2", "x.pt2")

        folder = WORK / "folder"
        with zipfile.ZipFile(WORK / "whole.pth") as archive:
            archive.extractall(folder)
        inner = next(folder.iterdir())
        self.refused("unpacked", inner, "zip -0 -r")
        shutil.make_archive(WORK / "again", "zip", folder)
        self.check("packed again", None, save=lambda content, path: shutil.copy(
            WORK / "again.zip", path))
        import torch.distributed.checkpoint as dcp
        from torch.distributed.checkpoint.format_utils import dcp_to_torch_save
        dcp.save({"model": self.state}, checkpoint_id=WORK / "dcp")
        self.refused("distributed", WORK / "dcp", "dcp_to_torch")
        dcp_to_torch_save(WORK / "dcp", WORK / "from_dcp.pth")
        self.check("of a distributed one", None, save=lambda content, path: shutil.copy(
            WORK / "from_dcp.pth", path))
        self.refused("folder", WORK, "a folder")
        self.check_distributed()

        torch.save(self.state, WORK / "old.pth", _use_new_zipfile_serialization=False)
        for data in (whole, (WORK / "old.pth").read_bytes()):
            for part in (0.001, 0.02, 0.5, 0.999):
                (WORK / "cut.pth").write_bytes(data[: int(part * len(data))])
                self.refused(f"cut at {part}", WORK / "cut.pth", "cut.pth")

    def check_distributed(self):
        """One process has all of a distributed tensor, and its file all weights."""
        import torch.distributed as dist
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
        from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor
        dist.init_process_group("gloo", store=dist.FileStore(str(WORK / "store"), 1), rank=0,
                                world_size=1)
        try:
            mesh = init_device_mesh("cpu", (1,))
            for placement in (Shard(0), Replicate()):
                content = {n: distribute_tensor(v, mesh, [placement])
                           for n, v in self.state.items()}
                for zipped in (True, False):
                    self.check(f"{placement}, zip {zipped}", content, save=functools.partial(
                        torch.save, _use_new_zipfile_serialization=zipped))
            old = FullyShardedDataParallel(copy.deepcopy(self.network),
                                           device_id=torch.device("cpu"))
            self.check("FSDP", old.state_dict())
            new = copy.deepcopy(self.network)
            fully_shard(new, mesh=mesh)
            self.check("fully_shard", new.state_dict())
            # As another of two processes has it: half of the rows.
            name = "pose_emb.weight"
            value = self.state[name]
            part = DTensor.from_local(value[: len(value) // 2], mesh, [Shard(0)], run_check=False,
                                      shape=value.shape, stride=value.stride())
            self.refused("shard", self.saved({**self.state, name: part}), name, "full_tensor()")
        finally:
            dist.destroy_process_group()

    @classmethod
    def tearDownClass(cls):
        print(f"{cls.count} files of other programs", file=sys.stderr)


if __name__ == "__main__":
    POSETAPE = os.path.abspath(sys.argv.pop(1))
    with tempfile.TemporaryDirectory() as folder:
        WORK = Path(folder)
        unittest.main(verbosity=1)
