// Heat maps, with a scale of their colours and the value under the pointer.

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

// options: x: {label, ticks(width) -> [[column, text]] or names}; rows: names; label, height, unit,
// scale ("sequential" or "diverging"), describe(row, column, value). Cells: values [rows][columns].
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
    drawLabels(context, {...box, bottom: height - margin.bottom}, x.label,
      this.options.yLabel ?? "");
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
    const within = (i, count) => i >= 0 && i < count;
    const inside = within(column, this.columns) && within(row, this.options.rows.length);
    return inside ? {row, column} : null;
  }

  pick(px, py) {
    const cell = this.cell(px, py);
    if (cell) this.onPick(cell.row, cell.column);
  }
}
