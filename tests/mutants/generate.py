"""Makes the list of mutants: python3 tests/mutants/generate.py [FILE...] [--results FILE]

Reads the sources, applies the operators below wherever they apply, and writes mutants.tsv anew: for
all files, or for those that are named, where the others keep their rows. A row that has its place
keeps its id and its remark, and so does one made by hand (its id begins with h); what is lost with
its line is printed. A mutant that does not compile, by the results of run.py, is left out.

The population: every place in the files of WHOLE, and of those of DRAWN so many as it says.
"""

import argparse
import hashlib
import pathlib
import re
import sys

sys.dont_write_bytecode = True
sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent)]
import mutants as m  # noqa: E402

ROOT = m.LIST.parent.parent.parent
WHOLE = [
    "diffusion/*.cpp",
    "engine/trainer.cpp",
    "engine/tape.cpp",
    "engine/recompute.cpp",
    "engine/adam.cpp",
    "engine/optimiser.cpp",
    "data/metrics.cpp",
    "data/bootstrap.cpp",
    "data/windows.cpp",
    "data/camera.cpp",
]
# Of these so many places are drawn by SEED.
DRAWN = [
    (
        320,
        [
            "kernels/*/*_cpu.cpp",
            "kernels/*/*.cu",
            "kernels/axial_attention/mma*.hpp",
            "kernels/axial_attention/s*.hpp",
            "kernels/cpu/broadcast.hpp",
            "kernels/elementwise/*.hpp",
            "kernels/layer_norm/cuda*.hpp",
            "kernels/linear/mma*.hpp",
            "kernels/structure_embedding/cuda*.hpp",
        ],
    ),
    (250, ["engine/*.cpp", "engine/ops/*.cpp", "engine/rng.hpp", "model/*.cpp", "data/*.cpp"]),
]
SEED = 12

SWAPS = {
    "+": "-", "-": "+", "*": "/", "/": "*", "%": "/",
    "+=": "-=", "-=": "+=", "*=": "/=", "/=": "*=",
    "<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==",
    "&&": "||", "||": "&&",
    "min": "max", "max": "min", "true": "false", "false": "true",
}  # fmt: skip
BINARY = set("+ - * / % < <= > >= == != && ||".split())
# Where an operand ends: what binds no tighter, by the operator in front of it.
ENDS = set("; , ) ] } ? : = += -= *= /=".split())
LOOSER = {"&&": {"&&", "||"}, "||": {"||"}}
LOOSER["+"] = LOOSER["-"] = BINARY - {"*", "/", "%"}
LOOSER["*"] = LOOSER["/"] = LOOSER["%"] = BINARY
COMMUTATIVE = {"min", "max", "add", "mul", "hypot"}
NO_CALLS = set(
    "if for while switch return catch sizeof decltype fail move forward "
    "size_t int64_t int32_t uint64_t uint32_t int float double".split()
)
KEYWORDS = set(
    "return if for while switch case const constexpr auto using static struct class template else "
    "do try catch throw default typename thread_local enum namespace".split()
)


