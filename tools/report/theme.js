// Colours: light or dark, and how each kind of line looks.

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

// Half way to the panel behind it: the person's left.
function pale(name) {
  const key = `${name}, pale`;
  if (!colours.has(key)) colours.set(key, `rgb(${blend(hex(name), hex("panel"), 0.5).join(" ")})`);
  return colours.get(key);
}

const darkSystem = matchMedia("(prefers-color-scheme: dark)");
let theme = document.documentElement.dataset.theme;  // set before anything was drawn
function setTheme(name) {
  theme = name;
  document.documentElement.dataset.theme = name;
  const other = name === "dark" ? "light" : "dark";
  byId("theme").textContent = name === "dark" ? "Light" : "Dark";
  byId("theme").setAttribute("aria-label", `Switch to ${other} colours`);
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
