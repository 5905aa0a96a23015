"""Rules that the compiler does not know: python3 tests/lint/lint.py ROOT [--nm NM --archives LIB...]

  includes   who may include whom: tools -> tests/cases -> diffusion -> data, model -> engine
             -> kernels, and nothing back; kernels/base on itself, kernels/cpu by kernels alone;
             what programs outside link, and the examples of such programs, nothing of tools
  cuda       kernels go through kernels/cuda/port.hpp, which two compilers understand
  threads    no threads but the pool of kernels/base/parallel.hpp
  symbols    nothing in a kernel library of one instruction set that the linker could pick for
             machines without it

Prints one line for each violation, with the place and what to do, and exits with 1.
"""

import argparse
import pathlib
import re
import subprocess
import sys

# A layer and those that it may include, itself left out. The gradient-check suite in tests/cases is
# what `posetape gradcheck` runs, so it lies below tools and may not use the rest of tests.
LAYERS = {
    "kernels": [],
    "engine": ["kernels"],
    "model": ["engine", "kernels"],
    "data": ["engine", "kernels"],
    "diffusion": ["data", "model", "engine", "kernels"],
    "tests/cases": ["diffusion", "model", "engine", "kernels"],
    "tools/library": ["diffusion", "data", "model", "engine", "kernels"],
    "tools/examples": ["diffusion", "data", "model", "engine", "kernels"],
    "tools": ["tests/cases", "diffusion", "data", "model", "engine", "kernels"],
    "tests": ["bench", "tools", "tests/cases", "diffusion", "data", "model", "engine", "kernels"],
    "bench": ["tests", "tools", "tests/cases", "diffusion", "data", "model", "engine", "kernels"],
}
SUFFIXES = {".hpp", ".cpp", ".cu", ".cuh", ".in"}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
# Beside the standard library's own (no extension), what kernels may use.
KERNEL_LIBRARIES = re.compile(
    r"^([a-z0-9_]+|sched\.h|immintrin\.h|arm_neon\.h|cuda.*\.h|cublas.*\.h|curand.*\.h|nccl\.h)$"
)
MORE_LIBRARIES = {
    # The host emulation of CUDA makes stacks, protects memory and talks to the sanitizers.
    "kernels/emulation/": re.compile(r"^(sys/mman\.h|ucontext\.h|unistd\.h|sanitizer/[a-z_]+\.h)$"),
    # Loads cuBLASLt where a device is asked for, and NCCL where several are.
    "kernels/cuda/loaded.cpp": re.compile(r"^dlfcn\.h$"),
    # Asks the system for AMX's tiles.
    "kernels/base/dispatch.cpp": re.compile(r"^(sys/syscall|unistd)\.h$"),
    # Asks it for large pages.
    "kernels/base/memory.cpp": re.compile(r"^sys/mman\.h$"),
}

# simd is a hint to the compiler and starts no thread, and neither does a declaration.
OPENMP_THREADS = re.compile(r"^\s*#\s*pragma\s+omp\s+(?!simd\b|declare\s+(simd|reduction)\b)|<omp\.h>")


def layer(path):
    """The layer of a path below the root, None where it is in none: the first that fits, so that
    a part of a folder stands before the folder."""
    return next((name for name in LAYERS if path.startswith(name + "/")), None)


def sources(root):
    """(path relative to root, its lines) of every source file."""
    for folder in LAYERS:
        for path in sorted((root / folder).rglob("*")):
            relative = path.relative_to(root).as_posix()
            if path.suffix in SUFFIXES and path.is_file() and layer(relative) == folder:
                yield relative, path.read_text("utf-8").splitlines()


