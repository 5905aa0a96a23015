// Line charts and heat maps on canvases, with axes, units, a cursor and values under the pointer.

// Round numbers that divide a range into about `count` parts.
function ticks(low, high, count) {
  const rough = (high - low) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((s) => s * power >= rough * 0.999);
  const values = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; ++i) {
    values.push(i * step);
  }
  return values;
}

// Powers of ten, fewer where they are many; with 2 and 5 times them where they are few.
function logTicks(low, high, count) {
  const [from, to] = [Math.floor(Math.log10(low)), Math.floor(Math.log10(high) + 1e-9)];
  const every = Math.max(1, Math.ceil((to - from) / count));
  const factors = to - from < 2 ? [1, 2, 5] : [1];
  const values = [];
  for (let p = from; p <= to; p += every) values.push(...factors.map((f) => f * 10 ** p));
  return values.filter((v) => v >= low * (1 - 1e-9) && v <= high * (1 + 1e-9));
}

function tickText(value) {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) return minus(value.toExponential(0));
  return minus(String(Number(value.toPrecision(4))));
}

const small = "12px system-ui, 'Liberation Sans', sans-serif";
// For what stands beside the plot: its labels.
const margin = {left: 62, right: 14, top: 10, bottom: 38};

function drawFrame(context, box, x, y, labels) {
  context.font = small;
  context.lineWidth = 1;
  context.fillStyle = colour("dim");
  context.strokeStyle = colour("grid");
  context.beginPath();
  context.textAlign = "center";
  context.textBaseline = "top";
  for (const value of x.ticks) {
    const at = Math.round(x.to(value)) + 0.5;
    context.moveTo(at, box.top);
    context.lineTo(at, box.bottom);
    context.fillText(labels.x.format ? labels.x.format(value) : tickText(value), at, box.bottom + 5);
  }
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (const value of y.ticks) {
    const at = Math.round(y.to(value)) + 0.5;
    context.moveTo(box.left, at);
    context.lineTo(box.right, at);
    context.fillText(labels.y.format ? labels.y.format(value) : tickText(value), box.left - 6, at);
  }
  context.stroke();
  drawLabels(context, box, labels.x.label, labels.y.label);
}

function drawLabels(context, box, xLabel, yLabel) {
  context.font = small;
  context.fillStyle = colour("dim");
  context.textAlign = "center";
  context.textBaseline = "alphabetic";
  context.fillText(xLabel, (box.left + box.right) / 2, box.bottom + 32);
  context.save();
  context.translate(13, (box.top + box.bottom) / 2);
  context.rotate(-Math.PI / 2);
  context.fillText(yLabel, 0, 0);
  context.restore();
}

// Lines of text in a box beside a point.
function drawNote(context, lines, x, y, width, height) {
  context.font = small;
  const wide = Math.max(...lines.map((line) => context.measureText(line).width)) + 14;
  const high = lines.length * 16 + 8;
  const left = x + 12 + wide < width ? x + 12 : Math.max(0, x - 12 - wide);
  const top = Math.max(0, Math.min(y - high / 2, height - high));
  context.fillStyle = colour("back");
  context.strokeStyle = colour("line");
  context.lineWidth = 1;
  context.beginPath();
  context.rect(left + 0.5, top + 0.5, wide, high);
  context.fill();
  context.stroke();
  context.fillStyle = colour("text");
  context.textAlign = "left";
  context.textBaseline = "middle";
  lines.forEach((line, i) => context.fillText(line, left + 7, top + 13 + 16 * i));
}

function axis(low, high, from, to, count, log) {
  const move = log ? Math.log : (v) => v;
  const [a, b] = [move(low), move(high)];
  return {
    low, high, ticks: log ? logTicks(low, high, count) : ticks(low, high, count),
    to: (value) => from + (move(value) - a) / (b - a) * (to - from),
    from: (pixel) => {
      const value = a + (pixel - from) / (to - from) * (b - a);
      return log ? Math.exp(value) : value;
    },
  };
}

