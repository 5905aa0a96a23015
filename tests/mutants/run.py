"""Runs the tests on every mutant: python3 tests/mutants/run.py BUILD [options]

Builds the tests in BUILD and compiles the mutants of a file together: each function body once for
each of its mutants, chosen at run time by a number in the environment. What cannot be chosen so (a
constant, a constexpr function) is compiled alone. The objects are linked in front of the archives,
so that a test program takes them for its own, and the tests of TESTS run in their order until one
fails: killed. A test that takes four times as long as on the original has failed, too.

Kernels are there once for each instruction set; a mutant of one is planted where the tests go, in
that of ISA and in the kernels on numbers that carry derivatives.

Results are kept in BUILD/mutants/results.tsv: id, verdict, by what. --resume takes them as they
are, --again VERDICT (such as survived) all but these. At last comes the table of RESULTS.md.

--fuzz runs random programs of all ops (posetape gradcheck --fuzz) on each mutant instead of the
tests. BUILD/mutants/fuzz.tsv: id, whether it was found, in which program, by which check, and how
many calls are left of it.
"""

import argparse
import concurrent.futures
import hashlib
import json
import math
import os
import pathlib
import re
import resource
import shlex
import signal
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent)]
import mutants as m  # noqa: E402

ROOT = m.LIST.parent.parent.parent

DIFFUSION = "tests/diffusion/test_diffusion"
ENGINE = "tests/engine/test_engine"
MODEL = "tests/model/test_model"
DATA = "tests/data/test_data"
POSETAPE = "tools/posetape"
CUDA = "tests/cuda/test_cuda"
ON_CUDA = (".cu", "/mma_sequences.hpp", "/cuda_sequences.hpp", "/cuda_structure.hpp")
# The instruction set that the tests run with, which every machine for these has.
ISA = "avx2"
# The files of test_engine that take seconds: every case of every op, random programs, every bit of
# a file.
SLOW = (
    "*cases_test*,*forward_test*,*gemm_test*,*ops_test*,*planted_bugs_test*,*fuzz_test*,"
    "*safetensors_test*,*precision_test*,*conv?d_test*"
)

MAPS = "add sub mul div maximum minimum relu abs exp log sqrt tanh sigmoid silu gelu".split()
ALL_CASES = ("gradcheck", "--op", "{op}", "--quiet")
FEW_CASES = (*ALL_CASES, "--fast")

# What several processes train: the fastest of its tests.
RANKS = [f"Ranks.test_{name}" for name in (
    "what_is_sent_is_what_the_formula_says",
    "one_rank_that_pauses_or_stops_does_so_with_all",
    "failures_end_all_with_one_line",
    "what_differs_between_ranks_is_said",
    "a_training_goes_on_with_other_ranks",
    "trainings_are_equal_for_any_number_of_ranks",
)]
# What they lift and refine.
SHARED = [f"Ranks.test_{name}" for name in (
    "poses_are_equal_to_the_byte", "uncertainty_is_equal_to_the_byte"
)]