def check_includes(path, lines):
    folder = layer(path)
    for number, line in enumerate(lines, 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        bracket, name = match.groups()
        if bracket == "<":
            known = KERNEL_LIBRARIES.match(name) or any(
                path.startswith(place) and libraries.match(name)
                for place, libraries in MORE_LIBRARIES.items()
            )
            if folder == "kernels" and not known:
                yield (
                    f"{path}:{number}: kernels include <{name}>; kernels are raw mathematics on "
                    "the standard library and CUDA, so move this use to the engine"
                )
            if name.startswith("CLI/") and path != "tools/command_line.cpp":
                yield f"{path}:{number}: CLI11 is included in tools/command_line.cpp alone; use its header"
            continue
        target = layer(name)
        if target is None:
            yield (
                f'{path}:{number}: "{name}" is no path from the repository\'s root; write it as '
                '"folder/file.hpp", and libraries in <>'
            )
        elif target != folder and target not in LAYERS[folder]:
            allowed = ", ".join(LAYERS[folder]) or "no other folder"
            yield (
                f'{path}:{number}: {folder} includes "{name}", but may include {allowed}; move '
                "what is needed down, or pass it in from above"
            )
        elif folder != "kernels" and name.startswith("kernels/cpu/"):
            yield (
                f'{path}:{number}: {folder} includes "{name}", which is the kernels\' own; what '
                "others may use of them is kernels/base and their arguments"
            )
        elif path.startswith("kernels/base/") and not name.startswith("kernels/base/"):
            yield (
                f'{path}:{number}: kernels/base includes "{name}", but stands on nothing else; move '
                "what is needed there"
            )


# What g++ cannot compile, or the emulation cannot see, and what stands for it in the port.
CUDA_ONLY = [
    (re.compile(r"<<<"), "a raw launch; use POSETAPE_LAUNCH"),
    (re.compile(r"\b__shared__\b"), "raw shared memory; use POSETAPE_SHARED or POSETAPE_DYNAMIC_SHARED"),
    (re.compile(r"\basm\b"), "inline assembly; write it in kernels/cuda/port_nvcc.hpp with its twin for g++"),
    (re.compile(r"#\s*include\s*<cuda(_runtime|_runtime_api|_bf16|_fp16)\.h>"), "a CUDA header; include kernels/cuda/port.hpp"),
    (re.compile(r"#\s*include\s*<curand_\w+\.h>"), "cuRAND's device code; include kernels/cuda/random_port.hpp"),
    (re.compile(r"#\s*include\s*<cublas\w*\.h>"), "a header of cuBLAS; include kernels/cuda/blas_port.hpp"),
    (re.compile(r"#\s*include\s*<nccl\.h>"), "NCCL's header; include kernels/cuda/nccl_port.hpp"),
]
CUDA_PORT = (
    "kernels/cuda/port", "kernels/cuda/blas_port", "kernels/cuda/nccl_port", "kernels/cuda/random_port",
    "kernels/emulation/",
)  # fmt: skip


def check_cuda(path, lines):
    if path.startswith(CUDA_PORT):
        return
    for number, line in enumerate(lines, 1):
        code = line.split("//")[0]
        for pattern, message in CUDA_ONLY:
            if pattern.search(code):
                yield f"{path}:{number}: {message}, so that kernels run without a GPU, too"


def check_threads(path, lines):
    for number, line in enumerate(lines, 1):
        if OPENMP_THREADS.search(line):
            yield (
                f"{path}:{number}: OpenMP by hand; use parallel_for (and set_threads, threads) of "
                "kernels/base/parallel.hpp, which nests, keeps to --threads and works under the "
                "thread sanitizer"
            )


# In the output of nm: W and V are weak, u is unique, all defined here; lower-case w and v are not.
SYMBOL = re.compile(r"^[0-9a-fA-F]+ ([WVu]) (.+)$")
# Instantiated for one instruction set by name, so each has a name of its own.
ENTRY = re.compile(r"^void posetape::cpu_entry<")


def check_symbols(archive, listing):
    """`listing`: what nm -C prints, objects headed by "name.o:"."""
    member = "?"
    for line in listing.splitlines():
        if line.endswith(".o:"):
            member = line[:-1]
        match = SYMBOL.match(line)
        if not match:
            continue
        name = match[2]
        # Not code but a pointer that exception handling needs.
        if ENTRY.match(name) or name.startswith("DW.ref."):
            continue
        yield (
            f"{archive}({member}): weak symbol {name}: the linker may keep this copy for machines "
            "that lack its instruction set; make the function static or always_inline "
            "(kernels/cpu/kernel.hpp says why)"
        )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=pathlib.Path)
    parser.add_argument("--nm")
    parser.add_argument("--archives", nargs="*", type=pathlib.Path, default=[])
    arguments = parser.parse_args()

    violations = []
    files = 0
    for path, lines in sources(arguments.root):
        files += 1
        violations += check_includes(path, lines)
        violations += check_cuda(path, lines)
        violations += check_threads(path, lines)
    for archive in arguments.archives:
        listing = subprocess.run(
            [arguments.nm, "-C", str(archive)], check=True, capture_output=True, text=True
        ).stdout
        if "cpu_entry" not in listing:
            violations.append(f"{archive}: no cpu_entry in it, so this is no kernel library")
        violations += check_symbols(archive.name, listing)
    if files == 0:
        violations.append(f"{arguments.root}: no source files; give the repository's root")
    for line in violations:
        print(line)
    print(f"{files} files and {len(arguments.archives)} libraries, {len(violations)} violations")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
