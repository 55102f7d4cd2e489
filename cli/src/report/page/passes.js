// The passes in their order, and what each took.
function drawPasses() {
  const { passes, codes } = report, panel = byId("passes");
  const code = codes.reduce((sum, one) => sum + one.compile_ms, 0);
  const total = passes.reduce((sum, pass) => sum + pass.ms, 0);
  const most = Math.max(...passes.map((pass) => pass.ms), 1e-9);
  const rules = (pass) => Object.entries(pass.rules).sort((a, b) => b[1] - a[1]).map(([name, count]) => `${name} ${count}`).join(", ");
  const rows = passes.map((pass, at) => [
    `${at + 1}`, pass.name, pass.ms.toFixed(3), element("span", { class: "measure", style: `width: ${(200 * pass.ms / most).toFixed(1)}px` }),
    `${pass.before}`, `${pass.after}`, pass.changed ? "" : "nothing changed", rules(pass),
  ]);
  const list = table(["", "pass", "ms", "", "before", "after", "", "rules"], rows, [0, 2, 4, 5]);
  list.querySelectorAll("td:last-child").forEach((cell) => cell.classList.add("wide"));
  panel.append(
    element("h2", {}, "Passes"),
    element("p", {}, `${milliseconds(total)} in passes, ${milliseconds(code)} in compiling ${codes.filter((one) => one.assembly !== null).length} distinct kernels. ` +
      "Before and after are nodes of the graph; from `lower` on, kernels."),
    list);
}
