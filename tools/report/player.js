// The player: ground truth, base and refined together, the 2D input, and their errors over time.

// A sequence's arrays, decoded when it is first shown.
function decoded(sequence) {
  if (sequence.poses) return sequence;
  sequence.poses = {};
  for (const name of Object.keys(kinds)) {
    if (sequence[name]) {
      sequence.poses[name] = decode(sequence[name], 3 * jointCount, report.units.pose_m);
    }
  }
  if (sequence.std) {
    sequence.deviations = decode(sequence.std, 3 * jointCount, report.units.pose_m);
  }
  sequence.pixels = decode(sequence.pose_2d, 2 * jointCount, report.units.pixel);
  sequence.measured = {};
  sequence.floor = floorHeights(sequence);
  return sequence;
}

// What the curve and the map under the player can show, of each joint in each frame [F][17]: the
// error where the truth is known, and what can be said without it. of(sequence, name) is of the
// base or the refined poses, of those alone that `only` says; `needs`: poses that it is made of.
const measures = {
  error: {title: "Error", unit: "mm", needs: ["truth"],
    of: ({poses}, name) => jointErrors(poses[name], poses.truth)},
  moved: {title: "Distance from the base", unit: "mm", needs: ["base", "refined"], only: "refined",
    of: ({poses}) => jointErrors(poses.refined, poses.base)},
  jitter: {title: "Jitter", unit: "mm/frame²", of: ({poses}, name) => secondDifferences(poses[name])},
  bones: {title: "Bone length off its median", unit: "mm",
    of: ({poses}, name) => boneChanges(poses[name])},
  screen: {title: "Distance from the 2D input", unit: "px",
    of: ({poses, pixels}, name) => screenDistances(poses[name], pixels)},
};

// Of which of base and refined there is a measure.
function measurable({poses}, {needs = [], only}) {
  if (!needs.every((name) => poses[name])) return [];
  return ["base", "refined"].filter((name) => poses[name] && name === (only ?? name));
}

// {base, refined} of a measure, those that there are.
function measured(sequence, measure) {
  sequence.measured[measure] ??= Object.fromEntries(measurable(sequence, measures[measure])
    .map((name) => [name, measures[measure].of(sequence, name)]));
  return sequence.measured[measure];
}

// mm/frame^2; of the first and the last frame those beside them.
function secondDifferences(poses) {
  const values = new Float32Array(poses.length / 3);
  const frames = values.length / jointCount;
  if (frames < 3) return values;
  const at = (f, j, c) => poses[(f * jointCount + j) * 3 + c];
  for (let f = 0; f < frames; ++f) {
    const g = Math.max(1, Math.min(frames - 2, f));
    for (let j = 0; j < jointCount; ++j) {
      values[f * jointCount + j] = 1000 * Math.hypot(...[0, 1, 2].map((c) =>
        at(g - 1, j, c) - 2 * at(g, j, c) + at(g + 1, j, c)));
    }
  }
  return values;
}

// mm, of the bone that ends in each joint; 0 for the hip.
function boneChanges(poses) {
  const values = new Float32Array(poses.length / 3);
  const frames = values.length / jointCount;
  skeleton.parents.forEach((parent, joint) => {
    if (parent < 0) return;
    const lengths = Float32Array.from({length: frames}, (_, f) => {
      const [a, b] = [(f * jointCount + parent) * 3, (f * jointCount + joint) * 3];
      return 1000 * Math.hypot(poses[a] - poses[b], poses[a + 1] - poses[b + 1],
        poses[a + 2] - poses[b + 2]);
    });
    const median = lengths.slice().sort()[Math.floor(frames / 2)];
    lengths.forEach((length, f) => {
      values[f * jointCount + joint] = Math.abs(length - median);
    });
  });
  return values;
}

// Pixels between the 2D input and the poses seen along z, at the scale and the place that fit the
// frame best.
function screenDistances(poses, pixels) {
  const values = new Float32Array(poses.length / 3);
  for (let from = 0; from < values.length; from += jointCount) {
    const mean = [0, 0, 0, 0];
    const read = (i) => [poses[3 * i], poses[3 * i + 1], pixels[2 * i], pixels[2 * i + 1]];
    for (let i = from; i < from + jointCount; ++i) {
      read(i).forEach((v, c) => { mean[c] += v / jointCount; });
    }
    let [product, square] = [0, 0];
    const centred = (i) => read(i).map((v, c) => v - mean[c]);
    for (let i = from; i < from + jointCount; ++i) {
      const [x, y, u, v] = centred(i);
      product += x * u + y * v;
      square += x * x + y * y;
    }
    const scale = square > 0 ? product / square : 0;
    for (let i = from; i < from + jointCount; ++i) {
      const [x, y, u, v] = centred(i);
      values[i] = Math.hypot(scale * x - u, scale * y - v);
    }
  }
  return values;
}

