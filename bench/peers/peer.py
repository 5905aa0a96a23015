"""PoseDenoiser in PyTorch, for comparison: the same parameters, shapes, loss and optimiser.

    peer.py measure MODE [DEVICE]      answers requests as build/bench/bench_measure does; on cpu or cuda
    peer.py check REFINER ANSWERS      compares with what build/bench/peer_check wrote

MODE is eager or compiled, with PyTorch's fused attention (scaled_dot_product_attention), or
eager-by-hand or compiled-by-hand, with attention written as two products and a softmax: which of
them is faster depends on shape, type and processor. Where PyTorch offers several ways else, the one
that was fastest on the CPU is taken: the convolution on a channels-last view, the fused Adam.
"""

import json
import math
import resource
import statistics
import struct
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

JOINTS = 17
PARTS = (0, 1, 1, 1, 2, 2, 2, 0, 0, 0, 0, 3, 3, 3, 4, 4, 4)
DTYPES = {"F32": torch.float32, "F64": torch.float64, "I32": torch.int32, "BF16": torch.bfloat16}
TOLERANCE = 1e-5


MODES = ("eager", "eager-by-hand", "compiled", "compiled-by-hand")


def by_hand(q, k, v):
    """Attention as two products and a softmax. The scale goes to q, the smallest of the three."""
    return torch.softmax((q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2), -1) @ v