# By how the path of a mutated file begins: the programs that could see it, with their arguments.
# Those of all rows that fit run one after the other, so the fastest come first. A script comes
# after the program that it runs. {file} is the file's name, {op} the op whose file it is: where it
# is none, such a test is left out.
OWN = "-sf=*/{file}_test*"
TESTS = [
    ("diffusion/", [(DIFFUSION, OWN), (DIFFUSION,)]),
    ("diffusion/", [(MODEL, "-sf=*refiner_test*,*taps_test*", "-tce=DDIM*")]),
    (("diffusion/refiner.cpp", "diffusion/schedule.cpp"), [(MODEL, "-tc=DDIM*")]),
    ("engine/", [(ENGINE, OWN)]),
    ("model/", [(MODEL, OWN)]),
    ("data/", [(DATA, OWN)]),
    ("engine/trainer.cpp", [(ENGINE, "-sf=*train*,*optimiser*,*shards*,*finite_watch*")]),
    ("engine/adam.cpp", [(ENGINE, "-sf=*adam*,*train*")]),
    ("engine/optimiser.cpp", [(ENGINE, "-sf=*adam*,*train*,*optimiser*,*shards*")]),
    ("engine/tape.cpp", [(ENGINE, "-sf=*tape*,*backward*,*recompute*,*taps*")]),
    ("engine/recompute.cpp", [(MODEL, "-sf=*recompute_test*")]),
    (("engine/ops/", "kernels/"), [(POSETAPE, *FEW_CASES)]),
    ("engine/ops/", [(ENGINE, "-sf=*forward_test*"), (ENGINE, "-sf=*cases_test*,*precision*")]),
    (
        ("kernels/adam/", "kernels/clip/", "kernels/muon/", "kernels/sgd/"),
        [(ENGINE, "-sf=*adam*,*optimiser*")],
    ),
    (("kernels/fill/", "kernels/normal/"), [(ENGINE, "-sf=*random_fill*,*tensor_test*,*tape*")]),
    ("kernels/ar1/", [(DIFFUSION, "-sf=*conditional_noise*")]),
    (
        "kernels/",
        [
            (ENGINE, "-sf=*forward_test*"),
            (ENGINE, "-sf=*cases_test*,*gemm_test*,*precision*"),
        ],
    ),
    ("engine/", [(ENGINE, f"-sfe={SLOW}")]),
    (
        ("engine/gradcheck", "engine/oracles", "engine/structure", "engine/trials"),
        [(ENGINE, "-sf=*planted_bugs_test*,*cases_test*")],
    ),
    ("engine/conv", [(ENGINE, "-sf=*conv?d_test*")]),
    ("engine/tape.cpp", [(ENGINE, "-sf=*cases_test*")]),
    ("engine/tape.cpp", [(MODEL, "-sf=*recompute_test*,*taps_test*"), (DIFFUSION,)]),
    ("engine/ops/", [(MODEL, "-tce=DDIM*"), (POSETAPE, *ALL_CASES)]),
    (
        ("engine/safetensors.cpp", "engine/crc32.cpp", "engine/checkpoint.cpp"),
        [(ENGINE, "-sf=*safetensors_test*"), (MODEL, "-sf=*refiner_test*", "-tce=DDIM*")],
    ),
    ("engine/atomic_file.cpp", [(DATA, "-sf=*npz_test*,*atomic_file_test*")]),
    ("kernels/", [(POSETAPE, *ALL_CASES), (ENGINE, f"-sfe={SLOW}"), (MODEL, "-tce=DDIM*")]),
    ("model/", [(MODEL, "-tce=DDIM*"), (DIFFUSION,)]),
    ("data/metrics.cpp", [(DATA, "-sf=*metrics_test*,*scores_test*")]),
    ("data/bootstrap.cpp", [(DATA, "-sf=*scores_test*,*evaluation_test*")]),
    ("data/", [(DATA, "-sfe=*detector_test*,*synthetic_test*,*pickle_test*")]),
    (
        ("data/camera", "data/detector", "data/h36m", "data/motion", "data/synthetic"),
        [(DATA, "-sf=*detector_test*,*synthetic_test*")],
    ),
    (
        ("data/np", "data/numpy", "data/pickle", "data/torch", "data/zip"),
        [(DATA, "-sf=*pickle_test*")],
    ),
    ("data/metrics.cpp", [(POSETAPE, "tests/tools/evaluate_numpy.py")]),
    ("data/", [(POSETAPE, "tests/tools/formats_test.py")]),
    (
        ("data/estimate", "data/joint_", "data/keypoint", "data/missing"),
        [(POSETAPE, "tests/tools/keypoints_test.py")],
    ),
    (
        ("data/figures", "data/plausibility", "data/joint_orders", "data/domain", "data/dataset"),
        [(POSETAPE, "tests/tools/guards_test.py")],
    ),
    (("model/stcformer", "model/mixste"), [(POSETAPE, "tests/tools/convert_test.py")]),
    ("engine/trainer.cpp", [(POSETAPE, "tests/tools/ranks_test.py", "disabled", *RANKS)]),
    ("diffusion/sequences.cpp", [(POSETAPE, "tests/tools/ranks_test.py", "disabled", *SHARED)]),
]
# Of CUDA's sources, which the emulation runs.
CUDA_TESTS = [
    ("kernels/", [(CUDA, "-tc=cuda: {op} gives the CPU's results")]),
    (("kernels/concat/", "kernels/scatter_add/"), [(CUDA, "-tc=cuda: an index*,cuda: concat of*")]),
    (
        "kernels/elementwise/",
        [(CUDA, f"-tc={','.join(f'cuda: {x} gives the CPU*' for x in MAPS)}")],
    ),
    (
        ("kernels/adam/", "kernels/clip/", "kernels/muon/", "kernels/sgd/"),
        [(CUDA, "-tc=cuda: clipping*")],
    ),
    (
        ("kernels/ar1/", "kernels/dropout/", "kernels/fill/", "kernels/normal/"),
        [(CUDA, "-sf=*random_test*")],
    ),
    ("kernels/axial_attention/", [(CUDA, "-tc=cuda: *attention *")]),
    ("kernels/structure_embedding/", [(CUDA, "-tc=cuda: STC attention *")]),
    ("kernels/", [(CUDA, "-tc=cuda: {op} gives the same*")]),
]



