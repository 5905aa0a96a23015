#include "tools/gradcheck_html.hpp"

namespace posetape::tools {

const char* const kPageStyle = R"css(
:root {
  color-scheme: light dark;
  --back: #fff; --text: #1d2126; --dim: #5d6671; --line: #d8dde3; --panel: #f4f6f8;
  --good: #116b35; --bad: #b3161b; --less: #805300; --focus: #0b5fc6;
  --good-back: #dff3e5; --bad-back: #fde3e3; --less-back: #fbeecb;
  --good-bar: #3f9b63; --bad-bar: #d03a3f;
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #14171b; --text: #e5e8ec; --dim: #9ba5b1; --line: #323941; --panel: #1e2329;
    --good: #6fd694; --bad: #ff8f8f; --less: #f0c45c; --focus: #7db7ff;
    --good-back: #16351f; --bad-back: #47191b; --less-back: #3c2f0c;
    --good-bar: #4fb877; --bad-bar: #ef6b6b;
  }
}
* { box-sizing: border-box; }
body { margin: 0; padding: 1.2rem clamp(.8rem, 2.5vw, 2rem) 3rem; background: var(--back);
  color: var(--text); font: 15px/1.45 system-ui, sans-serif; }
code, .number { font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
code { font-size: .92em; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: 0 0 .8rem; }
.good { color: var(--good); } .bad { color: var(--bad); } .less { color: var(--less); }
.tiles { display: flex; flex-wrap: wrap; gap: .6rem; margin: 0 0 .8rem; }
.tiles div { background: var(--panel); border: 1px solid var(--line); border-radius: 8px;
  padding: .45rem .9rem; min-width: 6rem; }
.tiles dt { color: var(--dim); font-size: .85rem; }
.tiles dd { margin: 0; font-size: 1.3rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.legend { margin: 0 0 1rem; } .legend summary { cursor: pointer; color: var(--dim); }
.legend dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem;
  margin: .6rem 0 0; }
.legend dt { font-weight: 600; } .legend dd { margin: 0; max-width: 60em; }
.controls { display: flex; flex-wrap: wrap; gap: .6rem 1.2rem; align-items: center;
  margin: 0 0 .8rem; }
input, select, button { font: inherit; color: inherit; }
input, select { background: var(--back); border: 1px solid var(--line); border-radius: 6px;
  padding: .3rem .5rem; margin-left: .3rem; }
output { color: var(--dim); }
:focus-visible { outline: 2px solid var(--focus); outline-offset: 1px; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 8px; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: .3rem .6rem; text-align: right; white-space: nowrap; font-weight: 400; }
td.number { font-size: .87em; }
.words, .chart, th[scope=row] { text-align: left; }
#groups > thead th { background: var(--panel); border-bottom: 1px solid var(--line);
  vertical-align: bottom; }
.group + .group > tr:first-child > * { border-top: 1px solid var(--line); }
.sort, .open { background: none; border: 0; padding: .15rem 0; cursor: pointer; font-weight: 600; }
.sort::after { content: "\2195"; color: var(--dim); opacity: .45; margin-left: .25em; }
[aria-sort=ascending] .sort::after { content: "\2191"; opacity: 1; }
[aria-sort=descending] .sort::after { content: "\2193"; opacity: 1; }
.open::before { content: "\25B8"; display: inline-block; width: 1.1em; color: var(--dim); }
.open[aria-expanded=true]::before { content: "\25BE"; }
.badge { border-radius: 99px; padding: .05rem .55rem; font-size: .87rem; }
.badge.good { background: var(--good-back); } .badge.bad { background: var(--bad-back); }
.badge.less { background: var(--less-back); }
td.none { color: var(--dim); }
svg { display: block; overflow: visible; }
svg .axis { stroke: var(--line); } svg .good { fill: var(--good-bar); }
svg .bad { fill: var(--bad-bar); } svg text { fill: var(--dim); font-size: 10px; }
.details > td { padding: 0 .6rem .8rem 1.7rem; background: var(--panel); text-align: left; }
.rows th { color: var(--dim); font-size: .85rem; }
.rows td, .rows th { padding: .15rem .6rem; }
.rows .case th { text-align: left; padding-top: .7rem; color: var(--text); white-space: normal; }
.rows .case span { font-weight: 600; margin-right: .6rem; }
.rows .place { white-space: normal; color: var(--dim); width: 40%; }
.copy { border: 1px solid var(--line); border-radius: 5px; background: var(--back); cursor: pointer;
  font-size: .8rem; padding: 0 .45rem; margin-left: .3rem; }
