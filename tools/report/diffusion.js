// The path of the diffusion: the state and the estimate of the truth at every step, and the errors.

class Diffusion {
  constructor() {
    this.data = report.diffusion;
    this.orbit = new Orbit();
    this.orbit.reset(0.45, 0.12);
    byId("path").append(...this.data.paths.map((p, i) => make("option", {value: i}, p.name)));
    byId("path").addEventListener("change", () => this.open());
    byId("path-frame").addEventListener("input", () => this.seek(Number(byId("path-frame").value)));
    byId("path-key").append(...Object.values(pathKinds)
      .map((kind) => make("li", {}, sample(kind), kind.title)));
    this.schedule = new Chart(byId("schedule"), {x: {label: "timestep t", low: 0}, height: 230,
      key: true, y: {label: "share of each in x_t", low: 0}, label: "Noise schedule"});
    this.progress = new Chart(byId("progress"), {x: {label: "denoising steps done", low: 0},
      height: 230, key: true, y: {label: "mean error (mm)", low: 0},
      label: "Error along the path"});
    this.map = new Heatmap(byId("path-joints"), {rows: skeleton.names, height: 260, unit: "mm",
      scale: "sequential", label: "Error of every joint along the path",
      x: {label: "base, and the estimate x̂₀ of each step",
        ticks: () => this.columns.map((c, i) => [i + 0.5, c])},
      describe: (row, column, value) => [`${skeleton.names[row]}, ${this.columns[column]}`,
        `${this.changes() ? signed(value, 1) : fixed(value, 1)} mm`]});
    byId("path-field").addEventListener("change", () => this.showErrors());
    this.open();
  }

  changes() { return byId("path-field").value === "change"; }

  open() {
    const path = this.path = this.data.paths[Number(byId("path").value)];
    if (!path.decoded) {
      path.decoded = path.states.map(({t, x, x0}) => {
        const a = this.data.alpha_bar[t];
        const size = Math.sqrt(a) + Math.sqrt(1 - a);
        return {t, x: decode(x, 3 * jointCount, report.units.pose_m).map((v) => v / size),
          x0: decode(x0, 3 * jointCount, report.units.pose_m)};
      });
      path.poses = path.truth && decode(path.truth, 3 * jointCount, report.units.pose_m);
      const errors = (poses) => path.poses && jointErrors(poses, path.poses);
      for (const state of path.decoded) {
        state.before = errors(state.x);
        state.after = errors(state.x0);
      }
    }
    let far = 0.5;
    const all = path.decoded.flatMap((s) => [s.x, s.x0]).concat(path.poses ? [path.poses] : []);
    for (const poses of all) {
      for (let i = 0; i < poses.length; i += 3) {
        far = Math.max(far, Math.hypot(poses[i], poses[i + 1], poses[i + 2]));
      }
    }
    this.orbit.radius = 1.03 * far;
    byId("path-frame").max = path.frames - 1;
    byId("path-frames").textContent =
      `Frames ${path.first_frame + 1} to ${path.first_frame + path.frames} of the sequence.`;
    this.makeViews();
    this.showSchedule();
    this.showErrors();
    this.seek(Math.floor(path.frames / 2));
  }

  makeViews() {
    this.orbit.changed.length = 0;
    this.views = [];
    byId("path-views").replaceChildren();
    this.path.decoded.forEach((state, i) => {
      const canvas = make("canvas", {tabindex: 0, role: "img", "aria-label":
        `Step ${i + 1}: state, estimate and ground truth in 3D. Arrow keys turn them.`});
      const caption = make("figcaption");
      byId("path-views").append(make("figure", {}, canvas, caption));
      const surface = new Surface(canvas, (context, width, height) =>
        this.drawStep(context, width, height, state));
      this.orbit.attach(canvas);
      this.orbit.changed.push(() => surface.invalidate());
      this.views.push({surface, caption, state, number: i + 1});
    });
  }

  drawStep(context, width, height, state) {
    const project = this.orbit.projection(width, height);
    const poses = {truth: this.path.poses, state: state.x, estimate: state.x0};
    drawSkeletons(context, Object.entries(poses).filter(([, p]) => p).map(([name, p]) =>
      ({kind: pathKinds[name], points: projected(p, this.frame, project)})));
  }

  seek(frame) {
    this.frame = frame;
    byId("path-frame").value = frame;
    const {first_frame: first, fps} = this.path;
    byId("path-time").textContent =
      `${fixed((first + frame) / fps, 2)} s · frame ${first + frame + 1}`;
    const mean = (errors) => fixed(errorCurve(errors, -1, this.path.frames)[frame], 1);
    for (const {surface, caption, state, number} of this.views) {
      caption.textContent = `Step ${number}, t = ${state.t}` + (state.before
        ? `: x_t ${mean(state.before)} → x̂₀ ${mean(state.after)} mm` : "");
      surface.invalidate();
    }
  }

  showSchedule() {
    const {alpha_bar: alpha} = this.data;
    const x = alpha.map((_, t) => t);
    const steps = this.path.decoded.map((s) => s.t);
    const at = (name, style, values) => [
      {name, x, y: values, ...style},
      {x: steps, y: steps.map((t) => values[t]), colour: style.colour, width: 0.01, dots: 4.5}];
    this.schedule.set([
      ...at("√ᾱ_t, the truth", {colour: "truth"}, alpha.map(Math.sqrt)),
      ...at("√(1−ᾱ_t), the noisy pose", {colour: "base", dash: [6, 4]},
        alpha.map((a) => Math.sqrt(1 - a)))]);
  }

  showErrors() {
    const states = this.path.decoded;
    for (const id of ["path-error", "path-by-joint"]) byId(id).hidden = !this.path.poses;
    if (!this.path.poses) return;
    const average = (errors) => errors.reduce((a, b) => a + b, 0) / errors.length;
    const last = states[states.length - 1];
    this.progress.set([
      {name: "state x_t", x: [...states.keys(), states.length], colour: "extra", dash: [2, 3],
        y: [...states.map((s) => average(s.before)), average(last.after)], dots: 3},
      {name: "estimate x̂₀", x: [...states.keys()].map((i) => i + 1), colour: "refined",
        y: states.map((s) => average(s.after)), dots: 4}]);
    const byJoint = (errors) => skeleton.names.map((_, j) => {
      let sum = 0;
      for (let i = j; i < errors.length; i += jointCount) sum += errors[i];
      return sum * jointCount / errors.length;
    });
    const list = [byJoint(states[0].before), ...states.map((s) => byJoint(s.after))];
    const names = ["base", ...states.map((s, i) => `step ${i + 1}`)];
    const shown = this.changes()
      ? list.slice(1).map((column, i) => column.map((v, j) => v - list[i][j])) : list;
    this.columns = this.changes() ? names.slice(1) : names;
    const values = Float32Array.from({length: jointCount * shown.length}, (_, i) =>
      shown[i % shown.length][Math.floor(i / shown.length)]);
    this.map.options.scale = this.changes() ? "diverging" : "sequential";
    this.map.set(values, shown.length, nearlyAll(values));
  }
}

const pathKinds = {
  truth: {...kinds.truth, width: 3},
  state: {title: "State x_t", colour: "extra", width: 2, dash: [2, 4], dots: 0},
  estimate: {...kinds.refined, title: "Estimate x̂₀", width: 2, dots: 2.5},
};
