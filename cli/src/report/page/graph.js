// The lines of the source around a place, the place's own marked; nothing if the file wasn't there.
function sourceOf(place) {
  const source = report.sources[place];
  if (!source) return null;
  const here = Number(place.split(":").at(-2));
  const pre = element("pre");
  source.lines.forEach((line, at) => {
    const number = source.first + at;
    pre.append(element("div", { class: number === here ? "line here" : "line" }, `${String(number).padStart(5)}  ${line}`));
  });
  return pre;
}

// Other parts show a kernel, or nodes of the graph, by these; they are set where the parts are drawn.
const show = { tab: null, kernel: null, nodes: null };
// The graph: sections, clusters and nodes where the layout says; moved, zoomed, searched.
function drawGraph() {
  const picture = byId("picture"), { layout, graph } = report;
  const world = drawn("g");
  picture.append(world);
  for (const { name, at: [x, y, width, height] } of layout.sections) {
    world.append(drawn("g", { class: `section ${name}` },
      drawn("rect", { x, y, width, height, rx: 6 }), drawn("text", { x: x + 10, y: y + 18 }, name || "graph")));
  }
  for (const { cluster, at: [x, y, width, height] } of layout.clusters) {
    world.append(drawn("g", { class: "cluster" },
      drawn("rect", { x, y, width, height, rx: 4 }), drawn("text", { x: x + 6, y: y + 11 }, `@${cluster}`)));
  }
  const edges = graph.nodes.map(() => []);
  for (const node of graph.nodes) {
    for (const operand of new Set(node.operands)) {
      const path = edge(layout.nodes[operand], layout.nodes[node.id]);
      const across = graph.nodes[operand].section !== node.section;
      const line = drawn("path", { d: path, class: across ? "edge across" : "edge" });
      edges[operand].push(line);
      edges[node.id].push(line);
      world.append(line);
    }
  }
  const view = viewOf(picture, world, layout);
  const boxes = graph.nodes.map((node) => {
    const [x, y, width, height] = layout.nodes[node.id];
    const box = drawn("g", { class: "node", id: `node-${node.id}` },
      drawn("title", {}, [node.layer, node.location].filter(Boolean).join("\n")),
      drawn("rect", { x, y, width, height, rx: 4, stroke: colourOf(node.op) }),
      drawn("text", { x: x + 8, y: y + 13 }, titleOf(node)),
      drawn("text", { x: x + 8, y: y + 25, class: "faint" }, typeOf(node)));
    box.addEventListener("click", () => choose(node.id));
    world.append(box);
    return box;
  });

  let chosen = null;
  function choose(id, move = false) {
    if (chosen !== null) [boxes[chosen], ...edges[chosen]].forEach((one) => one.classList.remove("chosen"));
    chosen = id;
    [boxes[id], ...edges[id]].forEach((one) => one.classList.add("chosen"));
    if (move) view.centre(layout.nodes[id]);
    describe(graph.nodes[id], (other) => choose(other, true));
  }
  const mark = searching(boxes, choose);
  show.nodes = (ids, what) => { show.tab("graph"); mark(ids, what); };
  legend();
  byId("node").append(element("p", { class: "hint" },
    "Choose a node to see what it is, where it comes from and which kernel computes it. Boxes with broken lines are clusters: what is fused into one kernel."));
}

// What stands in a node's box: inputs and states have names.
const titleOf = (node) => [`%${node.id}`, node.op, node.attributes?.name].filter((part) => typeof part === "string").join(" ");

// A line from the bottom of one box to the top of another.
function edge([x, y, width, height], [x2, y2, width2]) {
  const from = [x + width / 2, y + height], to = [x2 + width2 / 2, y2];
  const bend = Math.max(12, Math.min(80, Math.abs(to[1] - from[1]) / 2));
  return `M${from[0]},${from[1]} C${from[0]},${from[1] + bend} ${to[0]},${to[1] - bend} ${to[0]},${to[1]}`;
}

const KINDS = [
  ["contractions", /^(dot|conv|pair|quad|weighted_mean)/],
  ["reductions, windows", /^(reduce|pool|argm|cumsum|softmax|window)/],
  ["inputs, states, constants", /^(input|state|constant|full|iota)$/],
  ["movement", /^(reshape|permute|broadcast|slice|pad|concat|reverse|gather|scatter|take|update_slice|cast|one_hot)/],
  ["loops, random, order", /^(scan|random|argsort|gradient|stop_gradient)/],
];
const kindOf = (op) => { const at = KINDS.findIndex(([, names]) => names.test(op)); return at < 0 ? 5 : at; };
const KIND_COLOURS = ["--c4", "--c1", "--c5", "--c3", "--c2", "--c0"];
const colourOf = (op) => `var(${KIND_COLOURS[kindOf(op)]})`;

function legend() {
  [...KINDS.map(([name]) => name), "elementwise"].forEach((name, at) => {
    byId("legend").append(element("span", { class: "swatch", style: `background: var(${KIND_COLOURS[at]})` }), name);
  });
}

