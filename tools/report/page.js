// The data that the page was made of, and small helpers of every section.

const report = JSON.parse(document.getElementById("data").textContent);
const skeleton = report.skeleton;  // names, parents: of the 17 joints
const jointCount = skeleton.names.length;
const byId = (id) => document.getElementById(id);

// An element with attributes (a function is a listener) and children. Text is only ever set as
// text, so that no name from a file can become markup.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

// A list of whole arrays of `width` numbers, as tools/report/coding.hpp writes them: base64 of
// zigzag varints of the differences from one array to the next, in multiples of `unit`.
function decode(text, width, unit) {
  const bytes = atob(text);
  const last = new Int32Array(width);
  const values = [];
  let at = 0;
  for (let i = 0; at < bytes.length; i = (i + 1) % width) {
    let number = 0;
    let byte = 128;
    for (let shift = 0; byte >= 128; shift += 7) {
      byte = bytes.charCodeAt(at++);
      number |= (byte & 127) << shift;
    }
    last[i] += (number >>> 1) ^ -(number & 1);
    values.push(last[i] * unit);
  }
  return Float32Array.from(values);
}

// Values that tools/report/coding.hpp has written in bytes.
function decodeBytes({bytes, low, high}) {
  return Float32Array.from(atob(bytes), (c) => low + c.charCodeAt(0) / 255 * (high - low));
}

const minus = (text) => text.replace("-", "−");
function fixed(value, digits) {
  if (!Number.isFinite(value)) return "–";
  const text = value.toFixed(digits);
  return Number(text) === 0 ? text.replace("-", "") : minus(text);
}
function signed(value, digits) {
  const text = fixed(value, digits);
  return Number.isFinite(value) && value > 0 && Number(text) !== 0 ? `+${text}` : text;
}
const change = (before, after) => 100 * (after - before) / before;

// The theme: the system's until the button says otherwise. Canvases ask for colours by the names
// of style.css.
const themed = [];  // to be called when the colours have changed
const colours = new Map();
function colour(name) {
  if (!colours.has(name)) {
    const style = getComputedStyle(document.documentElement);
    colours.set(name, style.getPropertyValue("--" + name).trim());
  }
  return colours.get(name);
}

const darkSystem = matchMedia("(prefers-color-scheme: dark)");
let theme = document.documentElement.dataset.theme;  // set before anything was drawn
function setTheme(name) {
  theme = name;
  document.documentElement.dataset.theme = name;
  byId("theme").textContent = name === "dark" ? "Light" : "Dark";
  byId("theme").setAttribute("aria-label", `Switch to ${name === "dark" ? "light" : "dark"} colours`);
  colours.clear();
  for (const redraw of themed) redraw();
}
darkSystem.addEventListener("change", (event) => setTheme(event.matches ? "dark" : "light"));
byId("theme").addEventListener("click", () => setTheme(theme === "dark" ? "light" : "dark"));

// How the three skeletons look everywhere: told apart by dashes and joints as well as by colour.
const kinds = {
  truth: {title: "Ground truth", colour: "truth", width: 4, dash: [], dots: 0},
  base: {title: "Base", colour: "base", width: 2.5, dash: [6, 4], dots: 0},
  refined: {title: "Refined", colour: "refined", width: 2.5, dash: [], dots: 3},
};

// A short piece of a line in a style, for legends.
function sample(style) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("width", 30);
  svg.setAttribute("height", 10);
  svg.setAttribute("aria-hidden", "true");
  const add = (tag, attributes) => {
    const part = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) part.setAttribute(name, value);
    svg.append(part);
  };
  const paint = `var(--${style.colour})`;
  add("line", {x1: 1, y1: 5, x2: 29, y2: 5, stroke: paint, "stroke-width": style.width ?? 2,
    "stroke-dasharray": (style.dash ?? []).join(" ")});
  if (style.dots) add("circle", {cx: 15, cy: 5, r: style.dots + 0.5, fill: paint});
  return svg;
}

// A canvas that is as sharp as the screen, and drawn when it is seen, at most once a frame.
class Surface {
  constructor(canvas, draw) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.draw = draw;
    this.visible = false;
    this.waiting = false;
    new ResizeObserver(() => this.invalidate()).observe(canvas);
    new IntersectionObserver((entries) => {
      this.visible = entries[entries.length - 1].isIntersecting;
      if (this.visible) this.invalidate();
    }, {rootMargin: "200px"}).observe(canvas);
    themed.push(() => this.invalidate());
  }

  get width() { return this.canvas.clientWidth; }
  get height() { return this.canvas.clientHeight; }

  invalidate() {
    if (this.waiting || !this.visible) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.paint();
    });
  }

  paint() {
    const ratio = window.devicePixelRatio || 1;
    const width = Math.round(this.width * ratio);
    const height = Math.round(this.height * ratio);
    if (width === 0 || height === 0) return;
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.context.clearRect(0, 0, this.width, this.height);
    this.draw(this.context, this.width, this.height);
  }
}

// Where the pointer is on a canvas, in CSS pixels.
function place(event, canvas) {
  const box = canvas.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}
