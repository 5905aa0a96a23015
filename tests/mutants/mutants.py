"""The list of mutants, and where in the sources they are: python3 tests/mutants/mutants.py ROOT

A mutant is one small error, written as a row of mutants.tsv:

    id  file  occurrence  change  remark

where the change is a line of the source with what is to be replaced and what replaces it between
backticks, "x = a `+`-` b;", and the occurrence says which of the equal lines is meant, "2/3". Lines
are compared token by token, so that code may be moved and wrapped anew.

Run as a program it looks whether each mutant still has its place. Prints one line for each that has
not, and exits with 1.
"""

import bisect
import pathlib
import re
import sys
from dataclasses import dataclass

sys.dont_write_bytecode = True
LIST = pathlib.Path(__file__).resolve().parent / "mutants.tsv"
REMARKS = ("equivalent: ", "survives: ")
COLUMNS = "id\tfile\toccurrence\tchange\tremark"

TOKEN = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/)
      | (?P<directive>^[ \t]*\#(?:\\\n|[^\n])*)
      | (?P<string>R"(?P<mark>[^(\s]*)\(.*?\)(?P=mark)"|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])+')
      | (?P<number>\.?\d(?:[eEpP][+-]|'\w|[\w.])*)
      | (?P<word>[A-Za-z_]\w*)
      | (?P<sign><<=|>>=|<=>|->\*|\.\.\.|::|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|[^\s`])
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Token:
    kind: str
    text: str
    start: int  # in characters of the file
    end: int
    gap: bool  # space, a line's end or a comment stands before it


def tokens_of(text):
    """The tokens of C++, without comments and preprocessor lines."""
    tokens, end = [], None
    for match in TOKEN.finditer(text):
        if match.lastgroup in ("comment", "directive"):
            continue
        kind = "string" if match["string"] else match.lastgroup
        tokens.append(Token(kind, match[0], match.start(), match.end(), match.start() != end))
        end = match.end()
    return tokens


class Source:
    """A file's text and tokens, its brackets matched."""

    def __init__(self, text):
        self.text = text
        self.tokens = tokens_of(text)
        self.words = [t.text for t in self.tokens]
        self.match = {}  # of each bracket its partner
        open_ones = []
        for i, word in enumerate(self.words):
            if word in ("(", "[", "{"):
                open_ones.append(i)
            elif word in (")", "]", "}") and open_ones:
                self.match[i] = open_ones[-1]
                self.match[open_ones.pop()] = i
        self.starts = []
        at = 0
        for word in self.words:
            self.starts.append(at)
            at += len(word) + 1
        self.joined = "\0" + "\0".join(self.words) + "\0"

    def render(self, first, last):
        """Tokens [first, last) on one line, without comments."""
        return "".join(
            (" " if t.gap and i > 0 else "") + t.text for i, t in enumerate(self.tokens[first:last])
        )

    def places(self, words):
        """The index of the first token of each occurrence of `words`."""
        needle = "\0" + "\0".join(words) + "\0"
        found, at = [], self.joined.find(needle)
        while at >= 0:
            found.append(bisect.bisect_left(self.starts, at))
            at = self.joined.find(needle, at + 1)
        return found

    def bodies(self):
        """(first token, last token, constexpr) of the body of each function, braces included."""
        i = head = 0
        while i < len(self.words):
            word = self.words[i]
            if word in ("(", "["):
                i = self.match[i]
            elif word in (";", "}"):
                head = i + 1
            elif word == "{":
                close, what = self.match[i], without_template(self.words[head:i])
                outside = [w for w, depth in depths(what) if depth == 0]
                if "namespace" in what or what[:1] == ["extern"]:
                    head = i + 1
                elif {"class", "struct", "union"} & set(outside) and "(" not in outside:
                    head = i + 1
                elif "enum" in outside or "(" not in outside or (
                    "=" in outside and "operator" not in outside
                ):
                    i = close  # a list of values
                elif self.words[close + 1 : close + 2] in ([","], ["{"]):
                    i = close  # a member's, in front of a constructor's body
                else:
                    yield i, close, "constexpr" in what or "consteval" in what
                    i, head = close, close + 1
            i += 1


def without_template(words):
    """A declaration without its "template <...>"."""
    while words[:1] == ["template"]:
        depth = 0
        for i, word in enumerate(words[1:], 1):
            depth += {"<": 1, ">": -1, ">>": -2}.get(word, 0)
            if depth == 0:
                break
        words = words[i + 1 :]
    return words


def depths(words):
    """Each token with how many parentheses stand around it; these count as outside."""
    depth = 0
    for word in words:
        depth -= word in (")", "]")
        yield word, depth
        depth += word in ("(", "[")


@dataclass(frozen=True)
class Mutant:
    id: str
    file: str
    nth: int
    count: int
    change: str
    remark: str = ""

    def row(self):
        place = f"{self.nth}/{self.count}"
        return "\t".join((self.id, self.file, place, self.change, self.remark)).rstrip("\t")

    def find(self, source):
        """(first token, last token + 1, what replaces them); ValueError where there is none."""
        before, old, new, after = self.change.split("`")
        parts = [[t.text for t in tokens_of(part)] for part in (before, old, after)]
        places = source.places(parts[0] + parts[1] + parts[2])
        if len(places) != self.count:
            raise ValueError(f"its line is there {len(places)} times, not {self.count}")
        first = places[self.nth - 1] + len(parts[0])
        return first, first + len(parts[1]), new


def read_list(path=LIST):
    lines = pathlib.Path(path).read_text("utf-8").splitlines()
    if lines[:1] != [COLUMNS]:
        raise SystemExit(f"{path}:1: expected the names of the columns, {COLUMNS!r}")
    mutants = []
    for number, line in enumerate(lines[1:], 2):
        fields = line.split("\t")
        place = re.fullmatch(r"(\d+)/(\d+)", fields[2]) if len(fields) in (4, 5) else None
        remark = fields[4] if len(fields) == 5 else ""
        if (
            not place
            or not 1 <= int(place[1]) <= int(place[2])
            or fields[3].count("`") != 3
            or (remark and not remark.startswith(REMARKS))
        ):
            raise SystemExit(
                f"{path}:{number}: expected id, file, occurrence (1/2), a change with three "
                f"backticks and maybe a remark ({', '.join(REMARKS)}), with tabs between"
            )
        nth, count = int(place[1]), int(place[2])
        mutants.append(Mutant(fields[0], fields[1], nth, count, fields[3], remark))
    return mutants


def write_list(mutants, path=LIST):
    lines = [COLUMNS] + [m.row() for m in mutants]
    pathlib.Path(path).write_text("\n".join(lines) + "\n", "utf-8")


def read_results(path):
    """{id: verdict} of run.py, the last of each."""
    if not path.is_file():
        return {}
    return dict(line.split("\t")[:2] for line in path.read_text("utf-8").splitlines())


def violations(root, mutants):
    sources, seen = {}, set()
    for mutant in mutants:
        if mutant.id in seen:
            yield f"mutant {mutant.id}: another one has this id"
        seen.add(mutant.id)
        if mutant.file not in sources:
            path = root / mutant.file
            sources[mutant.file] = Source(path.read_text("utf-8")) if path.is_file() else None
        if sources[mutant.file] is None:
            yield f"mutant {mutant.id}: there is no {mutant.file}"
            continue
        try:
            mutant.find(sources[mutant.file])
        except ValueError as error:
            yield (
                f"mutant {mutant.id}: {mutant.file}: {error}: {mutant.change}; change it with its "
                f"line: python3 tests/mutants/generate.py {mutant.file}"
            )


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    mutants = read_list()
    found = list(violations(pathlib.Path(sys.argv[1]), mutants))
    for line in found:
        print(line)
    print(f"{len(mutants)} mutants, {len(found)} violations")
    return 1 if found or not mutants else 0


if __name__ == "__main__":
    sys.exit(main())
