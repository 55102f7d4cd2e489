// Draws all parts, and goes from one to another by mouse or keys.
const TABS = ["graph", "memory", "passes", "roofline", "kernels"];

show.tab = (name) => {
  for (const tab of TABS) {
    byId(tab).hidden = tab !== name;
    byId(`tab-${tab}`).setAttribute("aria-selected", String(tab === name));
    byId(`tab-${tab}`).tabIndex = tab === name ? 0 : -1;
  }
};
TABS.forEach((tab, at) => {
  byId(`tab-${tab}`).addEventListener("click", () => show.tab(tab));
  byId(`tab-${tab}`).addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: TABS.length - 1 }[event.key];
    if (!step) return;
    const next = TABS[(at + step) % TABS.length];
    show.tab(next);
    byId(`tab-${next}`).focus();
  });
});

function turnTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
}
byId("theme").addEventListener("click", turnTheme);
addEventListener("keydown", (event) => {
  if (["INPUT", "SELECT"].includes(event.target.tagName) || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") { show.tab("graph"); byId("search").focus(); event.preventDefault(); }
  if (event.key === "t") turnTheme();
});

show.tab("graph");
drawGraph();
drawMemory();
drawPasses();
drawRoofline();
drawKernels();
byId("summary").textContent = `${report.graph.nodes.length} nodes, ${report.program.launches.length} launches of ${report.program.kernels.length} kernels, ` +
  `arena ${bytes(report.program.memory.arena_bytes)}, ${report.target}, gradc ${report.version}`;
// The part that an address ends with: `#memory`.
if (TABS.includes(location.hash.slice(1))) show.tab(location.hash.slice(1));
document.documentElement.dataset.drawn = "all";
