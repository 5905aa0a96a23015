#!/bin/sh
# nvcc.sh REPORT nvcc ARGUMENTS...: compiles, and writes what ptxas says about the kernels' registers
# and memory to REPORT (tests/cuda/budgets.py reads it) instead of to the terminal.
report=$1
shift
"$@" -Xptxas -v 2>"$report"
status=$?
grep -v -e '^ptxas info' -e 'bytes stack frame' "$report" >&2
exit $status
