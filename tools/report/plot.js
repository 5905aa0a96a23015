// What line charts and heat maps share: axes, labels, notes under the pointer, and a canvas.

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
    const text = labels.x.format ? labels.x.format(value) : tickText(value);
    context.fillText(text, at, box.bottom + 5);
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
