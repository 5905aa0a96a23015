"""fuzz.py PROGRAM TARGET SECONDS [SEED]: fuzzes one reader of files, starting from corpus/TARGET.
A seed of 0 is a new one each time.

What is found stays in fuzz-TARGET-* of the current folder; run it again with
POSETAPE_FUZZ=TARGET PROGRAM FILE.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path


def main():
    program, target, seconds, *seed = sys.argv[1:]
    seeds = Path(__file__).parent / "corpus" / target
    assert any(seeds.iterdir()), seeds
    with tempfile.TemporaryDirectory() as found:
        done = subprocess.run(
            [program, found, seeds, f"-max_total_time={seconds}",
             f"-seed={(seed or [1])[0]}", "-rss_limit_mb=2048",
             "-malloc_limit_mb=1024", "-timeout=10", "-print_final_stats=1", "-verbosity=0",
             f"-artifact_prefix=fuzz-{target}-"],
            env={**os.environ, "POSETAPE_FUZZ": target})
    sys.exit(0 if done.returncode == 0 else 1)


main()
