// Tables that sort, and the figures of the evaluation in them.

// columns: {title, value(row), text(row), words, minor}; a column of `words` stands on the left and
// sorts from a to z, others from the largest; `minor` ones are left out on narrow screens. `foot`:
// rows that stay below.
function sortedTable(parent, label, columns, rows, foot = []) {
  const body = make("tbody");
  const looks = (column) => (column.words ? "words" : "number") + (column.minor ? " minor" : "");
  const cells = (row) => columns.map((column, i) => make(
    i === 0 ? "th" : "td", {class: looks(column), scope: i === 0 ? "row" : undefined},
    column.text(row)));
  const fill = (list) => body.replaceChildren(...list.map((row) => make("tr", {}, ...cells(row))));
  const heads = columns.map((column) => {
    const head = make("th", {scope: "col", class: looks(column)});
    head.append(make("button", {type: "button", class: "sort", click: () => {
      const before = head.getAttribute("aria-sort");
      const up = before ? before === "descending" : Boolean(column.words);
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const compare = column.words ? (a, b) => String(a).localeCompare(b)
        : (a, b) => (a ?? -Infinity) - (b ?? -Infinity);
      fill(rows.slice().sort((a, b) => (up ? 1 : -1) * compare(column.value(a), column.value(b))));
    }}, column.title));
    return head;
  });
  fill(rows);
  parent.append(make("div", {class: "scroll", tabindex: 0, role: "region", "aria-label": label},
    make("table", {}, make("thead", {}, make("tr", {}, ...heads)), body,
      make("tfoot", {}, ...foot.map((row) => make("tr", {}, ...cells(row)))))));
}

// A change in percent; less is better.
function changeText(before, after) {
  if (!Number.isFinite(before) || !Number.isFinite(after) || before === 0) return "–";
  const percent = change(before, after);
  return make("span", {class: percent < 0 ? "good" : "bad"},
    `${percent < 0 ? "▾" : "▴"} ${signed(percent, 1)} %`);
}

// Two bars under each other, base and refined, on a common scale.
function bars(base, refined, most) {
  const holder = make("div", {class: "bars", "aria-hidden": "true"});
  for (const [name, value] of [["base", base], ["refined", refined]]) {
    if (Number.isFinite(value)) {
      holder.append(make("i", {class: name, style: `width:${100 * value / most}%`}));
    }
  }
  return holder;
}

const metricList = [
  ["mpjpe_mm", "MPJPE", "mm"], ["p_mpjpe_mm", "P-MPJPE", "mm"], ["n_mpjpe_mm", "N-MPJPE", "mm"],
  ["mpjve_mm_per_frame", "MPJVE", "mm/frame"],
  ["acceleration_error_mm_per_frame2", "Acceleration error", "mm/frame²"],
  ["bone_length_error_mm", "Bone length error", "mm"],
  ["symmetry_error_mm", "Left/right asymmetry", "mm"], ["pck_150_percent", "PCK@150", "%"],
  ["auc_percent", "AUC", "%"], ["peak_speed_percent", "Peak speed", "%"],
];

class Tables {
  constructor() {
    const {base, refined} = report.scores;
    this.compared = Boolean(refined);
    this.showMetrics();
    this.showActions();
    this.showJoints();
    this.showHistogram();
    if (report.scores.uncertainty) this.showCoverage(report.scores.uncertainty);
    const scoring = Object.entries(report.scores.scoring).map(([k, v]) => `${k}: ${v}`).join("; ");
    byId("scoring").textContent = `Scored: ${scoring}.` + (this.compared
      ? " Intervals: 95 %, by a paired bootstrap over " +
        `${report.scores.gain_percent.clips} clips.` : "");
    showSummary(base, refined);
  }

  showMetrics() {
    const {base, refined, difference_interval_95: intervals} = report.scores;
    const digits = 2;
    const columns = [
      {title: "Average over the actions", words: true, value: (m) => m[1],
        text: (m) => `${m[1]} (${m[2]})`},
      {title: "base", value: ([key]) => base.average[key],
        text: ([key]) => fixed(base.average[key], digits)},
    ];
    if (this.compared) {
      const difference = ([key]) => refined.average[key] - base.average[key];
      columns.push(
        {title: "refined", value: ([key]) => refined.average[key],
          text: ([key]) => fixed(refined.average[key], digits)},
        {title: "refined − base", minor: true, value: difference, text: (m) => signed(difference(m), digits)},
        {title: "its interval", minor: true, value: ([key]) => intervals[key].low,
          text: ([key]) => ["low", "high"].map((end) => signed(intervals[key][end], digits))
            .join(" … ")},
        {title: "change", value: ([key]) => change(base.average[key], refined.average[key]),
          text: ([key, , unit]) =>
            unit === "%" ? "–" : changeText(base.average[key], refined.average[key])});
    }
    sortedTable(byId("metrics"), "Average over the actions", columns, metricList);
  }

  // Columns "<name> base, refined, change" of a row's figures.
  columns(name, base, refined, {digits = 1, minor = false} = {}) {
    const list = [{title: `${name} base`, minor, value: base,
      text: (row) => fixed(base(row), digits)}];
    if (!this.compared) return list;
    return list.concat(
      {title: "refined", minor, value: refined, text: (row) => fixed(refined(row), digits)},
      {title: "change", minor, value: (row) => change(base(row), refined(row)),
        text: (row) => changeText(base(row), refined(row))});
  }

