"""posetape and PyTorch on the same work, in turns; bench/compare.sh prepares what it needs.

    compare.py BENCH_MEASURE PYTHON [options]

Times are medians over rounds, of which each gives every program one turn. Ratios are the fastest of
PyTorch's configurations of each type divided by posetape's of that type, the fastest of all by the
fastest of all, and the same for another build of posetape (--before): above 1, posetape is faster.
"""

import argparse
import math
import os
import pathlib
import sys

from worker import Work, Worker, in_turns, load, peak_memory

# Of peers/peer.py.
MODES = ("eager", "eager-by-hand", "compiled", "compiled-by-hand")
WORKS = [
    Work("train", batch=4, frames=81),
    Work("train", batch=1, frames=243),
    Work("train", batch=16, frames=27),
    Work("forward", batch=4, frames=81),
    Work("forward", batch=1, frames=243),
    Work("forward", batch=16, frames=27),
    Work("forward", batch=1, frames=27),
]


def processor():
    """Its name and the instruction sets that count here."""
    text = pathlib.Path("/proc/cpuinfo").read_text()
    fields = dict(
        line.split(":", 1) for line in text.split("\n\n")[0].replace("\t", "").splitlines() if ":" in line
    )
    wanted = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
    sets = [name for name in wanted if name in fields.get("flags", "").split()]
    return f"{fields.get('model name', 'unknown processor').strip()} ({', '.join(sets)})"


def ratios(figures, dtypes):
    """Of figures {(program, dtype): value}: [(name, ratio)]."""
    found = []
    for others in ("PyTorch", "before"):
        rivals = {
            key: value
            for key, value in figures.items()
            if key[0] != "posetape" and (key[0] == "before") == (others == "before")
        }
        if not rivals:
            continue
        for dtype in [*dtypes, "best"] if len(dtypes) > 1 else dtypes:
            ours = [v for (p, d), v in figures.items() if p == "posetape" and dtype in (d, "best")]
            theirs = [v for (p, d), v in rivals.items() if dtype in (d, "best")]
            found.append((f"{others} {dtype}", min(theirs) / min(ours)))
    return found


def table(title, configurations, rows):
    """Rows of (label, figures by configuration), the configurations one below the other."""
    rows = list(rows)
    dtypes = [dtype for program, dtype in configurations if program == "posetape"]
    print(f"\n{title}")
    print(f"{'':28}" + "".join(f"{label:>16}" for label, _ in rows))
    for configuration in configurations:
        values = (figures[configuration] for _, figures in rows)
        cells = ("failed" if math.isinf(value) else f"{value:.1f}" for value in values)
        print(f"{' '.join(configuration):28}" + "".join(f"{cell:>16}" for cell in cells))
    columns = [ratios(figures, dtypes) for _, figures in rows]
    for i, (name, _) in enumerate(columns[0]):
        print(f"{name + ' / posetape':28}" + "".join(f"{c[i][1]:16.2f}" for c in columns), flush=True)


def main():
    parser = argparse.ArgumentParser(description="posetape and PyTorch in turns")
    parser.add_argument("ours", help="bench_measure of a build")
    parser.add_argument("python", help="a Python that has PyTorch")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seconds", type=float, default=2, help="of each turn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dtypes", default="f32", help="of both, e.g. f32,bf16")
    parser.add_argument("--modes", default=",".join(MODES), help="of PyTorch")
    parser.add_argument("--before", help="bench_measure of another build, to be compared with, too")
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
    if args.before:
        commands["before"] = [args.before]
    for mode in args.modes.split(","):
        if mode not in MODES:
            parser.error(f"--modes: {mode} is none of {', '.join(MODES)}")
        commands[mode] = [args.python, peer, "measure", mode]
    configurations = [(program, dtype) for program in commands for dtype in args.dtypes.split(",")]
    works = [(f"{w.kind} B{w.batch} N{w.frames}", w) for w in WORKS]
    works = [(label, w) for label, w in works if args.only in label]

    workers = {name: Worker(command) for name, command in commands.items()}

    def times():
        for label, work in works:
            contestants = [
                (workers[program], work._replace(dtype=dtype)) for program, dtype in configurations
            ]
            turns = in_turns(contestants, args.threads, args.seconds, args.rounds, args.clock)
            print(f"{label}: {load()}", file=sys.stderr, flush=True)
            yield label, {c: 1e3 * seconds for c, seconds in zip(configurations, turns)}

    print(processor())
    table(f"milliseconds ({args.clock}), {args.threads} threads", configurations, times())
    for worker in workers.values():
        worker.close()

    def memory():
        for label, work in works:
            yield label, {
                (program, dtype): peak_memory(
                    commands[program], work._replace(dtype=dtype), args.threads
                ) / 1e6
                for program, dtype in configurations
            }

    table("peak memory of the process, MB", configurations, memory())


if __name__ == "__main__":
    main()
