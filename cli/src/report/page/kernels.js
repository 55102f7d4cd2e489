// A kernel: the lines it was made of, its loops and, where it was compiled and run, its machine code and times, side by side.
function drawKernels() {
  const panel = byId("kernels"), { program, launches, codes } = report;
  const times = program.kernels.map(() => ({ ms: 0, count: 0 }));
  program.launches.forEach((launch, at) => {
    times[launch.kernel].ms += launches?.[at].median_ms ?? 0;
    times[launch.kernel].count += 1;
  });
  const order = program.kernels.map((_, at) => at).sort((a, b) => times[b].ms - times[a].ms);
  const choice = element("select", { id: "kernel", onchange: (event) => view(Number(event.target.value)) });
  const timeOf = (at, before) => (launches ? `${before}${milliseconds(times[at].ms)}` : "");
  for (const at of order) choice.append(element("option", { value: at }, `${program.kernels[at].name}${timeOf(at, "   ")}`));
  const columns = element("div", { class: codes ? "columns" : "columns two" }), facts = element("p", { id: "facts" });
  panel.append(element("p", {}, element("label", {}, "Kernel ", choice)), facts, columns);

  // Equal kernels share the code of the first of them, which is the one before them that has some.
  function assemblyOf(at) {
    if (codes[at].assembly !== null) return codes[at].assembly;
    const body = (one) => program.kernels[one].text.replace(/^kernel \w+/, "");
    const first = codes.findIndex((code, one) => code.assembly !== null && body(one) === body(at));
    return first < 0 ? "the code of an equal kernel" : `; the code of ${program.kernels[first].name}\n${codes[first].assembly}`;
  }

  function view(at) {
    const kernel = program.kernels[at], mine = program.launches.filter((launch) => launch.kernel === at);
    choice.value = at;
    facts.textContent = `${times[at].count} launch${times[at].count === 1 ? "" : "es"}${timeOf(at, ", in all ")}; each ${digits(kernel.operations)} operations, ` +
      `${bytes(kernel.read_bytes)} read, ${bytes(kernel.written_bytes)} written${codes ? `; ${codeOf(codes[at])}` : ""}`;
    const column = (title, what, name) => element("div", name ? { class: name } : {}, element("h2", {}, title), what);
    const text = (id, value) => element("pre", { id, tabindex: 0 }, value);
    columns.replaceChildren(column("Source", originsOf(mine), "origins"), column("Loops", text("loops", kernel.text)));
    if (codes) columns.append(column("Machine code", text("assembly", assemblyOf(at))));
  }
  show.kernel = (at) => { show.tab("kernels"); view(at); };
  if (order.length) view(order[0]);
}

const codeOf = ({ bytes, emitter }) => (bytes === 0 ? "its code is that of an equal kernel" : `${bytes} bytes of code by ${emitter}`);

// The lines that launches come from, each once, with the ops of each.
function originsOf(launches) {
  const places = new Map();
  for (const origin of launches.flatMap((launch) => launch.origins)) {
    const place = origin.location ?? "";
    if (!places.has(place)) places.set(place, { names: new Set(), ops: new Set() });
    places.get(place).ops.add(origin.op);
    places.get(place).names.add([origin.section, origin.layer].filter(Boolean).join(": "));
  }
  const box = element("div");
  const nodes = (report.graph?.nodes ?? []).filter((node) => launches.some((launch) => launch.origins.some((origin) => isOf(origin, node))));
  if (nodes.length) {
    box.append(element("button", { onclick: () => show.nodes(nodes.map((node) => node.id), "the kernel's nodes ") }, "Show in the graph"));
  }
  for (const [place, { names, ops }] of places) {
    box.append(element("p", {}, element("strong", {}, place || "of no line"), element("br"), [...names].filter(Boolean).join(", "), element("br"), [...ops].join(", ")));
    const source = sourceOf(place);
    if (source) box.append(source);
  }
  return box;
}
