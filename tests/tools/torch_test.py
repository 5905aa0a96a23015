#!/usr/bin/env python3
"""posetape convert against PyTorch itself: torch_test.py PATH_OF_POSETAPE

STCFormer and MixSTE as modules with the parameter names of their released code; what torch.save
writes of them, in both of its formats, becomes lifters that must lift as PyTorch does, and what
`convert` writes back must load into the modules. Skipped (exit code 77) without PyTorch;
TORCH_PYTHON=PATH names another Python that has it.
"""

import os
import subprocess
import sys
import tempfile
import unittest
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
        run("lift", WORK / "lifter.safetensors", WORK / "one.npz", "-o", WORK / "lifted.npz")
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


if __name__ == "__main__":
    POSETAPE = os.path.abspath(sys.argv.pop(1))
    with tempfile.TemporaryDirectory() as folder:
        WORK = Path(folder)
        unittest.main(verbosity=1)
