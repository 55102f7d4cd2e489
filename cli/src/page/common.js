// What pages have in common: the data, light or dark, elements, numbers as text.
"use strict";
const report = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

// An element of HTML: attributes, then children, which are elements or text.
function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

// An element of SVG.
function drawn(name, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

// Bytes in the unit that leaves at least one digit before the point.
function bytes(count) {
  const units = ["B", "KiB", "MiB", "GiB"];
  let at = 0;
  while (count >= 1024 && at + 1 < units.length) { count /= 1024; at += 1; }
  return `${count.toFixed(at === 0 ? 0 : 2)} ${units[at]}`;
}

const digits = (value, count = 3) => (value === 0 ? "0" : Number.isFinite(value) ? value.toPrecision(count).replace(/e\+?(-?\d+)/, "·10^$1") : "–");
const typeOf = (node) => `${node.dtype}[${node.shape.join(",")}]`;
const milliseconds = (value) => `${value < 0.01 ? value.toExponential(1) : value.toFixed(3)} ms`;

// A table: titles, then rows of cells; cells of columns in `numbers` stand at the right.
function table(titles, rows, numbers = []) {
  const cell = (name, value, column) => element(name, numbers.includes(column) ? { class: "number" } : {}, value);
  const head = element("tr", {}, ...titles.map((title, column) => cell("th", title, column)));
  const body = rows.map((row) => element("tr", {}, ...row.map((value, column) => cell("td", value, column))));
  return element("table", {}, element("thead", {}, head), element("tbody", {}, ...body));
}

// Light or dark, until the reader's window is closed: a page that is followed reads itself again.
const THEME = "theme";
function setTheme(theme) { document.documentElement.dataset.theme = theme; }
function turnTheme() {
  const now = document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  const next = now === "dark" ? "light" : "dark";
  setTheme(next);
  try { sessionStorage.setItem(THEME, next); } catch { /* A browser that keeps nothing. */ }
}
try { const kept = sessionStorage.getItem(THEME); if (kept) setTheme(kept); } catch { /* As above. */ }
byId("theme").addEventListener("click", turnTheme);

// Keys that go for the whole page; not while something is typed.
const PAGE_KEYS = { t: turnTheme };
addEventListener("keydown", (event) => {
  if (["INPUT", "SELECT"].includes(event.target.tagName) || event.ctrlKey || event.metaKey || event.altKey) return;
  if (PAGE_KEYS[event.key]) { PAGE_KEYS[event.key](); event.preventDefault(); }
});
