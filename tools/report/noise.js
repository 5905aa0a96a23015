// The conditional noise: the fitted Gaussian of the base's errors, and whether real errors are so.

// Mahalanobis distances inside which a Gaussian in space has half and nine tenths of its draws.
const regions = [{share: 50, distance: 1.538}, {share: 90, distance: 2.5}];

class Noise {
  constructor() {
    this.data = report.noise;
    this.orbit = new Orbit();
    this.orbit.reset(0.45, 0.12);
    this.describe();
    this.showSpectrum();
    byId("noise-real").hidden = !this.data.scored;
    if (!this.data.scored) return;
    this.showCorrelation();
    this.showExamples();
    this.showErrors();
    this.showCalibration();
    this.showJoints();
    this.chooseJoint(-1);
  }

  describe() {
    const {frames, rank, rho, kind, scored} = this.data;
    const drawn = kind === "ar1"
      ? `the draws of successive frames are correlated by ${fixed(rho, 3)} (ar1)`
      : "the draws of successive frames are independent";
    byId("noise-about").textContent =
      `Gaussian of the error given the 2D pose and the base estimate, fitted to ` +
      `${frames.toLocaleString("en")} training frames: rank ${rank} of 51; ${drawn}.` +
      (scored ? ` Real errors below: ${scored.toLocaleString("en")} frames of this dataset.` : "");
  }

  // Spread along the principal directions, and how much of the variance the first ones hold.
  showSpectrum() {
    const spread = this.data.spread.slice(0, this.data.rank);
    if (spread.length === 0) return;  // the error follows from its condition
    const x = spread.map((_, i) => i + 1);
    const holder = byId("spectrum");
    const chart = new Chart(holder, {x: {label: "principal direction"}, height: 230,
      y: {label: "standard deviation (mm)", log: true},
      label: "Standard deviation along the principal directions of the fitted distribution"});
    chart.set([{name: "standard deviation (mm)", x, y: spread, colour: "refined", dots: 2.5,
      width: 1.5}]);
    const total = spread.reduce((a, v) => a + v * v, 0);
    let [sum, count] = [0, 0];
    while (sum < 0.9 * total) sum += spread[count++] ** 2;
    holder.append(make("p", {class: "dim"},
      `${count} of ${spread.length} directions hold 90 % of the variance.`));
  }

  showCorrelation() {
    const {correlation, rho} = this.data;
    const x = correlation.map((_, i) => i);
    new Chart(byId("correlation"), {x: {label: "lag (frames)", low: 0}, height: 230, key: true,
      y: {label: "correlation"},
      label: "Autocorrelation of the residuals"}).set([
      {name: "real residuals", x, y: correlation, colour: "truth", dots: 2},
      {name: "independent", x, y: x.map((i) => Number(i === 0)), colour: "base", dash: [6, 4]},
      {name: `ar1, ρ = ${fixed(rho, 3)}`, x, y: x.map((i) => rho ** i), colour: "extra",
        dash: [2, 3]}]);
  }

  // Ellipsoids around the expected truth of one frame.
  showExamples() {
    const {examples} = this.data;
    byId("example").append(...examples.map((e, i) =>
      make("option", {value: i}, `${e.name}, frame ${e.frame + 1}`)));
    byId("example").addEventListener("change", () => this.openExample());
    byId("noise-key").append(...[["truth"], ["base"], ["expected", "Base less expected error"]]
      .map(([name, title]) =>
        make("li", {}, sample(noiseKinds[name]), title ?? kinds[name].title)));
    this.view = new Surface(byId("noise-view"), (...args) => this.drawExample(...args));
    this.orbit.changed.push(() => this.view.invalidate());
    this.orbit.attach(byId("noise-view"),
      (where) => this.chooseJoint(nearestJoint(this.drawn, where)));
    this.openExample();
  }

  openExample() {
    this.example = this.data.examples[Number(byId("example").value)];
    this.poses = {};
    for (const name of ["truth", "base", "expected"]) {
      this.poses[name] = Float32Array.from(this.example[name], (mm) => mm / 1000);
    }
    this.orbit.radius = 1.1 * Math.max(...Object.values(this.poses).flatMap((pose) =>
      Array.from({length: jointCount}, (_, j) =>
        Math.hypot(pose[3 * j], pose[3 * j + 1], pose[3 * j + 2]))));
    this.view.invalidate();
  }

  drawExample(context, width, height) {
    const project = this.orbit.projection(width, height);
    for (let j = 0; j < jointCount; ++j) {
      if (this.joint < 0 || this.joint === j) this.drawEllipsoid(context, project, j);
    }
    this.drawn = Object.entries(this.poses).map(([name, pose]) =>
      ({kind: noiseKinds[name], points: projected(pose, 0, project)}));
    drawSkeletons(context, this.drawn);
  }

