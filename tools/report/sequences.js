// The list of sequences: search, order, choice.

class SequenceList {
  constructor(sequences, onChoose) {
    this.sequences = sequences;
    this.onChoose = onChoose;
    const scored = sequences.some((s) => Number.isFinite(s.base_mm));
    const compared = sequences.some((s) => Number.isFinite(s.refined_mm));
    for (const option of [...byId("order").options]) {
      const needs = {gain: compared, loss: compared, error: scored, name: true};
      if (!needs[option.value]) option.remove();
    }
    if (compared) byId("order").value = report.worst ? "loss" : "gain";
    byId("order").addEventListener("change", () => this.show());
    byId("search").addEventListener("input", () => this.show());
    this.show();
    this.choose(this.visible[0]);
  }

  // mm by which refining lowered the error; 0 where it is not known.
  static gain(sequence) {
    return Number.isFinite(sequence.refined_mm) ? sequence.base_mm - sequence.refined_mm : 0;
  }

  show() {
    const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const order = {
      gain: (a, b) => SequenceList.gain(b) - SequenceList.gain(a),
      loss: (a, b) => SequenceList.gain(a) - SequenceList.gain(b),
      error: (a, b) => (b.refined_mm ?? b.base_mm) - (a.refined_mm ?? a.base_mm),
      name: (a, b) => a.name.localeCompare(b.name),
    }[byId("order").value];
    this.visible = this.sequences
      .filter((s) => words.every((word) => s.name.toLowerCase().includes(word))).sort(order);
    byId("found").textContent = `${this.visible.length} of ${this.sequences.length} sequences` +
      (report.left_out > 0 ? `; ${report.left_out} more are not in this report` : "");
    byId("list").replaceChildren(...this.visible.map((s) => make("li", {}, this.button(s))));
    this.mark();
  }

  button(sequence) {
    const {base_mm: base, refined_mm: refined} = sequence;
    const children = [make("span", {class: "name"}, sequence.name)];
    if (Number.isFinite(refined)) {
      children.push(
        make("span", {class: "figures"}, `${fixed(base, 1)} → ${fixed(refined, 1)} mm`),
        make("span", {class: `figures ${refined < base ? "good" : "bad"}`},
          `${refined < base ? "▾" : "▴"} ${signed(change(base, refined), 1)} %`));
    } else if (Number.isFinite(base)) {
      children.push(make("span", {class: "figures"}, `${fixed(base, 1)} mm`));
    }
    return make("button", {type: "button", click: () => this.choose(sequence)}, ...children);
  }

  choose(sequence) {
    this.chosen = sequence;
    this.mark();
    this.onChoose(sequence);
  }

  move(by) {
    const at = this.visible.indexOf(this.chosen) + by;
    if (at >= 0 && at < this.visible.length) this.choose(this.visible[at]);
  }

  mark() {
    [...byId("list").children].forEach((item, i) => {
      item.firstChild.setAttribute("aria-current", this.visible[i] === this.chosen);
    });
  }
}
