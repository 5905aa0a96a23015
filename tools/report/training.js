// Training: what a run's log says of every epoch.

class Training {
  constructor() {
    for (const [i, run] of report.training.entries()) {
      byId("run").append(make("option", {value: i}, run.label));
    }
    byId("run").addEventListener("change", () => this.show());
    byId("run").parentNode.hidden = report.training.length < 2;
    const chart = (title, y, label = title) => {
      const holder = make("figure", {}, make("h3", {}, title));
      byId("training-charts").append(holder);
      return new Chart(holder, {x: {label: "epoch"}, y, label, height: 210, key: true});
    };
    this.loss = chart("Loss", {label: "training loss", low: 0});
    this.validation = chart("Validation", {label: "MPJPE (mm)"});
    this.rate = chart("Learning rate", {label: "learning rate", log: true});
    this.norms = chart("Gradient norms", {label: "norm by block", log: true});
    this.time = chart("Time", {label: "seconds an epoch", low: 0});
    this.show();
  }

  show() {
    const {epochs, norms} = report.training[Number(byId("run").value)];
    const x = epochs.epoch;
    const dots = x.length < 40 ? 2.5 : 0;
    const line = (name, y, style) => ({name, x, y, width: 2, dots, ...style});
    this.loss.set([line("", epochs.loss, {colour: "refined"})]);
    const best = epochs.best.lastIndexOf(true);
    const least = fixed(epochs.validation_mm[best], 2);
    this.validation.set([line("", epochs.validation_mm, {colour: "refined"}),
      ...(best < 0 ? [] : [{name: `best, epoch ${x[best]}: ${least} mm`,
        x: [x[best]], y: [epochs.validation_mm[best]], colour: "truth", dots: 5, width: 0.01}])]);
    this.rate.set([line("", epochs.lr, {colour: "refined"})]);
    this.time.set([line("", epochs.seconds, {colour: "refined"})]);
    const styles = lineStyles(Object.keys(norms).length);
    this.norms.holder.parentNode.hidden = styles.length === 0;
    this.norms.set(Object.entries(norms)
      .map(([name, y], i) => line(name, y, {...styles[i], dots: 0})));
  }
}

// So many lines told apart by colour and, beyond four, by dashes.
function lineStyles(count) {
  const names = ["refined", "truth", "base", "extra"];
  const dashes = [[], [7, 4], [2, 3], [9, 3, 2, 3]];
  return Array.from({length: count}, (_, i) =>
    ({colour: names[i % 4], dash: dashes[Math.floor(i / 4) % 4], width: 1.6}));
}