  // The outlines of a joint's regions.
  drawEllipsoid(context, project, joint) {
    const [xx, xy, xz, yy, yz, zz] = this.data.covariance[joint].map((v) => v / 1e6);
    const at = [0, 1, 2].map((c) => this.poses.expected[3 * joint + c]);
    const [x, y, long, short, turn] =
      outline(project, at, [[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]);
    for (const {share, distance} of regions) {
      context.beginPath();
      context.ellipse(x, y, distance * long, distance * short, turn, 0, 2 * Math.PI);
      context.strokeStyle = colour("extra");
      context.lineWidth = 1;
      context.globalAlpha = this.joint < 0 ? 0.55 : 1;
      context.setLineDash(share === 50 ? [] : [3, 3]);
      context.stroke();
    }
    context.setLineDash([]);
    context.globalAlpha = 1;
  }

  showErrors() {
    byId("noise-joint").append(make("option", {value: -1}, "all joints"),
      ...skeleton.names.map((name, j) => make("option", {value: j}, name)));
    byId("noise-joint").addEventListener("change",
      () => this.chooseJoint(Number(byId("noise-joint").value)));
    this.errors = new Chart(byId("drawn"), {x: {label: "error (mm)", low: 0}, height: 230,
      key: true, y: {label: "share (%)", low: 0}, label: "Distribution of real and drawn errors"});
  }

  showCalibration() {
    this.calibration = new Chart(byId("calibration"), {
      x: {label: "share that the region should hold (%)", low: 0, high: 100},
      y: {label: "share of real errors in it (%)", low: 0, high: 100}, height: 230, key: true,
      label: "Calibration of the regions"});
  }

  // The mean over the joints that spread, or one joint's.
  inside(joint) {
    const rows = joint < 0 ? this.data.inside.filter(Boolean) : [this.data.inside[joint]];
    if (!rows[0]) return null;
    return rows[0].map((_, k) => 100 * rows.reduce((sum, row) => sum + row[k], 0) / rows.length);
  }

  chooseJoint(joint) {
    this.joint = joint;
    byId("noise-joint").value = joint;
    const {real, drawn, bin_mm: bin} = this.data;
    // The root's error is always zero and says nothing.
    const sum = (table) => joint >= 0 ? table[joint] : table[0].map((_, k) =>
      table.slice(1).reduce((total, row) => total + row[k], 0));
    const shares = (counts) => {
      const total = counts.reduce((a, b) => a + b, 0);
      return counts.map((n) => 100 * n / total);
    };
    let [r, d] = [shares(sum(real)), shares(sum(drawn))];
    const last = Math.max(r.findLastIndex((v) => v > 0.02), d.findLastIndex((v) => v > 0.02));
    [r, d] = [r.slice(0, last + 1), d.slice(0, last + 1)];
    const x = Array.from({length: last + 2}, (_, k) => k * bin);
    this.errors.set([{name: "real", x, y: r, steps: true, colour: "truth"},
      {name: "drawn", x, y: d, steps: true, colour: "extra", dash: [2, 3]}]);
    const inside = this.inside(joint);
    const levels = Array.from({length: 21}, (_, k) => 5 * k);
    this.calibration.set([
      {name: "if the Gaussian were right", x: levels, y: levels, colour: "dim", width: 1.5,
        dash: [6, 4]},
      ...(inside ? [{name: "real", x: levels, y: [0, ...inside], colour: "truth", dots: 2.5}]
        : [])]);
    this.view.invalidate();
  }

  showJoints() {
    const rows = skeleton.names.map((name, j) => {
      const c = this.data.covariance[j];
      const inside = this.inside(j);
      return {name, mean: this.data.mean[j], size: Math.hypot(...this.data.mean[j]),
        spread: Math.sqrt(c[0] + c[3] + c[5]), half: inside?.[9], most: inside?.[17]};
    });
    const number = (title, key, digits = 1) =>
      ({title, value: (r) => r[key], text: (r) => fixed(r[key], digits)});
    sortedTable(byId("noise-joints"), "Fitted distribution by joint", [
      {title: "Joint", words: true, value: (r) => r.name, text: (r) => r.name},
      {title: "mean error x, y, z (mm)", value: (r) => r.size,
        text: (r) => r.mean.map((v) => signed(v, 0)).join(", ")},
      number("its length (mm)", "size"), number("spread left (mm)", "spread"),
      number("inside 50 % (%)", "half"), number("inside 90 % (%)", "most"),
    ], rows);
  }
}

const noiseKinds = {
  truth: {...kinds.truth, width: 3},
  base: kinds.base,
  expected: {colour: "extra", width: 2, dash: [], dots: 2.5},
};
