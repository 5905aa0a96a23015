#!/usr/bin/env python3
"""A picture of a report, as the README shows one.

    tools/report/screenshot.py report.html -o picture.png [--sequence NAME] [--frame N]
        [--section poses] [--size 1280x800] [--dark]

Needs Chromium.
"""

import argparse
import json
import pathlib

import browser


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("page")
    parser.add_argument("-o", "--output", required=True, type=pathlib.Path)
    parser.add_argument("--sequence", help="the one to show (default: the first of the list)")
    parser.add_argument("--frame", type=int, default=1, help="counted from 1")
    parser.add_argument("--section", help="scroll to this section")
    parser.add_argument("--size", default="1280x800")
    parser.add_argument("--dark", action="store_true")
    options = parser.parse_args()

    width, height = map(int, options.size.split("x"))
    with browser.Browser(width, height) as page:
        page.theme("dark" if options.dark else "light")
        page.open(options.page)
        page.run(
            f"""(() => {{
              const names = [...document.querySelectorAll("#list .name")];
              const name = {json.dumps(options.sequence)};
              if (name) names.find((e) => e.textContent === name).closest("button").click();
              const scrub = document.getElementById("scrub");
              scrub.value = {options.frame - 1};
              scrub.dispatchEvent(new Event("input"));
              document.getElementById({json.dumps(options.section)})?.scrollIntoView();
            }})()"""
        )
        options.output.write_bytes(page.screenshot())
        assert not page.problems, page.problems


main()