  showActions() {
    const {base, refined} = report.scores;
    const rows = Object.keys(base.actions).map((name) =>
      ({name, base: base.actions[name], refined: refined?.actions[name]}));
    const most = Math.max(...rows.flatMap((r) => [r.base.mpjpe_mm, r.refined?.mpjpe_mm ?? 0]));
    sortedTable(byId("actions"), "Errors by action", [
      {title: "Action", words: true, value: (r) => r.name, text: (r) => r.name},
      {title: "frames", minor: true, value: (r) => r.base.frames,
        text: (r) => String(r.base.frames ?? base.frames)},
      {title: "", minor: true, value: (r) => r.base.mpjpe_mm,
        text: (r) => bars(r.base.mpjpe_mm, r.refined?.mpjpe_mm, most)},
      ...this.columns("MPJPE (mm)", (r) => r.base.mpjpe_mm, (r) => r.refined?.mpjpe_mm),
      ...this.columns("P-MPJPE (mm)", (r) => r.base.p_mpjpe_mm, (r) => r.refined?.p_mpjpe_mm,
        {minor: true}),
    ], rows, [{name: "Average", base: base.average, refined: refined?.average}]);
  }

  showJoints() {
    const {base, refined} = report.scores;
    const rows = skeleton.names.map((name) => ({name, base: base.average.joints_mpjpe_mm[name],
      refined: refined?.average.joints_mpjpe_mm[name]}));
    const most = Math.max(...rows.flatMap((r) => [r.base, r.refined ?? 0]));
    sortedTable(byId("by-joint"), "Errors by joint", [
      {title: "Joint", words: true, value: (r) => r.name, text: (r) => r.name},
      {title: "", minor: true, value: (r) => r.base, text: (r) => bars(r.base, r.refined, most)},
      ...this.columns("Error (mm)", (r) => r.base, (r) => r.refined),
    ], rows);
  }

  // How many percent of the poses have which MPJPE, base and refined (Fig. 4 of the paper).
  showHistogram() {
    const series = [];
    for (const name of ["base", "refined"]) {
      const poses = report.scores[name]?.poses_mpjpe;
      if (!poses) continue;
      const counts = poses.histogram_poses;
      const total = counts.reduce((a, b) => a + b, 0);
      const x = Array.from({length: counts.length + 1}, (_, i) => i * poses.bin_width_mm);
      series.push({...kinds[name], width: 2, dots: 0, name: kinds[name].title, steps: true, x,
        y: counts.map((n) => 100 * n / total)});
    }
    const chart = new Chart(byId("histogram"), {
      x: {label: "MPJPE of a pose (mm), the last bin open", low: 0}, key: true, height: 420,
      y: {label: "share of the poses (%)", low: 0, format: (v) => minus(String(+v.toFixed(2)))},
      label: "Distribution of the poses' MPJPE",
    });
    chart.set(series);
  }

  // How many of the truths lie in the regions that refined_std makes.
  showCoverage({shares, inside_percent: inside, std_mm: std, error_mm: error}) {
    byId("sure").hidden = false;
    const levels = [0, ...shares.map((share) => 100 * share), 100];
    const axes = Object.keys(std);
    const looks = [{colour: "refined", dots: 3}, {colour: "extra", dash: [6, 4], dots: 3}];
    new Chart(byId("coverage"), {
      x: {label: "share that the region should hold (%)", low: 0, high: 100},
      y: {label: "share of truths in it (%)", low: 0, high: 100}, height: 300, key: true,
      label: "Calibration of refined_std",
    }).set([{name: "as it should be", x: levels, y: levels, colour: "dim", width: 1.5, dash: [2, 3]},
      ...axes.map((axis, i) => ({...looks[i], x: levels, y: [0, ...inside.All[axis], 100],
        name: `${axis}: deviations ${fixed(std[axis], 1)} mm, errors ${fixed(error[axis], 1)} mm`}))]);
    const rows = Object.entries(inside).filter(([name]) => name !== "All")
      .map(([name, shareOf]) => ({name, shareOf}));
    sortedTable(byId("coverage-joints"), "Truths inside of the regions by joint", [
      {title: "Joint", words: true, value: (r) => r.name, text: (r) => r.name},
      ...axes.flatMap((axis) => shares.map((share, k) => ({
        title: `${axis}, ${100 * share} %`, value: (r) => r.shareOf[axis][k],
        text: (r) => fixed(r.shareOf[axis][k], 1)}))),
    ], rows, [{name: "All", shareOf: inside.All}]);
  }
}

function showSummary(base, refined) {
  const tile = (name, ...value) =>
    byId("summary").append(make("div", {}, make("dt", {}, name), make("dd", {}, ...value)));
  tile("Frames scored", base.frames.toLocaleString("en"));
  for (const [key, name] of metricList.slice(0, 2)) {
    const values = [fixed(base.average[key], 1)];
    if (refined) values.push(` → ${fixed(refined.average[key], 1)}`);
    values.push(make("small", {}, " mm"));
    const gain = refined && report.scores.gain_percent[key.replace("_mm", "")];
    if (gain) {
      const percent = change(base.average[key], refined.average[key]);
      const interval = Number.isFinite(gain.low)
        ? ` (95 %: ${signed(-gain.high, 1)} … ${signed(-gain.low, 1)} %)` : "";
      values.push("  ", make("span", {class: percent < 0 ? "good" : "bad"},
        `${signed(percent, 1)} %`), make("small", {}, interval));
    }
    tile(name, ...values);
  }
}
