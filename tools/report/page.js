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

// A list of whole arrays of `width` numbers, as tools/report/encoding.hpp writes them: base64 of
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

// Values that tools/report/encoding.hpp has written in bytes.
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
