"""What `meson install` leaves behind serves programs outside: install_test.py BUILD SOURCE MESON CXX...

Looks at what is built for it after tools/demo.sh. Installs into a temporary folder, compiles every header
by itself alone with pkg-config's flags and all warnings, then the examples spirals and refine, which run:
the one learns, the other refines to what the command does.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

WARNINGS = "-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror".split()


def run(*command, **options):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def pkg_config(folder, prefix, *options):
    """pkg-config of an installed tree that was moved to `folder`."""
    (package,) = folder.rglob("posetape.pc")
    text = re.sub(r"^prefix=.*$", f"prefix={folder}{prefix}", package.read_text(), flags=re.M)
    package.write_text(text)
    path = os.pathsep.join([str(package.parent), os.environ.get("PKG_CONFIG_PATH", "")])
    return run("pkg-config", *options, "posetape",
               env={**os.environ, "PKG_CONFIG_PATH": path}).split()


def check_what_is_built(source, meson):
    """Without tests, it is the command and the library."""
    with tempfile.TemporaryDirectory() as build:
        run(meson, "setup", build, source, "-Dtests=false", "-Dcuda=disabled")
        inputs = run("ninja", "-C", build, "-t", "inputs", "all").splitlines()
    for wanted in ("tools/posetape", "tools/library/libposetape"):
        assert any(path.startswith(wanted) for path in inputs), inputs
    unwanted = re.compile("tests/(?!cases/)|bench/|tools/examples/")
    assert not [path for path in inputs if unwanted.search(path)], inputs


def main():
    build, source, meson, *cxx = sys.argv[1:]
    check_what_is_built(source, meson)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run(meson, "install", "-C", build, "--destdir", folder, "--no-rebuild", "--quiet")
        (header,) = folder.rglob("posetape.h")
        prefix = "/" + header.parent.parent.relative_to(folder).as_posix()
        cflags = pkg_config(folder, prefix, "--cflags")
        libraries = pkg_config(folder, prefix, "--libs")
        # Libraries of others are for them to keep clean.
        flags = [flag.replace("-I/usr/include", "-isystem/usr/include") for flag in cflags]

        headers = sorted((header.parent / "posetape").rglob("*.hpp"))
        assert len(headers) > 100, headers
        unit = folder / "headers.cpp"
        unit.write_text("".join(f'#include "{h.relative_to(header.parent / "posetape")}"\n'
                                for h in [*headers, *reversed(headers)]))
        run(*cxx, "-std=c++20", "-fsyntax-only", *WARNINGS, *flags, unit)
        (folder / "header.c").write_text("#include <posetape.h>\nint main(void) { return 0; }\n")
        run("cc", "-std=c99", "-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Werror", *flags,
            folder / "header.c")

        # The commands that the examples name.
        where = next(flag[2:] for flag in libraries if flag.startswith("-L"))
        environment = {**os.environ, "LD_LIBRARY_PATH": where}

        def example(name, *arguments):
            run(*cxx, "-std=c++20", *WARNINGS, Path(source) / f"tools/examples/{name}.cpp", *flags,
                *libraries, "-o", folder / name)
            return run(folder / name, *arguments, cwd=folder, env=environment)

        def posetape(*arguments):
            return run(header.parent.parent / "bin" / "posetape", *arguments, cwd=folder)

        assert "of 400 points on the right side" in example("spirals")
        assert re.match(r"\d+\.\d+", posetape("--version"))
        size = "--frames 9 --width 16 --depth 1 --heads 2 --batch 8 --epochs 1".split()
        posetape("prepare", "synthetic", "-o", "data.npz", "--people", 4, "--takes", 1, "--seconds", 1)
        posetape("train", "lifter", "data.npz", "-o", "lifter.safetensors", "--folds", 0, *size)
        posetape("lift", "lifter.safetensors", "data.npz", "-o", "lifted.npz")
        posetape("train", "refiner", "lifted.npz", "-o", "refiner.safetensors", *size)
        posetape("refine", "refiner.safetensors", "lifted.npz", "-o", "by_command.npz")
        example("refine", "refiner.safetensors", "lifted.npz", "by_program.npz")
        tables = [posetape("export", f"by_{name}.npz", "-o", "-", "--field", "refined_3d")
                  for name in ("command", "program")]
        assert len(tables[0]) > 1000 and tables[0] == tables[1]
        # The networks that come along are found where they were put.
        posetape("prepare", "synthetic", "-o", "clip.npz", "--people", 1, "--takes", 1, "--seconds", 1,
                 "--cameras", "random", "--joints", "keypoints")
        assert "wrote poses.json" in posetape("pose", "clip.npz", "-o", "poses.json")
        print(f"{len(headers)} headers, flags {cflags}, libraries {libraries}")


main()
