"""The rules of lint.py find what they should and nothing else; so does tools/test_summary.py."""

import pathlib
import sys
import unittest

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent / "tools")]
import lint  # noqa: E402
import test_summary  # noqa: E402


def places(violations):
    return [v.split(": ")[0] for v in violations]


class Includes(unittest.TestCase):
    def check(self, path, *lines):
        return places(lint.check_includes(path, lines))

    def test_downwards_is_allowed(self):
        for path, name in [
            ("engine/tensor.cpp", "kernels/fill/fill.hpp"),
            ("data/windows.cpp", "kernels/base/parallel.hpp"),
            ("kernels/fill/fill_cpu.cpp", "kernels/cpu/kernel.hpp"),
            ("kernels/base/numbers.hpp", "kernels/base/scalar.hpp"),
            ("diffusion/a.cpp", "model/b.hpp"),
            ("data/a.cpp", "engine/error.hpp"),
            ("diffusion/schedule.cpp", "data/npz.hpp"),
            ("tools/library/posetape.cpp", "tools/library/posetape.h"),
            ("tools/examples/refine.cpp", "diffusion/refiner.hpp"),
            ("tools/main.cpp", "data/npz.hpp"),
            ("tests/data/a.cpp", "diffusion/a.hpp"),
            ("tests/cases/a.cpp", "diffusion/a.hpp"),
            ("tests/cases/a.cpp", "tests/cases/suite.hpp"),
            ("tools/gradcheck.cpp", "tests/cases/suite.hpp"),
            ("tests/engine/a.cpp", "tests/cases/suite.hpp"),
            ("bench/a.cpp", "tests/cases/cases.hpp"),
            ("engine/ops.hpp.in", "engine/tape.hpp"),
        ]:
            self.assertEqual(self.check(path, f'#include "{name}"'), [], path)

    def test_upwards_and_sideways_are_not(self):
        for path, name in [
            ("kernels/fill/fill.hpp", "engine/tensor.hpp"),
            ("kernels/base/numbers.hpp", "kernels/unary.hpp"),
            ("engine/tensor.cpp", "kernels/cpu/vector.hpp"),
            ("tests/engine/a.cpp", "kernels/cpu/vector.hpp"),
            ("engine/tensor.cpp", "model/stc.hpp"),
            ("model/stc.cpp", "diffusion/schedule.hpp"),
            ("data/npz.cpp", "diffusion/schedule.hpp"),
            ("data/npz.cpp", "model/stc.hpp"),
            ("tools/library/posetape.cpp", "tools/progress.hpp"),
            ("tools/examples/refine.cpp", "tools/library/posetape.h"),
            ("diffusion/schedule.cpp", "tools/progress.hpp"),
            ("tools/main.cpp", "tests/data/files.hpp"),
            ("tests/cases/suite.cpp", "tools/progress.hpp"),
            ("tests/cases/suite.cpp", "data/npz.hpp"),
            ("tests/cases/suite.cpp", "tests/data/files.hpp"),
            ("engine/gradcheck.cpp", "tests/cases/suite.hpp"),
            ("diffusion/a.cpp", "tests/cases/suite.hpp"),
            ("engine/tensor.cpp", "tensor.hpp"),
            ("engine/tensor.cpp", "../engine/tensor.hpp"),
        ]:
            found = self.check(path, "// first", f'#  include "{name}"')
            self.assertEqual(found, [f"{path}:2"], name)

    def test_the_command_line_s_library(self):
        for path in ["tools/library/posetape.cpp", "data/npz.cpp"]:
            self.assertEqual(self.check(path, "#include <CLI/CLI.hpp>"), [f"{path}:1"])
        self.assertEqual(self.check("tools/command_line.cpp", "#include <CLI/CLI.hpp>"), [])

    def test_libraries_of_kernels(self):
        for name in ["vector", "cstdint", "sched.h", "cuda_runtime.h"]:
            self.assertEqual(self.check("kernels/a.cpp", f"#include <{name}>"), [], name)
        for name in ["fmt/format.h", "nlohmann/json.hpp", "unistd.h"]:
            self.assertEqual(self.check("kernels/a.cpp", f"#include <{name}>"), ["kernels/a.cpp:1"])
            self.assertEqual(self.check("engine/a.cpp", f"#include <{name}>"), [])

    def test_system_libraries_of_the_emulation(self):
        for name in ["sys/mman.h", "ucontext.h", "unistd.h", "sanitizer/tsan_interface.h"]:
            line = f"#include <{name}>"
            self.assertEqual(self.check("kernels/emulation/a.cpp", line), [], name)
            self.assertEqual(self.check("kernels/cuda/a.cpp", line), ["kernels/cuda/a.cpp:1"])
        line = "#include <fmt/format.h>"
        self.assertEqual(self.check("kernels/emulation/a.cpp", line), ["kernels/emulation/a.cpp:1"])


