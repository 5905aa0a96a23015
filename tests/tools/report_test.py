#!/usr/bin/env python3
"""The report as its reader meets it: report_test.py PATH_OF_POSETAPE

Makes a small dataset, lets `posetape report` make pages of it and uses them in a headless Chromium:
they load without a complaint and without a network, play, scrub, switch, and show what they should.
Without Chromium the test is skipped (exit code 77).
"""

import array
import base64
import json
import math
import os
import random
import re
import struct
import subprocess
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tools" / "report"))
import browser  # noqa: E402

POSETAPE = None
WORK = None

# Hip, right leg, left leg, spine to head, left arm, right arm; metres, y down.
REST = [
    (0, 0, 0), (-0.13, 0, 0), (-0.13, 0.44, 0.02), (-0.13, 0.88, 0.05), (0.13, 0, 0),
    (0.13, 0.44, 0.02), (0.13, 0.88, 0.05), (0, -0.24, 0), (0, -0.49, 0), (0, -0.6, -0.03),
    (0, -0.72, 0), (0.17, -0.46, 0), (0.3, -0.2, 0), (0.36, 0.04, -0.05), (-0.17, -0.46, 0),
    (-0.3, -0.2, 0), (-0.36, 0.04, -0.05),
]  # fmt: skip
HOSTILE = 'P3/</script><b>"bold"&\'é 你好\'/1'
# Mean errors of base and refined in mm, by sequence: gains of 30 and 10, losses of 20 and 5.
ERRORS = {
    "P1/walk/0": (60, 30),
    "P1/walk/1": (40, 60),
    "P2/sit down/0": (50, 40),
    HOSTILE: (20, 25),
}


def truth(frame, fps):
    """A swing, and 2 cm that no other joint tells of."""
    swing = math.sin(2 * math.pi * frame / fps)
    draw = random.Random(-1 - frame)
    pose = [(0, 0, 0)]
    for x, y, z in REST[1:]:
        side = 1 if x > 0 else -1
        place = (x + 0.1 * swing * abs(y), y, z + 0.3 * swing * y * side)
        pose.append(tuple(p + draw.gauss(0, 0.02) for p in place))
    return pose


def moved(pose, mm, seed):
    """Every joint but the hip away in some direction, so that the mean over all joints is `mm`."""
    far = mm / 1000 * 17 / 16
    draw = random.Random(seed)
    points = [pose[0]]
    for point in pose[1:]:
        way = [draw.gauss(0, 1) for _ in range(3)]
        length = math.hypot(*way)
        points.append(tuple(p + far * w / length for p, w in zip(point, way)))
    return points


def npy(values, shape, kind="f4"):
    header = f"{{'descr': '{'|' if kind == 'u1' else '<'}{kind}', 'fortran_order': False, 'shape': {tuple(shape)}, }}"
    header += " " * (-(11 + len(header)) % 64) + "\n"
    data = array.array({"f4": "f", "i4": "i", "f8": "d", "u1": "B"}[kind], values).tobytes()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data


def flat(poses):
    return [value for pose in poses for point in pose for value in point]


def write_dataset(path, errors, frames=60, fps=50, without=(), std=None):
    draw = random.Random(1)
    with zipfile.ZipFile(path, "w") as file:
        for name, (base, refined) in errors.items():
            poses = [truth(f, fps) for f in range(frames)]
            shifted = [[(x + 1, y, z + 5) for x, y, z in pose] for pose in poses]
            fields = {
                "pose_2d": [
                    [(750 + 250 * x + draw.gauss(0, 8), 480 + 250 * y + draw.gauss(0, 8))
                     for x, y, _ in p] for p in poses
                ],
                "pose_3d": shifted,
                "noisy_3d": [moved(p, base, f) for f, p in enumerate(poses)],
                "refined_3d": [moved(p, refined, -1 - f) for f, p in enumerate(poses)],
            }
            if std:
                fields["refined_std"] = [[(std, std, 3 * std)] * 17] * frames
            for field, values in fields.items():
                if field in without:
                    continue
                width = len(values[0][0])
                file.writestr(f"{name}/{field}.npy", npy(flat(values), (frames, 17, width)))
            file.writestr(f"{name}/image_size.npy", npy([1000, 1000], (2,), "i4"))
            file.writestr(f"{name}/fps.npy", npy([fps], ()))