def tests_of(file):
    """The tests that could see a file, in their order."""
    folder, name = file.split("/")[:2]
    stem = file.split("/")[-1].split(".")[0]
    op = stem if folder == "engine" else name
    known = (ROOT / "tests/cases" / f"{op}.cpp").is_file()
    for prefix, tests in CUDA_TESTS if file.endswith(ON_CUDA) else TESTS:
        if file.startswith(prefix):
            for test in tests:
                if known or not any("{op}" in word for word in test):
                    yield tuple(w.replace("{op}", op).replace("{file}", stem) for w in test)


CHOICE = """#include <cstdlib>
namespace posetape_mutant {
inline int chosen() {
  static const int number = [] {
    const char* text = std::getenv("POSETAPE_MUTANT");
    return text == nullptr ? -1 : std::atoi(text);
  }();
  return number;
}
}  // namespace posetape_mutant
"""
# Of `posetape gradcheck --fuzz`: how many, and after how many one that failed ends it.
PROGRAMS, PROGRAMS_AT_ONCE = 4000, 250
# Which program, what noticed it, and how many calls it is shrunk to.
FAILED_PROGRAM = re.compile(r"^FAILED program (\d+), (.+) in \w+ on .*\n  shrunk to (\d+)", re.M)
FAILED_DIGITS = re.compile(r"^FAILED .* ULP, ", re.M)
# Characters of mutated bodies in one object: a few seconds of the compiler.
AT_ONCE = 120_000
# Of the generated C++ that is worth the optimiser's time.
OPTIMISED = ("kernels/", "data/metrics.cpp", "diffusion/conditional_noise.cpp")
OTHER_ISAS = re.compile(rf"/libposetape_kernels_(?!({ISA}|numbers|cuda)\.a)\w+\.a\.p/")
DROPPED_FLAGS = re.compile(r"-W(?!l,)|-O|-M[DMP]?$|-c$|-fdiagnostics")


class Variants:
    """Mutants of one file that share an object; `spans` are (first, end character, new text)."""

    def __init__(self, file, source, mutants, bodies):
        self.file = file
        self.mutants = mutants
        self.lines = {}  # of the generated text, the mutant that it belongs to
        spans = {}
        for mutant in mutants:
            first, last, new = mutant.find(source)
            tokens = source.tokens
            end = tokens[last - 1].end if last > first else tokens[first].start
            spans[mutant] = (tokens[first].start, end, new)
        text = source.text
        if bodies is None:
            (mutant,) = mutants
            start, end, new = spans[mutant]
            self.text = f"{text[:start]} {new} {text[end:]}"
            self.lines = dict.fromkeys(range(1, self.text.count("\n") + 2), mutant)
            return
        out, at = CHOICE, 0
        for begin, end in sorted(set(bodies.values())):
            out += text[at:begin] + "{ switch (posetape_mutant::chosen()) {"
            for number, mutant in enumerate(mutants):
                if bodies[mutant] == (begin, end):
                    a, b, new = spans[mutant]
                    line = out.count("\n") + 2
                    out += f"\ncase {number}:\n{text[begin:a]} {new} {text[b:end]}\nbreak;"
                    self.lines.update(dict.fromkeys(range(line, out.count("\n") + 2), mutant))
            out += f"\ndefault:\n{text[begin:end]}\n}} }}"
            at = end
        self.text = out + text[at:]


def variants_of(file, source, mutants):
    """The mutants of a file, in groups that are compiled together."""
    bodies = [
        (source.tokens[first].start, source.tokens[last].end, constant)
        for first, last, constant in source.bodies()
    ]
    group, size, alone = {}, 0, []
    for mutant in mutants:
        start = source.tokens[mutant.find(source)[0]].start
        body = next(((a, b) for a, b, constant in bodies if a < start < b and not constant), None)
        if body is None:
            alone.append(mutant)
            continue
        if group and size + body[1] - body[0] > AT_ONCE:
            yield Variants(file, source, list(group), group)
            group, size = {}, 0
        group[mutant] = body
        size += body[1] - body[0]
    if group:
        yield Variants(file, source, list(group), group)
    for mutant in alone:
        yield Variants(file, source, [mutant], None)


