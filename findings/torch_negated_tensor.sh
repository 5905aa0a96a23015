#!/usr/bin/env bash
# The sign of a saved tensor can lie beside its numbers.
#
# PyTorch 2.15.0 (PyPI) keeps "negated" as a bit of a tensor and negates when it reads: the imaginary
# part of a conjugated complex tensor is such a view, of an ordinary real type. torch.save writes the
# storage as it lies in memory, with the other sign, and puts {'neg': True} into the pickle, as the
# last argument of torch._utils._rebuild_tensor_v2. Whoever reads a checkpoint by storage, offset,
# size and stride alone (which is all that a real tensor needs otherwise) gets -x for x, in silence.
# Here torch.load gives -1, and the file's numbers are +1.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet torch==2.15.0 numpy==2.4.6

"$work/venv/bin/python" - "$work/negated.pth" >"$work/seen" <<'PYTHON'
import sys, zipfile
import numpy, torch
path = sys.argv[1]
x = torch.complex(torch.zeros(3), torch.ones(3)).conj().imag
print("dtype", x.dtype, "values", x.tolist())
torch.save({"x": x}, path)
print("torch.load", torch.load(path, weights_only=True)["x"].tolist())
with zipfile.ZipFile(path) as file:
    read = {name.split("/", 1)[1]: file.read(name) for name in file.namelist()}
numbers = numpy.frombuffer(read["data/0"], "<f4")
print("numbers in the file", sorted(set(numbers[numbers != 0].tolist())))
print("the pickle says neg", b"neg" in read["data.pkl"])
PYTHON

diff "$work/seen" - <<'EOT' && echo "as found: the sign is not in the numbers"
dtype torch.float32 values [-1.0, -1.0, -1.0]
torch.load [-1.0, -1.0, -1.0]
numbers in the file [1.0]
the pickle says neg True
EOT
