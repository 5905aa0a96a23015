"""Prints the table of tools/gpu-report.sh: python3 tools/gpu_report.py FOLDER --json FILE

The folder holds tests.xml (doctest's junit reporter), sanitizers.txt where compute-sanitizer ran (a
line each: tool, result), torch-<mode>.txt where PyTorch did (a line each: a request of bench_measure and
the answer), and for f32 and bf16 <type>.json (bench_steps) and profile-<type>.json
(posetape profile). All of it goes to the file. Exits with 1 where a test failed or none ran.
"""

import argparse
import json
import pathlib
import sys
import xml.etree.ElementTree


MAIN_OPS = 12  # those that take the longest


def read_tests(path):
    """(name, "passed" or "failed") of each test case."""
    cases = xml.etree.ElementTree.parse(path).getroot().iter("testcase")
    return [
        (case.get("name"), "passed" if case.find("failure") is None and case.find("error") is None
         else "failed")
        for case in cases
    ]


def read_sanitizers(path):
    return [tuple(line.split()) for line in path.read_text().splitlines()] if path.exists() else []


def read_torch(paths):
    """{(kind, type, batch, frames): seconds of the fastest mode}"""
    fastest = {}
    for line in [line for path in paths for line in path.read_text().splitlines()]:
        fields = line.split()
        if len(fields) == 12:  # an answer there is
            key, seconds = tuple(fields[:4]), float(fields[8])
            fastest[key] = min(seconds, fastest.get(key, seconds))
    return fastest


def row(*cells):
    print("| " + " | ".join(cells) + " |")


def main(folder, json_path):
    runs = {dtype: json.loads((folder / f"{dtype}.json").read_text()) for dtype in ("f32", "bf16")}
    profiles = {dtype: json.loads((folder / f"profile-{dtype}.json").read_text()) for dtype in runs}
    tests = read_tests(folder / "tests.xml")
    sanitizers = read_sanitizers(folder / "sanitizers.txt")
    torch = read_torch(sorted(folder.glob("torch-*.txt")))
    runs |= {f"bf16, products {kind}": json.loads((folder / f"bf16-{kind}.json").read_text())
             for kind in ("own", "library")}
    everything = {"tests": tests, "sanitizers": sanitizers, "steps": runs, "profiles": profiles,
                  "torch": [[*key, seconds] for key, seconds in torch.items()]}
    json_path.write_text(json.dumps(everything, indent=1) + "\n")
    context = runs["f32"]["context"]

    if "emulated" in context["device"]:
        print("EMULATED on the CPU: the times below mean nothing.\n")
    row("what", "result", "", "")
    row("---", "---", "---", "---")
    row("device", context["device"], f"driver: CUDA {context['driver']}",
        f"runtime: CUDA {context['runtime']}")
    for name, result in tests:
        row("test", name, result, "")
    for tool, result in sanitizers:
        row("compute-sanitizer, a training step", tool, result, "")
    for dtype, run in runs.items():
        for b in run["benchmarks"]:
            name, batch, frames, width, depth = b["name"].split("/")[:5]
            peer = torch.get((name.removeprefix("denoiser_"), dtype, batch, frames))
            row(f"{name}, {dtype}", f"B {batch}, N {frames}, D {width}, L {depth}",
                f"{b['real_time']:.3f} {b['time_unit']}", f"{b['frames/s']:.0f} frames/s"
                + (f", PyTorch {1000 * peer:.3f} ms" if peer else ""))
    for dtype, profile in profiles.items():
        row(f"measured here at most, {dtype}",
            f"{profile['limit_flops_per_second'] / 1e12:.3f} TFLOP/s, a large product in f32",
            f"{profile['limit_bytes_per_second'] / 1e9:.1f} GB/s, a long sum", "")
        for op in sorted(profile["ops"], key=lambda op: -op["seconds"])[:MAIN_OPS]:
            # Nothing was timed: the emulation.
            seconds = op["seconds"] or float("inf")
            row(f"{op['op']}{' backward' if op['backward'] else ''}, {dtype}",
                f"{op['flops'] / seconds / 1e12:.3f} TFLOP/s",
                f"{op['bytes'] / seconds / 1e9:.1f} GB/s",
                f"{op['percent_of_limit']:.0f} % of the limit")
    failed = sum(result == "failed" for _, result in tests + sanitizers)
    print(f"\n{len(tests) + len(sanitizers) - failed} tests passed, {failed} failed")
    return 1 if failed or not tests else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="the table of tools/gpu-report.sh")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--json", type=pathlib.Path, required=True)
    args = parser.parse_args()
    sys.exit(main(args.folder, args.json))