class Builder:
    def __init__(self, build):
        self.build = build.resolve()
        self.scratch = self.build / "mutants"
        self.scratch.mkdir(exist_ok=True)
        # A program finds what several processes need beside its folder.
        modules = self.scratch / "engine"
        if not modules.is_symlink():
            modules.symlink_to(self.build / "engine")
        commands = json.loads((self.build / "compile_commands.json").read_text("utf-8"))
        self.commands = {c["output"]: shlex.split(c["command"]) for c in commands}
        self.inputs = {c["output"]: c["file"] for c in commands}
        self.links = {}
        self.users = {}

    def ninja(self, *arguments):
        return subprocess.run(
            ["ninja", "-C", str(self.build), "--quiet", *arguments],
            check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip

    def link_command(self, target):
        if target not in self.links:
            self.links[target] = shlex.split(
                self.ninja("-t", "commands", target).splitlines()[-1].split(" && ")[-1]
            )
        return self.links[target]

    def objects_of(self, file):
        """The objects that a file is compiled to; of a header, and of a source that another one
        includes, the objects of those that include it."""
        name = f"../{file}"
        found = [o for o, i in self.inputs.items() if i == name]
        if not found:
            if not self.users:
                for line in self.ninja("-t", "deps").splitlines():
                    if line and not line.startswith(" "):
                        output = line.split(":")[0]
                    elif line:
                        self.users.setdefault(line.strip(), []).append(output)
            found = [o for o in self.users.get(name, []) if o in self.commands]
        found = [o for o in found if not OTHER_ISAS.search(o)]
        if not found:
            raise SystemExit(f"{file}: no object of {self.build} is made of it")
        return found

    def compile(self, variants):
        """{object: its mutated twin}, or the mutants that do not compile."""
        objects = {}
        flag = "-O1" if variants.file.startswith(OPTIMISED) else "-O0"
        for output in self.objects_of(variants.file):
            command = [w for w in self.commands[output] if not DROPPED_FLAGS.match(w)]
            if "ccache" in command[0]:
                command = command[1:]
            for option in ("-MQ", "-MF", "-o"):
                while option in command:
                    at = command.index(option)
                    del command[at : at + 2]
            source = command.pop()
            key = hashlib.sha1("\0".join([variants.text, flag, *command, source]).encode())
            folder = self.scratch / "objects" / key.hexdigest()[:16]
            twin, mutated = folder / "object.o", folder / variants.file
            if not twin.is_file():
                mutated.parent.mkdir(parents=True, exist_ok=True)
                mutated.write_text(variants.text, "utf-8")
                # A kernel that shares an object is compiled alone: what it defines is found first.
                if source == f"../{variants.file}" or variants.file.endswith("_cpu.cpp"):
                    source = str(mutated)
                options = [f"-I{folder}", "-w", flag, "-D_GLIBCXX_ASSERTIONS", "-o", str(twin)]
                done = subprocess.run(
                    [command[0], *options, *command[1:], "-c", source],
                    cwd=self.build, capture_output=True, text=True,
                )  # fmt: skip
                if done.returncode != 0:
                    return None, self.culprits(done.stderr, str(mutated), variants)
            objects[output] = twin
        return objects, set()

    def culprits(self, errors, path, variants):
        places = re.findall(rf"{re.escape(path)}:(\d+):\d+:(.*)", errors)
        for pattern in ("error:", ""):
            found = {variants.lines.get(int(line)) for line, what in places if pattern in what}
            if found - {None}:
                return found - {None}
        if len(variants.mutants) == 1:
            return set(variants.mutants)
        raise SystemExit(f"{variants.file}: a mutated file does not compile:\n{errors[:3000]}")

    def link(self, target, objects):
        key = "\0".join([target, *map(str, objects.values())])
        program = self.scratch / "programs" / hashlib.sha1(key.encode()).hexdigest()[:16]
        program.parent.mkdir(exist_ok=True)
        built = self.build / target
        if program.is_file() and program.stat().st_mtime > built.stat().st_mtime:
            return program
        command = [str(objects.get(word, word)) for word in self.link_command(target)]
        first = [str(twin) for o, twin in objects.items() if o not in self.link_command(target)]
        at = command.index("-o")
        command[at : at + 2] = ["-o", str(program), "-fuse-ld=gold", *first]
        subprocess.run(command, cwd=self.build, check=True)
        return program


def ended(command, environment, folder, seconds):
    """How a program ended, None where well, and what it printed. `seconds` are the processor's."""

    def confine():
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (16 << 30, 16 << 30))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))

    environment = {"POSETAPE_ISA": ISA, "TMPDIR": str(folder), **environment}
    process = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **environment},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        start_new_session=True, preexec_fn=confine,
    )  # fmt: skip
    used = None
    while True:
        try:
            output, _ = process.communicate(timeout=30)
            break
        except subprocess.TimeoutExpired:
            # Whoever has computed nothing since waits for itself: no processor time will end that.
            before, used = used, processor_time_of(process.pid)
            if used == before:
                os.killpg(process.pid, signal.SIGKILL)
                output, _ = process.communicate()
                return "time", output
    if process.returncode == 0:
        return None, output
    if process.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        return "time", output
    if process.returncode < 0:
        return signal.Signals(-process.returncode).name, output
    return f"exit code {process.returncode}", output


