"""A headless Chromium, driven over the DevTools protocol with Python's standard library alone.

The protocol's messages go through two pipes (--remote-debugging-pipe), so no port is opened.
"""

import base64
import json
import os
import select
import shutil
import struct
import subprocess
import tempfile
import time
import zlib


def find():
    """The path of Chromium (or Chrome), None where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None)


class Browser:
    """One page in one browser; a context manager. `problems` holds what the page complained of."""

    def __init__(self, width=1280, height=900, timeout=60):
        self.timeout = timeout
        self.number = 0
        self.problems = []
        self.received = b""
        self.session = None
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        child_in, self.out = os.pipe()
        self.incoming, child_out = os.pipe()
        # Descriptors 3 and 4 are the protocol's; a shell moves the pipes there.
        self.process = subprocess.Popen(
            ["sh", "-c", f'exec "$0" "$@" 3<&{child_in} 4>&{child_out}', find(), "--headless=new",
             "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
             "--disable-extensions", "--disable-background-networking", "--hide-scrollbars",
             "--force-color-profile=srgb", f"--window-size={width},{height}",
             f"--user-data-dir={self.profile.name}", "--remote-debugging-pipe", "about:blank"],
            pass_fds=(child_in, child_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(child_in)
        os.close(child_out)
        pages = self.send("Target.getTargets")["targetInfos"]
        target = next(p["targetId"] for p in pages if p["type"] == "page")
        self.session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")
        self.resize(width, height)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)
        os.close(self.out)
        os.close(self.incoming)
        self.profile.cleanup()

    def send(self, method, **parameters):
        """Calls a method of the protocol and returns its result."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        number = self.number
        while True:
            answer = self.receive()
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    def receive(self):
        """The next message. Notes what goes wrong in the page, and whatever it loads."""
        end = time.monotonic() + self.timeout
        while b"\0" not in self.received:
            ready, _, _ = select.select([self.incoming], [], [], max(0, end - time.monotonic()))
            data = os.read(self.incoming, 1 << 20) if ready else b""
            if not data:
                raise TimeoutError("the browser did not answer")
            self.received += data
        text, self.received = self.received.split(b"\0", 1)
        message = json.loads(text)
        details = message.get("params", {})
        match message.get("method"):
            case "Runtime.exceptionThrown":
                self.problems.append(json.dumps(details["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if details["type"] in ("error", "warning", "assert"):
                self.problems.append(json.dumps(details["args"]))
            case "Log.entryAdded" if details["entry"]["level"] in ("error", "warning"):
                self.problems.append(details["entry"]["text"])
            case "Network.requestWillBeSent":
                url = details["request"]["url"]
                if not url.startswith(("file:", "data:")):
                    self.problems.append(f"asks the network for {url}")
        return message

    def open(self, path, hash=""):
        """Opens a file and waits until it is loaded and drawn."""
        self.send("Page.navigate", url=f"file://{os.path.abspath(path)}{hash}")
        while self.receive().get("method") != "Page.loadEventFired":
            pass
        self.frames()

    def resize(self, width, height, scale=1, touch=False):
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=scale, mobile=touch)  # fmt: skip
        self.send("Emulation.setTouchEmulationEnabled", enabled=touch)

    def theme(self, name):
        """What the system prefers: "light" or "dark"."""
        features = [{"name": "prefers-color-scheme", "value": name}]
        self.send("Emulation.setEmulatedMedia", features=features)

    def run(self, script):
        """The value of a JavaScript expression; a promise is waited for."""
        result = self.send("Runtime.evaluate", expression=script, returnByValue=True,
                           awaitPromise=True)  # fmt: skip
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def frames(self, count=3):
        """Lets the page draw."""
        self.run(
            f"(async () => {{ for (let i = 0; i < {count}; ++i)"
            " await new Promise(requestAnimationFrame); })()"
        )

    def center(self, selector):
        """The middle of an element that is scrolled into view."""
        return self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            " e.scrollIntoView({block: 'center', behavior: 'instant'});"
            " const b = e.getBoundingClientRect();"
            " return [b.left + b.width / 2, b.top + b.height / 2]; })()"
        )

    def mouse(self, kind, x, y, buttons=0):
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, buttons=buttons, clickCount=1,
                  button="none" if kind == "mouseMoved" and not buttons else "left")  # fmt: skip

    def click(self, selector):
        self.click_at(*self.center(selector))

    def click_at(self, x, y):
        self.mouse("mouseMoved", x, y)
        self.mouse("mousePressed", x, y, 1)
        self.mouse("mouseReleased", x, y)
        self.frames()

    def drag(self, selector, dx, dy):
        x, y = self.center(selector)
        self.mouse("mouseMoved", x, y)
        self.mouse("mousePressed", x, y, 1)
        for i in range(1, 6):
            self.mouse("mouseMoved", x + dx * i / 5, y + dy * i / 5, 1)
        self.mouse("mouseReleased", x + dx, y + dy)
        self.frames()

    def touch_drag(self, selector, dx, dy):
        x, y = self.center(selector)
        self.send("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        for i in range(1, 6):
            point = {"x": x + dx * i / 5, "y": y + dy * i / 5}
            self.send("Input.dispatchTouchEvent", type="touchMove", touchPoints=[point])
        self.send("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        self.frames()

    def key(self, key):
        text = {"text": key} if len(key) == 1 else {}
        self.send("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self.send("Input.dispatchKeyEvent", type="keyUp", key=key)
        self.frames()

    def screenshot(self, selector=None, whole=False):
        """PNG bytes of what is seen, of an element, or of the whole page."""
        options = {}
        if selector or whole:
            box = self.run(
                f"(() => {{ const b = document.querySelector({json.dumps(selector or 'html')})"
                ".getBoundingClientRect(); return [b.left + scrollX, b.top + scrollY, b.width,"
                " b.height]; })()"
            )
            options["clip"] = dict(zip(("x", "y", "width", "height"), box), scale=1)
            options["captureBeyondViewport"] = True
        self.frames()
        return base64.b64decode(self.send("Page.captureScreenshot", **options)["data"])


def pixels(png):
    """(width, height, rows of bytes, channels) of an 8-bit PNG without interlacing."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at, data, header = 8, b"", None
    while at < len(png):
        size, kind = struct.unpack(">I4s", png[at : at + 8])
        body = png[at + 8 : at + 8 + size]
        if kind == b"IHDR":
            header = struct.unpack(">IIBBBBB", body)
        elif kind == b"IDAT":
            data += body
        at += 12 + size
    width, height, depth, colour, _, _, interlaced = header
    assert depth == 8 and colour in (2, 6) and not interlaced, header
    channels = 3 if colour == 2 else 4
    raw, stride = zlib.decompress(data), width * channels
    rows, above = [], bytearray(stride)
    for y in range(height):
        kind = raw[y * (stride + 1)]
        row = bytearray(raw[y * (stride + 1) + 1 : (y + 1) * (stride + 1)])
        for i in range(stride):
            left = row[i - channels] if i >= channels else 0
            corner = above[i - channels] if i >= channels else 0
            match kind:
                case 1:
                    row[i] = (row[i] + left) & 255
                case 2:
                    row[i] = (row[i] + above[i]) & 255
                case 3:
                    row[i] = (row[i] + (left + above[i]) // 2) & 255
                case 4:
                    row[i] = (row[i] + paeth(left, above[i], corner)) & 255
        rows.append(bytes(row))
        above = row
    return width, height, rows, channels


def paeth(left, above, corner):
    """The predictor of the PNG specification, 9.4."""
    guess = left + above - corner
    return min((abs(guess - left), 0, left), (abs(guess - above), 1, above),
               (abs(guess - corner), 2, corner))[2]  # fmt: skip