def write_inspection(path, **other):
    """Like a file of `posetape inspect`. `other`: (values, shape) instead of what is there, by the
    end of the name with _ for dots."""
    frames, heads, window = 18, 2, 9
    write_dataset(path, {"P1/walk/0": (60, 30)}, frames)
    space = [1 - 0.5 * (key == 3) for _ in range(17) for key in range(17)]
    arrays = {"schedule.alpha_bar": ([1, 0.5, 0.01], (3,))}
    for step, t in ((1, 2), (2, 1)):
        shape = (frames, 17, 3)
        arrays |= {
            f"step.{step}.t": ([t], ()),
            f"step.{step}.x_k": (flat(moved(truth(f, 50), 60, f) for f in range(frames)), shape),
            f"step.{step}.x_hat": (flat(truth(f, 50) for f in range(frames)), shape),
            f"step.{step}.blocks.0.stc1.space.attention": (space * heads, (heads, 17, 17)),
            f"step.{step}.blocks.0.stc1.time.attention": (
                [1 / window] * (heads * window**2), (heads, window, window),
            ),
        }  # fmt: skip
    with zipfile.ZipFile(path, "a") as file:
        for name, (values, shape) in arrays.items():
            for end, instead in other.items():
                if name.replace(".", "_").endswith(end):
                    values, shape = instead
            file.writestr(f"{name}.npy", npy(values, shape, "f8"))