// What charts and heat maps share: a canvas in its place, and the pointer.
class Plot {
  constructor(parent, height, label) {
    this.canvas = make("canvas", {role: "img", "aria-label": label, style: `height:${height}px`});
    this.holder = make("div", {class: "chart"}, this.canvas);
    parent.append(this.holder);
    this.surface = new Surface(this.canvas, (...args) => this.draw(...args));
    this.pointer = null;
    const follow = (event) => {
      this.pointer = place(event, this.canvas);
      if (this.onPick && event.buttons) this.pick(...this.pointer);
      this.redraw();
    };
    this.canvas.addEventListener("pointerdown", (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      follow(event);
    });
    this.canvas.addEventListener("pointermove", follow);
    this.canvas.addEventListener("pointerleave", () => {
      this.pointer = null;
      this.redraw();
    });
  }

  box(width, height) {
    const {left, right, top, bottom} = {...margin, ...this.options.margin};
    return {left, right: width - right, top, bottom: height - bottom};
  }

  set onPick(action) {
    this.action = action;
    this.holder.classList.add("picks");
  }
  get onPick() { return this.action; }

  redraw() { this.surface.invalidate(); }
}

// options: x, y: {label, format, log, low, high}; height; margin; label for those who don't see it;
// key: whether the names stand above. A series: {name, x, y, colour, dash, width, dots, steps}; with
// `steps`, y[i] holds from x[i] to x[i + 1].
class Chart extends Plot {
  constructor(parent, options) {
    const key = make("ul", {class: "key"});
    if (options.key) parent.append(key);
    super(parent, options.height ?? 200, options.label);
    Object.assign(this, {options, key, series: [], cursor: null});
  }

  set(series) {
    this.series = series;
    this.key.replaceChildren(
      ...series.filter((s) => s.name).map((s) => make("li", {}, sample(s), s.name)));
    this.redraw();
  }

  range(name) {
    const {low, high, log} = this.options[name];
    let [from, to] = [Infinity, -Infinity];
    for (const line of this.series) {
      for (const value of line[name]) {
        if (!Number.isFinite(value) || (log && value <= 0)) continue;
        from = Math.min(from, value);
        to = Math.max(to, value);
      }
    }
    if (from > to) [from, to] = log ? [1, 10] : [0, 1];
    if (name === "y") to = log ? to * 1.3 : to + 0.05 * (to - Math.min(from, low ?? from));
    [from, to] = [low ?? from, high ?? to];
    return from < to ? [from, to] : [from, log ? from * 10 : from + 1];
  }

  draw(context, width, height) {
    const box = this.box(width, height);
    const {x, y} = this.options;
    this.x = axis(...this.range("x"), box.left, box.right, (box.right - box.left) / 80, x.log);
    this.y = axis(...this.range("y"), box.bottom, box.top, (box.bottom - box.top) / 36, y.log);
    drawFrame(context, box, this.x, this.y, this.options);
    context.save();
    context.beginPath();
    context.rect(box.left - 4, box.top - 4, box.right - box.left + 8, box.bottom - box.top + 8);
    context.clip();
    for (const line of this.series) this.drawLine(context, line);
    context.restore();
    if (this.cursor !== null) this.drawCursor(context, box, this.cursor, "mark", 1.5);
    if (this.pointer) this.drawValues(context, box, width, height);
  }

  drawLine(context, line) {
    context.strokeStyle = context.fillStyle = colour(line.colour);
    context.lineWidth = line.width ?? 2;
    context.setLineDash(line.dash ?? []);
    context.lineJoin = "round";
    context.beginPath();
    let down = false;
    for (let i = 0; i < line.y.length; ++i) {
      const known = Number.isFinite(line.y[i]) && !(this.options.y.log && line.y[i] <= 0);
      const [x, y] = [this.x.to(line.x[i]), known ? this.y.to(line.y[i]) : 0];
      if (known && down) context.lineTo(x, y);
      if (known && !down) context.moveTo(x, y);
      if (known && line.steps) context.lineTo(this.x.to(line.x[i + 1]), y);
      down = known;
    }
    context.stroke();
    context.setLineDash([]);
    if (!line.dots) return;
    for (let i = 0; i < line.y.length; ++i) {
      if (!Number.isFinite(line.y[i])) continue;
      context.beginPath();
      context.arc(this.x.to(line.x[i]), this.y.to(line.y[i]), line.dots, 0, 2 * Math.PI);
      context.fill();
    }
  }

