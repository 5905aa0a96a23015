#!/usr/bin/env python3
"""The instruction sets for which `-Disa=here` builds: the best ones of this machine."""

from pathlib import Path


def isas(flags):
    if {"avx512f", "avx512bw", "avx512dq", "avx512vl"} <= flags:
        found = ["avx512"]
        if "avx512_bf16" in flags:
            found.append("avx512_bf16")
            if {"amx_tile", "amx_bf16"} <= flags:
                found.append("avx512_amx")
        return found
    return ["avx2"] if {"avx2", "fma"} <= flags else ["baseline"]


def flags_of_this_machine():
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    return set(next((line for line in lines if line.startswith("flags")), "").split())


if __name__ == "__main__":
    print(*isas(flags_of_this_machine()))
