"""The C++ that random programs' failures are printed as compiles: fuzz_sources.py TEST SOURCE BUILD CXX..."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

test, source, build, *cxx = sys.argv[1:]
with tempfile.TemporaryDirectory() as folder:
    subprocess.run([test, "-tc=failures are printed as C++"], check=True,
                   env={**os.environ, "POSETAPE_FUZZ_SOURCES": folder})
    sources = sorted(Path(folder).glob("*.cpp"))
    assert len(sources) == 4, sources
    flags = "-std=c++20 -fsyntax-only -Wall -Wextra -Werror".split()
    for path in sources:
        subprocess.run([*cxx, *flags, "-I", source, "-I", build, path], check=True)
        print(f"{path.name} compiles")