// What a node is, beside the picture.
function describe(node, choose) {
  const link = (id) => element("button", { onclick: () => choose(id) }, `%${id}`);
  const list = element("dl");
  const add = (title, ...values) => list.append(element("dt", {}, title), element("dd", {}, ...values));
  add("type", typeOf(node));
  if (node.section) add("section", node.section);
  if (node.layer) add("layer", node.layer);
  if (node.cluster !== undefined) add("cluster", `@${node.cluster}`);
  for (const [name, value] of Object.entries(node.attributes ?? {})) {
    const text = value !== null && typeof value === "object" && value.nodes ? `a graph of ${value.nodes.length} nodes` : JSON.stringify(value);
    add(name, text.length > 300 ? `${text.slice(0, 300)}…` : text);
  }
  if (node.operands.length) add("operands", ...node.operands.map(link));
  const users = report.graph.nodes.filter((other) => other.operands.includes(node.id)).map((other) => other.id);
  if (users.length) add("used by", ...users.slice(0, 40).map(link));
  for (const [what, results] of [["output", report.graph.outputs], ["update of", report.graph.updates]]) {
    results.filter((result) => result.node === node.id).forEach((result) => add(what, result.name));
  }
  const kernels = (report.program?.launches ?? []).filter((launch) => launch.origins.some((origin) => isOf(origin, node)));
  for (const name of new Set(kernels.map((launch) => launch.kernel))) {
    add("kernel", element("button", { onclick: () => show.kernel(name) }, report.program.kernels[name].name));
  }
  if (node.location) add("from", node.location);
  byId("node").replaceChildren(element("h2", {}, titleOf(node)), list, sourceOf(node.location) ?? "");
}

// Whether a launch's origin is this node, or one like it on the same line.
function isOf(origin, node) {
  return origin.op === node.op && origin.location === node.location && origin.layer === node.layer && origin.section === node.section;
}

// The search field: marks what matches, lists it, goes from one to the next. Gives the function that marks nodes for other parts.
function searching(boxes, choose) {
  let found = [], at = -1;
  const texts = report.graph.nodes.map((node) =>
    [`%${node.id}`, node.op, typeOf(node), node.layer, node.section, node.location, JSON.stringify(node.attributes?.name ?? "")].join(" ").toLowerCase());
  function mark(ids, what) {
    found.forEach((id) => boxes[id].classList.remove("found"));
    [found, at] = [ids, -1];
    found.forEach((id) => boxes[id].classList.add("found"));
    const buttons = found.slice(0, 12).map((id) => element("button", { onclick: () => choose(id, true) }, `%${id}`));
    byId("found").replaceChildren(what ?? "", ...buttons, found.length > 12 ? ` … of ${found.length}` : "");
    if (what && found.length) next();
  }
  function next() {
    if (!found.length) return;
    at = (at + 1) % found.length;
    choose(found[at], true);
  }
  byId("search").addEventListener("input", (event) => {
    const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
    const ids = texts.flatMap((text, id) => (words.length && words.every((word) => text.includes(word)) ? [id] : []));
    mark(ids);
    if (words.length && !ids.length) byId("found").textContent = "nothing";
  });
  byId("search").addEventListener("keydown", (event) => { if (event.key === "Enter") next(); });
  return mark;
}

// Moving and zooming: the world is drawn at a place and a scale.
function viewOf(picture, world, { width, height }) {
  let [x, y, scale] = [0, 0, 1];
  const apply = () => world.setAttribute("transform", `translate(${x},${y}) scale(${scale})`);
  const size = () => [picture.clientWidth || 1200, picture.clientHeight || 700];
  function all() {
    scale = Math.min(1, (size()[0] - 20) / Math.max(width, 1), (size()[1] - 20) / Math.max(height, 1));
    [x, y] = [10, 10];
    apply();
  }
  // At first names can be read, from where the step begins.
  function beginning() {
    all();
    scale = Math.max(scale, 0.7);
    apply();
  }
  function zoom(factor, [cx, cy] = size().map((one) => one / 2)) {
    factor = Math.min(Math.max(scale * factor, 0.02), 6) / scale;
    [x, y, scale] = [cx - (cx - x) * factor, cy - (cy - y) * factor, scale * factor];
    apply();
  }
  function centre([left, top, boxWidth, boxHeight]) {
    scale = Math.max(scale, 0.8);
    const [w, h] = size();
    [x, y] = [w / 2 - (left + boxWidth / 2) * scale, h / 2 - (top + boxHeight / 2) * scale];
    apply();
  }
  function move(dx, dy) { x += dx; y += dy; apply(); }
  picture.addEventListener("wheel", (event) => {
    event.preventDefault();
    const box = picture.getBoundingClientRect();
    zoom(Math.exp(-event.deltaY / 400), [event.clientX - box.left, event.clientY - box.top]);
  }, { passive: false });
  let last = null;
  picture.addEventListener("pointerdown", (event) => { last = [event.clientX, event.clientY]; });
  addEventListener("pointerup", () => { last = null; });
  addEventListener("pointermove", (event) => {
    if (!last) return;
    move(event.clientX - last[0], event.clientY - last[1]);
    last = [event.clientX, event.clientY];
  });
  const KEYS = {
    ArrowLeft: () => move(80, 0), ArrowRight: () => move(-80, 0), ArrowUp: () => move(0, 80), ArrowDown: () => move(0, -80),
    "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8), "0": all,
  };
  picture.addEventListener("keydown", (event) => {
    const act = KEYS[event.key];
    if (act) { act(); event.preventDefault(); }
  });
  beginning();
  return { centre };
}