def report(*arguments, expect=0):
    """Runs `posetape report` and returns the page's path, or its one line of complaint."""
    page = WORK / "report.html"
    page.unlink(missing_ok=True)
    done = subprocess.run(
        [POSETAPE, "report", *map(str, arguments), "-o", str(page)],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == expect, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
    if expect == 0:
        return page
    assert not page.exists() and len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr.strip()


def run(*arguments):
    done = subprocess.run([POSETAPE, *map(str, arguments)], capture_output=True, text=True, cwd=WORK,
                          timeout=300)
    assert done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def data_of(page):
    text = page.read_text("utf-8")
    return json.loads(re.search(r'<script type="application/json"[^>]*>(.*?)</script>', text)[1])


def decoded(text, width, unit):
    """What tools/report/encoding.hpp says, a second time."""
    values, last, number, shift = [], [0] * width, 0, 0
    for byte in base64.b64decode(text):
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            place = len(values) % width
            last[place] += number >> 1 if number % 2 == 0 else -(number + 1) // 2
            values.append(last[place] * unit)
            number = shift = 0
    return values


def near(colour, other, within=12):
    return all(abs(a - b) <= within for a, b in zip(colour, other))


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dataset = WORK / "refined.npz"
        write_dataset(cls.dataset, ERRORS)
        cls.browser = browser.Browser().__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.browser.__exit__()

    def open(self, *arguments, width=1280, height=900, touch=False):
        self.browser.problems.clear()
        self.browser.resize(width, height, touch=touch)
        self.browser.open(report(*arguments))

    def tearDown(self):
        self.assertEqual(self.browser.problems, [])

    def text(self, selector):
        return self.browser.run(f"document.querySelector({json.dumps(selector)}).textContent")

    def names(self):
        return self.browser.run(
            "[...document.querySelectorAll('#list .name')].map((e) => e.textContent)"
        )

    def frame(self):
        return int(re.search(r"(\d+) of", self.text("#time"))[1])

    def colour(self, name):
        text = self.browser.run(
            f"getComputedStyle(document.documentElement).getPropertyValue('--{name}')"
        )
        return tuple(bytes.fromhex(text.strip()[1:]))

    def picture(self, selector="#view"):
        """How many pixels of an element are of each colour."""
        self.browser.center(selector)  # what is not seen is not drawn
        self.browser.frames()
        _, _, rows, channels = browser.pixels(self.browser.screenshot(selector))
        counts = {}
        for row in rows:
            for x in range(0, len(row), channels):
                colour = row[x : x + 3]
                counts[colour] = counts.get(colour, 0) + 1
        return counts

    def drawing(self):
        """What the 3D view has drawn, to be compared."""
        self.browser.frames()
        return hash(self.browser.run("document.getElementById('view').toDataURL()"))

    def skeletons(self, selector="#view"):
        """Which of the three skeletons an element shows."""
        counts = self.picture(selector)
        shown = set()
        for name in ("truth", "base", "refined"):
            colour = self.colour(name)
            if sum(n for c, n in counts.items() if near(colour, c)) > 60:
                shown.add(name)
        return shown

    def test_shows_and_hides_the_skeletons(self):
        self.open(self.dataset)
        self.assertEqual(self.skeletons(), {"truth", "base", "refined"})
        self.browser.click("#legend button:nth-child(1)")
        self.assertEqual(self.skeletons(), {"base", "refined"})
        self.browser.key("2")
        self.assertEqual(self.skeletons(), {"refined"})
        self.assertEqual(self.skeletons("#curve"), {"base", "refined"})

    def test_shows_how_sure_the_poses_are(self):
        path = WORK / "sure.npz"
        write_dataset(path, ERRORS, std=0.02)
        self.open(path)
        self.browser.click("#std")
        without = self.drawing()
        self.browser.key("4")
        self.assertNotEqual(self.drawing(), without)
        self.browser.key("4")
        self.assertEqual(self.drawing(), without)
        # moved() errs by as much in all directions, so that most lie in the depth's larger region.
        inside = data_of(WORK / "report.html")["scores"]["uncertainty"]["inside_percent"]["All"]
        self.assertGreater(inside["depth"][1], 95)
        self.assertTrue(50 < inside["image plane"][1] < 95)
        self.assertIn(f"{inside['image plane'][1]:.1f}", self.text("#coverage-joints tfoot"))
        self.assertIn("image plane: deviations 20.0 mm", self.text("#coverage"))
        self.open(self.dataset)
        self.assertTrue(self.browser.run("document.getElementById('std').hidden"))
        self.assertTrue(self.browser.run("document.getElementById('sure').hidden"))

    def test_joints_that_nobody_saw_are_faint(self):
        with zipfile.ZipFile(self.dataset) as file, zipfile.ZipFile(WORK / "seen.npz", "w") as copy:
            for name in file.namelist():
                copy.writestr(name, file.read(name))
            sure = [0.9] * (60 * 17)
            for f in range(60):
                sure[f * 17 + 3] = 0  # right foot
                if 20 <= f < 40:
                    sure[f * 17 + 13] = 0
            copy.writestr("P1/walk/0/confidence.npy", npy(sure, (60, 17)))
        page = report(WORK / "seen.npz", "--sequences", "P1/walk/0")
        guessed = data_of(page)["sequences"][0]["guessed"]
        self.assertEqual(guessed[3], [0, 60])
        self.assertEqual(guessed[13], [20, 40])
        self.assertEqual(guessed[12], [])
        self.open(WORK / "seen.npz", "--sequences", "P1/walk/0")
        self.assertIn("Faint: joints that nobody saw (7.8 %)", self.text("#crop"))
        faint = self.picture("#image")
        self.open(self.dataset, "--sequences", "P1/walk/0")
        self.assertNotIn("Faint", self.text("#crop"))
        seen = self.picture("#image")
        text = self.colour("text")
        dark = [sum(n for c, n in counts.items() if near(text, c)) for counts in (faint, seen)]
        self.assertLess(dark[0], 0.98 * dark[1])

    def test_plays_and_scrubs(self):
        self.open(self.dataset)
        self.assertEqual(self.frame(), 1)
        self.browser.key(" ")
        self.browser.frames(12)
        self.browser.click("#play")
        played = self.frame()
        self.assertGreater(played, 1)
        self.browser.frames(10)
        self.assertEqual(self.frame(), played)
        self.browser.key(".")
        self.assertEqual(self.frame(), played + 1)
        self.browser.click("#back")
        self.assertEqual(self.frame(), played)
        before = self.drawing()
        self.browser.click("#scrub")  # its middle
        self.assertAlmostEqual(self.frame(), 30, delta=2)
        self.assertNotEqual(self.drawing(), before)
        # The curve and the heat map are linked with it, and choose joints.
        self.browser.click("#curve canvas")
        self.assertIn("Base 40.0 mm · Refined 60.0 mm", self.text("#now"))
        self.browser.click("#joints canvas")
        self.assertEqual(self.browser.run("document.getElementById('joint').value"), "9")
        self.assertAlmostEqual(self.frame(), 30, delta=2)
        base = float(re.search(r"Base ([\d.]+) mm", self.text("#now"))[1])
        self.assertAlmostEqual(base, 40 * 17 / 16, delta=0.2)  # rounded to 0.125 mm a coordinate

    def test_turns_and_zooms(self):
        self.open(self.dataset)
        drawings = [self.drawing()]
        self.browser.drag("#view", 80, 10)
        drawings.append(self.drawing())
        self.browser.key("+")  # the drag has given the view the focus
        drawings.append(self.drawing())
        self.browser.key("0")
        drawings.append(self.drawing())
        self.browser.click("#front")
        self.assertEqual(drawings[-1], self.drawing())
        self.assertEqual(len(set(drawings)), len(drawings))

    def test_chooses_sequences(self):
        self.open(self.dataset)
        by_gain = ["P1/walk/0", "P2/sit down/0", HOSTILE, "P1/walk/1"]
        self.assertEqual(self.names(), by_gain[::-1])  # the worst first, and open
        self.assertIn("Base 40.0 mm · Refined 60.0 mm", self.text("#now"))
        self.choose("order", "gain")
        self.assertEqual(self.names(), by_gain)
        self.browser.click("#list li:nth-child(1) button")
        self.assertIn("Base 60.0 mm · Refined 30.0 mm", self.text("#now"))
        self.browser.click("#search")
        for letter in "sit":
            self.browser.key(letter)
        self.assertEqual(self.names(), ["P2/sit down/0"])

    def test_lists_all_also_those_without_poses(self):
        self.open(self.dataset, "--worst", "--limit", "2")
        self.assertEqual(self.names(), ["P1/walk/1", HOSTILE, "P2/sit down/0", "P1/walk/0"])
        self.assertIn("of 2 figures alone", self.text("#found"))
        open_ones = "[...document.querySelectorAll('#list button:enabled .name')].map((e) => e.textContent)"
        self.assertEqual(self.browser.run(open_ones), ["P1/walk/1", HOSTILE])
        self.choose("order", "gain")  # the first with poses is the third of the list
        self.browser.key("p")
        self.assertIn("Base 20.0 mm · Refined 25.0 mm", self.text("#now"))

    def test_left_is_paler(self):
        self.open(self.dataset)
        panel, text = self.colour("panel"), self.colour("text")
        pale = tuple(round((a + b) / 2) for a, b in zip(panel, text))
        counts = self.picture("#image")
        for colour in (text, pale):
            self.assertGreater(sum(n for c, n in counts.items() if near(colour, c, 3)), 60)

    def drawn(self):
        """Whether each canvas that has a place on the page has anything on it."""
        return self.browser.run(
            "Object.fromEntries([...document.querySelectorAll('canvas')]"
            ".filter((c) => c.clientWidth > 0).map((c) => {"
            " const empty = Object.assign(document.createElement('canvas'),"
            " {width: c.width, height: c.height});"
            " return [c.parentNode.id || c.id || c.parentNode.parentNode.id,"
            " c.toDataURL() !== empty.toDataURL()]; }))"
        )

    def test_all_of_it_is_drawn_where_it_is_printed_or_photographed(self):
        self.open(self.dataset, height=500)
        top = self.browser.run("document.getElementById('histogram').getBoundingClientRect().top")
        self.assertGreater(top, 1000)  # far below what is seen
        self.browser.send("Page.printToPDF")
        drawn = self.drawn()
        self.assertGreater(len(drawn), 4)
        self.assertTrue(all(drawn.values()), drawn)
        self.browser.open(report(self.dataset))
        self.browser.run("new Promise((done) => setTimeout(done, 400))")
        self.assertTrue(all(self.drawn().values()), self.drawn())

    def test_light_and_dark(self):
        for system, before, after in (("light", 255, 19), ("dark", 19, 255)):
            self.browser.theme(system)
            self.open(self.dataset)
            back = lambda: self.browser.run("getComputedStyle(document.body).backgroundColor")
            self.assertIn(f"rgb({before}, ", back())
            self.assertEqual(self.skeletons(), {"truth", "base", "refined"})
            self.browser.click("#theme")
            self.assertIn(f"rgb({after}, ", back())
            self.assertEqual(self.skeletons(), {"truth", "base", "refined"})
        self.browser.theme("light")

    def test_narrow_and_touch(self):
        self.open(self.dataset, width=360, height=740, touch=True)
        self.assertLessEqual(self.browser.run("document.documentElement.scrollWidth"), 360)
        before = self.drawing()
        self.browser.touch_drag("#view", 60, 0)
        self.assertNotEqual(self.drawing(), before)
        self.assertEqual(self.skeletons(), {"truth", "base", "refined"})

    def test_columns_that_matter_fit_a_telephone(self):
        self.open(self.dataset, width=390, height=740, touch=True)
        for table in ("#metrics", "#actions", "#by-joint"):
            heads, right, holder = self.browser.run(
                f"(() => {{ const heads = [...document.querySelectorAll('{table} thead th')]"
                ".filter((e) => e.offsetWidth > 0); return [heads.map((e) => e.textContent),"
                " heads.at(-1).getBoundingClientRect().right,"
                f" document.querySelector('{table} .scroll').getBoundingClientRect().right]; }})()"
            )
            self.assertEqual((heads[-1], len(heads)), ("change", 4))
            self.assertLessEqual(right, holder + 1)
            self.assertLessEqual(holder, 390)

    def test_without_refined_or_truth(self):
        path = WORK / "part.npz"
        write_dataset(path, ERRORS, without=["refined_3d"])
        self.open(path)
        self.assertEqual(self.skeletons(), {"truth", "base"})
        write_dataset(path, ERRORS, without=["pose_3d"])
        self.open(path)
        self.assertEqual(self.skeletons(), {"base", "refined"})
        self.assertTrue(self.browser.run("document.getElementById('tables').hidden"))
        # What can be judged all the same.
        self.assertEqual(self.options("measure"), [
            "Distance from the base (mm)", "Jitter (mm/frame²)", "Bone length off its median (mm)",
            "Distance from the 2D input (px)"])
        clip = data_of(report(path))["clips"][0]
        self.assertEqual(clip["name"], "P1/walk/0")
        base, refined = (
            [moved(truth(f, 50), mm, f if mm == 60 else -1 - f) for f in range(60)]
            for mm in ERRORS["P1/walk/0"]
        )  # fmt: skip
        apart = [math.dist(a, b) for p, q in zip(base, refined) for a, b in zip(p, q)]
        self.assertAlmostEqual(clip["moved_mm"], 1000 * sum(apart) / len(apart), delta=0.01)
        seconds = [
            math.dist([a + c - 2 * b for a, b, c in zip(*points)], (0, 0, 0))
            for poses in zip(base, base[1:], base[2:]) for points in list(zip(*poses))[1:]
        ]  # fmt: skip
        self.assertAlmostEqual(clip["quality"]["base"]["jitter"],
                               1000 * sum(seconds) / len(seconds), delta=0.1)
        row = "#quality-table tbody tr"
        self.assertIn(f"{clip['moved_mm']:.1f}", self.text(row))
        self.choose("order", "moved")
        self.assertEqual(self.names()[0], max(
            data_of(report(path))["clips"], key=lambda c: c["moved_mm"])["name"])
        for measure, unit in (("moved", "mm"), ("jitter", "mm/frame²"), ("bones", "mm"),
                              ("screen", "px")):
            self.choose("measure", measure)
            self.assertRegex(self.text("#now"), rf"Refined [\d.]+ {unit}$")
            self.assertTrue(self.has("#curve", "refined"))

    def test_tables(self):
        self.open(self.dataset)
        self.assertRegex(self.text("#metrics tbody tr"), r"MPJPE \(mm\)40\.0036\.67−3\.33")
        rows = "[...document.querySelectorAll('#actions tbody th')].map((e) => e.textContent)"
        actions = ["</script><b>\"bold\"&'é", "sit", "walk"]
        self.assertEqual(self.browser.run(rows), actions)
        self.browser.click("#actions thead th:nth-child(5) button")  # refined, the largest first
        self.assertEqual(self.browser.run(rows), ["walk", "sit", actions[0]])
        self.assertIn("−", self.text("#summary"))
        self.assertEqual(self.skeletons("#histogram"), {"base", "refined"})

    def choose(self, select, value):
        self.browser.run(
            f"(() => {{ const s = document.getElementById({json.dumps(select)});"
            f" s.value = {json.dumps(value)}; s.dispatchEvent(new Event('change')); }})()"
        )
        self.browser.frames()

    def options(self, select):
        return self.browser.run(
            f"[...document.getElementById({json.dumps(select)}).options].map((o) => o.textContent)"
        )

    def has(self, selector, name):
        """Whether an element shows a colour of the style sheet."""
        colour = self.colour(name)
        return sum(n for c, n in self.picture(selector).items() if near(colour, c)) > 60

    def test_inside_a_refiner(self):
        refiner = WORK / "refiner.safetensors"
        train = "--frames 9 --width 16 --depth 2 --heads 2 --epochs 1 --batch 4".split()
        subprocess.run(
            [POSETAPE, "train", "refiner", str(self.dataset), "-o", str(refiner), *train],
            check=True, capture_output=True, timeout=300,
        )  # fmt: skip
        self.open(self.dataset, refiner, "--steps", "3", height=1100)
        # Each of three steps: the state, the estimate, the truth; the first state is the base.
        captions = self.browser.run(
            "[...document.querySelectorAll('#path-views figcaption')].map((e) => e.textContent)"
        )
        self.assertRegex(captions[0], r"Step 1, t = 50: x_t (59\.9|60\.\d) → x̂₀ [\d.]+ mm")
        self.assertRegex(captions[2], r"Step 3, t = 17")
        self.assertEqual(self.skeletons("#path-views canvas"), {"truth", "refined"})
        self.assertTrue(self.has("#schedule", "base"))
        self.assertTrue(self.has("#progress", "refined"))
        self.choose("path-field", "change")
        # Attention of both modules of both blocks, by step, head and frame.
        self.assertEqual(self.options("att-step"), ["1, t = 50", "2, t = 33", "3, t = 17"])
        self.assertEqual(
            self.options("att-block"),
            ["blocks.0.stc1", "blocks.0.stc2", "blocks.1.stc1", "blocks.1.stc2"],
        )
        self.assertEqual(self.options("att-head"), ["mean of all", "head 1", "head 2"])
        self.assertEqual(len(self.options("att-frame")), 1 + 9)
        seen = set()
        for select, value in (("att-step", 2), ("att-block", 3), ("att-head", 1), ("att-frame", 4)):
            self.choose(select, value)
            self.browser.center("#space")
            self.browser.frames()
            seen.add(self.browser.run("document.querySelector('#space canvas').toDataURL()"))
        self.assertEqual(len(seen), 4)
        self.assertTrue(self.has("#attention-view", "extra"))
        # The noise: what was fitted, and real errors against it.
        self.assertIn("240 frames of this dataset", self.text("#noise-about"))
        self.assertTrue(self.has("#noise-view", "truth"))
        self.assertTrue(self.has("#drawn", "extra"))
        self.assertTrue(self.has("#calibration", "truth"))
        self.assertTrue(self.has("#spectrum", "refined"))
        self.assertTrue(self.has("#correlation", "extra"))
        self.look_at_its_parts(refiner)

    def look_at_its_parts(self, refiner):
        path = WORK / "study.npz"
        subprocess.run(
            [POSETAPE, "inspect", str(refiner), str(self.dataset), "--sequence", "P1/walk/0", "-o",
             str(path), "--ablate", "zero", "--lens", "--saliency", "RWrist:20"],
            check=True, capture_output=True, timeout=300,
        )  # fmt: skip
        self.open(path, height=1100)
        data = data_of(WORK / "report.html")
        ablation = data["ablation"]
        worth = {part: sum(errors) - sum(ablation["whole"])
                 for part, errors in zip(ablation["parts"], ablation["error"])}
        self.assertEqual(len(worth), 2 * (8 + 4 + 1))
        for kind, of_kind in (
            ("all", lambda part: True), ("space", lambda part: ".space." in part),
            ("module", lambda part: "head" not in part),
        ):  # fmt: skip
            self.choose("ablation-kind", kind)
            most = max((w, part) for part, w in worth.items() if of_kind(part))
            text = self.text("#ablation-most")
            self.assertIn(f"worth most: {most[1]}, ", text)
            shown = float(text.split(", ")[1].removesuffix(" mm").replace("−", "-"))
            self.assertAlmostEqual(shown, most[0] / 17, delta=0.01)
        self.choose("ablation-kind", "all")
        by_place = self.browser.run("document.querySelector('#ablation-map canvas').toDataURL()")
        self.choose("ablation-order", "worth")
        self.assertTrue(self.has("#ablation-map", "worse") or self.has("#ablation-map", "better"))
        self.assertNotEqual(
            self.browser.run("document.querySelector('#ablation-map canvas').toDataURL()"), by_place)
        # The lens: the wrist over steps and blocks, and all joints.
        self.assertEqual(len(self.options("lens-joint")), 18)
        self.assertEqual(len(data["lens"]["error"]), 2)
        self.assertEqual(data["lens"]["streams"], ["input", "blocks.0", "blocks.1"])
        self.choose("lens-joint", 16)
        self.choose("lens-field", "error")
        for selector in ("#lens-curve", "#lens-map", "#saliency-noisy", "#saliency-screen"):
            self.assertGreater(len(self.picture(selector)), 20, selector)
        self.assertIn("RWrist in frame 20", self.text("#saliency-about"))
        for kind in ("noisy", "screen"):
            self.assertEqual(len(data["saliency"][kind]), 17 * data["saliency"]["frames"])

    def lifted_clip(self, lifter):
        """Of a person whom no training saw: CMU's where POSETAPE_CMU says where it is, else generated."""
        film = "--joints keypoints --detector openpose".split()
        source = ["synthetic", "--people", "1", "--takes", "1", "--seconds", "1", "--cameras", "random"]
        if "POSETAPE_CMU" in os.environ:
            person = WORK / "cmu" / "127"
            person.mkdir(parents=True)
            for name in ("127.asf", "127_31.amc"):
                (person / name).symlink_to(Path(os.environ["POSETAPE_CMU"]).resolve() / "127" / name)
            source = ["cmu", str(person.parent), "--cameras", "random:1"]
        run("prepare", *source, "-o", "clip.npz", *film)
        run("lift", lifter, "clip.npz", "-o", "lifted.npz")
        return "lifted.npz"

    def test_ablation_of_a_trained_refiner(self):
        weights = Path(__file__).parents[2] / "model" / "weights"
        clip = self.lifted_clip(weights / "small_lifter.safetensors")
        inspect = lambda *options: run("inspect", weights / "small_refiner.safetensors", clip, *options)
        inspect("--ablate", "mean", "-o", "study.npz")
        self.open(WORK / "study.npz", height=1100)
        whole = float(re.search(r"MPJPE ([\d.]+) mm", self.text("#ablation-about"))[1])
        for kind in ("time", "space"):
            self.choose("ablation-kind", kind)
            self.choose("ablation-order", "worth")
            head, change = re.search(r"worth most: (.*), \+([\d.]+) mm", self.text("#ablation-most")).groups()
            # Some heads of a trained network help, and some harm.
            self.assertGreater(float(change), 0.5)
            self.assertTrue(self.has("#ablation-map", "worse") and self.has("#ablation-map", "better"))
            # What the page says of a head is what a pass without it gives.
            name = head.replace(f".{kind}.", f".{kind}.attention.")
            without = inspect("--patch", f"{name}=mean", "--tap", "refined", "-o", "without.npz")
            error = float(re.search(r"MPJPE [\d.]+ -> ([\d.]+) mm", without)[1])
            self.assertAlmostEqual(error - whole, float(change), delta=0.07)

    def test_inspection(self):
        path = WORK / "taps.npz"
        write_inspection(path)
        self.open(path)
        self.assertEqual(self.options("att-step"), ["1, t = 2", "2, t = 1"])
        self.assertEqual(self.options("att-frame"), ["mean of all"])
        views = self.browser.run("document.querySelectorAll('#path-views canvas').length")
        self.assertEqual(views, 2)
        self.assertRegex(self.text("#path-views"), r"Step 2, t = 1: .* → x̂₀ 0\.\d mm")

    def test_training(self):
        log = WORK / "refiner.log.jsonl"
        log.write_text(self.log("fold 1/2", 30) + self.log("full", 20))
        self.open(log)
        self.assertEqual(self.text("#run"), "fold 1/2full")
        self.assertIn("poses and errors", self.text("#absent"))
        self.assertIn("best, epoch 2: 28.00 mm", self.text("#training-charts"))
        self.choose("run", 1)
        self.assertIn("best, epoch 2: 18.00 mm", self.text("#training-charts"))
        self.assertIn("blocks.0", self.text("#training-charts"))
        self.assertIn("refined", self.skeletons("#training-charts"))

    def log(self, model, start):
        lines = [{"event": "start"}]
        for epoch in range(3):
            lines.append({
                "model": model, "epoch": epoch + 1, "lr": 1e-3 * 0.96**epoch,
                "loss": 1 / (epoch + 1), "validation_mm": start - epoch * (3 - epoch), "best": epoch < 2, "seconds": 2.5,
                "gradient_norms": {"blocks.0": 0.1 * (epoch + 1), "blocks.1": 0.3},
            })  # fmt: skip
        return "".join(json.dumps(line) + "\n" for line in lines)


class Data(unittest.TestCase):
    def test_precision_and_size(self):
        path = WORK / "four.npz"
        frames = 2000
        write_dataset(path, {f"S9/Walking {i}/0": (50, 40) for i in range(4)}, frames)
        page = report(path)
        self.assertLess(page.stat().st_size, 5e6)
        data = data_of(page)
        for sequence in data["sequences"]:
            poses = [truth(f, 50) for f in range(frames)]
            for field, error in (("truth", 0), ("base", 50), ("refined", 40)):
                exact = flat(
                    moved(p, error, -1 - f if field == "refined" else f)
                    for f, p in enumerate(poses)
                )
                stored = decoded(sequence[field], 51, data["units"]["pose_m"])
                self.assertEqual(len(stored), len(exact))
                worst = max(abs(a - b) for a, b in zip(exact, stored))
                self.assertLess(worst, 0.000125 + 1e-6)

    def test_refuses_inspections(self):
        path = WORK / "bad.npz"
        for name, values, shape, words in (
            ("1_t", [3], (), "'step.1.t': is 3, but the schedule ends at 2"),
            ("x_k", [0] * 51, (1, 17, 3), "is of shape (1, 17, 3), expected (18, 17, 3)"),
            ("space_attention", [1] * 17, (17,), "expected (heads, 17, 17)"),
            ("time_attention", [1] * 6, (1, 2, 3), "expected (heads, frames, frames)"),
            ("alpha_bar", [2], (1,), "is no noise schedule"),
        ):
            write_inspection(path, **{name: (values, shape)})
            self.assertIn(words, report(path, expect=1))

    def test_refuses(self):
        path = WORK / "refined.npz"
        write_dataset(path, ERRORS)
        self.assertIn("no sequence 'P9/x/0'", report(path, "--sequences", "P9/x/0", expect=1))
        self.assertIn("second dataset", report(path, path, expect=1))
        log = WORK / "bad.log.jsonl"
        log.write_text('{"epoch": 1, "loss": 2}\nnonsense\n')
        self.assertIn("line 2 is not JSON: nonsense", report(log, expect=1))
        log.write_text('{"event": "start"}\n')
        self.assertIn("no line of an epoch", report(log, expect=1))
        self.assertIn("no-such.npz", report(WORK / "no-such.npz", expect=1))

    def test_refuses_studies(self):
        path = WORK / "bad.npz"
        write_inspection(path)
        for about, arrays, words in (
            ({"lens": {}}, {}, "its metadata has no timesteps"),
            ({"ablation": {"parts": ["a"]}}, {}, "its metadata has no ablation substitute"),
            ({"ablation": {"parts": ["a"], "substitute": "zero"}},
             {"ablation.whole_mm": [17], "ablation.error_mm": [2, 17]},
             "is of shape (2, 17), expected (1, 17)"),
            ({"saliency": {"joint": "Hip", "frame": 1, "first_frame": 0}},
             {"saliency.pose_2d": [3, 4, 17]}, "expected (3, frames, 17, 2 or 3)"),
        ):  # fmt: skip
            write_inspection(path)
            with zipfile.ZipFile(path, "a") as file:
                text = list(json.dumps({"inspect": about}).encode())
                file.writestr("metadata.npy", npy(text, (len(text),), "u1"))
                for name, shape in arrays.items():
                    file.writestr(f"{name}.npy", npy([0] * math.prod(shape), shape))
            self.assertIn(words, report(path, expect=1))


if __name__ == "__main__":
    if browser.find() is None:
        print("Chromium is missing: install chromium")
        sys.exit(77)
    POSETAPE = str(Path(sys.argv.pop(1)).resolve())
    with tempfile.TemporaryDirectory() as folder:
        WORK = Path(folder)
        unittest.main(verbosity=2)
