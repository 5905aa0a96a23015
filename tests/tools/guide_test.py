"""engine/GRADCHECK.md's example of a new op works as it stands: guide_test.py BUILD SOURCE MESON NINJA

Applies it to a copy of the sources, configures the copy, and compiles there what the example changes
and what is made from the list of ops. The rest comes from the libraries of BUILD, which hold the same
ops at the same numbers, since a new elementwise op is the last one. The program must say what the guide
says it does.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# `path`, then text up to a block: what is to be written there.
STEP = re.compile(r"^\*\*[^*]+\*\*, `([^`]+)`(?:(?!```).)*?^```\w+\n(.*?)^```$", re.M | re.S)
# The last line of a run.
ROWS = re.compile(r"^ *(\d+ rows: \d+ agreed, 0 failed, 0 skipped)", re.M)
OBJECTS = [
    "kernels/libposetape_kernels_baseline.a.p/elementwise_elementwise_cpu.cpp.o",
    "kernels/libposetape_kernels_numbers.a.p/elementwise_elementwise_cpu.cpp.o",
    "engine/libposetape_engine.a.p/op.cpp.o",
    "engine/libposetape_engine.a.p/ops_elementwise.cpp.o",
    "tests/cases/libop_cases.a.p/cases.cpp.o",
    "tests/cases/libop_cases.a.p/softplus.cpp.o",
    "tests/cases/libop_cases.a.p/suite.cpp.o",
]


def run(*command, **options):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def apply(path, text):
    """A new file, or lines beside the block's first or last one, which is there already."""
    if not path.exists():
        path.write_text(text, "utf-8")
        return
    lines = path.read_text("utf-8").splitlines()
    first, *others, last = text.splitlines()
    if first in lines:
        at = lines.index(first) + 1
        lines[at:at] = [*others, last]
    else:
        at = lines.index(last)
        lines[at:at] = [first, *others]
    path.write_text("\n".join(lines) + "\n", "utf-8")


def main():
    build, source = map(Path, sys.argv[1:3])
    meson, ninja = sys.argv[3:]
    guide = (source / "engine" / "GRADCHECK.md").read_text("utf-8")
    example = guide.split("## Example: a new op")[1]
    steps = example.split("### Planting a bug")[0]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "copy")

        def left_out(directory, names):
            return [n for n in names if n == ".git" or Path(directory, n, "meson-private").exists()]

        shutil.copytree(source, copy, ignore=left_out)
        changed = STEP.findall(steps)
        assert len(changed) == 4, [path for path, _ in changed]
        for path, text in changed:
            apply(copy / path, text)
        options = ["-Disa=baseline", "-Dcuda=disabled", "-Doptimization=1"]
        run(meson, "setup", copy / "build", copy, *options)
        run(ninja, "-C", copy / "build", *OBJECTS)
        program = Path(folder, "posetape")
        objects = " ".join(str(copy / "build" / name) for name in OBJECTS)
        link = run(ninja, "-C", build, "-t", "commands", "-s", "tools/posetape").splitlines()[-1]
        assert " -o tools/posetape " in link, link
        run("sh", "-c", link.replace(" -o tools/posetape ", f" -o {program} {objects} "), cwd=build)
        environment = {**os.environ, "POSETAPE_ISA": "baseline"}
        said = run(program, "gradcheck", "--op", "softplus", "--mutants", env=environment)
        expected = ROWS.search(steps)[1]
        assert ROWS.search(said)[1] == expected, f"{expected} in the guide, and\n{said}"
        print(f"{len(changed)} files changed, {expected}")


main()
