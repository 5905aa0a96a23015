"""Mutants are made where they should be, found where their line went, and planted one at a time."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent)]
import generate  # noqa: E402
import mutants as m  # noqa: E402
import run  # noqa: E402


def changes(line):
    """What is made of one statement of a function."""
    source = m.Source(f"void f() {{\n{line}\n}}\n")
    return {x.change for x in generate.mutants_of("a.cpp", source).values()}


class Operators(unittest.TestCase):
    def test_signs_and_dropped_terms(self):
        self.assertEqual(
            changes("int x = a + b * c;"),
            {
                "int x = a `+`-` b * c;",
                "int x = a `+ b * c``;",
                "int x = a + b `*`/` c;",
                "int x = a + b `* c``;",
            },
        )

    def test_conditions(self):
        found = changes("if (a < b && !c) return;")
        for change in (
            "if (a `<`<=` b && !c) return;",
            "if (a < b `&&`||` !c) return;",
            "if (a < b `&& !c``) return;",
            "if (a < b && `!``c) return;",
            "if (`a < b && !c`!(a < b && !c)`) return;",
            "if (a < b && !c) `return``;",
        ):
            self.assertIn(change, found)

    def test_arguments_and_indices(self):
        found = changes("x = sub(a[i], b);")
        for change in (
            "x = sub(`a[i], b`b, a[i]`);",
            "x = `sub(a[i], b)`(a[i])`;",
            "x = sub(a[i`]` + 1]`, b);",
            "`x = sub(a[i], b)``;",
        ):
            self.assertIn(change, found)

    def test_constants(self):
        self.assertEqual(
            {c.split("`")[2] for c in changes("int x = 2;")}, {"3", "1"}
        )
        self.assertEqual({c.split("`")[2] for c in changes("double x = 0.5;")}, {"0.505"})

    def test_what_is_no_operator_stays(self):
        for line in (
            "const std::vector<int>& x{y};",
            "T&& x{*y};",
            'fail("{} - {}", a - b, c < d);',
            'const char* x{"a + b"};  // a - b',
            "auto x{y->z};",
        ):
            self.assertEqual(changes(line), set(), line)

    def test_a_loop_keeps_its_step(self):
        self.assertFalse([c for c in changes("for (; a; i += 2) b();") if "i `" in c])


class Places(unittest.TestCase):
    SOURCE = m.Source("void f() {\n  a(b + c);\n}\nvoid g() {\n  a(b +\n    // moved\n    c);\n}\n")

    def test_a_line_is_found_where_it_went(self):
        for nth in (1, 2):
            mutant = m.Mutant("1", "a.cpp", nth, 2, "a(b `+`-` c);")
            first, last, new = mutant.find(self.SOURCE)
            self.assertEqual((self.SOURCE.words[first:last], new), (["+"], "-"))

    def test_a_line_that_changed_is_missed(self):
        for change, count in (("a(b `-`+` c);", 1), ("a(b `+`-` c);", 1)):
            with self.assertRaises(ValueError):
                m.Mutant("1", "a.cpp", 1, count, change).find(self.SOURCE)

    def test_violations_say_what_is_wrong(self):
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "a.cpp").write_text("int f() { return 1 + x; }", "utf-8")
            good = m.Mutant("1", "a.cpp", 1, 1, "1 `+`-` x")
            gone = m.Mutant("2", "a.cpp", 1, 1, "2 `+`-` x")
            elsewhere = m.Mutant("3", "b.cpp", 1, 1, "1 `+`-` x")
            found = list(m.violations(pathlib.Path(folder), [good, good, gone, elsewhere]))
        self.assertEqual([f.split(":")[0] for f in found], ["mutant 1", "mutant 2", "mutant 3"])


class Renewal(unittest.TestCase):
    def test_rows_keep_id_and_remark_while_their_line_is_there(self):
        source = m.Source("void f() {\n  x =\n    a + b;\n  y = c - d;\n}\n")
        rows = [
            m.Mutant("h1", "a.cpp", 1, 1, "x = `a`c` + b;"),
            m.Mutant("12", "a.cpp", 1, 1, "x = a `+`-` b;", "equivalent: b is 0"),
            m.Mutant("34", "a.cpp", 1, 1, "y = c `*`/` d;", "survives: rarely"),
        ]
        found = generate.renewed("a.cpp", source, rows)
        self.assertEqual(found[0], rows[0])
        self.assertIn(rows[1], found)
        self.assertNotIn(rows[2], found)
        self.assertIn("y = c `-`+` d;", [x.change for x in found])


class Bodies(unittest.TestCase):
    def test_functions_and_nothing_else(self):
        source = m.Source(
            "namespace n {\n"
            "constexpr int k[]{1, 2};\n"
            "struct S : T {\n  int a = 0;\n  S() : b{1}, c({2}) { one(); }\n};\n"
            "template <class T>\nauto f(T t) -> int { two(); }\n"
            "constexpr int g() { return 3; }\n"
            "enum class E { a, b };\n"
            "}\n"
        )
        found = [(source.render(a, b + 1), constant) for a, b, constant in source.bodies()]
        self.assertEqual(
            found,
            [("{ one(); }", False), ("{ two(); }", False), ("{ return 3; }", True)],
        )


class Planting(unittest.TestCase):
    TEXT = (
        "#include <cstdio>\n"
        "constexpr int k = 1;\n"
        "int f(int a, int b) {\n  return a - b;\n}\n"
        'int main() { std::printf("%d", f(5, 3) + k); }\n'
    )

    def test_a_number_in_the_environment_chooses(self):
        source = m.Source(self.TEXT)
        mutants = [
            m.Mutant("1", "a.cpp", 1, 1, "return a `-`+` b;"),
            m.Mutant("2", "a.cpp", 1, 1, "return `a - b`b - a`;"),
            m.Mutant("3", "a.cpp", 1, 1, "k = `1`2`;"),
        ]
        together, alone = run.variants_of("a.cpp", source, mutants)
        self.assertEqual((alone.mutants, together.mutants), (mutants[2:], mutants[:2]))
        self.assertEqual(self.prints(alone, None), "4")
        self.assertEqual([self.prints(together, n) for n in (None, 0, 1)], ["3", "9", "-1"])
        lines = together.text.splitlines()
        for number, mutant in together.lines.items():
            self.assertNotIn("default", lines[number - 1], mutant)

    def prints(self, variants, number):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "a.cpp"
            path.write_text(variants.text, "utf-8")
            command = ["c++", "-std=c++20", "-w", path, "-o", path.with_suffix("")]
            subprocess.run(command, check=True)
            environment = {} if number is None else {"POSETAPE_MUTANT": str(number)}
            return subprocess.run(
                [path.with_suffix("")], env=environment, capture_output=True, text=True
            ).stdout


if __name__ == "__main__":
    unittest.main()