  drawCursor(context, box, value, name, width) {
    context.strokeStyle = colour(name);
    context.lineWidth = width;
    context.beginPath();
    context.moveTo(this.x.to(value), box.top);
    context.lineTo(this.x.to(value), box.bottom);
    context.stroke();
  }

  // The place in a series whose x is nearest to, or at or below, a value.
  index(line, value) {
    let best = 0;
    for (let i = 1; i < line.y.length; ++i) {
      const nearer = Math.abs(line.x[i] - value) < Math.abs(line.x[best] - value);
      if (line.steps ? line.x[i] <= value : nearer) best = i;
    }
    return best;
  }

  drawValues(context, box, width, height) {
    const [px, py] = this.pointer;
    if (px < box.left || px > box.right || this.series.length === 0) return;
    const {x, y} = this.options;
    const first = this.series.reduce((a, b) => (b.y.length > a.y.length ? b : a));
    const at = this.index(first, this.x.from(px));
    const value = first.x[at];
    this.drawCursor(context, box, value, "dim", 1);
    const format = y.format ?? ((v) => minus(String(Number(v.toPrecision(4)))));
    const until = first.steps ? ` to ${tickText(first.x[at + 1])}` : "";
    const lines = [`${x.label}: ${x.format ? x.format(value) : tickText(value)}${until}`];
    for (const line of this.series) {
      const here = line.y[this.index(line, value)];
      if (line.name && Number.isFinite(here)) lines.push(`${line.name}: ${format(here)}`);
    }
    drawNote(context, lines, this.x.to(value), py, width, height);
  }

  pick(px) {
    if (this.x) this.onPick(this.x.from(px));
  }
}

// Colours of heat maps. `amount` is in [0, 1] for sequential, [-1, 1] for diverging.
const viridis = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
function blend(a, b, t) { return a.map((v, i) => Math.round(v + (b[i] - v) * t)); }
function sequential(amount) {
  const at = Math.max(0, Math.min(0.9999, amount)) * (viridis.length - 1);
  return blend(viridis[Math.floor(at)], viridis[Math.floor(at) + 1], at % 1);
}
function hex(name) {
  const text = colour(name);
  return [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16));
}
// Below zero (an error that got smaller) towards "better", above towards "worse".
function diverging(amount) {
  const t = Math.min(1, Math.abs(amount));
  return blend(hex("same"), hex(amount < 0 ? "better" : "worse"), t);
}

// options: x: {label, ticks(width) -> [[column, text]] or names}; rows: names; label, height, unit, scale
// ("sequential" or "diverging"), describe(row, column, value). Cells: values [rows][columns].
class Heatmap extends Plot {
  constructor(parent, options) {
    super(parent, options.height, options.label);
    options = {margin: {left: 78, right: 92}, ...options};
    Object.assign(this, {options, values: null, columns: 0, cursor: null, chosen: -1});
    this.image = document.createElement("canvas");
    themed.push(() => this.values && this.render());
  }

  // A sequential scale runs from `low` to `limit`, a diverging one from -limit to limit.
  set(values, columns, limit, low = 0) {
    Object.assign(this, {values, columns, limit, low});
    this.render();
    this.redraw();
  }

  // One pixel a cell; the canvas stretches it.
  render() {
    const rows = this.options.rows.length;
    this.image.width = this.columns;
    this.image.height = rows;
    const context = this.image.getContext("2d");
    const image = context.createImageData(this.columns, rows);
    // A table of the scale's colours is faster than blending each cell.
    const two = this.options.scale === "diverging";
    const table = Array.from({length: 257}, (_, i) =>
      two ? diverging(i / 128 - 1) : sequential(i / 256));
    for (let i = 0; i < rows * this.columns; ++i) {
      const amount = two ? (this.values[i] / this.limit + 1) / 2
        : (this.values[i] - this.low) / Math.max(1e-30, this.limit - this.low);
      const place = Math.round(256 * amount);
      image.data.set(table[Math.max(0, Math.min(256, place))], 4 * i);
      image.data[4 * i + 3] = 255;
    }
    context.putImageData(image, 0, 0);
  }

