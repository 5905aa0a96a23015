#!/usr/bin/env bash
# What is stored right before AMX's intrinsics load it may never be stored.
#
# Debian 12's GCC (12.2.0) writes _tile_loadconfig and _tile_loadd as assembly whose operands say too
# little: of the 64 bytes of a configuration they name the first eight, of a tile's rows only the
# address, and neither says that memory is read. So -O2 is free to leave out the stores before them,
# and does: below, the rows and widths of all tiles but for the first bytes, and a whole array. The
# program runs with whatever lies on the stack. A statement asm volatile("" : : "r"(p) : "memory")
# in front of each of them keeps the stores.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
version=12.2.0-14+deb12u1
# On Debian 12. The C library's headers may be of any version.
apt-get download -q "cpp-12=$version" "libgcc-12-dev=$version" libc6-dev linux-libc-dev >/dev/null 2>&1
for package in ./*.deb; do dpkg-deb -x "$package" root; done
include=root/usr/lib/gcc/x86_64-linux-gnu/12/include

cat > tiles.c <<'C'
#include <immintrin.h>
#include <stdint.h>
void configure(void) {
  struct { uint8_t palette, start, reserved[14]; uint16_t row_bytes[16]; uint8_t rows[16]; } c = {0};
  c.palette = 1;
  for (int t = 0; t < 8; ++t) { c.row_bytes[t] = 64; c.rows[t] = 16; }
  if (KEEP) __asm__ volatile("" : : "r"(&c) : "memory");
  _tile_loadconfig(&c);
}
void load(float x) {
  _Alignas(64) float rows[256];
  for (int i = 0; i < 256; ++i) rows[i] = x;
  if (KEEP) __asm__ volatile("" : : "r"(rows) : "memory");
  _tile_loadd(0, rows, 64);
}
C
for keep in 0 1; do
  root/usr/lib/gcc/x86_64-linux-gnu/12/cc1 -quiet -O2 -mamx-tile -mno-avx -DKEEP=$keep -nostdinc \
    -isystem $include -isystem root/usr/include -isystem root/usr/include/x86_64-linux-gnu \
    tiles.c -o tiles.s
  # Vector stores in each function, before the instruction: a configuration takes several, the
  # array's loop one.
  awk '/^(configure|load):/ {n = 0} /mov[au]ps.*,.*\(%r/ {++n}
    $1 == "ldtilecfg" {print $1, (n > 1 ? "after its stores" : "without its stores")}
    $1 == "tileloadd" {print $1, (n > 0 ? "after its stores" : "without its stores")}' tiles.s
done >seen

diff seen - <<'EOT' && echo "as found: what tiles are loaded from is not stored"
ldtilecfg without its stores
tileloadd without its stores
ldtilecfg after its stores
tileloadd after its stores
EOT
