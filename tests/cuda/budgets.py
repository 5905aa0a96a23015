"""What every kernel takes of a multiprocessor, on every architecture, against a committed table:

    python3 tests/cuda/budgets.py --nvcc NVCC (--reports FILE... | --build BUILD) [--write]

A build by nvcc has ptxas's reports (build/kernels/cuda/*.ptxas); elsewhere the kernels are compiled,
which needs no GPU, with the list of ops that any build has (build/kernels/ops.def). --write writes
the table anew. Exits with 1 where a kernel is not in the table, takes more registers, shared memory
or stack than the table allows, or spills registers that the table does not know of, or where a kernel named _mma has no instruction
of tensor cores (HMMA) from sm_80 on, as cuobjdump says where it is installed; with 77 (skipped)
without nvcc.

A line of the table is one kernel of one .cu file: the most of its instances. Registers are rounded up to 8, as they are given to a warp; they are those of one
release of nvcc, and another release is held to stack and spills alone.
"""

import argparse
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
TABLE = pathlib.Path(__file__).with_name("budgets.txt")
ARCHITECTURES = ["75", "80", "90", "120"]
COLUMNS = ["registers", "shared", "stack", "spilled"]
FLAGS = ["-std=c++20", "--expt-relaxed-constexpr", "--extended-lambda"]
# Compiled alone; the other kernels in one unit (kernels/cuda/meson.build).
LONG = ["axial_attention", "elementwise", "layer_norm"]
SKIPPED = 77

# What ptxas -v says of one kernel.
ENTRY = re.compile(r"Compiling entry function '(\S+)' for 'sm_(\d+)'")
STACK = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers")
SHARED = re.compile(r"(\d+) bytes smem")
# What cuobjdump -sass says of one kernel.
FUNCTION_OF = re.compile(r"Function : (\S+)")
MADE_FOR = re.compile(r"EF_CUDA_SM(\d+)")
FIRST_TENSOR_CORES = 80  # for bf16
# Template arguments that are numbers and types of the engine: they stay in the name.
PLAIN = re.compile(r"I((?:L[bilm]\d+E|NS_4bf16E|[dfil])+)E")
ARGUMENT = re.compile(r"L[bilm](\d+)E|(NS_4bf16E)|([dfil])")
# Kernels and argument structs, where they are defined.
DEFINED = re.compile(
    r"__global__ void (?:__launch_bounds__\([^)]*\)\s*)?(\w+)\(|^template <[^>]*>\nstruct (\w+) \{", re.M
)
SHARED_FOLDERS = ["base", "cpu", "cuda", "emulation"]
TYPES = {"d": "f64", "f": "f32", "i": "i32", "l": "i64"}


def short_name(mangled):
    """ "attention_forward<16,f32>"; arguments with lambdas in them are "...". """
    rest = mangled.removeprefix("_Z").removeprefix("N")
    name = mangled
    while match := re.match(r"L?(\d+)", rest):
        start, size = match.end(), int(match[1])
        name, rest = rest[start : start + size], rest[start + size :]
    if not rest.startswith("I"):
        return name
    plain = PLAIN.match(rest)
    if not plain:
        return name + "<...>"
    arguments = [
        number or ("bf16" if bf16 else TYPES[letter])
        for number, bf16, letter in ARGUMENT.findall(plain[1])
    ]
    return f"{name}<{','.join(arguments)}>"


def read_owners():
    """{name of a kernel or an argument struct: the source that it belongs to}"""
    owners = {}
    for path in [*ROOT.glob("kernels/*/*.cu"), *ROOT.glob("kernels/*/*.hpp")]:
        if path.parent.name in SHARED_FOLDERS:
            continue
        for kernel, struct in DEFINED.findall(path.read_text("utf-8")):
            owners[kernel or struct] = path.parent.name
    return owners


def owner_of(mangled, owners):
    """The first of the names in it that belongs to a source."""
    for size, rest in re.findall(r"(?=(\d+)([A-Za-z_]\w*))", mangled):
        if rest[: int(size)] in owners:
            return owners[rest[: int(size)]]
    sys.exit(f"budgets.py: no source has {mangled}")


def read_report(text, owners):
    """{(source, kernel, architecture): largest of each of COLUMNS}"""
    kernels = {}
    key = stack = spilled = None
    for line in text.splitlines():
        if match := ENTRY.search(line):
            key = owner_of(match[1], owners), short_name(match[1]), match[2]
        elif match := STACK.search(line):
            stack, spilled = int(match[1]), int(match[2]) + int(match[3])
        elif match := USED.search(line):
            registers = (int(match[1]) + 7) // 8 * 8
            shared = SHARED.search(line)
            values = registers, int(shared[1]) if shared else 0, stack, spilled
            kernels[key] = tuple(map(max, values, kernels.get(key, values)))
    return kernels


def without_tensor_cores(cuobjdump, binary):
    """Kernels named _mma that have no product on tensor cores, a line each."""
    products = {}
    with subprocess.Popen([cuobjdump, "-sass", binary], stdout=subprocess.PIPE, text=True) as sass:
        for line in sass.stdout:
            if match := FUNCTION_OF.search(line):
                kernel = short_name(match[1])
            elif match := MADE_FOR.search(line):
                arch = int(match[1])
                products.setdefault((kernel, arch), False)
            elif " HMMA." in line:
                products[kernel, arch] = True
    for (kernel, arch), found in sorted(products.items()):
        if "_mma" in kernel and arch >= FIRST_TENSOR_CORES and not found:
            yield f"{kernel} on sm_{arch} has no HMMA"


