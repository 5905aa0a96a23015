// What a file of `posetape inspect` has on the parts of a network: the lens, ablation, saliency.

const sum = (values) => values.reduce((a, b) => a + b, 0);
const average = (values) => sum(values) / values.length;

// Errors of what the output layer would answer after each block, step by step.
class LensView {
  constructor() {
    const {name, timesteps, streams} = report.lens;
    byId("lens-about").textContent = `Of ${name}: the output layer on the residual stream where ` +
      "it begins and after each block, as if the network ended there. A step begins with its state " +
      "x_t, divided by √ᾱ_t + √(1−ᾱ_t), and ends with its estimate x̂₀, the answer after the last " +
      "block.";
    byId("lens-joint").append(make("option", {value: -1}, "all (mean)"),
      ...skeleton.names.map((joint, j) => make("option", {value: j}, joint)));
    // A column for each state and each stream, step by step.
    this.columns = timesteps.flatMap((t, k) =>
      [`${k + 1}: x_t, t = ${t}`, ...streams.map((stream) => `${k + 1}: ${stream}`)]);
    this.errors = timesteps.flatMap((_, k) => [report.lens.state[k], ...report.lens.error[k]]);
    this.curve = new Chart(byId("lens-curve"), {height: 330, key: true,
      x: {label: "", format: (place) => ["x_t", ...streams][place] ?? ""}, y: {label: "error (mm)"},
      label: "Error after each block"});
    this.map = new Heatmap(byId("lens-map"), {rows: skeleton.names, height: 420, unit: "mm",
      scale: "diverging", margin: {left: 78, right: 92, bottom: 118},
      label: "Error of every joint after each block",
      x: {label: "", names: this.columns},
      describe: (row, column, value) => [`${skeleton.names[row]}, ${this.shown[column]}`,
        `${this.changes() ? signed(value, 1) : fixed(value, 1)} mm`]});
    this.map.onPick = (row) => {
      byId("lens-joint").value = row;
      this.showCurve();
    };
    byId("lens-joint").addEventListener("change", () => this.showCurve());
    byId("lens-field").addEventListener("change", () => this.showMap());
    this.showCurve();
    this.showMap();
  }

  changes() { return byId("lens-field").value === "change"; }

  showCurve() {
    const joint = Number(byId("lens-joint").value);
    this.map.chosen = joint;
    this.map.redraw();
    const {timesteps, state, error} = report.lens;
    const of = (errors) => joint < 0 ? average(errors) : errors[joint];
    const styles = lineStyles(timesteps.length);
    this.curve.set(timesteps.map((t, k) => ({name: `step ${k + 1}, t = ${t}`, ...styles[k], dots: 3,
      x: [...error[k].keys(), error[k].length], y: [state[k], ...error[k]].map(of)})));
  }

  // Changes are those from what stands before in the same step.
  showMap() {
    const streams = report.lens.streams.length;
    let columns = this.errors;
    this.shown = this.columns;
    if (this.changes()) {
      const kept = this.errors.map((_, i) => i).filter((i) => i % (streams + 1) > 0);
      columns = kept.map((i) => this.errors[i].map((v, j) => v - this.errors[i - 1][j]));
      this.shown = kept.map((i) => this.columns[i]);
    }
    const values = Float32Array.from({length: jointCount * columns.length}, (_, i) =>
      columns[i % columns.length][Math.floor(i / columns.length)]);
    this.map.options.scale = this.changes() ? "diverging" : "sequential";
    this.map.options.x.names = this.shown;
    this.map.set(values, columns.length, nearlyAll(values));
  }
}

// How much larger the error gets without each part of the network.
class AblationView {
  constructor() {
    const {name, substitute, parts, whole, error} = report.ablation;
    byId("ablation-about").textContent = `Of ${name}, MPJPE ${fixed(average(whole), 1)} mm: the ` +
      "change of each joint's error when a part is taken out in all steps, with " +
      `${substitute === "mean" ? "its mean over the frames" : "zero"} in its place. Orange: the ` +
      "part is worth something; blue: the poses are better without it.";
    this.parts = parts.map((part, p) => ({part, change: error[p].map((v, j) => v - whole[j])}));
    this.map = new Heatmap(byId("ablation-map"), {rows: [], height: 300, unit: "mm",
      scale: "diverging", margin: {left: 190, right: 92, bottom: 88},
      label: "Change of every joint's error without each part",
      x: {label: "joint", names: [...skeleton.names, "all"]},
      describe: (row, column, value) => [
        `without ${this.shown[row].part}: ${[...skeleton.names, "all joints"][column]}`,
        `${signed(value, 2)} mm`]});
    for (const id of ["ablation-kind", "ablation-order"]) {
      byId(id).addEventListener("change", () => this.show());
    }
    this.show();
  }

  static kind(part) { return part.match(/\.(space|time)\./)?.[1] ?? "module"; }

  show() {
    const kind = byId("ablation-kind").value;
    this.shown = this.parts.filter(({part}) => kind === "all" || AblationView.kind(part) === kind);
    if (byId("ablation-order").value === "worth") {
      this.shown.sort((a, b) => sum(b.change) - sum(a.change));
    }
    const most = this.shown.reduce((a, b) => (sum(b.change) > sum(a.change) ? b : a));
    byId("ablation-most").textContent =
      `worth most: ${most.part}, ${signed(average(most.change), 2)} mm`;
    this.map.options.rows = this.shown.map(({part}) => part);
    this.map.canvas.style.height = `${100 + 15 * this.shown.length}px`;
    const values = Float32Array.from(this.shown.flatMap(({change}) => [...change, average(change)]));
    const limit = nearlyAll(values.map((v) => 100 * v)) / 100;
    this.map.set(values, jointCount + 1, limit);
  }
}

// How much a refined joint moves when an input does.
class SaliencyView {
  constructor() {
    const {name, joint, frame, first_frame: first, frames, noisy, screen} = report.saliency;
    byId("saliency-about").textContent = `Of ${name}: ${joint} in frame ${frame} (from 0). A cell ` +
      "is the norm of the derivatives of its refined place by one joint's input in one frame.";
    const map = (id, values) => {
      const heat = new Heatmap(byId(id), {rows: skeleton.names, height: 360, unit: "mm",
        scale: "sequential", label: `Saliency of ${joint} over joints and frames`,
        x: {label: "frame", ticks: (width) => ticks(first, first + frames - 1, width / 60)
          .map((f) => [f - first + 0.5, tickText(f)])},
        describe: (row, column, value) =>
          [`${skeleton.names[row]}, frame ${first + column}`, `${fixed(value, 2)} mm`]});
      heat.chosen = skeleton.names.indexOf(joint);
      heat.cursor = frame - first;
      heat.set(Float32Array.from(values), frames, Math.max(...values));
    };
    map("saliency-noisy", noisy);
    map("saliency-screen", screen);
  }
}
