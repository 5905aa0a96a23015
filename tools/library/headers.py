"""The headers that are installed, one a line: headers.py ROOT

Those of engine, model, data and diffusion, the threads, and what these include. Headers that the build
makes are left out.
"""

import re
import sys
from pathlib import Path

INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.M)


def main():
    root = Path(sys.argv[1])
    found = set()
    open_ = [path.relative_to(root).as_posix()
             for folder in ("engine", "model", "data", "diffusion")
             for path in (root / folder).rglob("*.hpp")]
    open_ += ["kernels/base/parallel.hpp", "kernels/base/numbers_math.hpp"]
    while open_:
        name = open_.pop()
        if name in found or not (root / name).is_file():
            continue
        found.add(name)
        open_ += INCLUDE.findall((root / name).read_text("utf-8"))
    print("\n".join(sorted(found)))


main()