// Whether nobody saw the joint in that frame, so that its place is interpolated or guessed.
function isGuessed(sequence, joint, frame) {
  const edges = sequence.guessed?.[joint] ?? [];
  return edges.filter((edge) => edge <= frame).length % 2 === 1;
}

// Of all joints in all frames.
function shareGuessed(sequence) {
  const lengths = (sequence.guessed ?? []).flat().map((edge, i) => i % 2 === 0 ? -edge : edge);
  return lengths.reduce((a, b) => a + b, 0) / (jointCount * sequence.frames);
}

// mm, [F][17]
function jointErrors(poses, truth) {
  const errors = new Float32Array(poses.length / 3);
  for (let i = 0; i < errors.length; ++i) {
    errors[i] = 1000 * Math.hypot(poses[3 * i] - truth[3 * i], poses[3 * i + 1] - truth[3 * i + 1],
      poses[3 * i + 2] - truth[3 * i + 2]);
  }
  return errors;
}

// y of the lowest joint within half a second of each frame: the floor, but for long jumps.
function floorHeights(sequence) {
  const poses = sequence.poses.truth ?? sequence.poses.base ?? sequence.poses.refined;
  const lowest = Array.from({length: sequence.frames}, (_, f) => {
    let y = -Infinity;
    for (let j = 0; j < jointCount; ++j) y = Math.max(y, poses[(f * jointCount + j) * 3 + 1]);
    return y;
  });
  const reach = Math.round(sequence.fps / 2);
  return lowest.map((_, f) => Math.max(...lowest.slice(Math.max(0, f - reach), f + reach + 1)));
}

// The mean over the joints (joint -1) or one joint's errors, frame by frame.
function errorCurve(errors, joint, frames) {
  return Float32Array.from({length: frames}, (_, f) => {
    if (joint >= 0) return errors[f * jointCount + joint];
    let sum = 0;
    for (let j = 0; j < jointCount; ++j) sum += errors[f * jointCount + j];
    return sum / jointCount;
  });
}

// Joints by frames for the heat map, [17][F].
function measureRows(sequence, errors, field) {
  const {base, refined} = errors;
  const rows = new Float32Array(jointCount * sequence.frames);
  for (let f = 0; f < sequence.frames; ++f) {
    for (let j = 0; j < jointCount; ++j) {
      const at = f * jointCount + j;
      rows[j * sequence.frames + f] =
        field === "change" ? refined[at] - base[at] : errors[field][at];
    }
  }
  return rows;
}

// What covers almost all values, for a scale that one outlier does not flatten.
function nearlyAll(values) {
  const sizes = Float32Array.from(values, Math.abs).sort();
  return Math.max(1, Number(sizes[Math.floor(0.99 * (sizes.length - 1))].toPrecision(2)));
}

class Player {
  constructor() {
    this.shown = {truth: true, base: true, refined: true, std: true};
    this.frame = 0;
    this.joint = -1;
    this.lines = [];
    this.playing = false;
    this.guessed = (joint) => isGuessed(this.sequence, joint, this.frame);
    this.orbit = new Orbit();
    this.view = new Surface(byId("view"), (...args) => this.drawView(...args));
    this.image = new Surface(byId("image"), (...args) => this.drawImage(...args));
    this.orbit.changed.push(() => this.view.invalidate());
    this.orbit.attach(byId("view"), (where) => this.chooseJoint(nearestJoint(this.drawn, where)));
    this.orbit.reset(0.45, 0.12);
    this.makeErrors();
    this.makeLegend();
    this.wire();
    this.list = new SequenceList(report.clips, (sequence) => this.open(sequence));
  }

