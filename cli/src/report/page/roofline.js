// Launches against the machine: operations for each byte, and how many of them a second, below the machine's limits.
function drawRoofline() {
  const panel = byId("roofline"), { machine, program, launches } = report;
  const points = launches.map((launch, at) => {
    const kernel = program.kernels[program.launches[at].kernel];
    const moved = kernel.read_bytes + kernel.written_bytes;
    return { ...launch, at, kernel, moved, intensity: kernel.operations / Math.max(moved, 1) };
  });
  const total = points.reduce((sum, point) => sum + point.median_ms, 0);
  panel.append(element("h2", {}, "Roofline"));
  panel.append(element("p", {}, `${milliseconds(total)} in ${points.length} launches. A circle is a launch, its area is its time; launches without arithmetic aren't in the picture. Times and rates are medians, shares of the limits those of the fastest step.`));
  if (machine) panel.append(chartOf(points, total, machine));
  else panel.append(element("p", { class: "hint" }, "The machine's limits were not measured."));
  const rows = [...points].sort((a, b) => b.median_ms - a.median_ms).map((point) => [
    element("button", { onclick: () => show.kernel(program.launches[point.at].kernel) }, point.kernel.name),
    point.median_ms.toFixed(4), `${(100 * point.median_ms / total).toFixed(1)} %`, digits(point.gflops), digits(point.gbytes_s),
    bytes(point.moved), point.of_limit ?? "–", `${point.threads}`, layersOf(point.at),
  ]);
  panel.append(table(["kernel", "ms", "share", "GFLOP/s", "GB/s", "moved", "of limit", "threads", "layer"], rows, [1, 2, 3, 4, 5, 6, 7]));
}

const SECTION_COLOURS = { forward: "--c0", backward: "--c1", update: "--c2" };

// The section that most ops of a launch are of; of two with as many, the one that runs first.
function sectionOf(launch) {
  const count = (name) => report.program.launches[launch].origins.filter((origin) => origin.section === name).length;
  return Object.keys(SECTION_COLOURS).filter((name) => count(name) > 0).sort((a, b) => count(b) - count(a))[0];
}

// The sections and layers that a launch is of.
function layersOf(launch) {
  const names = report.program.launches[launch].origins.filter((origin) => origin.layer || origin.section)
    .map((origin) => [origin.section, origin.layer].filter(Boolean).join(": "));
  const distinct = [...new Set(names)];
  return distinct.slice(0, 3).join(", ") + (distinct.length > 3 ? ` and ${distinct.length - 3} more` : "");
}

function chartOf(points, total, machine) {
  const [width, height, left, bottom] = [1200, 460, 60, 40];
  const shown = points.filter((point) => point.gflops > 0 && point.intensity > 0);
  const ends = (values) => [Math.min(...values), Math.max(...values)];
  const [fewest, most] = ends([0.1, 10, ...shown.map((point) => point.intensity)]);
  const [slowest] = ends([machine.gflops / 100, ...shown.map((point) => point.gflops)]);
  const scale = (from, to, start, stop) => (value) => start + (Math.log(value / from) / Math.log(to / from)) * (stop - start);
  const x = scale(fewest / 2, most * 2, left, width - 12), y = scale(Math.max(slowest / 2, machine.gflops / 1e5), machine.gflops * 2, height - bottom, 12);
  const chart = drawn("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "Roofline" });
  for (let power = -5; power <= 5; power += 1) {
    const value = 10 ** power;
    if (value > fewest / 2 && value < most * 2) {
      chart.append(drawn("line", { class: "axis", x1: x(value), x2: x(value), y1: 12, y2: height - bottom }),
        drawn("text", { x: x(value) + 3, y: height - bottom + 14, class: "faint" }, `${value}`));
    }
    if (y(value) < height - bottom && y(value) > 12) {
      chart.append(drawn("line", { class: "axis", x1: left, x2: width - 12, y1: y(value), y2: y(value) }),
        drawn("text", { x: 8, y: y(value) + 4, class: "faint" }, `${value}`));
    }
  }
  chart.append(drawn("text", { x: width / 2 - 80, y: height - 6 }, "operations for each byte moved"), drawn("text", { x: 8, y: 12 }, "GFLOP/s"));
  // The roof: what a part of the memory feeds, up to what arithmetic can do.
  const names = [];
  machine.levels.forEach((level, at) => {
    const rate = Math.max(level.read, level.triad, level.copy), ridge = machine.gflops / rate;
    const from = Math.max(fewest / 2, (Math.max(slowest / 2, machine.gflops / 1e5)) / rate);
    chart.append(drawn("path", { class: "limit", d: `M${x(from)},${y(from * rate)} L${x(ridge)},${y(machine.gflops)}` }));
    // In front of all lines.
    names.push(drawn("text", { x: x(from) + 4, y: Math.min(y(from * rate) - 4, height - bottom - 6 - 14 * at) }, `${level.name} ${digits(rate)} GB/s`));
  });
  chart.append(...names);
  const first = Math.min(...machine.levels.map((level) => machine.gflops / Math.max(level.read, level.triad, level.copy)));
  chart.append(drawn("path", { class: "limit", d: `M${x(first)},${y(machine.gflops)} L${width - 12},${y(machine.gflops)}` }),
    drawn("text", { x: x(first) + 6, y: y(machine.gflops) - 5 }, `multiply-adds ${digits(machine.gflops)} GFLOP/s`));
  for (const point of [...shown].sort((a, b) => b.median_ms - a.median_ms)) {
    const section = sectionOf(point.at);
    const circle = drawn("circle", {
      class: "launch", cx: x(point.intensity), cy: y(Math.max(point.gflops, machine.gflops / 1e5)), r: 3 + 30 * Math.sqrt(point.median_ms / total),
      fill: `var(${SECTION_COLOURS[section] ?? "--c5"})`, onclick: () => show.kernel(report.program.launches[point.at].kernel),
    }, drawn("title", {}, `${point.kernel.name}: ${milliseconds(point.median_ms)}, ${digits(point.gflops)} GFLOP/s, ${digits(point.gbytes_s)} GB/s, ${point.of_limit}`));
    chart.append(circle);
  }
  return chart;
}
