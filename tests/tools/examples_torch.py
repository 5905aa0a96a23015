"""The PyTorch lines of tools/examples/README.md learn what the examples learn: examples_torch.py README

Skipped (exit code 77) without PyTorch; TORCH_PYTHON=PATH names another Python that has it.
"""

import math
import os
import re
import sys
import tempfile
import time

try:
    import torch
    from torch import nn
    from torch.nn import functional as F
except ImportError:
    other = os.environ.pop("TORCH_PYTHON", None)
    if other:
        os.execv(other, [other, *sys.argv])
    print("PyTorch is missing: pip install torch, or TORCH_PYTHON=PATH of a Python that has it")
    sys.exit(77)

TEXT = "so much depends upon a red wheel barrow glazed with rain water "


# ---- The examples' data ----


def points():
    arms = torch.arange(600) % 3
    turn = 6 * torch.rand(600).sqrt()
    angle = turn + 2.0944 * arms
    places = 0.15 * turn * torch.stack([angle.cos(), angle.sin()])
    return places.T + 0.02 * torch.randn(600, 2), arms


def waves(step):
    kinds = torch.arange(64) % 3
    period, phase = 16 + 24 * torch.rand(64, 1), 2 * math.pi * torch.rand(64, 1)
    s = (2 * math.pi * torch.arange(96) / period + phase).sin()
    all_kinds = torch.stack([s, s.asin() * 2 / math.pi, s.sign()])
    x = all_kinds[kinds, torch.arange(64)] + 0.05 * torch.randn(64, 96)
    return x[:, None], kinds


def batch(step):
    x = torch.rand(12, 64)
    marks = (torch.rand(12, 64) < 0.2).float()
    return torch.stack([x, marks], -1), (x * marks).sum(0)[:, None]


def windows():
    ring = torch.tensor(list(TEXT.encode()))
    place = torch.arange(len(TEXT))[:, None] + torch.arange(16)
    return ring[place % len(TEXT)], ring[(place + 1) % len(TEXT)]


# ---- What each has learned in the end ----

LEARNED = {
    "classes": lambda made: made["right"] > 588,
    "waves": lambda made: made["unseen"] < 0.1,
    "gru": lambda made: made["loss"] < 0.01,
    "characters": lambda made: bytes(made["said"][0].tolist()).decode() == TEXT,
}


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        blocks = dict(re.findall(r"^### (\w+)\.cpp\n.*?^```python\n(.*?)^```$", file.read(), re.M | re.S))
    assert blocks.keys() == LEARNED.keys(), blocks.keys()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for name, lines in blocks.items():
            torch.manual_seed(1)
            made = dict(globals())
            start = time.perf_counter()
            exec(lines, made)  # noqa: S102
            seconds = time.perf_counter() - start
            assert LEARNED[name](made), (name, made["loss"])
            print(f"{name}: loss {made['loss'].item():.4f}, {seconds:.1f} s")


main()
