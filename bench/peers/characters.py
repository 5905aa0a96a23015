"""tools/examples/characters.cpp and the same in PyTorch: the same weights, batches and steps.

    characters.py build/tools/examples/characters [--rounds 3] [--threads 1]

The example writes its first weights, from which PyTorch begins; both then take turns. Losses must
agree within 1 %, or it exits with 1. Times are those of the 200 steps, medians over the rounds: of one
thread by the time that it computed (the example's with its start and end), so that other programs don't
count, of several by the clock. Of PyTorch's two forms of attention the faster one counts.
"""

import argparse
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from peer import read_safetensors

TEXT = b"so much depends upon a red wheel barrow glazed with rain water "
SPAN, WIDTH, STEPS = 16, 32, 200


# ---- What the example is in PyTorch ----


class Characters(nn.Module):
    def __init__(self, weights, attention):
        super().__init__()
        for name, value in weights.items():
            self.register_parameter(name, nn.Parameter(value.clone()))
        self.attention = attention

    def forward(self, letters):
        x = self.letter[letters] + self.place
        q, k, v = F.linear(x, self.qkv).split(WIDTH, -1)
        h = x + self.attention(q, k, v)
        h = h + F.linear(F.gelu(F.linear(h, self.up)), self.down)
        return F.linear(h, self.out)


def fused(q, k, v):
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


MASK = torch.full((SPAN, SPAN), -1e30).triu(1)


def written_out(q, k, v):
    return torch.softmax((q * WIDTH**-0.5) @ k.transpose(-1, -2) + MASK, -1) @ v


def train(weights, attention):
    ring = torch.tensor(list(TEXT))
    place = torch.arange(len(TEXT))[:, None] + torch.arange(SPAN)
    x, y = ring[place % len(TEXT)], ring[(place + 1) % len(TEXT)]
    net = Characters(weights, attention)
    adam = torch.optim.Adam(net.parameters(), lr=0.005)
    losses = {}
    now = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    start = now()
    for step in range(1, STEPS + 1):
        adam.zero_grad()
        loss = F.cross_entropy(net(x).flatten(0, 1), y.flatten())
        loss.backward()
        adam.step()
        if step % 50 == 0:
            losses[step] = loss.item()
    return losses, now() - start


# ---- Side by side ----


def children_time():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def example(program, weights):
    before = children_time()
    out = subprocess.run([program, weights], capture_output=True, text=True, check=True).stdout
    losses = {int(s): float(x) for s, x in re.findall(r"step +(\d+)  loss ([\d.]+)", out)}
    if torch.get_num_threads() == 1:
        return losses, children_time() - before
    return losses, float(re.search(r"200 steps in ([\d.]+) s", out)[1])


def processor():
    try:
        text = Path("/proc/cpuinfo").read_text()
        return re.search(r"model name\s*: (.*)", text)[1]
    except (OSError, TypeError):
        return platform.processor()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    threads = arguments.threads
    os.sched_setaffinity(0, range(threads))  # the example takes as many
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        example(arguments.program, path)
        weights = {name: value for name, value in read_safetensors(path).items()
                   if not name.startswith("trainer.")}
        forms = {"posetape": lambda: example(arguments.program, path),
                 "PyTorch, fused": lambda: train(weights, fused),
                 "PyTorch, by hand": lambda: train(weights, written_out)}
        losses, times = {}, {name: [] for name in forms}
        for _ in range(arguments.rounds):
            for name, form in forms.items():
                losses[name], seconds = form()
                times[name].append(seconds)
    print(f"{processor()}, threads: {threads}, PyTorch {torch.__version__}, "
          f"medians of {arguments.rounds} turns\n")
    print("| | " + " | ".join(f"loss at {s}" for s in losses["posetape"]) + " | ms a step |")
    print("| --- |" + " ---: |" * (len(losses["posetape"]) + 1))
    for name in forms:
        row = " | ".join(f"{x:.5f}" for x in losses[name].values())
        print(f"| {name} | {row} | {1000 * statistics.median(times[name]) / STEPS:.3f} |")
    worst = max(abs(losses[name][s] / x - 1) for name in forms
                for s, x in losses["posetape"].items())
    print(f"\nlargest difference of a loss: {100 * worst:.4f} %")
    sys.exit(worst > 0.01)


if __name__ == "__main__":
    main()
