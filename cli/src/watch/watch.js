// Draws the curves of runs: a chart for each metric, a colour for each run.
const RUN_COLOURS = ["--c0", "--c1", "--c2", "--c3", "--c4", "--c5"];
const TIMES = ["epoch", "seconds", "samples_per_second"];
const VALIDATION = "val_";
const colour = (run) => `var(${RUN_COLOURS[run % RUN_COLOURS.length]})`;
const stem = (name) => (name.startsWith(VALIDATION) ? name.slice(VALIDATION.length) : name);

// The names of all runs' numbers, in the order in which they are found.
function names() {
  const found = report.runs.flatMap((run) => run.epochs.flatMap((epoch) => Object.keys(epoch)));
  return [...new Set(found)].filter((name) => !TIMES.includes(name));
}

// The points of a number that are there: a number that isn't finite is null.
const points = (run, name) => run.epochs.filter((epoch) => Number.isFinite(epoch[name])).map((epoch) => [epoch.epoch, epoch[name]]);

function chart(metric) {
  const [width, height, left, bottom, top] = [480, 280, 72, 26, 26];
  const curves = report.runs.flatMap((run, number) => [metric, VALIDATION + metric].map((name) => ({ name, run, number, points: points(run, name) })));
  const all = curves.flatMap((curve) => curve.points);
  const svg = drawn("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": metric });
  svg.append(drawn("text", { x: left, y: 17 }, metric));
  if (all.length === 0) return svg;
  const range = (at) => {
    const values = all.map((point) => point[at]);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const room = (high - low) * 0.05 || 1e-6 * Math.max(Math.abs(low), 1);
    return [low - room, high + room];
  };
  const [xs, ys] = [range(0), range(1)];
  const x = (value) => left + ((value - xs[0]) / (xs[1] - xs[0])) * (width - left - 12);
  const y = (value) => height - bottom - ((value - ys[0]) / (ys[1] - ys[0])) * (height - bottom - top);
  for (let step = 0; step <= 4; step += 1) {
    const value = ys[0] + ((ys[1] - ys[0]) * step) / 4;
    svg.append(drawn("line", { class: "axis", x1: left, x2: width - 12, y1: y(value), y2: y(value) }));
    svg.append(drawn("text", { class: "faint", x: left - 6, y: y(value) + 4, "text-anchor": "end" }, digits(value)));
  }
  const [first, last] = [Math.min(...all.map((p) => p[0])), Math.max(...all.map((p) => p[0]))];
  svg.append(drawn("text", { class: "faint", x: x(first), y: height - 9, "text-anchor": "middle" }, String(first)));
  if (last > first) svg.append(drawn("text", { class: "faint", x: x(last), y: height - 9, "text-anchor": "middle" }, String(last)));
  for (const curve of curves.filter((curve) => curve.points.length > 0)) {
    const validation = curve.name.startsWith(VALIDATION);
    const style = `stroke: ${colour(curve.number)}`;
    const told = drawn("title", {}, `${curve.run.name}: ${curve.name} ${digits(curve.points.at(-1)[1], 4)}`);
    const path = curve.points.map(([epoch, value], at) => `${at === 0 ? "M" : "L"}${x(epoch).toFixed(1)} ${y(value).toFixed(1)}`).join("");
    svg.append(drawn("path", { class: validation ? "curve validation" : "curve", style, d: path }, told));
    const [epoch, value] = curve.points.at(-1);
    svg.append(drawn("circle", { cx: x(epoch), cy: y(value), r: 2.5, style: `fill: ${colour(curve.number)}` }));
  }
  return svg;
}

const metrics = [...new Set(names().map(stem))];
byId("charts").append(...metrics.map(chart));
const rows = report.runs.map((run, number) => {
  const [last, total] = [run.epochs.at(-1) ?? {}, run.epochs.reduce((sum, epoch) => sum + (epoch.seconds ?? 0), 0)];
  const name = element("span", {}, element("span", { class: "swatch", style: `background: ${colour(number)}` }), run.name);
  return [name, String(last.epoch ?? 0), ...names().map((name) => digits(last[name] ?? NaN, 4)), total.toFixed(1), digits(last.samples_per_second ?? NaN)];
});
const titles = ["run", "epochs", ...names(), "seconds", "samples/s"];
byId("runs").append(table(titles, rows, titles.map((_, column) => column).slice(1)));
const count = report.runs.length === 1 ? "1 run" : `${report.runs.length} runs`;
byId("summary").textContent = report.runs.length === 0 ? "no run has written a line yet" : `${count}, ${report.every ? "looked at again every other second" : "as it was when the page was written"}`;
if (report.every) setTimeout(() => location.reload(), report.every * 1000);
document.documentElement.dataset.drawn = "all";
