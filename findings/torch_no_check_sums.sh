#!/usr/bin/env bash
# Checkpoints that PyTorch reads and every zip reader calls damaged.
#
# torch.serialization.set_crc32_options(False), which PyTorch offers to save faster, does not leave the
# check sums of the archive unset: PyTorch 2.15.0 (PyPI) writes 0 for CRC-32, and torch.load passes
# over it. To the zip format that is a sum like any other, so that Python's zipfile refuses the first
# entry, and so does unzip: the file is whole, and what it is told is "Bad CRC-32". A reader that wants
# such checkpoints has to know PyTorch's 0 for what it is.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet torch==2.15.0 numpy==2.4.6

"$work/venv/bin/python" - "$work/sums.pth" >"$work/seen" <<'PYTHON'
import sys, zipfile
import torch
path = sys.argv[1]
torch.serialization.set_crc32_options(False)
torch.save({"x": torch.ones(3)}, path)
print("torch.load", torch.load(path, weights_only=True)["x"].tolist())
with zipfile.ZipFile(path) as file:
    entries = {e.filename.split("/", 1)[1]: e for e in file.infolist()}
    for name in ("data.pkl", "data/0"):
        print(name, "CRC", entries[name].CRC)
    try:
        file.read(entries["data.pkl"])
    except zipfile.BadZipFile as error:
        print("zipfile", str(error).split(" for file")[0])
PYTHON

diff "$work/seen" - <<'EOT' && echo "as found: 0 stands where a check sum should"
torch.load [1.0, 1.0, 1.0]
data.pkl CRC 0
data/0 CRC 0
zipfile Bad CRC-32
EOT