class Cuda(unittest.TestCase):
    LINES = [
        "  add<<<blocks, threads>>>(a, b);",
        "  __shared__ float tile[32];",
        '  asm volatile("bar.sync 0;");',
        "#include <cuda_runtime.h>",
    ]

    def test_what_one_compiler_alone_knows(self):
        for line in self.LINES:
            path = "kernels/add/add.cu"
            self.assertEqual(places(lint.check_cuda(path, [line])), [f"{path}:1"], line)

    def test_the_port_and_comments_may(self):
        for line in self.LINES:
            self.assertEqual(list(lint.check_cuda("kernels/cuda/port_nvcc.hpp", [line])), [])
            self.assertEqual(list(lint.check_cuda("kernels/add/add.cu", ["// " + line])), [])
        line = "#include <cublasLt.h>"
        self.assertEqual(places(lint.check_cuda("kernels/cuda/gemm.cpp", [line])), ["kernels/cuda/gemm.cpp:1"])
        self.assertEqual(list(lint.check_cuda("kernels/cuda/blas_port.hpp", [line])), [])
        line = "#include <nccl.h>"
        self.assertEqual(places(lint.check_cuda("kernels/cuda/links.cpp", [line])), ["kernels/cuda/links.cpp:1"])
        self.assertEqual(list(lint.check_cuda("kernels/cuda/nccl_port_nvcc.hpp", [line])), [])
        self.assertEqual(list(lint.check_cuda("kernels/a.cu", ["a << b; asmx = __shared__x;"])), [])


class Threads(unittest.TestCase):
    def check(self, path, line):
        return places(lint.check_threads(path, [line]))

    def test_openmp_by_hand_is_found(self):
        for line in [
            "#pragma omp parallel for schedule(dynamic)",
            "  #  pragma  omp  parallel",
            "#pragma omp for",
            "#include <omp.h>",
        ]:
            self.assertEqual(self.check("data/metrics.cpp", line), ["data/metrics.cpp:1"], line)

    def test_simd_and_text_are_fine(self):
        for line in ["#pragma omp simd", "#pragma omp declare simd", "#pragma omp declare reduction(+ : A : x)", "// no omp parallel here"]:
            self.assertEqual(self.check("kernels/a.cpp", line), [], line)


class Symbols(unittest.TestCase):
    def test_weak_definitions_are_found(self):
        listing = """
fill.cpp.o:
0000000000000000 W void posetape::cpu_entry<(posetape::Isa)2, posetape::Fill<float> >(posetape::Fill<float> const&)
0000000000000000 t posetape::compute(posetape::Fill<float> const&)
                 w __gmon_start__
                 U posetape::threads()
0000000000000000 V DW.ref.__gxx_personality_v0

linear.cpp.o:
0000000000000010 W std::vector<float>::push_back(float)
0000000000000020 u posetape::table
0000000000000030 V vtable for posetape::X
0000000000000040 W std::function<void posetape::cpu_entry<(posetape::Isa)2> >::call()
"""
        found = list(lint.check_symbols("a.a", listing))
        self.assertEqual(places(found), ["a.a(linear.cpp.o)"] * 4)
        self.assertIn("push_back", found[0])


class Summary(unittest.TestCase):
    LINE = "[doctest] test cases:  3 | {} passed | {} failed | 0 skipped\n"

    def count(self, result, stdout):
        return test_summary.count({"name": "t", "result": result, "stdout": stdout})[:2]

    def test_counts(self):
        self.assertEqual(self.count("OK", "x\n" + self.LINE.format(3, 0)), (3, 0))
        self.assertEqual(self.count("FAIL", self.LINE.format(1, 2)), (1, 2))
        self.assertEqual(self.count("OK", "fine"), (1, 0))
        self.assertEqual(self.count("SKIP", ""), (0, 0))
        self.assertEqual(self.count("TIMEOUT", ""), (0, 1))

    def test_failures_that_no_test_case_shows(self):
        self.assertEqual(self.count("FAIL", self.LINE.format(3, 0)), (3, 1))
        self.assertEqual(self.count("OK", self.LINE.format(0, 0)), (0, 1))


if __name__ == "__main__":
    unittest.main()
