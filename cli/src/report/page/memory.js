// The memory plan: each buffer of the arena as a rectangle, from its first launch to its last, at its place.
const BUFFER_COLOURS = { temp: "--c0", input: "--c2", output: "--c1", constant: "--c5", next: "--c3", state: "--c4" };

function drawMemory() {
  const { buffers, launches, memory } = report.program, panel = byId("memory");
  const [width, height, left, bottom] = [1200, 460, 84, 34];
  const end = Math.max(launches.length, 1), top = Math.max(memory.arena_bytes, memory.lower_bound_bytes, 1) * 1.06;
  const x = (launch) => left + (launch / (end + 1)) * (width - left - 12);
  const y = (offset) => height - bottom - (offset / top) * (height - bottom - 12);
  const chart = drawn("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "Memory plan" });
  const placed = buffers.map((buffer, id) => ({ ...buffer, id })).filter((buffer) => buffer.offset !== undefined);
  for (const buffer of placed) {
    const rectangle = drawn("rect", {
      class: "buffer", x: x(buffer.first), width: Math.max(x(Math.min(buffer.last, end) + 1) - x(buffer.first), 0.5),
      y: y(buffer.offset + buffer.bytes), height: Math.max(y(buffer.offset) - y(buffer.offset + buffer.bytes), 0.3),
      fill: `var(${BUFFER_COLOURS[buffer.kind]})`,
    }, drawn("title", {}, `${nameOf(buffer)}: ${bytes(buffer.bytes)} at ${bytes(buffer.offset)}, launches ${buffer.first} to ${buffer.last}`));
    chart.append(rectangle);
  }
  limit(memory.arena_bytes, "peak", width - 240);
  limit(memory.lower_bound_bytes, "lower bound", left + 8);
  for (const part of [0, 0.25, 0.5, 0.75, 1]) {
    const at = Math.round(part * end);
    chart.append(drawn("text", { x: x(at), y: height - 12, class: "faint", "text-anchor": part === 1 ? "end" : "start" }, `${at}`));
    chart.append(drawn("text", { x: 6, y: y(part * memory.arena_bytes) + 4, class: "faint" }, bytes(part * memory.arena_bytes)));
  }
  chart.append(drawn("text", { x: width - 120, y: height - 12, class: "faint" }, "launch →"));

  // A line for a size of the arena, with its name above it at a place from the left.
  function limit(size, name, at) {
    chart.append(drawn("line", { class: "limit", id: name.replace(" ", "-"), x1: left, x2: width - 12, y1: y(size), y2: y(size) }),
      drawn("text", { x: at, y: y(size) - 5 }, `${name} ${bytes(size)}`));
  }

  const largest = [...placed].sort((a, b) => b.bytes - a.bytes).slice(0, 40);
  const kinds = element("p", { class: "hint" });
  for (const kind of new Set(placed.map((buffer) => buffer.kind))) {
    kinds.append(element("span", { class: "swatch", style: `background: var(${BUFFER_COLOURS[kind]})` }), kind);
  }
  panel.append(
    element("h2", {}, "Memory plan"),
    element("p", {}, `Arena ${bytes(memory.arena_bytes)} at its peak, ${bytes(memory.lower_bound_bytes)} is the least that any plan needs (${
      (100 * memory.arena_bytes / Math.max(memory.lower_bound_bytes, 1)).toFixed(1)} %). States have ${bytes(memory.state_bytes)} of their own.`),
    kinds, chart, element("h2", {}, "The largest buffers"),
    table(["buffer", "size", "elements", "at", "from launch", "to launch", "written by"], largest.map((buffer) => [
      nameOf(buffer), bytes(buffer.bytes), `${buffer.dtype}[${buffer.elements}]`, bytes(buffer.offset), `${buffer.first}`, `${buffer.last}`,
      buffer.kind === "input" || buffer.kind === "constant" ? "" : kernelAt(buffer.first),
    ]), [1, 3, 4, 5]));
}

const nameOf = (buffer) => `b${buffer.id} ${buffer.kind}${buffer.name ? ` ${buffer.name}` : ""}`;

// The kernel of a launch, to be chosen.
function kernelAt(launch) {
  const kernel = report.program.launches[launch]?.kernel;
  if (kernel === undefined) return "";
  return element("button", { onclick: () => show.kernel(kernel) }, report.program.kernels[kernel].name);
}