  draw(context, width, height) {
    if (!this.values) return;
    const {rows, x} = this.options;
    const box = this.box(width, height);
    const [w, h] = [box.right - box.left, box.bottom - box.top];
    context.imageSmoothingEnabled = false;
    context.drawImage(this.image, box.left, box.top, w, h);
    context.font = h / rows.length < 12 ? small.replace("12px", "10px") : small;
    context.textBaseline = "middle";
    context.textAlign = "right";
    rows.forEach((name, row) => {
      const at = box.top + (row + 0.5) * h / rows.length;
      context.fillStyle = colour(row === this.chosen ? "text" : "dim");
      context.fillText(row === this.chosen ? `▸ ${name}` : name, box.left - 6, at);
    });
    context.fillStyle = colour("dim");
    if (x.names) {
      this.drawNames(context, box, w);
    } else {
      context.textAlign = "center";
      context.textBaseline = "top";
      for (const [column, text] of x.ticks(w)) {
        context.fillText(text, box.left + column / this.columns * w, box.bottom + 5);
      }
    }
    drawLabels(context, {...box, bottom: height - margin.bottom}, x.label, this.options.yLabel ?? "");
    this.drawScale(context, width, box);
    if (this.cursor !== null) {
      const at = box.left + (this.cursor + 0.5) / this.columns * w;
      context.strokeStyle = colour("mark");
      context.lineWidth = 1.5;
      context.beginPath();
      context.moveTo(at, box.top);
      context.lineTo(at, box.bottom);
      context.stroke();
    }
    const cell = this.pointer && this.cell(...this.pointer, width, height);
    if (cell) {
      const value = this.values[cell.row * this.columns + cell.column];
      const lines = this.options.describe(cell.row, cell.column, value);
      drawNote(context, lines, ...this.pointer, width, height);
    }
  }

  // The names of the columns, from bottom to top.
  drawNames(context, box, width) {
    context.textAlign = "right";
    context.textBaseline = "middle";
    this.options.x.names.forEach((name, column) => {
      context.save();
      context.translate(box.left + (column + 0.5) / this.columns * width, box.bottom + 6);
      context.rotate(-Math.PI / 2);
      context.fillText(name, 0, 0);
      context.restore();
    });
  }

  drawScale(context, width, box) {
    const two = this.options.scale === "diverging";
    const left = width - 80;
    for (let y = box.top; y < box.bottom; ++y) {
      const part = (box.bottom - 1 - y) / (box.bottom - 1 - box.top);
      const [r, g, b] = two ? diverging(2 * part - 1) : sequential(part);
      context.fillStyle = `rgb(${r} ${g} ${b})`;
      context.fillRect(left, y, 12, 1.5);
    }
    context.font = small;
    context.fillStyle = colour("dim");
    context.textAlign = "left";
    context.textBaseline = "middle";
    const low = two ? -this.limit : this.low;
    for (const part of [0, 0.5, 1]) {
      const value = low + part * (this.limit - low);
      const short = tickText(Number(value.toPrecision(3)));
      const text = two && value > 0 ? `+${short}` : short;
      context.fillText(text, left + 17, box.bottom - 2 - part * (box.bottom - box.top - 4));
    }
    context.textBaseline = "top";
    context.fillText(this.options.unit, left, box.bottom + 6);
  }

  cell(px, py, width = this.surface.width, height = this.surface.height) {
    const box = this.box(width, height);
    const column = Math.floor((px - box.left) / (box.right - box.left) * this.columns);
    const row = Math.floor((py - box.top) / (box.bottom - box.top) * this.options.rows.length);
    const inside = column >= 0 && column < this.columns && row >= 0 && row < this.options.rows.length;
    return inside ? {row, column} : null;
  }

  pick(px, py) {
    const cell = this.cell(px, py);
    if (cell) this.onPick(cell.row, cell.column);
  }
}
