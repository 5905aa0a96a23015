// Attention: who looks at whom, in space on the skeleton and in time.

// Probabilities in percent.
const percent = (packed) => decodeBytes(packed).map((share) => 100 * share);

class Attention {
  constructor() {
    const looks = report.attention;
    this.orbit = new Orbit();
    this.orbit.reset(0.45, 0.12);
    this.joint = -1;
    this.fill("look", looks.map((look) => look.name));
    byId("look").parentNode.hidden = looks.length < 2;
    this.view = new Surface(byId("attention-view"), (...args) => this.drawView(...args));
    this.orbit.changed.push(() => this.view.invalidate());
    this.orbit.attach(byId("attention-view"), (where) => {
      this.joint = nearestJoint([{points: this.points}], where);
      this.show();
    });
    const margin = {left: 78, right: 92, bottom: 88};
    this.space = new Heatmap(byId("space"), {rows: skeleton.names, height: 420, unit: "%",
      scale: "sequential", margin, label: "Attention from every joint to every joint",
      x: {label: "looks at", names: skeleton.names},
      describe: (row, column, value) =>
        [`${skeleton.names[row]} looks at ${skeleton.names[column]}`, `${fixed(value, 1)} %`]});
    this.space.onPick = (row) => {
      this.joint = row;
      this.show();
    };
    this.time = new Heatmap(byId("in-time"), {rows: [], height: 420, unit: "%",
      scale: "sequential", margin: {...margin, left: 62, bottom: 38},
      label: "Attention from every frame to every frame", yLabel: "frame",
      x: {label: "looks at frame", ticks: (width) => this.frameTicks(width)},
      describe: (row, column, value) => [
        `${this.framesOf(row)} → ${this.framesOf(column)}`,
        `${fixed(value, 2)} %${this.pool > 1 ? " a frame" : ""}`]});
    this.lags = new Chart(byId("lags"), {x: {label: "distance in time (frames)"}, height: 260,
      key: true, y: {label: "mean share (%)", low: 0}, label: "Attention by distance in time"});
    for (const id of ["look", "att-step", "att-block", "att-head", "att-frame"]) {
      byId(id).addEventListener("change", () => (id === "look" ? this.open() : this.show()));
    }
    byId("att-joint").addEventListener("click", () => {
      this.joint = -1;
      this.show();
    });
    this.open();
  }

  // Options with their places in the list as values; keeps the choice where it still exists.
  fill(id, names) {
    const before = byId(id).value;
    byId(id).replaceChildren(...names.map((name, i) => make("option", {value: i}, name)));
    if (before !== "" && Number(before) < names.length) byId(id).value = before;
  }

  open() {
    const look = this.look = report.attention[Number(byId("look").value)];
    look.pose ??= decode(look.poses, 3 * jointCount, report.units.pose_m);
    const unique = (list) => [...new Set(list)];
    this.steps = unique(look.maps.map((m) => m.step)).sort((a, b) => a - b);
    this.blocks = unique(look.maps.map((m) => m.block)).sort();
    const timestep = (step) => look.maps.find((m) => m.step === step).t;
    this.fill("att-step", this.steps.map((step) => `${step}, t = ${timestep(step) ?? "?"}`));
    this.fill("att-block", this.blocks);
    const heads = Math.max(...look.maps.map((m) => m.heads));
    this.fill("att-head",
      ["mean of all", ...Array.from({length: heads}, (_, h) => `head ${h + 1}`)]);
    const each = look.maps.some((m) => m.each);
    this.fill("att-frame", ["mean of all",
      ...(each ? look.shown.map((f) => `frame ${look.first_frame + f + 1}`) : [])]);
    let far = 0.5;
    for (let i = 0; i < look.pose.length; i += 3) {
      far = Math.max(far, Math.hypot(look.pose[i], look.pose[i + 1], look.pose[i + 2]));
    }
    this.orbit.radius = 1.05 * far;
    this.show();
  }

  // [head or mean][size][size] of one map, of the mean over frames (-1) or one of those shown.
  matrix(map, frame) {
    const one = map.size * map.size;
    const whole = frame >= 0 && map.each
      ? (map.eachValues ??= percent(map.each))
        .subarray(frame * map.heads * one, (frame + 1) * map.heads * one)
      : (map.meanValues ??= percent(map.mean));
    const head = Number(byId("att-head").value) - 1;
    if (head >= 0) return whole.subarray(head * one, (head + 1) * one);
    return Float32Array.from({length: one}, (_, i) => {
      let sum = 0;
      for (let h = 0; h < map.heads; ++h) sum += whole[h * one + i];
      return sum / map.heads;
    });
  }