def failed_at(command, environment, folder, seconds):
    """What failed, None where all passed."""
    how, output = ended(command, environment, folder, seconds)
    if how is None or not how.startswith("exit"):
        return how
    cases = re.findall(r"^TEST CASE:\s+(.*)$|^(?:FAIL|ERROR): (\w+)", output, re.MULTILINE)
    return "".join(cases[0]) if cases else how


def processor_time_of(pid):
    """What /proc says, the children that have ended included: a script waits for its program."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return fields[11:15]


def processor_time():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Runner:
    def __init__(self, build, jobs, fuzzes):
        self.builder = Builder(build)
        self.jobs = jobs
        self.fuzzes = fuzzes
        self.limits = {}
        self.results = self.builder.scratch / ("fuzz.tsv" if fuzzes else "results.tsv")
        self.folder = self.builder.scratch / "tmp"
        self.folder.mkdir(exist_ok=True)

    def record(self, mutant, verdict, by=""):
        with self.results.open("a", encoding="utf-8") as file:
            file.write(f"{mutant.id}\t{verdict}\t{by}\n")
        print(f"{mutant.id}  {mutant.file}  {verdict}{' by ' if by else ''}{by}  {mutant.change}")
        sys.stdout.flush()

    def command(self, test, objects):
        program = str(self.builder.link(test[0], objects))
        if test[1:] and test[1].endswith(".py"):
            return [sys.executable, test[1], program, *test[2:]]
        if test[0] == POSETAPE:
            return [program, *test[1:]]
        return [program, "--no-intro", "--abort-after=1", *test[1:]]

    def limit(self, unchanged):
        """Of a test's seconds, by a run without a mutant."""
        key = tuple(unchanged)
        if key not in self.limits:
            before = processor_time()
            failure = failed_at(unchanged, {}, self.folder, 600)
            if failure is not None:
                raise SystemExit(f"{' '.join(key)}: fails without a mutant: {failure}")
            self.limits[key] = math.ceil(2 + 4 * (processor_time() - before))
        return self.limits[key]

    def fuzz(self, variants, objects):
        """What random programs say of each mutant: --fuzz."""
        for number, mutant in enumerate(variants.mutants):
            self.record(mutant, *self.found_in_programs(variants.file, number, objects))

    def found_in_programs(self, file, number, objects):
        device = "cuda" if file.endswith(ON_CUDA) else "cpu"
        program = str(self.builder.link(POSETAPE, objects))
        for seed in range(1, PROGRAMS, PROGRAMS_AT_ONCE):
            command = [
                program, "gradcheck", "--quiet", "--device", device,
                "--seed", str(seed), "--fuzz", str(PROGRAMS_AT_ONCE),
            ]  # fmt: skip
            how, output = ended(command, {"POSETAPE_MUTANT": str(number)}, self.folder, 120)
            found = FAILED_PROGRAM.search(output)
            if found:
                return "found", "\t".join(found.groups())
            if how:  # it crashed, or a call lost more digits than its op may
                lost = "ULP\t1" if FAILED_DIGITS.search(output) else f"{how}\t"
                return "found", f"{seed + PROGRAMS_AT_ONCE - 1}\t{lost}"
        return "not found", ""

    def run(self, file, source, mutants):
        groups = list(variants_of(file, source, mutants))
        tests = list(dict.fromkeys(tests_of(file)))
        while groups:
            variants = groups.pop(0)
            objects, wrong = self.builder.compile(variants)
            for mutant in sorted(wrong, key=variants.mutants.index):
                self.record(mutant, "does not compile")
            if wrong:
                rest = [x for x in variants.mutants if x not in wrong]
                groups = list(variants_of(file, source, rest)) + groups
                continue
            if self.fuzzes:
                self.fuzz(variants, objects)
            else:
                self.run_tests(variants, objects, tests)

    def run_tests(self, variants, objects, tests):
        alone = len(variants.mutants) == 1 and "posetape_mutant" not in variants.text
        left = list(enumerate(variants.mutants))
        for test in tests:
            if not left:
                break
            unchanged = self.command(test, {} if alone else objects)
            limit = self.limit(unchanged)
            command = self.command(test, objects)

            def one(numbered):
                number, _ = numbered
                return failed_at(command, {"POSETAPE_MUTANT": str(number)}, self.folder, limit)

            with concurrent.futures.ThreadPoolExecutor(self.jobs) as pool:
                survivors = []
                for numbered, failure in zip(left, pool.map(one, left)):
                    if failure is None:
                        survivors.append(numbered)
                    else:
                        program = pathlib.Path(test[0]).name
                        self.record(numbered[1], "killed", f"{program}: {failure}")
                left = survivors
        for _, mutant in left:
            self.record(mutant, "survived")


