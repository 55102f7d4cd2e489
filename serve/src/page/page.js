// The page of the server: asks the server's own addresses, and writes what they say. Text of models and answers is only ever set as text.
"use strict";

const at = (id) => document.getElementById(id);
const SECONDS_BETWEEN = 3;
/** Elements that a field is filled with at most; larger inputs are better sent by a program. */
const MOST_ELEMENTS = 1 << 16;
/** Elements of an output that are shown. */
const SHOWN_ELEMENTS = 64;

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

async function ask(path, options = {}) {
  const key = at("key").value;
  const headers = { ...(key && { authorization: `Bearer ${key}` }), ...(options.body && { "content-type": "application/json" }) };
  const response = await fetch(path, { ...options, headers });
  if (response.status === 401) {
    at("key-form").hidden = false;
    throw new Error("the server asks for an API key");
  }
  if (!response.ok) {
    const said = await response.text();
    let why = said;
    try { why = JSON.parse(said).error ?? said; } catch { /* Not JSON: as it is. */ }
    throw new Error(`${response.status}: ${why}`);
  }
  return response;
}

const json = async (path, options) => (await ask(path, options)).json();
const address = (model) => `/v2/models/${encodeURIComponent(model.name)}/versions/${encodeURIComponent(model.version)}`;
const label = (model) => `${model.name} (${model.version})`;
const type = (tensor) => `${tensor.name}: ${tensor.datatype}[${tensor.shape.map((extent) => (extent < 0 ? "n" : extent)).join(", ")}]`;

/** The samples of the metrics' text: name, labels, value. */
function parsed(text) {
  const samples = [];
  for (const line of text.split("\n")) {
    const found = /^([a-z_]+)\{(.*)\} ([-+.\deEInfNa]+)/.exec(line);
    if (!found) continue;
    const labels = {};
    for (const [, name, value] of found[2].matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)"/g)) labels[name] = value.replace(/\\(.)/g, (_, c) => (c === "n" ? "\n" : c));
    samples.push({ name: found[1], labels, value: Number(found[3]) });
  }
  return samples;
}

function numbers(samples, model) {
  const own = samples.filter(({ labels }) => labels.model === model.name && labels.version === model.version);
  const sum = (name, wanted = () => true) => own.filter((one) => one.name === name && wanted(one.labels)).reduce((total, one) => total + one.value, 0);
  const buckets = own.filter((one) => one.name === "gradc_request_duration_seconds_bucket")
    .map((one) => ({ to: one.labels.le === "+Inf" ? Infinity : Number(one.labels.le), count: one.value })).sort((a, b) => a.to - b.to);
  return {
    answered: sum("gradc_requests_total", (labels) => labels.status === "ok"),
    failed: sum("gradc_requests_total", (labels) => labels.status !== "ok"),
    waiting: sum("gradc_queue_requests"), bytes: sum("gradc_model_memory_bytes"), buckets,
  };
}

/** The time that so large a part of the answers took at most, as exactly as the buckets tell. */
function quantile(buckets, part) {
  const all = buckets.at(-1)?.count ?? 0;
  let [from, before] = [0, 0];
  if (!all) return undefined;
  for (const { to, count } of buckets) {
    if (count >= part * all) return to === Infinity ? from : from + ((to - from) * (part * all - before)) / (count - before);
    [from, before] = [to, count];
  }
  return undefined;
}

function time(seconds) {
  if (seconds === undefined) return "–";
  const short = (number) => Number(number.toPrecision(3));
  return seconds < 1 ? `${short(seconds * 1e3)} ms` : `${short(seconds)} s`;
}

const memory = (bytes) => (bytes ? `${(bytes / 2 ** 20).toFixed(1)} MiB` : "–");

function row(model, metadata, counted) {
  const made = element("tr");
  const types = (tensors) => {
    const cell = element("td");
    for (const tensor of tensors ?? []) cell.append(element("code", type(tensor)));
    return cell;
  };
  const state = element("td", model.state, model.state === "READY" ? "good" : "bad");
  if (model.reason) state.append(element("div", model.reason, "faint"));
  made.append(element("td", model.name), element("td", model.version), state, types(metadata?.inputs), types(metadata?.outputs));
  for (const text of [counted.answered, counted.failed, time(quantile(counted.buckets, 0.5)), time(quantile(counted.buckets, 0.99)), counted.waiting, memory(counted.bytes)]) made.append(element("td", text, "number"));
  return made;
}