class Generator:
    def __init__(self, source):
        self.source = source
        self.words = source.words
        self.tokens = source.tokens
        self.headers = set()  # the tokens between the parentheses of a for
        self.active = self.where()

    def where(self):
        """The tokens that may change: bodies, initialisers, values of constants; no messages."""
        active = [False] * len(self.words)
        inside = self.inside = [False] * len(self.words)
        for first, last, _ in self.source.bodies():
            for i in range(first, last):
                active[i] = inside[i] = True
        begun = False  # after the = of a constant, the : of a constructor
        for i, word in enumerate(self.words):
            if inside[i] or word in (";", "template", "namespace"):
                begun = False
            elif word == "=" or (word == ":" and self.words[i - 1] == ")"):
                begun = True
            active[i] = active[i] or begun
        for i, word in enumerate(self.words[:-1]):
            if word in ("fail", "static_assert") and self.words[i + 1] == "(":
                active[i : self.source.match[i + 1]] = [False] * (self.source.match[i + 1] - i)
            if word == "for" and self.words[i + 1] == "(":
                parts = self.split(i + 1, ";")
                self.headers.update(range(i + 1, self.source.match[i + 1]))
                if len(parts) == 3:  # without its step a loop has no end
                    first, last = parts[2]
                    active[first:last] = [False] * (last - first)
        return active

    def spaced(self, i):
        """An operator of two operands: clang-format leaves space on both its sides."""
        return self.tokens[i].gap and i + 1 < len(self.tokens) and self.tokens[i + 1].gap

    def split(self, bracket, mark):
        """(first, last + 1) of the parts between a bracket and its partner, at its own depth."""
        parts, first, i, angles = [], bracket + 1, bracket + 1, 0
        close = self.source.match[bracket]
        while i < close:
            word = self.words[i]
            if word in ("(", "[", "{"):
                i = self.source.match[i]
            elif word in ("<", ">", ">>") and not self.spaced(i):
                angles += {"<": 1, ">": -1, ">>": -2}[word]
            elif word == mark and angles <= 0:
                parts.append((first, i))
                first = i + 1
            i += 1
        return parts + [(first, close)]

    def operand(self, i, ends):
        """The end of the operand that begins at token i."""
        while i < len(self.words):
            word = self.words[i]
            if word in ("(", "[", "{"):
                i = self.source.match[i]
            elif word in ENDS or (word in ends and self.spaced(i)):
                break
            i += 1
        return i

    def text(self, first, last):
        return self.source.render(first, last)

    def mutations(self):
        """(first token, last token + 1, what replaces them)."""
        for i, word in enumerate(self.words):
            if not self.active[i] or self.tokens[i].kind == "string":
                continue
            if word in SWAPS and (word not in BINARY or self.spaced(i)):
                yield i, i + 1, SWAPS[word]
                if word in LOOSER:
                    yield i, self.operand(i + 1, LOOSER[word]), ""
            elif word in ("-", "!") and not self.tokens[i + 1].gap:
                yield i, i + 1, ""
            elif self.tokens[i].kind == "number":
                for new in changed_number(word):
                    yield i, i + 1, new
            elif word == "?":
                yield from self.branches(i)
            elif word == "if" and self.words[i + 1] == "(":
                first, last = self.split(i + 1, ";")[-1]
                signs = {w for w in self.words[first:last] if w in ("&&", "||", "!", "==", "!=")}
                if not signs or signs & {"&&", "||"}:  # else that is what the swap of the sign does
                    yield first, last, f"!({self.text(first, last)})"
            elif word == "[" and i + 1 < self.source.match[i]:
                yield from self.index(i)
            elif word == "(":
                yield from self.call(i)
            if self.begins_statement(i):
                yield from self.statement(i)

    def branches(self, i):
        colon = self.operand(i + 1, set())
        if self.words[colon] == ":":
            end = self.operand(colon + 1, set())
            yield i + 1, end, f"{self.text(colon + 1, end)} : {self.text(i + 1, colon)}"

    def index(self, i):
        close = self.source.match[i]
        before = self.tokens[i - 1]
        subscript = before.kind == "word" or before.text in (")", "]")
        if subscript and not self.tokens[i].gap and self.tokens[i + 1].kind != "number":
            yield close, close + 1, " + 1]"

    def call(self, i):
        name = self.words[i - 1]
        if self.tokens[i - 1].kind != "word" or self.tokens[i].gap or name in NO_CALLS:
            return
        if not self.inside[i]:
            return  # a member's initialiser
        arguments = self.split(i, ",")
        if arguments == [(i + 1, i + 1)]:
            return
        parts = [self.text(*a) for a in arguments]
        swaps = {2: [(0, 1)], 3: [(0, 1), (1, 2)], 4: [(0, 2), (1, 3)]}.get(len(parts), [])
        for a, b in swaps:
            if parts[a] != parts[b] and name not in COMMUTATIVE:
                new = list(parts)
                new[a], new[b] = new[b], new[a]
                yield arguments[a][0], arguments[b][1], ", ".join(new[a : b + 1])
        if len(parts) == 1 or name in ("add", "sub", "mul", "div"):
            first = i - 1
            while self.words[first - 1] == "::":
                first -= 2
            if self.words[first - 1] not in (".", "->", ">"):
                yield first, self.source.match[i] + 1, f"({parts[0]})"

    def begins_statement(self, i):
        before = self.words[i - 1] if i > 0 else "{"
        if i in self.headers or self.words[i] in ("{", "}", ";"):
            return False
        if before in ("{", "}", ";", "else"):
            return True
        if before != ")" or self.source.match.get(i - 1, 0) == 0:
            return False
        return self.words[self.source.match[i - 1] - 1] in ("if", "for", "while")

    def statement(self, i):
        """Left out: an expression, a return without value, a break, a continue; no declaration."""
        words = self.words
        if words[i] in ("break", "continue", "return"):
            if words[i + 1] == ";":
                yield i, i + 1, ""
            return
        if words[i] in KEYWORDS | {"fail"} or self.tokens[i].kind in ("string", "number"):
            return
        j = i
        while words[j] not in ("=", "(", "[", ".", "->", "?", ";", "{", "}"):
            if words[j] in SWAPS and self.spaced(j):
                break
            following = self.tokens[j + 1]
            if following.kind == "word" and following.gap:
                return  # a type and a name
            j += 1
        end = self.operand(i, set())
        while words[end] in ENDS - {";", ")", "}", "]"}:
            end = self.operand(end + 1, set())
        if words[end] == ";" and end > i and words[j] != ";" or words[i] in ("++", "--"):
            yield i, end, ""


