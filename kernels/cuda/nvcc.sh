#!/bin/sh
# nvcc.sh REPORT nvcc ARGUMENTS... OBJECT: compiles, and writes what ptxas says about the kernels'
# registers and memory to REPORT (tests/cuda/budgets.py reads it) instead of to the terminal.
report=$1
shift
"$@" -Xptxas -v 2>"$report"
status=$?
grep -v -e '^ptxas info' -e 'bytes stack frame' "$report" >&2
for object; do :; done
# What nvcc makes, without a word, of a template of the host that calls a function of the device
# (findings/nvcc_host_template_calls_device.sh).
if [ "$status" -eq 0 ] && nm "$object" | grep -q ' U exit$'; then
  echo "$object: the host calls a function of the device (__device__ where POSETAPE_FUNCTION is meant), and would exit() there" >&2
  rm -f "$object"
  exit 1
fi
exit $status
