"""Compares two runs of a Google Benchmark binary, e.g. of two commits:

    build/bench/bench_ops --benchmark_repetitions=5 --benchmark_out=old.json   # and new.json
    python3 bench/compare_json.py old.json new.json [--threshold 1.1]

Prints the ratio of medians, new to old, of every benchmark that both have, the slowest first. Exits
with 1 where one is slower by more than the threshold, or where a benchmark is gone.
"""

import argparse
import json
import statistics
import sys

NANOSECONDS = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}


def medians(path):
    """name -> median of the repetitions, in nanoseconds."""
    with open(path, encoding="utf-8") as file:
        benchmarks = json.load(file)["benchmarks"]
    times = {}
    for b in benchmarks:
        if b.get("run_type", "iteration") == "iteration":
            nanoseconds = b["real_time"] * NANOSECONDS[b["time_unit"]]
            times.setdefault(b.get("run_name", b["name"]), []).append(nanoseconds)
    return {name: statistics.median(values) for name, values in times.items()}


def main():
    parser = argparse.ArgumentParser(description="ratios of two runs of a benchmark")
    parser.add_argument("old")
    parser.add_argument("new")
    parser.add_argument("--threshold", type=float, default=1.1, help="ratio that counts as slower")
    args = parser.parse_args()
    old, new = medians(args.old), medians(args.new)

    shared = sorted(old.keys() & new.keys(), key=lambda name: old[name] / new[name])
    print(f"{'benchmark':50}{'old, us':>12}{'new, us':>12}{'ratio':>8}")
    for name in shared:
        ratio = new[name] / old[name]
        remark = "  slower" if ratio > args.threshold else ""
        print(f"{name:50}{old[name] / 1e3:12.1f}{new[name] / 1e3:12.1f}{ratio:8.2f}{remark}")
    gone = sorted(old.keys() - new.keys())
    for name in gone:
        print(f"{name}: only in {args.old}")
    for name in sorted(new.keys() - old.keys()):
        print(f"{name}: only in {args.new}")
    if not shared:
        sys.exit("compare_json.py: the runs have no benchmark in common")
    slower = sum(new[name] / old[name] > args.threshold for name in shared)
    print(f"{len(shared)} compared, {slower} slower, {len(gone)} gone")
    sys.exit(1 if slower or gone else 0)


if __name__ == "__main__":
    main()