def changed_number(word):
    if re.fullmatch(r"\d+", word):
        yield str(int(word) + 1)
        if int(word) > 0:
            yield str(int(word) - 1)
    elif re.fullmatch(r"[\d.]+(e[+-]?\d+)?f?", word):
        suffix = "f" if word.endswith("f") else ""
        value = float(word.rstrip("f"))
        yield repr(1.0 if value == 0 else value * (1.01 if value > 1e-6 else 1e4)) + suffix


def mutant_at(file, source, first, last, new):
    """The mutant in which `new` stands for tokens [first, last)."""
    tokens = source.tokens
    line = lambda i: source.text.count("\n", 0, tokens[i].start)  # noqa: E731
    begin, end = first, max(last, first + 1)
    while begin > 0 and line(begin - 1) == line(begin):
        begin -= 1
    while end < len(tokens) and line(end) == line(end - 1):
        end += 1
    gap = lambda i: " " if begin < i < end and tokens[i].gap else ""  # noqa: E731
    change = (
        f"{source.render(begin, first)}{gap(first)}`{source.render(first, last)}`{new}`"
        f"{gap(last)}{source.render(last, end)}"
    )
    places = source.places(source.words[begin:end])
    nth = places.index(begin) + 1
    identity = hashlib.sha1(f"{file} {nth} {change}".encode()).hexdigest()[:8]
    return m.Mutant(identity, file, nth, len(places), change)


def mutants_of(file, source):
    """{(first token, last token + 1, what replaces them): mutant}, in the order of the file."""
    made = {}
    for place in sorted(Generator(source).mutations()):
        # What has statements inside is changed there.
        if ";" not in source.words[place[0] : place[1]]:
            mutant = mutant_at(file, source, *place)
            if mutant.change.count("`") == 3:
                made[place] = mutant
    return made


def renewed(file, source, before):
    """The rows of a file: those that have their place, and what is made beside them."""
    old = {}
    for mutant in before:
        try:
            old[mutant.find(source)] = mutant
        except ValueError:
            pass  # its line has changed
    rows = [old.pop(place, mutant) for place, mutant in mutants_of(file, source).items()]
    return [x for x in old.values() if by_hand(x)] + rows


def by_hand(mutant):
    return mutant.id.startswith("h")


def rank(mutant):
    """What a draw goes by: the lowest ones are drawn, so that a change of one leaves the others."""
    return hashlib.sha1(f"{SEED} {mutant.id}".encode()).hexdigest()


def files(patterns):
    return sorted({p.relative_to(ROOT).as_posix() for g in patterns for p in ROOT.glob(g)})


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="*")
    parser.add_argument("--results", type=pathlib.Path, help="of run.py")
    arguments = parser.parse_args()

    whole = files(WHOLE)
    drawn = [(count, [f for f in files(some) if f not in whole]) for count, some in DRAWN]
    all_files = whole + [f for _, some in drawn for f in some]
    for file in arguments.files:
        if file not in all_files:
            raise SystemExit(f"{file}: not among the files of {m.LIST.name}; see WHOLE and DRAWN")
    old = m.read_list() if m.LIST.is_file() else []
    uncompiled = set()
    if arguments.results:
        results = m.read_results(arguments.results)
        uncompiled = {i for i, verdict in results.items() if verdict == "does not compile"}

    rows = {}
    for file in all_files:
        before = [x for x in old if x.file == file]
        if not arguments.files or file in arguments.files:
            source = m.Source((ROOT / file).read_text("utf-8"))
            before = [x for x in renewed(file, source, before) if x.id not in uncompiled]
        rows[file] = before
    for count, some in drawn:
        if arguments.files:  # as deep as the draw that is there
            ranks = [rank(x) for x in old if x.file in some and not by_hand(x)]
        else:
            ranks = sorted(rank(x) for f in some for x in rows[f] if not by_hand(x))[:count]
        last = max(ranks, default="")
        for file in some:
            rows[file] = [x for x in rows[file] if rank(x) <= last or by_hand(x)]

    new = [x for file in rows for x in rows[file]]
    m.write_list(new)
    kept = {x.id for x in new}
    for x in old:
        if (x.remark or by_hand(x)) and x.id not in kept:
            print(f"gone: {x.row()}")
    print(f"{len(new)} mutants")


if __name__ == "__main__":
    main()
