#!/usr/bin/env bash
# Installs what posetape is built with, from Debian's (or Ubuntu's) own packages, as root or through
# sudo. Does nothing where everything is there.
#
#   tools/setup.sh [--program] [more packages]
#
# With --program only what the program is built with, and not what its tests need.
set -euo pipefail

packages=(
  g++ meson ninja-build pkg-config  # compiler and build
  libeigen3-dev                     # f64 algebra
  libcli11-dev                      # command line
  nlohmann-json3-dev                # checkpoint headers, reports
  libzip-dev                        # npz
  libpugixml-dev libtomlplusplus-dev  # calibrations of Qualisys and Pose2Sim
  libfmt-dev                        # messages
  libonnx-dev libprotobuf-dev       # networks as ONNX
  doctest-dev                       # one header, which the build looks for
)
# What tests look at, and the program does not need.
tests=(
  libbenchmark-dev           # benchmarks
  clang libclang-rt-dev      # fuzzing of the readers of files
  clang-format python3-numpy # checks of the source and of npz files
)
# Looks at reports in tests, which are skipped without it: Ubuntu has it as a snap only.
if grep -qs '^ID=debian' /etc/os-release; then
  tests+=(chromium)
fi
if [[ ${1:-} == --program ]]; then
  shift
else
  packages+=("${tests[@]}")
fi
packages+=("$@")

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  echo "setup: not a Debian system; these packages (by their Debian names) have to be there:" >&2
  echo "setup:   ${packages[*]}" >&2
  exit 0  # meson says what is missing, if anything is
fi

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null || true)
  [[ $status == "install ok installed" ]] || missing+=("$package")
done
if [[ ${#missing[@]} -eq 0 ]]; then
  exit 0
fi

root=()
if [[ $(id -u) -ne 0 ]]; then
  if ! command -v sudo >/dev/null; then
    echo "setup: missing packages, and neither root nor sudo to install them; as root, run" >&2
    echo "setup:   apt-get install ${missing[*]}" >&2
    exit 1
  fi
  root=(sudo)
fi
echo "setup: installing ${missing[*]}"
"${root[@]}" apt-get update -qq
"${root[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get install -y -qq --no-install-recommends "${missing[@]}"