  makeErrors() {
    this.curve = new Chart(byId("curve"), {
      x: {label: "time (s)", low: 0}, y: {label: "", low: 0}, height: 190, key: true,
      margin: {left: 78, right: 92},  // as the heat map below
      label: "The measure over time; click to go to a frame",
    });
    this.curve.onPick = (seconds) => this.seek(Math.round(seconds * this.sequence.fps));
    this.map = new Heatmap(byId("joints"), {
      rows: skeleton.names, height: 320, unit: "mm", scale: "sequential",
      label: "The measure of every joint over time; click to go to a frame and choose a joint",
      x: {label: "time (s)", ticks: (width) => {
        const {frames, fps} = this.sequence;
        return ticks(0, frames / fps, width / 80).map((s) => [s * fps, tickText(s)]);
      }},
      describe: (row, column, value) => [
        `${skeleton.names[row]}, ${fixed(column / this.sequence.fps, 2)} s`,
        `${byId("field").value === "change" ? signed(value, 1) : fixed(value, 1)} ` +
          this.measure.unit],
    });
    this.map.onPick = (row, column) => {
      this.seek(column);
      this.chooseJoint(row);
    };
    byId("joint").append(make("option", {value: -1}, "all joints (mean)"),
      ...skeleton.names.map((name, j) => make("option", {value: j}, name)));
  }

  makeLegend() {
    this.toggles = {};
    for (const [name, kind] of Object.entries(kinds)) {
      const button = make("button", {type: "button", "aria-pressed": "true",
        click: () => this.toggle(name)}, sample(kind), kind.title);
      this.toggles[name] = button;
      byId("legend").append(button);
    }
    this.toggles.std = make("button", {type: "button", "aria-pressed": "true", id: "std",
      click: () => this.toggle("std")}, "80 % regions");
    byId("legend").append(this.toggles.std);
  }

  toggle(name) {
    this.shown[name] = !this.shown[name];
    this.toggles[name].setAttribute("aria-pressed", this.shown[name]);
    this.view.invalidate();
  }

  wire() {
    byId("front").addEventListener("click", () => this.orbit.reset());
    byId("side").addEventListener("click", () => this.orbit.reset(Math.PI / 2));
    byId("closer").addEventListener("click", () => this.orbit.scale(1.2));
    byId("farther").addEventListener("click", () => this.orbit.scale(1 / 1.2));
    byId("play").addEventListener("click", () => this.play(!this.playing));
    byId("back").addEventListener("click", () => this.step(-1));
    byId("forth").addEventListener("click", () => this.step(1));
    byId("scrub").addEventListener("input", () => this.seek(Number(byId("scrub").value)));
    byId("joint").addEventListener("change", () => this.chooseJoint(Number(byId("joint").value)));
    byId("field").addEventListener("change", () => this.showMap());
    byId("measure").addEventListener("change", () => this.chooseMeasure());
    document.addEventListener("keydown", (event) => {
      const typing = event.target.closest("input[type=search], select, textarea");
      const pressed = event.key === " " && event.target.closest("button, summary, a");
      if (typing || pressed || event.ctrlKey || event.metaKey || event.altKey) return;
      const act = {
        " ": () => this.play(!this.playing), ",": () => this.step(-1), ".": () => this.step(1),
        1: () => this.toggle("truth"), 2: () => this.toggle("base"),
        3: () => this.toggle("refined"), 4: () => this.toggle("std"),
        n: () => this.list.move(1), p: () => this.list.move(-1),
      }[event.key];
      if (!act) return;
      event.preventDefault();
      act();
    });
    this.play(false);
  }

  open(sequence) {
    this.sequence = decoded(sequence);
    let far = 0.5;
    for (const poses of Object.values(sequence.poses)) {
      for (let i = 0; i < poses.length; i += 3) {
        far = Math.max(far, Math.hypot(poses[i], poses[i + 1], poses[i + 2]));
      }
    }
    this.orbit.radius = 1.04 * far;
    for (const name of Object.keys(kinds)) this.toggles[name].hidden = !sequence.poses[name];
    this.toggles.std.hidden = !sequence.deviations;
    byId("scrub").max = sequence.frames - 1;
    this.offerMeasures();
    this.frameImage();
    this.chooseMeasure();
    this.seek(Math.min(this.frame, sequence.frames - 1));
  }

