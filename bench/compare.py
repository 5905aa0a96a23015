"""posetape and PyTorch on the same work, in turns; bench/compare.sh prepares what it needs.

    compare.py BENCH_MEASURE PYTHON [options]

Times are medians over rounds, of which each gives every program one turn. Ratios are the fastest of
PyTorch's configurations divided by posetape's fastest: above 1, posetape is faster.
"""

import argparse
import math
import os
import pathlib

from worker import Work, Worker, in_turns, load, peak_memory

WORKS = [
    Work("train", batch=4, frames=81),
    Work("train", batch=1, frames=243),
    Work("train", batch=16, frames=27),
    Work("forward", batch=4, frames=81),
    Work("forward", batch=1, frames=243),
    Work("forward", batch=16, frames=27),
    Work("forward", batch=1, frames=27),
]


def table(title, names, rows):
    """Rows of (label, figures of posetape's configurations, figures of PyTorch's)."""
    print(f"\n{title}")
    print(f"{'':18}" + "".join(f"{name:>16}" for name in names) + f"{'ratio':>8}")
    for label, ours, theirs in rows:
        cells = ("failed" if math.isinf(value) else f"{value:.1f}" for value in [*ours, *theirs])
        figures = "".join(f"{cell:>16}" for cell in cells)
        print(f"{label:18}{figures}{min(theirs) / min(ours):8.2f}  ({load()})", flush=True)


def main():
    parser = argparse.ArgumentParser(description="posetape and PyTorch in turns")
    parser.add_argument("ours", help="bench_measure of a build")
    parser.add_argument("python", help="a Python that has PyTorch")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seconds", type=float, default=2, help="of each turn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dtypes", default="f32", help="of posetape, e.g. f32,bf16")
    parser.add_argument("--modes", default="eager,compiled", help="of PyTorch")
    parser.add_argument("--only", default="", help="works named so, e.g. 'train B4'")
    parser.add_argument(
        "--clock",
        choices=("wall", "cpu"),
        default="wall",
        help="cpu, on one thread: for a machine that others use, too",
    )
    args = parser.parse_args()
    if args.clock == "cpu" and args.threads != 1:
        parser.error("--clock cpu counts waiting threads as work: use it with --threads 1")

    peer = str(pathlib.Path(__file__).parent / "peers" / "peer.py")
    commands = {"posetape": [args.ours]}
    for mode in args.modes.split(","):
        commands[mode] = [args.python, peer, "measure", mode]
    ours = [("posetape", dtype) for dtype in args.dtypes.split(",")]
    theirs = [(mode, dtype) for mode in args.modes.split(",") for dtype in ("f32", "bf16")]
    configurations = ours + theirs
    names = [f"{program} {dtype}" for program, dtype in configurations]
    works = [(f"{w.kind} B{w.batch} N{w.frames}", w) for w in WORKS]
    works = [(label, w) for label, w in works if args.only in label]

    workers = {name: Worker(command) for name, command in commands.items()}

    def times():
        for label, work in works:
            contestants = [
                (workers[program], work._replace(dtype=dtype)) for program, dtype in configurations
            ]
            turns = in_turns(contestants, args.threads, args.seconds, args.rounds, args.clock)
            medians = [1e3 * seconds for seconds in turns]
            yield label, medians[: len(ours)], medians[len(ours) :]

    table(f"milliseconds ({args.clock}), {args.threads} threads", names, times())
    for worker in workers.values():
        worker.close()

    def memory():
        for label, work in works:
            peaks = [
                peak_memory(commands[program], work._replace(dtype=dtype), args.threads) / 1e6
                for program, dtype in configurations
            ]
            yield label, peaks[: len(ours)], peaks[len(ours) :]

    table("peak memory of the process, MB", names, memory())


if __name__ == "__main__":
    main()