class Stc(nn.Module):
    """Half of the channels attends over the joints of a frame, half over the frames of a joint."""

    def __init__(self, width, heads, attention):
        super().__init__()
        self.heads = heads
        self.attention = attention
        self.qkv = nn.Linear(width, 3 * width)
        self.local = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.part = nn.Parameter(0.02 * torch.randn(5, width // 2 // heads))
        self.proj = nn.Linear(width, width)
        self.register_buffer("part_of_joint", torch.tensor(PARTS), persistent=False)

    def forward(self, x):
        b, n, j, d = x.shape
        h = self.heads
        qkv = self.qkv(x)
        q, k, v = qkv.view(b, n, j, 3, 2, h, d // 2 // h).unbind(3)

        def space(t):  # a view: [B N, H, J, W]
            return t[:, :, :, 0].flatten(0, 1).transpose(1, 2)

        def over_joints(t):  # [B J, H, N, W]
            return t[:, :, :, 1].permute(0, 2, 3, 1, 4).flatten(0, 1)

        s = self.attention(space(q), space(k), space(v))
        t = self.attention(over_joints(q), over_joints(k), over_joints(v))
        s = s.transpose(1, 2) + self.part[self.part_of_joint].unsqueeze(1)
        s = s.reshape(b, n, j, d // 2)
        t = t.view(b, j, h, n, -1).permute(0, 3, 1, 2, 4).reshape(b, n, j, d // 2)
        local = self.local(qkv[..., 2 * d :].permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return self.proj(torch.cat((s, t), -1) + local)


class Block(nn.Module):
    def __init__(self, width, heads, attention):
        super().__init__()
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.stc1, self.stc2 = (Stc(width, heads, attention) for _ in range(2))
        self.temb = nn.Linear(width, width)
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, h, temb):
        h = h + self.stc1(self.norm1(h)) + self.temb(temb)[:, None, None]
        h = h + self.stc2(self.norm2(h))
        return h + self.fc2(F.gelu(self.fc1(self.norm3(h))))


class PoseDenoiser(nn.Module):
    def __init__(self, width=256, depth=4, heads=8, attention=F.scaled_dot_product_attention):
        super().__init__()
        self.width = width
        self.input = nn.Linear(5, width)
        self.timestep = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(Block(width, heads, attention) for _ in range(depth))
        self.output = nn.Linear(width, 3)

    def forward(self, x, y, t):
        half = self.width // 2
        steps = torch.arange(half, dtype=torch.float64, device=t.device)
        frequency = torch.exp(steps * (-math.log(1e4) / half))
        angle = t[:, None] * frequency
        temb = self.timestep(torch.cat((angle.cos(), angle.sin()), -1).to(x.dtype))
        h = self.input(torch.cat((x, y), -1))
        for block in self.blocks:
            h = block(h, temb)
        return self.output(h)


def joint_distance(prediction, target):
    return (prediction.float() - target).norm(dim=-1).mean()


def our_name(name):
    """The checkpoint's name of one of this network's parameters."""
    name = name.replace("timestep.2.", "timestep.1.")
    for layer in (".fc1.", ".fc2."):
        name = name.replace(layer, ".mlp" + layer)
    return name


def read_safetensors(path):
    """name -> tensor. The file: 8 bytes of length, a JSON header, raw data."""
    with open(path, "rb") as file:
        data = file.read()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        flat = torch.frombuffer(bytearray(data[begin:end]), dtype=DTYPES[entry["dtype"]])
        tensors[name] = flat.view(entry["shape"])
    return tensors


def from_checkpoint(path, attention):
    tensors = read_safetensors(path)
    depth = 1 + max(int(n.split(".")[2]) for n in tensors if n.startswith("network.blocks."))
    head_width = tensors["network.blocks.0.stc1.part"].shape[1]
    width = tensors["network.input.weight"].shape[0]
    network = PoseDenoiser(width, depth, width // 2 // head_width, attention)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(tensors["network." + our_name(name)].view(parameter.shape))
    return network


def relative(ours, theirs):
    """The largest difference, relative to the largest number."""
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


def check(checkpoint, answers):
    a = read_safetensors(answers)
    for way, attention in (("fused", F.scaled_dot_product_attention), ("by hand", by_hand)):
        network = from_checkpoint(checkpoint, attention)
        output = network(a["x"], a["y"], a["t"])
        loss = joint_distance(output, a["target"])
        loss.backward()
        differences = {
            "output": relative(a["output"], output.detach()),
            "loss": relative(a["loss"], loss.detach()),
            "gradients": max(
                relative(a["gradient." + our_name(name)].view(p.shape), p.grad)
                for name, p in network.named_parameters()
            ),
        }
        text = ", ".join(f"{name} {value:.1e}" for name, value in differences.items())
        print(f"largest relative difference to PyTorch {torch.__version__}, {way}: {text}")
        if differences["output"] > TOLERANCE:
            sys.exit(f"peer.py: the outputs differ by more than {TOLERANCE}")


def prepare(kind, dtype, batch, frames, width, depth, mode, device):
    """A function that makes one pass."""
    torch.manual_seed(1)
    attention = by_hand if mode.endswith("by-hand") else F.scaled_dot_product_attention
    with torch.device(device):
        network = PoseDenoiser(width, depth, attention=attention)
        x, target = torch.randn(2, batch, frames, JOINTS, 3)
        y = torch.randn(batch, frames, JOINTS, 2)
        t = torch.full((batch,), 20)

    def autocast():
        return torch.autocast(device, torch.bfloat16, enabled=dtype == "bf16")

    call = torch.compile(network, dynamic=False) if mode.startswith("compiled") else network
    if kind == "forward":
        network.eval()

        def forward():
            with torch.inference_mode(), autocast():
                call(x, y, t)

        return forward
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4, fused=True)

    def train():
        optimiser.zero_grad(set_to_none=True)
        with autocast():
            output = call(x, y, t)
        joint_distance(output, target).backward()
        optimiser.step()

    return train


def peak_memory():
    """Bytes; of the whole process, since tensors are not counted apart."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def measure(mode, device="cpu"):
    synchronize = torch.cuda.synchronize if device == "cuda" else lambda: None
    passes = {}
    for line in sys.stdin:
        kind, dtype, *sizes, threads, seconds = line.split()
        torch.set_num_threads(int(threads))
        key = (kind, dtype, *map(int, sizes))
        if key not in passes:
            passes[key] = prepare(*key, mode, device)
            try:
                passes[key]()
            except RuntimeError as error:  # torch.compile's, of code that g++ does not take
                print(f"peer.py: {line.strip()}: {type(error).__name__}", file=sys.stderr)
                passes[key] = None
        run = passes[key]
        if run is None:
            print("inf inf inf 0", flush=True)
            continue
        run()
        synchronize()
        wall, cpu = [], []
        while len(wall) < 3 or sum(wall) < float(seconds):
            start, computed = time.perf_counter(), time.process_time()
            run()
            synchronize()
            cpu.append(time.process_time() - computed)
            wall.append(time.perf_counter() - start)
        medians = f"{statistics.median(wall):.9f} {statistics.median(cpu):.9f}"
        print(f"{medians} {peak_memory()} {len(wall)}", flush=True)


def main():
    if sys.argv[1:2] == ["measure"] and len(sys.argv) in (3, 4) and sys.argv[2] in MODES:
        measure(*sys.argv[2:])
    elif sys.argv[1:2] == ["check"] and len(sys.argv) == 4:
        check(*sys.argv[2:])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