  show() {
    const step = this.steps[Number(byId("att-step").value)];
    const block = this.blocks[Number(byId("att-block").value)];
    const find = (axis) =>
      this.look.maps.find((m) => m.step === step && m.block === block && m.axis === axis);
    this.frame = Number(byId("att-frame").value) - 1;
    const [space, time] = [find("space"), find("time")];
    byId("att-space").hidden = !space;
    byId("att-time").hidden = !time;
    if (space) this.showSpace(space);
    if (time) this.showTime(time);
  }

  showSpace(map) {
    this.weights = this.matrix(map, this.frame);
    this.space.chosen = this.joint;
    this.space.set(this.weights, map.size, Math.max(...this.weights), Math.min(...this.weights));
    byId("att-joint").hidden = this.joint < 0;
    byId("att-caption").textContent = this.joint < 0
      ? "The 40 strongest connections; a thicker line is more attention, a larger dot a joint " +
        "that looks at itself. Click a joint to see where it looks."
      : `Where ${skeleton.names[this.joint]} looks, in percent.`;
    this.view.invalidate();
  }

  showTime(map) {
    const values = this.matrix(map, -1);
    this.pool = map.pool;
    this.time.options.rows = Array.from({length: map.size}, () => "");
    this.time.set(values, map.size, Math.max(...values), Math.min(...values));
    const heads = Number(byId("att-head").value) === 0 ? map.heads : 0;
    const one = map.size * map.size;
    const all = map.meanValues;
    const lines = heads > 1
      ? Array.from({length: heads}, (_, h) => all.subarray(h * one, (h + 1) * one)) : [values];
    const styles = lineStyles(lines.length);
    this.lags.set(lines.map((line, h) => ({
      name: lines.length > 1 ? `head ${h + 1}` : "attention", ...styles[h],
      ...this.byLag(line, map.size)})));
  }

  // The mean share that frames give to those at each distance, before (negative) and after them.
  byLag(values, size) {
    const x = Array.from({length: 2 * size - 1}, (_, i) => (i - size + 1));
    const sums = x.map(() => 0);
    for (let q = 0; q < size; ++q) {
      for (let k = 0; k < size; ++k) sums[k - q + size - 1] += values[q * size + k];
    }
    return {x: x.map((lag) => lag * this.pool),
      y: sums.map((sum, i) => sum / (size - Math.abs(x[i])))};
  }

  framesOf(cell) {
    const first = cell * this.pool;
    return this.pool > 1 ? `frames ${first} to ${first + this.pool - 1}` : `frame ${first}`;
  }

  frameTicks(width) {
    const size = this.time.columns;
    return ticks(0, (size - 1) * this.pool, width / 60)
      .map((f) => [f / this.pool + 0.5, tickText(f)]);
  }

  drawView(context, width, height) {
    const project = this.orbit.projection(width, height);
    this.points = projected(this.look.pose, this.frame + 1, project);
    drawSkeletons(context, [{points: this.points,
      kind: {colour: "line", width: 5, dash: [], dots: 4}}]);
    if (!this.weights) return;
    const edges = [];
    for (let q = 0; q < jointCount; ++q) {
      if (this.joint >= 0 && q !== this.joint) continue;
      for (let k = 0; k < jointCount; ++k) edges.push([this.weights[q * jointCount + k], q, k]);
    }
    edges.sort((a, b) => b[0] - a[0]);
    // From the weakest that is drawn to the strongest: differences are small beside the shares.
    const drawn = edges.slice(0, 40);
    const [most, least] = [drawn[0][0], drawn[drawn.length - 1][0]];
    context.strokeStyle = context.fillStyle = colour("extra");
    for (const [weight, q, k] of drawn.reverse()) {
      const share = most > least ? (weight - least) / (most - least) : 1;
      const [from, to] = [this.points[q], this.points[k]];
      context.globalAlpha = 0.12 + 0.78 * share;
      context.beginPath();
      if (q === k) {
        context.arc(from[0], from[1], 2 + 7 * share, 0, 2 * Math.PI);
        context.fill();
      } else {
        context.lineWidth = 0.5 + 5.5 * share;
        context.moveTo(from[0], from[1]);
        // A curve to the left of its way, so that both directions are seen.
        context.quadraticCurveTo((from[0] + to[0]) / 2 - (to[1] - from[1]) * 0.18,
          (from[1] + to[1]) / 2 + (to[0] - from[0]) * 0.18, to[0], to[1]);
        context.stroke();
      }
    }
    context.globalAlpha = 1;
    if (this.joint >= 0) this.drawShares(context);
  }

  drawShares(context) {
    context.font = small;
    context.textAlign = "left";
    context.textBaseline = "middle";
    this.points.forEach((point, k) => {
      const share = this.weights[this.joint * jointCount + k];
      context.fillStyle = colour(k === this.joint ? "text" : "dim");
      context.fillText(fixed(share, 0), point[0] + 9, point[1]);
    });
  }
}
