#!/usr/bin/env bash
# nvcc compiles a template of the host that calls a function of the device, and the program exits there.
#
# A plain function of the host that calls a __device__ function is an error. Of a function template
# nvcc (13.0.88, from PyPI) says nothing, not with -Werror all-warnings either: the device function's
# body becomes a call of exit() in the host's object. The program ends with status 1 in the middle,
# without a message, and needs no GPU for that. "nm OBJECT | grep 'U exit'" finds it.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --no-deps --target packages nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 \
  nvidia-cuda-crt==13.0.88 nvidia-cuda-runtime==13.0.96
home=packages/nvidia/cu13
chmod +x "$home"/bin/* "$home"/nvvm/bin/*

cat > blocks.cu <<'C'
#include <cstdio>
struct Grid {
  int chunks;
  __device__ int blocks() const { return 2 * chunks; }
};
#ifdef TEMPLATE
template <class Grid>
#endif
int blocks(Grid grid) { return grid.blocks(); }
int main() {
  std::puts("before");
  std::printf("%d blocks\n", blocks(Grid{3}));
}
C
for caller in FUNCTION TEMPLATE; do
  echo "$caller"
  if "$home/bin/nvcc" -std=c++17 -arch=sm_80 -Werror all-warnings "-D$caller" -L "$home/lib" \
    blocks.cu -o blocks 2>messages; then
    cat messages
    status=0
    ./blocks || status=$?
    echo "exit status $status"
  else
    grep -o 'error: calling a __device__ function.*is not allowed' messages
  fi
done >seen

diff seen - <<'EOT' && echo "as found: a template of the host that calls a function of the device exits there"
FUNCTION
error: calling a __device__ function("Grid::blocks() const") from a __host__ function("blocks") is not allowed
TEMPLATE
before
exit status 1
EOT