[hidden] { display: none !important; }
@media (max-width: 760px) {
  .scroll { border: 0; overflow: visible; }
  #groups, #groups > thead, #groups > tbody, #groups > tbody > tr, #groups > tbody > tr > *,
  .rows, .rows tbody, .rows tr, .rows td, .rows th { display: block; text-align: left; }
  #groups > thead tr { display: flex; flex-wrap: wrap; gap: .1rem .9rem; padding: .5rem .6rem;
    background: var(--panel); border-radius: 8px; }
  #groups > thead th { background: none; border: 0; padding: 0; }
  #groups > thead svg { display: none; }
  #groups > .group { border: 1px solid var(--line); border-radius: 8px; margin-top: .6rem;
    padding: .3rem .2rem; }
  .group + .group > tr:first-child > * { border: 0; }
  #groups td[data-label] { display: flex; align-items: baseline; justify-content: space-between;
    gap: 1rem;
    white-space: normal; }
  #groups td[data-label]::before { content: attr(data-label); color: var(--dim);
    font: .87rem system-ui, sans-serif; }
  #groups > .group > tr:first-child { display: grid; grid-template-columns: 1fr 1fr; }
  #groups > .group > tr:first-child > th, #groups td.chart { grid-column: 1 / -1; }
  #groups td.none { display: none; }
  .rows thead { display: none; }
  .rows tr + tr { border-top: 1px solid var(--line); }
  .rows tr:not(.case) { display: grid; grid-template-columns: 1fr 1fr; }
  .rows .place { grid-column: 1 / -1; width: auto; text-align: right; }
  .details > td { padding: .2rem; border-radius: 6px; }
  .legend dl { grid-template-columns: 1fr; } .legend dd { margin-bottom: .4rem; }
}
)css";

const char* const kPageScript = R"js(
"use strict";
const table = document.getElementById("groups");
const groups = [...table.querySelectorAll(":scope > .group")];

function show(group, open) {
  const button = group.querySelector(".open");
  button.setAttribute("aria-expanded", open);
  document.getElementById(button.getAttribute("aria-controls")).hidden = !open;
}

function filter() {
  const words = document.getElementById("text").value.toLowerCase().split(/\s+/).filter(Boolean);
  const verdict = document.getElementById("verdict").value;
  let shown = 0;
  for (const group of groups) {
    const text = group.dataset.text.toLowerCase();
    const fits = words.every((w) => text.includes(w)) &&
      (!verdict || group.dataset.verdicts.split(" ").includes(verdict));
    group.hidden = !fits;
    shown += fits;
  }
  document.getElementById("shown").value = `${shown} of ${groups.length} shown`;
}

// By number where both are numbers; the order in which they were made decides ties.
function compare(a, b) {
  const difference = a - b;
  return Number.isNaN(difference) ? a.localeCompare(b) : difference;
}

function sort(header) {
  const column = [...header.parentNode.children].indexOf(header);
  const before = header.getAttribute("aria-sort");
  // Words from a to z first, numbers from the largest.
  const up = before ? before === "descending" : header.classList.contains("words");
  for (const other of header.parentNode.children) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", up ? "ascending" : "descending");
  const key = (group) => group.rows[0].cells[column].dataset.key;
  const sorted = groups.slice().sort((a, b) => (up ? 1 : -1) * compare(key(a), key(b)));
  table.append(...sorted);
}

async function copy(button) {
  const code = button.parentNode.querySelector("code");
  let done = true;
  try {
    await navigator.clipboard.writeText(code.textContent);
  } catch {
    // Pages opened from a file may have no clipboard; the selection always works.
    getSelection().selectAllChildren(code);
    done = document.execCommand("copy");
  }
  button.textContent = done ? "Copied" : "Selected";
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.classList.contains("open")) {
    show(button.closest(".group"), button.getAttribute("aria-expanded") !== "true");
  } else if (button.classList.contains("sort")) {
    sort(button.closest("th"));
  } else if (button.classList.contains("copy")) {
    copy(button);
  }
});
document.querySelector(".controls").addEventListener("input", filter);
document.querySelector(".controls").addEventListener("submit", (event) => event.preventDefault());
// A few failures are shown at once.
const failed = groups.filter((g) => g.dataset.verdicts.split(" ").includes("failed"));
if (failed.length <= 3) failed.forEach((g) => show(g, true));
filter();
)js";

}  // namespace posetape::tools
