"""Adds up a meson test log: python3 tools/test_summary.py build/meson-logs/testlog.json [--failed]

Prints what failed or was skipped, and at last "N passed, M failed". A doctest program counts by its
test cases, a script as one test. Exits with 1 where anything failed or nothing ran. With --failed,
it prints the end of what each failed test had to say, and nothing else.
"""

import json
import re
import sys

CASES = re.compile(
    r"^\[doctest\] test cases: *\d+ *\| *(\d+) passed *\| *(\d+) failed", re.MULTILINE
)


def count(test):
    """(passed, failed, remark) of one record of the log."""
    name, result = test["name"], test["result"]
    good = result in ("OK", "EXPECTEDFAIL")
    cases = CASES.search(test.get("stdout") or "")
    if cases is None:
        if result == "SKIP":
            return 0, 0, f"{name}: skipped"
        return (1, 0, None) if good else (0, 1, f"{name}: {result.lower()}")
    passed, failed = int(cases[1]), int(cases[2])
    if failed == 0 and not good:
        # A crash, a timeout or a sanitizer's report outside of any test case.
        return passed, 1, f"{name}: {result.lower()} after its test cases passed"
    if passed + failed == 0:
        return 0, 1, f"{name}: has no test cases"
    return passed, failed, f"{name}: {failed} test cases failed" if failed else None


def print_failed(tests, lines=30):
    for test in tests:
        _, failed, remark = count(test)
        if failed == 0:
            continue
        said = f"{test.get('stdout') or ''}\n{test.get('stderr') or ''}".strip().splitlines()
        # Of a doctest program, what is about errors stands anywhere.
        wrong = [i for i, line in enumerate(said) if "ERROR:" in line]
        first = max(0, wrong[0] - 3) if wrong else max(0, len(said) - lines)
        print("\n".join([f"-- {remark}", *said[first : first + lines]]))


def main(path, only_failed=False):
    with open(path, encoding="utf-8") as log:
        tests = [json.loads(line) for line in log if line.strip()]
    if only_failed:
        print_failed(tests)
        return 0
    results = [count(test) for test in tests]
    passed = sum(r[0] for r in results)
    failed = sum(r[1] for r in results)
    for _, _, remark in results:
        if remark:
            print(remark)
    if passed + failed == 0:
        print("no test has run")
    print(f"{passed} passed, {failed} failed")
    return 0 if failed == 0 and passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], "--failed" in sys.argv))