function drawn(name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

/** A bar for each bucket between the first and the last that aren't empty. */
function chart(model, { buckets, answered }) {
  const counts = buckets.map(({ to, count }, i) => ({ to, count: count - (buckets[i - 1]?.count ?? 0) }));
  const [first, last] = [counts.findIndex((bar) => bar.count), counts.findLastIndex((bar) => bar.count)];
  const bars = counts.slice(Math.max(first - 1, 0), last + 2);
  const most = Math.max(...bars.map((bar) => bar.count));
  const [width, height] = [56, 100];
  const svg = drawn("svg", { width: bars.length * width, height: height + 32, role: "img", "aria-label": `Latencies of ${label(model)}` });
  bars.forEach(({ to, count }, i) => {
    const tall = (count / most) * height;
    svg.append(drawn("rect", { x: i * width + 4, y: 14 + height - tall, width: width - 8, height: tall }));
    const middle = { x: i * width + width / 2, "text-anchor": "middle" };
    if (count) svg.append(drawn("text", { ...middle, y: 10 + height - tall }, count));
    svg.append(drawn("text", { ...middle, y: height + 28 }, to === Infinity ? "more" : time(to)));
  });
  svg.append(drawn("line", { x1: 0, x2: bars.length * width, y1: height + 14.5, y2: height + 14.5 }));
  const figure = element("figure");
  figure.append(element("figcaption", `${label(model)}: ${answered} answers`), svg);
  return figure;
}

/** What the form is made for. */
let chosen = [];

function sync(models) {
  const names = (list) => list.map(({ model }) => label(model)).join("\n");
  if (names(models) === names(chosen)) return;
  const before = at("model").value;
  chosen = models;
  at("model").replaceChildren(...models.map(({ model }) => element("option", label(model))));
  if (models.some(({ model }) => label(model) === before)) at("model").value = before;
  fields();
}

const selected = () => chosen[at("model").selectedIndex];

function shape(tensor) {
  return tensor.shape.map((extent) => (extent < 0 ? Math.max(1, Number(at("samples").value) || 1) : extent));
}

function fields() {
  const made = (selected()?.metadata.inputs ?? []).map((tensor, i) => {
    const [field, name, area] = [element("div", undefined, "field"), element("label"), element("textarea")];
    name.append(element("code", type(tensor)));
    [area.id, name.htmlFor, area.spellcheck] = [`input-${i}`, `input-${i}`, false];
    field.append(name, area);
    return field;
  });
  at("inputs").replaceChildren(...made);
  fill(() => 0);
}

function fill(value) {
  (selected()?.metadata.inputs ?? []).forEach((tensor, i) => {
    const count = shape(tensor).reduce((product, extent) => product * extent, 1);
    const one = { BOOL: () => value() > 0.5 }[tensor.datatype] ?? (/^(FP|BF)/.test(tensor.datatype) ? () => Number(value().toFixed(4)) : () => Math.round(value()));
    const few = count <= MOST_ELEMENTS;
    at(`input-${i}`).value = few ? JSON.stringify(Array.from({ length: count }, one)) : "";
    at(`input-${i}`).placeholder = few ? "" : `${count} elements are more than this page fills in`;
  });
}

function shown(tensor) {
  const data = [tensor.data].flat(Infinity);
  const more = data.length > SHOWN_ELEMENTS ? `, … ${data.length - SHOWN_ELEMENTS} more` : "";
  return `${type(tensor)}\n  ${data.slice(0, SHOWN_ELEMENTS).join(", ")}${more}`;
}

async function predict() {
  const { model, metadata } = selected() ?? {};
  if (!model) return;
  const answer = at("answer");
  answer.hidden = false;
  answer.className = "";
  try {
    const inputs = metadata.inputs.map((tensor, i) => ({
      name: tensor.name, datatype: tensor.datatype, shape: shape(tensor), data: [JSON.parse(at(`input-${i}`).value)].flat(Infinity),
    }));
    const start = performance.now();
    const response = await json(`${address(model)}/infer`, { method: "POST", body: JSON.stringify({ inputs }) });
    at("took").textContent = `answered in ${time((performance.now() - start) / 1e3)}`;
    answer.textContent = response.outputs.map(shown).join("\n\n");
  } catch (error) {
    at("took").textContent = "";
    answer.className = "bad";
    answer.textContent = String(error.message ?? error);
  }
}

async function refresh() {
  const [index, metrics] = await Promise.all([json("/v2/repository/index", { method: "POST", body: "{}" }), ask("/metrics").then((r) => r.text())]);
  const samples = parsed(metrics);
  const models = await Promise.all(index.map(async (model) => ({
    model, counted: numbers(samples, model),
    metadata: model.state === "READY" ? await json(address(model)).catch(() => undefined) : undefined,
  })));
  at("models").replaceChildren(...models.map(({ model, metadata, counted }) => row(model, metadata, counted)));
  at("charts").replaceChildren(...models.filter(({ counted }) => counted.answered).map(({ model, counted }) => chart(model, counted)));
  sync(models.filter(({ metadata }) => metadata));
}

async function health() {
  const ready = await fetch("/v2/health/ready").then((response) => response.ok, () => undefined);
  const [text, look] = ready === undefined ? ["doesn't answer", "bad"] : ready ? ["ready", "good"] : ["not ready", "bad"];
  at("health").textContent = text;
  at("health").className = look;
}

async function update() {
  const trouble = at("trouble");
  await health();
  try {
    await refresh();
    trouble.hidden = true;
  } catch (error) {
    trouble.hidden = false;
    trouble.textContent = String(error.message ?? error);
  }
}

/** With `#try` the form is sent once, as it is filled: a link that shows an answer. */
async function start() {
  await update();
  const server = await json("/v2").catch(() => undefined);
  if (server) at("server").textContent = `${server.name} ${server.version}`;
  if (location.hash === "#try") {
    await predict();
    await update();
  }
  document.body.dataset.drawn = "all";
  setInterval(() => document.hidden || update(), SECONDS_BETWEEN * 1e3);
}

at("model").addEventListener("change", fields);
at("samples").addEventListener("change", () => fill(() => 0));
at("zeros").addEventListener("click", () => fill(() => 0));
at("random").addEventListener("click", () => fill(Math.random));
at("key-form").addEventListener("submit", (event) => { event.preventDefault(); update(); });
at("form").addEventListener("submit", (event) => { event.preventDefault(); predict().then(update); });
start();
