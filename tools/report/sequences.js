// The list of clips: search, order, choice. All that were scored are in it; those without poses in
// this page are figures alone.

class SequenceList {
  constructor(clips, onChoose) {
    this.clips = clips.map((clip) => {
      const shown = report.sequences.find((s) => s.name === clip.name);
      return shown ? Object.assign(shown, clip) : clip;
    });
    this.onChoose = onChoose;
    const known = (value) => clips.some((clip) => Number.isFinite(value(clip)));
    const needs = {gain: known(SequenceList.gain), loss: known(SequenceList.gain),
      error: known((c) => c.base_mm), moved: known((c) => c.moved_mm),
      jitter: known(SequenceList.figure("jitter")), misfit: known(SequenceList.figure("misfit")),
      name: true};
    for (const option of [...byId("order").options]) {
      if (!needs[option.value]) option.remove();
    }
    byId("order").addEventListener("change", () => this.show());
    byId("search").addEventListener("input", () => this.show());
    this.show();
    this.choose(this.visible.find((clip) => clip.pose_2d));
  }

  // mm by which refining lowered the error.
  static gain(clip) { return clip.base_mm - clip.refined_mm; }
  // Of the refined poses, or of the base where there are none.
  static figure(key) {
    return ({quality = {}}) => (quality.refined ?? quality.base)?.[key];
  }

  show() {
    const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const most = (value) => (a, b) => (value(b) ?? -Infinity) - (value(a) ?? -Infinity);
    const order = {
      gain: most(SequenceList.gain),
      loss: most((clip) => -SequenceList.gain(clip)),
      error: most((clip) => clip.refined_mm ?? clip.base_mm),
      moved: most((clip) => clip.moved_mm),
      jitter: most(SequenceList.figure("jitter")),
      misfit: most(SequenceList.figure("misfit")),
      name: (a, b) => a.name.localeCompare(b.name),
    }[byId("order").value];
    this.visible = this.clips
      .filter((s) => words.every((word) => s.name.toLowerCase().includes(word))).sort(order);
    const without = this.clips.filter((clip) => !clip.pose_2d).length;
    byId("found").textContent = `${this.visible.length} of ${this.clips.length} sequences` +
      (without > 0 ? `; of ${without} figures alone, with poses by --sequences or --limit` : "");
    byId("list").replaceChildren(...this.visible.map((s) => make("li", {}, this.button(s))));
    this.mark();
  }

  button(clip) {
    const {base_mm: base, refined_mm: refined} = clip;
    const children = [make("span", {class: "name"}, clip.name)];
    if (Number.isFinite(refined)) {
      children.push(
        make("span", {class: "figures"}, `${fixed(base, 1)} → ${fixed(refined, 1)} mm`),
        make("span", {class: `figures ${refined < base ? "good" : "bad"}`},
          `${refined < base ? "▾" : "▴"} ${signed(change(base, refined), 1)} %`));
    } else if (Number.isFinite(base)) {
      children.push(make("span", {class: "figures"}, `${fixed(base, 1)} mm`));
    } else if (Number.isFinite(clip.moved_mm)) {
      children.push(make("span", {class: "figures"}, `moved ${fixed(clip.moved_mm, 1)} mm`),
        make("span", {class: "figures"}, `jitter ${fromTo(clip, "jitter", 1)}`));
    }
    return make("button", {type: "button", disabled: clip.pose_2d ? undefined : "",
      click: () => this.choose(clip)}, ...children);
  }

  choose(sequence) {
    this.chosen = sequence;
    this.mark();
    this.onChoose(sequence);
  }

  move(by) {
    const open = this.visible.filter((clip) => clip.pose_2d);
    const at = open.indexOf(this.chosen) + by;
    if (at >= 0 && at < open.length) this.choose(open[at]);
  }

  mark() {
    [...byId("list").children].forEach((item, i) => {
      item.firstChild.setAttribute("aria-current", this.visible[i] === this.chosen);
    });
  }
}

// "base → refined" of a figure that needs no truth, or the one that there is.
function fromTo({quality = {}}, key, digits) {
  return ["base", "refined"].filter((name) => quality[name])
    .map((name) => fixed(quality[name][key], digits)).join(" → ");
}

// What can be said of clips without the truth.
class Plausibility {
  constructor() {
    const of = SequenceList.figure;
    const column = (title, key, digits, more = {}) =>
      ({title, value: of(key), text: (clip) => fromTo(clip, key, digits), ...more});
    const clips = report.clips;
    const some = (value) => clips.some((clip) => Number.isFinite(value(clip)));
    sortedTable(byId("quality-table"), "What can be said without the truth", [
      {title: "Clip", words: true, value: (c) => c.name, text: (c) => c.name},
      ...(some((c) => c.moved_mm) ? [{title: "moved (mm)", value: (c) => c.moved_mm,
        text: (c) => fixed(c.moved_mm, 1)}] : []),
      column("jitter (mm/frame²)", "jitter", 1),
      column("off the 2D (%)", "misfit", 1),
      column("jitter of the feet", "foot_jitter", 1, {minor: true}),
      column("bones vary by (%)", "bone_spread", 1, {minor: true}),
      column("peak speed (m/s)", "peak_speed", 2, {minor: true}),
      ...(clips.some(of("turn_rounds")) ? [column("turns round", "turn_rounds", 0)] : []),
      ...(some((c) => c.guessed_percent) ? [{title: "not seen (%)", minor: true,
        value: (c) => c.guessed_percent, text: (c) => fixed(c.guessed_percent, 1)}] : []),
      {title: "frames", minor: true, value: (c) => c.frames, text: (c) => String(c.frames)},
    ], clips);
  }
}