  // What there is of this sequence; the choice stays where it can.
  offerMeasures() {
    const offered = Object.keys(measures)
      .filter((name) => measurable(this.sequence, measures[name]).length > 0);
    byId("errors").hidden = offered.length === 0;
    const before = byId("measure").value;
    byId("measure").replaceChildren(...offered.map((name) =>
      make("option", {value: name}, `${measures[name].title} (${measures[name].unit})`)));
    if (offered.includes(before)) byId("measure").value = before;
  }

  chooseMeasure() {
    const name = byId("measure").value;
    this.lines = [];
    if (!name) return;
    this.measure = measures[name];
    this.errors = measured(this.sequence, name);
    const fields = Object.keys(this.errors);
    const names = {base: "of the base", refined: "of the refined", change: "change by refining"};
    const offered = fields.length === 2 ? ["change", ...fields] : fields;
    const before = byId("field").value;
    byId("field").replaceChildren(
      ...offered.map((field) => make("option", {value: field}, names[field])));
    if (offered.includes(before)) byId("field").value = before;
    this.curve.options.y.label = `${this.measure.title.toLowerCase()} (${this.measure.unit})`;
    this.map.options.unit = this.measure.unit;
    this.showErrors();
    this.showNow();
  }

  showErrors() {
    const {errors, sequence: {fps, frames}} = this;
    const x = Float32Array.from({length: frames}, (_, f) => f / fps);
    this.lines = Object.entries(errors).map(([name, values]) => ({
      ...kinds[name], width: 1.8, dots: 0, name: kinds[name].title, x,
      y: errorCurve(values, this.joint, frames)}));
    this.curve.set(this.lines);
    this.showMap();
  }

  showMap() {
    const field = byId("field").value;
    if (!field) return;
    const rows = measureRows(this.sequence, this.errors, field);
    this.map.options.scale = field === "change" ? "diverging" : "sequential";
    this.map.set(rows, this.sequence.frames, nearlyAll(rows));
  }

  chooseJoint(joint) {
    this.joint = joint;
    this.map.chosen = joint;
    byId("joint").value = joint;
    this.showErrors();
    this.seek(this.frame);
  }

  seek(frame) {
    const {frames, fps} = this.sequence;
    this.frame = Math.max(0, Math.min(frames - 1, frame));
    byId("scrub").value = this.frame;
    byId("time").textContent =
      `${fixed(this.frame / fps, 2)} s · ${this.frame + 1} of ${frames}`;
    this.showNow();
    this.curve.cursor = this.frame / fps;
    this.map.cursor = this.frame;
    for (const part of [this.view, this.image, this.curve, this.map]) {
      (part.redraw ?? part.invalidate).call(part);
    }
  }

  showNow() {
    byId("now").textContent = this.lines
      .map((line) => `${line.name} ${fixed(line.y[this.frame], 1)} ${this.measure.unit}`)
      .join(" · ");
  }

  step(frames) {
    this.play(false);
    this.seek(this.frame + frames);
  }

  play(on) {
    this.playing = on;
    byId("play").textContent = on ? "❚❚" : "▶";
    byId("play").setAttribute("aria-label", on ? "Stop" : "Play");
    if (!on) return;
    if (this.frame === this.sequence.frames - 1) this.seek(0);
    let [last, part] = [performance.now(), 0];
    const next = (now) => {
      if (!this.playing) return;
      part += (now - last) / 1000 * this.sequence.fps * Number(byId("speed").value);
      last = now;
      const whole = Math.floor(part);
      part -= whole;
      if (whole > 0) this.seek((this.frame + whole) % this.sequence.frames);
      requestAnimationFrame(next);
    };
    requestAnimationFrame(next);
  }

  drawView(context, width, height) {
    const project = this.orbit.projection(width, height);
    drawFloor(context, project, this.sequence.floor[this.frame]);
    this.drawn = Object.entries(this.sequence.poses)
      .filter(([name]) => this.shown[name])
      .map(([name, poses]) => ({kind: kinds[name], poses,
        points: projected(poses, this.frame, project),
        guessed: name === "truth" ? undefined : this.guessed}));
    if (this.sequence.deviations && this.shown.refined && this.shown.std) {
      this.drawRegions(context, project);
    }
    drawSkeletons(context, this.drawn);
    if (this.joint < 0) return;
    for (const {poses, kind} of this.drawn) this.drawTrail(context, project, poses, kind);
    for (const {points, kind} of this.drawn) {
      context.strokeStyle = colour(kind.colour);
      context.lineWidth = 2;
      context.beginPath();
      context.arc(points[this.joint][0], points[this.joint][1], 7, 0, 2 * Math.PI);
      context.stroke();
    }
    if (this.drawn.length === 0) return;
    const [x, y] = this.drawn[0].points[this.joint];
    context.font = small;
    context.textAlign = "left";
    context.textBaseline = "middle";
    context.lineWidth = 4;
    context.strokeStyle = colour("panel");
    context.strokeText(skeleton.names[this.joint], x + 12, y - 12);
    context.fillStyle = colour("text");
    context.fillText(skeleton.names[this.joint], x + 12, y - 12);
  }

