"""How time and memory of posetape grow, as tables, and the latency of one window:

    ninja -C build bench/bench_measure && python3 bench/scaling.py build/bench/bench_measure

Every figure is the median over rounds; beside it stand the most memory that tensors held and the
load of the machine. --clock cpu --threads 1 is for a machine that others use, too.
"""

import argparse
import statistics

from worker import Work, Worker, load


def main():
    parser = argparse.ArgumentParser(description="growth with frames, windows, width and threads")
    parser.add_argument("program", help="bench_measure of a build")
    parser.add_argument("--threads", default="1,2", help="thread counts, e.g. 1,2")
    parser.add_argument("--seconds", type=float, default=1, help="of each turn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dtype", default="f32")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    args = parser.parse_args()
    threads = [int(count) for count in args.threads.split(",")]
    if args.clock == "cpu" and threads != [1]:
        parser.error("--clock cpu counts waiting threads as work: use it with --threads 1")
    worker = Worker([args.program])

    def line(label, work, unit):
        work = work._replace(dtype=args.dtype)
        rounds = [
            [worker.ask(work, count, args.seconds) for count in threads]
            for _ in range(args.rounds)
        ]
        times = [
            statistics.median(getattr(answer, args.clock) for answer in column)
            for column in zip(*rounds)
        ]
        peak = max(answer.peak for answers in rounds for answer in answers)
        figures = "".join(f"{1e3 * t:12.2f}" for t in times)
        each = 1e3 * times[-1] / unit(work)
        speed = work.batch * work.frames / times[-1]
        ends = f"{each:12.4f}{speed:12.0f}{peak / 1e6:12.1f}  ({load()})"
        print(f"{label:14}{figures}{ends}", flush=True)

    def table(title, works, unit, unit_name):
        print(f"\n{title}, {args.dtype}, {args.clock} milliseconds")
        heads = [f"{count} threads" for count in threads] + [f"each {unit_name}", "frames/s", "MB"]
        print(f"{'':14}" + "".join(f"{head:>12}" for head in heads))
        for label, work in works:
            line(label, work, unit)

    frames = (27, 81, 243, 729)
    batches = (1, 4, 16, 64)
    widths = (128, 256, 512)
    table(
        "training step, one window",
        [(f"N {n}", Work("train", batch=1, frames=n)) for n in frames],
        lambda work: work.frames,
        "frame",
    )
    table(
        "training step, windows of 27 frames",
        [(f"B {b}", Work("train", batch=b, frames=27)) for b in batches],
        lambda work: work.batch,
        "window",
    )
    table(
        "training step, 4 windows of 27 frames",
        [(f"width {d}", Work("train", batch=4, frames=27, width=d)) for d in widths],
        lambda work: work.width,
        "channel",
    )
    table(
        "forward pass: latency of one window",
        [(f"N {n}", Work("forward", batch=1, frames=n)) for n in frames],
        lambda work: work.frames,
        "frame",
    )
    table(
        "refining, K = 2",
        [
            (f"B {b} N {n}", Work("refine", batch=b, frames=n))
            for b, n in ((1, 27), (1, 243), (32, 27))
        ],
        lambda work: work.batch * work.frames,
        "frame",
    )
    worker.close()


if __name__ == "__main__":
    main()
