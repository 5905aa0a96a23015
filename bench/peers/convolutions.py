"""conv1d and conv2d, and the same in PyTorch, in turns: f32, forward and with all gradients.

    convolutions.py build/bench/bench_convolutions [--rounds 3] [--seconds 0.3] [--threads 1,2]

Medians over the rounds, in milliseconds: of one thread by the time that it computed, so that other
programs don't count, of several by the clock. PyTorch has two layouts; ours is channels last, as it is for
a program that stays with one layout throughout. Of PyTorch's the faster one counts.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import torch
from torch.nn import functional as F

from characters import processor
sys.path.insert(0, str(Path(__file__).parents[1]))
from worker import Worker  # noqa: E402

# Dimensions, batch, size of each, channels, out, kernel, stride, groups.
SHAPES = [
    (1, 16, 256, 64, 64, 3, 1, 1),
    (1, 16, 243, 256, 256, 3, 1, 1),
    (1, 4, 4096, 1, 32, 9, 2, 1),
    (2, 16, 28, 1, 32, 3, 1, 1),
    (2, 8, 56, 64, 64, 3, 1, 1),
    (2, 8, 14, 256, 256, 3, 1, 1),
    (2, 8, 56, 64, 128, 1, 1, 1),
    (2, 4, 64, 3, 64, 7, 2, 1),
    (2, 8, 28, 128, 128, 3, 1, 128),
]


def median_time(threads, seconds, run):
    now = time.process_time if threads == 1 else time.perf_counter
    run()
    times = []
    while len(times) < 3 or sum(times) < seconds:
        start = now()
        run()
        times.append(now() - start)
    return statistics.median(times)


def theirs(shape, threads, seconds, memory):
    """Forward pass and step of PyTorch, as bench_convolutions answers."""
    dimensions, batch, size, channels, out, kernel, stride, groups = shape
    torch.set_num_threads(threads)
    make = lambda *shape: torch.randn(*shape).contiguous(memory_format=memory)
    x = make(batch, channels, *[size] * dimensions)
    w = make(out, channels // groups, *[kernel] * dimensions)
    b = torch.randn(out)
    conv = F.conv1d if dimensions == 1 else F.conv2d
    run = lambda: conv(x, w, b, stride, kernel // 2, groups=groups)
    dy = torch.randn_like(run())

    def step():
        torch.autograd.grad(run(), (x, w, b), dy)

    with torch.no_grad():
        forward = median_time(threads, seconds, run)
    for t in (x, w, b):
        t.requires_grad_()
    return forward, median_time(threads, seconds, step)


def ask(program, *request):
    program.process.stdin.write(" ".join(map(str, request)) + "\n")
    return tuple(map(float, program.process.stdout.readline().split()))


def name(shape):
    dimensions, batch, size, channels, out, kernel, stride, groups = shape
    by = lambda n: " x ".join([str(n)] * dimensions)
    more = f", stride {stride}" * (stride > 1) + ", depthwise" * (groups > 1)
    return f"{batch} of {by(size)}, {channels} to {out}, kernel {by(kernel)}{more}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.3)
    parser.add_argument("--threads", default="1,2")
    options = parser.parse_args()
    program = Worker([options.program])
    print(f"{processor()}, PyTorch {torch.__version__}, medians of {options.rounds} turns, ms\n")
    for threads in map(int, options.threads.split(",")):
        print(f"| {threads} thread{'s' * (threads > 1)} | forward | PyTorch | times as long | "
              "with gradients | PyTorch | times as long |")
        print("| --- |" + " ---: |" * 6)
        for shape in SHAPES:
            layouts = [torch.contiguous_format]
            if shape[0] == 2:
                layouts.append(torch.channels_last)
            ours, rivals = [], [[] for _ in layouts]
            for _ in range(options.rounds):
                ours.append(ask(program, *shape, threads, options.seconds))
                for rival, memory in zip(rivals, layouts):
                    rival.append(theirs(shape, threads, options.seconds, memory))
            row = []
            for part in (0, 1):
                mine, *others = (1000 * statistics.median(t[part] for t in turns)
                                 for turns in (ours, *rivals))
                row += [f"{mine:.2f}", f"{min(others):.2f}", f"{mine / min(others):.2f}"]
            print(f"| {name(shape)} | {' | '.join(row)} |", flush=True)
        print()
    program.close()


if __name__ == "__main__":
    main()
