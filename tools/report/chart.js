// Line charts with axes, units, a cursor and the values under the pointer.

// options: x, y: {label, format, log, low, high}; height; margin; label for those who don't see it;
// key: whether the names stand above. A series: {name, x, y, colour, dash, width, dots, steps};
// with `steps`, y[i] holds from x[i] to x[i + 1].
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
    if (name === "y") {
      const room = 0.05 * (to - Math.min(from, low ?? from));
      [from, to] = log ? [from / 1.3, to * 1.3] : [from - room, to + room];
    }
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
