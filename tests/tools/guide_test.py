"""The guides' examples work as they stand: guide_test.py NAME BUILD SOURCE MESON NINJA

NAME is `op` (a new op, in engine/GRADCHECK.md) or `network` (a new base network, in model/README.md).
Applies the example to a copy of the sources, configures the copy, and compiles there what the example
changes and what is made from the lists. The rest comes from the libraries of BUILD, which hold the same
ops and networks: a new elementwise op is the last one, at no other's number. The program must do what
the guide says.
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
COMMAND = re.compile(r"^    \$ posetape (.*)$", re.M)
# The last line of a gradient check.
ROWS = re.compile(r"^ *(\d+ rows: \d+ agreed, 0 failed, \d+ skipped)", re.M)
CASES = "tests/cases/libop_cases.a.p/"
GUIDES = {
    "op": {
        "page": "engine/GRADCHECK.md",
        "example": "## Example: a new op",
        "end": "### Planting a bug",
        "files": 4,
        "objects": [
            "kernels/libposetape_kernels_baseline.a.p/elementwise_elementwise_cpu.cpp.o",
            "kernels/libposetape_kernels_numbers.a.p/elementwise_elementwise_cpu.cpp.o",
            "engine/libposetape_engine.a.p/op.cpp.o",
            "engine/libposetape_engine.a.p/ops_elementwise.cpp.o",
            CASES + "cases.cpp.o",
            CASES + "softplus.cpp.o",
            CASES + "suite.cpp.o",
        ],
        "commands": ["gradcheck --op softplus --mutants"],
    },
    "network": {
        "page": "model/README.md",
        "example": "## Example: a new base network",
        "end": "A network with branches",
        "files": 2,
        "objects": [
            "model/libposetape_model.a.p/network.cpp.o",
            "model/libposetape_model.a.p/frame_mlp.cpp.o",
        ],
        "commands": [],  # the guide has them
    },
}


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
    guide = GUIDES[sys.argv[1]]
    build, source = map(Path, sys.argv[2:4])
    meson, ninja = sys.argv[4:]
    page = (source / guide["page"]).read_text("utf-8")
    steps = page.split(guide["example"])[1].split(guide["end"])[0]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "copy")

        def left_out(directory, names):
            return [n for n in names if n == ".git" or Path(directory, n, "meson-private").exists()]

        shutil.copytree(source, copy, ignore=left_out)
        changed = STEP.findall(steps)
        assert len(changed) == guide["files"], [path for path, _ in changed]
        for path, text in changed:
            apply(copy / path, text)
        options = ["-Disa=baseline", "-Dcuda=disabled", "-Doptimization=1"]
        run(meson, "setup", copy / "build", copy, *options)
        run(ninja, "-C", copy / "build", *guide["objects"])
        program = Path(folder, "posetape")
        objects = " ".join(str(copy / "build" / name) for name in guide["objects"])
        link = run(ninja, "-C", build, "-t", "commands", "-s", "tools/posetape").splitlines()[-1]
        assert " -o tools/posetape " in link, link
        run("sh", "-c", link.replace(" -o tools/posetape ", f" -o {program} {objects} "), cwd=build)
        environment = {**os.environ, "POSETAPE_ISA": "baseline"}
        said = ""
        for command in guide["commands"] or COMMAND.findall(steps):
            said += run(program, *command.split(), env=environment, cwd=folder)
        expected = ROWS.search(steps)[1]
        found = ROWS.search(said)
        assert found and found[1] == expected, f"{expected} in the guide, and\n{said}"
        print(f"{len(changed)} files changed, {expected}")


main()