  // Ellipsoids around the refined joints, or the chosen one, that reach as far along x, y and z as
  // the region which holds 80 % of that coordinate's truths.
  drawRegions(context, project) {
    const {poses: {refined}, deviations, reach} = this.sequence;
    context.strokeStyle = context.fillStyle = colour(kinds.refined.colour);
    context.lineWidth = 1;
    for (let j = 1; j < jointCount; ++j) {
      if (this.joint >= 0 && this.joint !== j) continue;
      const at = (this.frame * jointCount + j) * 3;
      const [xx, yy, zz] = reach.map((times, c) => (times * deviations[at + c]) ** 2);
      context.beginPath();
      context.ellipse(...outline(project, refined.slice(at, at + 3),
        [[xx, 0, 0], [0, yy, 0], [0, 0, zz]]), 0, 2 * Math.PI);
      context.globalAlpha = 0.08;
      context.fill();
      context.globalAlpha = 0.45;
      context.stroke();
    }
    context.globalAlpha = 1;
  }

  // The way of the chosen joint in the second before this frame.
  drawTrail(context, project, poses, kind) {
    context.strokeStyle = colour(kind.colour);
    context.lineWidth = 1.2;
    context.setLineDash(kind.dash);
    context.beginPath();
    for (let f = Math.max(0, this.frame - Math.round(this.sequence.fps)); f <= this.frame; ++f) {
      const [x, y] = projected(poses, f, project)[this.joint];
      context.lineTo(x, y);
    }
    context.stroke();
    context.setLineDash([]);
  }

  // What is shown of the image: a part that holds the person in every frame and follows slowly.
  frameImage() {
    const {pixels, frames, fps, image_size: [width, height]} = this.sequence;
    const centres = [[], []];
    const size = [0, 0];
    for (let f = 0; f < frames; ++f) {
      for (const c of [0, 1]) {
        let [low, high] = [Infinity, -Infinity];
        for (let j = 0; j < jointCount; ++j) {
          const value = pixels[(f * jointCount + j) * 2 + c];
          [low, high] = [Math.min(low, value), Math.max(high, value)];
        }
        centres[c].push((low + high) / 2);
        size[c] = Math.max(size[c], high - low);
      }
    }
    const reach = Math.round(fps / 2);
    const smooth = (values) => values.map((_, f) => {
      const near = values.slice(Math.max(0, f - reach), f + reach + 1);
      return near.reduce((a, b) => a + b, 0) / near.length;
    });
    this.part = {centres: centres.map(smooth), size: size.map((v) => 1.25 * v + 2)};
    byId("crop").textContent = `2D input, the person's left paler: ${this.part.size.map(Math.round).join(" × ")} px of an ` +
      `image of ${width} × ${height} px.`;
    const share = shareGuessed(this.sequence);
    if (share > 0) {
      byId("crop").textContent += ` Faint: joints that nobody saw (${fixed(100 * share, 1)} %), ` +
        "interpolated or guessed.";
    }
  }

  drawImage(context, width, height) {
    const {centres, size} = this.part;
    const scale = Math.min(width / size[0], height / size[1]);
    const x0 = width / 2 - scale * centres[0][this.frame];
    const y0 = height / 2 - scale * centres[1][this.frame];
    const [w, h] = this.sequence.image_size;
    context.strokeStyle = colour("dim");
    context.lineWidth = 1;
    context.strokeRect(x0 + 0.5, y0 + 0.5, scale * w, scale * h);
    const points = projected(this.sequence.pixels, this.frame,
      (x, y) => [x0 + scale * x, y0 + scale * y, 0], 2);
    drawSkeletons(context, [{points, kind: {colour: "text", width: 2, dash: [], dots: 3},
      guessed: this.guessed}]);
  }
}
