#!/usr/bin/env bash
# A group of NCCL calls with no call in it leaks.
#
# NCCL 2.28.9 (PyPI: nvidia-nccl-cu13): ncclGroupStart() followed by ncclGroupEnd() returns
# ncclSuccess and keeps about 170 bytes, each time, before there is a communicator or a device. A rank
# that has nothing to exchange in a step, as where there are more ranks than pieces, grows by that
# much a step. 2.27.7, 2.28.3 and 2.29.2 do the same; 2.29.7 does not. A program that takes whichever
# NCCL it finds skips empty groups itself.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"

cat >"$work/groups.py" <<'PYTHON'
import ctypes, glob, os, sys

nccl = ctypes.CDLL(glob.glob(sys.prefix + "/lib/python*/site-packages/nvidia/nccl/lib/libnccl.so.2")[0])

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def groups(count):
    for _ in range(count):
        assert nccl.ncclGroupStart() == 0 and nccl.ncclGroupEnd() == 0

version = ctypes.c_int()
nccl.ncclGetVersion(ctypes.byref(version))
groups(1000)
before, count = resident(), 500000
groups(count)
grown = (resident() - before) / count
kept = "over 150" if grown > 150 else "under 10" if grown < 10 else f"{grown:.0f}"
print("NCCL", version.value, "an empty group keeps", kept, "bytes")
PYTHON

for version in 2.28.9 2.29.7; do
  "$work/venv/bin/pip" install --quiet "nvidia-nccl-cu13==$version"
  "$work/venv/bin/python" "$work/groups.py"
done >"$work/seen"

diff "$work/seen" - <<'EOT' && echo "as found: empty groups leak in 2.28.9, and no longer in 2.29.7"
NCCL 22809 an empty group keeps over 150 bytes
NCCL 22907 an empty group keeps under 10 bytes
EOT
