#!/usr/bin/env bash
# A function that only prefetches is never called.
#
# Debian 12's GCC (12.2.0) takes __builtin_prefetch for an expression without an effect, and so, from
# -O2 on, a function of nothing else for one that need not be called, without a warning. Whether the
# prefetches of a helper stay depends on whether it is inlined before that is found out: of a short
# one they do, of one that is a little longer, or called in several places, they do not, and the
# program waits for memory as before (a product of matrices in f32 took 1.4 times as long).
# always_inline keeps them.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
version=12.2.0-14+deb12u1
# On Debian 12.
apt-get download -q "cpp-12=$version" >/dev/null 2>&1
dpkg-deb -x cpp-12_*.deb root

cat > ask.c <<'C'
HOW void ask(const char* x, long n) {
  for (long i = 0; i < n; i += 64) __builtin_prefetch(x + i);
}
long sum(const long* x, long n, long ahead) {
  long s = 0;
  for (long i = 0; i < n; ++i) {
    if (i % 8 == 0) ask((const char*)(x + i + ahead), ahead);
    s += x[i];
  }
  return s;
}
C
for name in noinline always_inline; do
  root/usr/lib/gcc/x86_64-linux-gnu/12/cc1 -quiet -w -O2 "-DHOW=static inline __attribute__(($name))" \
    ask.c -o ask.s
  echo "$name: $(grep -c prefetcht0 ask.s || true) prefetches, $(grep -c call ask.s || true) calls"
done >seen

diff seen - <<'EOT' && echo "as found: a function that only prefetches is left out"
noinline: 0 prefetches, 0 calls
always_inline: 1 prefetches, 0 calls
EOT
