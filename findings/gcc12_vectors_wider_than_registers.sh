#!/usr/bin/env bash
# Vectors of 64 bytes are lowered through memory where registers have 32, 26 times slower.
#
# A vector of GCC's vector_size() may be larger than a register, and counts as several then. Debian 12's
# compiler (12.2.0) keeps such sums of a product's block on the stack all the same, and reads and
# writes them for each multiply-add. On a Xeon the block below runs at 1.4 GFLOP/s with vectors of 64
# bytes and at 37 with twice as many of 32 (-O2: 15 and 25); for AVX-512, which has registers of 64
# bytes, at 156. Nothing warns of it (-Wpsabi is of what calls pass).
# So one source with one vector size for all instruction sets is fast on the newest alone.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
version=12.2.0-14+deb12u1
# On Debian 12.
apt-get download -q "cpp-12=$version" >/dev/null 2>&1
dpkg-deb -x cpp-12_*.deb root

# c[4][32] = the sum over k of a[k][4] times b[k][32].
cat > block.c <<'C'
typedef float V __attribute__((vector_size(BYTES)));
enum { kLanes = BYTES / 4, kVectors = 32 / kLanes };
void block(const float* a, const float* b, long count, float* c) {
  V sums[4][kVectors] = {};
  for (long k = 0; k < count; ++k) {
    for (int v = 0; v < kVectors; ++v) {
      V bk;
      __builtin_memcpy(&bk, b + k * 32 + v * kLanes, sizeof bk);
      for (int r = 0; r < 4; ++r) sums[r][v] += a[k * 4 + r] * bk;
    }
  }
  for (int r = 0; r < 4; ++r) {
    for (int v = 0; v < kVectors; ++v) __builtin_memcpy(c + r * 32 + v * kLanes, &sums[r][v], BYTES);
  }
}
C
count() {
  root/usr/lib/gcc/x86_64-linux-gnu/12/cc1 -quiet -O3 -Wall -Wextra "$@" block.c -o block.s
  echo "$*: $(grep -c vfmadd block.s) multiply-adds, $(grep -cE '\(%r[sb]p' block.s) lines with the stack"
}
{
  count -mavx2 -mfma -DBYTES=32
  count -mavx2 -mfma -DBYTES=64
  count -mavx512f -DBYTES=64
} >seen

diff seen - <<'EOT' && echo "as found: vectors wider than a register go through the stack"
-mavx2 -mfma -DBYTES=32: 16 multiply-adds, 35 lines with the stack
-mavx2 -mfma -DBYTES=64: 16 multiply-adds, 336 lines with the stack
-mavx512f -DBYTES=64: 8 multiply-adds, 17 lines with the stack
EOT
