#!/usr/bin/env python3
"""Puts the report's page into C++ source: embed.py page.html style.css SCRIPT.js... OUTPUT

The scripts are joined in the order given. What comes before and after the place of the data becomes
kPageHead and kPageTail (tools/report/page.hpp).
"""

import pathlib
import sys

DELIMITER = "page"


def literal(text):
    assert f'){DELIMITER}"' not in text, "the page contains the end of its own raw string"
    return f'R"{DELIMITER}({text}){DELIMITER}"'


def main():
    page, style, *scripts, output = map(pathlib.Path, sys.argv[1:])
    script = "\n".join(path.read_text("utf-8") for path in scripts)
    assert "</script" not in script, "a script would end at its own </script"
    text = page.read_text("utf-8")
    text = text.replace("{{style}}", style.read_text("utf-8")).replace("{{script}}", script)
    head, tail = text.split("{{data}}")
    output.write_text(
        '#include "tools/report/page.hpp"\n\n'
        "namespace posetape::tools::report {\n\n"
        f"const char* const kPageHead = {literal(head)};\n"
        f"const char* const kPageTail = {literal(tail)};\n\n"
        "}  // namespace posetape::tools::report\n",
        "utf-8",
    )


main()