def plain_products(report, cuobjdump, binary):
    return list(without_tensor_cores(cuobjdump, binary)) if cuobjdump and "_mma" in report else []


def read_build(reports, cuobjdump):
    """As compile_kernels(), of a build by nvcc: the kernels lie beside their reports."""
    for path in reports:
        text = path.read_text("utf-8")
        yield text, plain_products(text, cuobjdump, path.with_suffix(".o"))


def compile_kernels(nvcc, build, cuobjdump):
    """(report, lines of without_tensor_cores()) of every unit of kernel files."""

    def compile_unit(paths):
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder, "kernels.cu")
            source.write_text("".join(f'#include "{path}"\n' for path in paths), "utf-8")
            gencode = [f"-gencode=arch=compute_{a},code=sm_{a}" for a in ARCHITECTURES]
            binary = os.path.join(folder, "kernels.fatbin")
            run = subprocess.run(
                [nvcc, *FLAGS, *gencode, "-DPOSETAPE_CUDA_KERNELS", "-I", ROOT, "-I", build]
                + ["-Xptxas", "-v", "-fatbin", source, "-o", binary],
                capture_output=True,
                text=True,
                check=False,
            )
            if run.returncode != 0:
                sys.exit(f"budgets.py: nvcc failed:\n{run.stderr}")
            return run.stderr, plain_products(run.stderr, cuobjdump, binary)

    paths = sorted(ROOT.glob("kernels/*/*.cu"))
    alone = [path for path in paths if path.stem in LONG]
    others = [path for path in paths if path.stem not in LONG]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(compile_unit, [*([path] for path in alone), others])


def release_of(nvcc):
    version = subprocess.run([nvcc, "--version"], capture_output=True, text=True, check=True)
    return re.search(r"release ([\d.]+)", version.stdout)[1]


def write_table(kernels, release):
    names = [f"{source}.{kernel}" for source, kernel, _ in kernels]
    width = max(map(len, names))
    lines = [
        f"# nvcc {release}: {', '.join(COLUMNS)} (bytes but for registers), at most",
        "# python3 tests/cuda/budgets.py --nvcc NVCC --write",
    ]
    order = sorted(kernels, key=lambda key: (key[0], key[1], int(key[2])))
    for key in order:
        source, kernel, arch = key
        values = "".join(f"{value:>6}" for value in kernels[key])
        lines.append(f"{source + '.' + kernel:{width}}  sm_{arch:<3}{values}")
    TABLE.write_text("\n".join(lines) + "\n", "utf-8")


def read_table():
    """(release, {(source, kernel, architecture): values})"""
    lines = TABLE.read_text("utf-8").splitlines()
    kernels = {}
    for line in lines[2:]:
        name, arch, *values = line.split()
        source, kernel = name.split(".", 1)
        kernels[source, kernel, arch.removeprefix("sm_")] = tuple(map(int, values))
    return re.match(r"# nvcc ([\d.]+)", lines[0])[1], kernels


def compare(kernels, allowed, release, table_release):
    """What is wrong, a line each."""
    for key, values in sorted(kernels.items()):
        source, kernel, arch = key
        where = f"{source}.{kernel} on sm_{arch}"
        if key not in allowed:
            yield f"{where} is not in {TABLE.name}; add it with --write"
            continue
        for column, value, limit in zip(COLUMNS, values, allowed[key]):
            if column in ("registers", "shared") and release != table_release:
                continue
            if value > limit:
                yield f"{where}: {column} {value}, {TABLE.name} allows {limit}"
    compiled = {(source, arch) for source, _, arch in kernels}
    for source, kernel, arch in sorted(allowed.keys() - kernels.keys()):
        if (source, arch) in compiled:
            yield f"{TABLE.name}: {source}.{kernel} on sm_{arch} is no longer a kernel; use --write"


def main():
    parser = argparse.ArgumentParser(description="resources of CUDA kernels against a table")
    parser.add_argument("--nvcc", help="the compiler, whose release is noted in the table")
    parser.add_argument("--reports", nargs="+", type=pathlib.Path, help="what ptxas has said")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build", help="a build folder")
    parser.add_argument("--write", action="store_true", help="write the table anew")
    args = parser.parse_args()
    if not args.nvcc:
        print("skipped: nvcc was not found (on the PATH, in CUDA_HOME or in /usr/local/cuda)")
        return SKIPPED

    cuobjdump = shutil.which("cuobjdump", path=f"{pathlib.Path(args.nvcc).parent}:{os.environ['PATH']}")
    if not cuobjdump:
        print("no cuobjdump: instructions of tensor cores are not looked for")
    if args.reports:
        reports = read_build(args.reports, cuobjdump)
    else:
        reports = compile_kernels(args.nvcc, args.build, cuobjdump)
    kernels, wrong = {}, []
    owners = read_owners()
    for text, plain in reports:
        kernels |= read_report(text, owners)
        wrong += plain
    release = release_of(args.nvcc)
    if args.write:
        write_table(kernels, release)
        return 0
    table_release, allowed = read_table()
    # A build for the GPU that is there may be for one that the table does not have.
    known = {arch for _, _, arch in allowed}
    unknown = sorted({arch for _, _, arch in kernels} - known)
    for arch in unknown:
        print(f"skipped: {TABLE.name} has no lines for sm_{arch}")
    kernels = {key: values for key, values in kernels.items() if key[2] in known}
    if unknown and not kernels:
        return SKIPPED
    wrong += list(compare(kernels, allowed, release, table_release))
    print("\n".join(wrong))
    print(f"{len(kernels)} kernels and architectures, {len(wrong)} beyond their budget")
    return 1 if wrong or not kernels else 0


if __name__ == "__main__":
    sys.exit(main())
