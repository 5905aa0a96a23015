#!/usr/bin/env bash
# A long clip comes back from C3D without its end.
#
# The header and POINT:FRAMES of a C3D file count frames in 16 bits. Longer files say their length in
# TRIAL:ACTUAL_START_FIELD and ACTUAL_END_FIELD, or leave it to the file's size. ezc3d 1.7.2 (PyPI)
# writes all 70000 frames of a clip (12 minutes at 100 a second), 65535 into both counts and no TRIAL,
# and reads back 65535 frames, in silence: the last 45 seconds are in the file, and nobody sees them.
# Whoever reads such files has to compare the counts with the size.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet ezc3d==1.7.2 numpy==2.4.6

"$work/venv/bin/python" - "$work/long.c3d" >"$work/seen" <<'PYTHON'
import os, struct, sys
import ezc3d, numpy
path = sys.argv[1]
clip = ezc3d.c3d()
clip["parameters"]["POINT"]["RATE"]["value"] = [100]
clip["parameters"]["POINT"]["LABELS"]["value"] = ["marker"]
points = numpy.ones((4, 1, 70000))
points[0, 0] = numpy.arange(70000)
clip["data"]["points"] = points
clip.write(path)
start = 512 * (struct.unpack("<H", open(path, "rb").read(18)[16:])[0] - 1)
data = numpy.fromfile(path, "<f4", offset=start).reshape(-1, 4)
print("in the file: x of the last frame", data[69999, 0])
back = ezc3d.c3d(path)
print("POINT:FRAMES", back["parameters"]["POINT"]["FRAMES"]["value"].tolist())
print("TRIAL", "TRIAL" in back["parameters"])
print("frames read", back["data"]["points"].shape[2], "last x", back["data"]["points"][0, 0, -1])
PYTHON

diff "$work/seen" - <<'EOT' && echo "as found: the clip's end is written and not read"
in the file: x of the last frame 69999.0
POINT:FRAMES [65535]
TRIAL False
frames read 65535 last x 65534.0
EOT
