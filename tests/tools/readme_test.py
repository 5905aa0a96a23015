"""Runs the blocks of tools/README.md as they stand: readme_test.py PATH_OF_POSETAPE README

A command without an example there is an error, too.
"""

import os
import re
import subprocess
import sys
import tempfile


def main():
    posetape, readme = (os.path.abspath(path) for path in sys.argv[1:])
    with open(readme, encoding="utf-8") as file:
        blocks = re.findall(r"^```sh\n(.*?)^```$", file.read(), re.M | re.S)
    lines = [line for block in blocks for line in block.splitlines()]
    assert lines, readme
    listed = subprocess.run([posetape, "--help"], check=True, capture_output=True, text=True).stdout
    commands = re.findall(r"^  ([a-z]+)  ", listed.split("Subcommands:")[1], re.M)
    shown = {line.split()[1] for line in lines}
    missing = [command for command in commands if command not in shown]
    assert commands and not missing, f"{readme}: no example of {', '.join(missing)}"
    with tempfile.TemporaryDirectory() as folder:
        os.symlink(posetape, os.path.join(folder, "posetape"))
        path = folder + os.pathsep + os.environ["PATH"]
        for line in lines:
            done = subprocess.run(["sh", "-c", line], cwd=folder, env={**os.environ, "PATH": path},
                                  capture_output=True, text=True)
            assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    print(f"{len(lines)} commands of {readme} ran")


main()
