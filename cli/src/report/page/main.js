// Draws the parts that there is something for, and goes from one to another by mouse or keys.
const PARTS = [
  { name: "graph", data: report.graph, draw: drawGraph },
  { name: "memory", data: report.program?.memory, draw: drawMemory },
  { name: "passes", data: report.passes, draw: drawPasses },
  { name: "roofline", data: report.launches, draw: drawRoofline },
  { name: "kernels", data: report.program, draw: drawKernels },
];
const TABS = PARTS.filter(({ data }) => data).map(({ name }) => name);

show.tab = (name) => {
  for (const tab of PARTS.map((part) => part.name)) {
    byId(tab).hidden = tab !== name;
    byId(`tab-${tab}`).hidden = !TABS.includes(tab);
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
byId("tabs").hidden = TABS.length === 1;
if (report.graph) PAGE_KEYS["/"] = () => { show.tab("graph"); byId("search").focus(); };

show.tab(TABS[0]);
PARTS.filter(({ data }) => data).forEach(({ draw }) => draw());
const { graph, program, target, version } = report;
byId("summary").textContent = [
  graph && `${graph.nodes.length} nodes`,
  program && `${program.launches.length} launches of ${program.kernels.length} kernels`,
  program?.memory && `arena ${bytes(program.memory.arena_bytes)}`,
  target,
  `gradc ${version}`,
].filter(Boolean).join(", ");
// The part that an address ends with: `#memory`.
if (TABS.includes(location.hash.slice(1))) show.tab(location.hash.slice(1));
document.documentElement.dataset.drawn = "all";