def table(mutants, results):
    rows = {}
    for mutant in mutants:
        folder = mutant.file.split("/")[0]
        for name in (mutant.file, f"{folder}/", "all"):
            row = rows.setdefault(name, {})
            verdict = results.get(mutant.id, "not run")
            if mutant.remark.startswith("equivalent: ") and verdict != "killed":
                verdict = "equivalent"
            row[verdict] = row.get(verdict, 0) + 1
    verdicts = ["killed", "survived", "equivalent", "does not compile", "not run"]
    used = [v for v in verdicts if v in rows["all"] or v in verdicts[:3]]
    yield f"| file | mutants | {' | '.join(used)} | killed of those not equivalent |"
    yield "| --- | ---: |" + " ---: |" * (len(used) + 1)
    for name, row in sorted(rows.items(), key=lambda r: (r[0] == "all", r[0])):
        judged = row.get("killed", 0) + row.get("survived", 0)
        share = f"{100 * row.get('killed', 0) / judged:.1f} %" if judged else "-"
        counts = " | ".join(str(row.get(v, 0)) for v in used)
        yield f"| {name} | {sum(row.values())} | {counts} | {share} |"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--files", nargs="*", default=[], help="beginnings of paths")
    parser.add_argument("--ids", nargs="*", default=[])
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--resume", action="store_true", help="take the results that are there")
    parser.add_argument("--again", nargs="*", default=[], metavar="VERDICT")
    parser.add_argument("--fuzz", action="store_true", help="random programs instead of tests")
    parser.add_argument("--table", action="store_true", help="run nothing")
    arguments = parser.parse_args()

    everything = m.read_list()
    for line in m.violations(ROOT, everything):
        raise SystemExit(line)
    runner = Runner(arguments.build, arguments.jobs, arguments.fuzz)
    results = m.read_results(runner.results)
    chosen = [
        x
        for x in everything
        if (not arguments.files or x.file.startswith(tuple(arguments.files)))
        and (not arguments.ids or x.id in arguments.ids)
        and (x.id in arguments.ids or not x.remark.startswith("equivalent: "))
    ]
    if arguments.again:
        chosen = [x for x in chosen if results.get(x.id) in (None, *arguments.again)]
    elif arguments.resume:
        chosen = [x for x in chosen if x.id not in results]
    if not arguments.table and chosen:
        programs = {test[0] for file in {x.file for x in chosen} for test in tests_of(file)}
        if arguments.fuzz:
            programs = {POSETAPE}
        runner.builder.ninja(*sorted(programs))
        for file in dict.fromkeys(x.file for x in chosen):
            source = m.Source((ROOT / file).read_text("utf-8"))
            runner.run(file, source, [x for x in chosen if x.file == file])
    results = m.read_results(runner.results)
    if arguments.fuzz:
        print(f"{list(results.values()).count('found')} of {len(results)} found")
        return 0
    for line in table(everything, results):
        print(line)
    unexplained = [x for x in everything if results.get(x.id) == "survived" and not x.remark]
    print(f"{len(unexplained)} survivors without an explanation")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
