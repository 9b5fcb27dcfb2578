// Which layout of layers to take for a task, and what each costs: the twin of chooser.py, choosing.py and sizing.py.
import { ATTENTION, OFF_DIAGONAL, STATE } from "./colors.js";
import { element } from "./element.js";
import { legend } from "./legend.js";
import { Panel } from "./panel.js";
import { capitalized, code as written, fixed, grouped, last, settings } from "./words.js";

const [NO, IN_PART, SHOWN] = ["no", "in part", "shown"];
const [DECODING, READING, TRAINING] = ["decoding", "reading", "training"];
const [GIST, FACTS] = ["the gist", "facts by key"];
const [EVERY_HEAD, LATENT] = ["every head", "latent"];
const GB = 1e9;

export function settle(p) {
  const task = p.use === TRAINING ? { ...p, precision: "16 bits", cache_bits: "16 bits" } : p;
  if (task.content !== "images") return task;
  const use = task.use === DECODING ? READING : task.use;
  return { ...task, use, cache_bits: "16 bits", recall: GIST, tracking: false };
}

export const limits = (p) => ({
  precision: { off: p.use === TRAINING },
  cache_bits: { off: p.use === TRAINING || p.content === "images" },
  recall: { off: p.content === "images" },
  tracking: { off: p.content === "images" },
});

// Whole models: the formulas of lecture17/sizing.py.

function layersOf(shares, count) {
  const share = (kind) => (shares[kind] ? Math.max(1, Math.floor(count * shares[kind] + 0.5)) : 0);
  const full = share("full");
  const windowed = shares.state ? share("windowed") : count - full;
  return { full, windowed, state: count - full - windowed, window: shares.window ?? 0 };
}

function network(shape, layers, cache, s) {
  const { d_model: d, heads: H, d_head: h } = shape;
  const pairs = cache === EVERY_HEAD ? H : shape.groups;
  const attend =
    cache === LATENT
      ? {
          kept: s.latent + s.rotary,
          weights: d * H * (h + s.rotary) + d * (s.latent + s.rotary) + 2 * s.latent * H * h + d * H * h,
          pair: 2 * H * (2 * s.latent + s.rotary),
          readPair: 2 * H * (2 * h + s.rotary),
        }
      : { kept: 2 * pairs * h, weights: 2 * d * h * (H + pairs), pair: 4 * H * h, readPair: 4 * H * h };
  const { full, windowed, state, window } = layers;
  const mixing = (full + windowed) * attend.weights + state * 6 * d * d;
  const ends = shape.vocabulary * d;
  const mlps = 3 * d * shape.layers;
  return {
    parameters: mixing + mlps * (shape.all_mlp || shape.mlp) + ends * (shape.tied ? 1 : 2),
    active: mixing + mlps * shape.mlp + ends,
    cache: full * attend.kept,
    kept: windowed * attend.kept,
    window,
    pair: full * attend.pair,
    near: windowed * attend.pair,
    readPair: full * attend.readPair,
    readNear: windowed * attend.readPair,
    state: state * d * s.state_numbers,
    step: state * d * s.step_flops,
    read: state * d * s.read_flops,
    width: shape.layers * d,
  };
}

function weightBytes(net, bits, batch) {
  const used = net.active < net.parameters ? 1 - (1 - net.active / net.parameters) ** batch : 1;
  return (net.parameters * used * bits) / 8;
}

function readingFlops(net, N, causal) {
  const near = Math.min(N, net.window);
  const [pairs, inWindows] = causal ? [(N * N) / 2, N * near - (near * near) / 2] : [N * N, N * near];
  return N * (2 * net.active + net.read) + net.readPair * pairs + net.readNear * inWindows;
}

function costs(net, p, { bandwidth, rate }, { bits, sizing: s }) {
  const { N, batch } = p;
  const causal = p.content === "text";
  const activations = s.activation_bytes * batch * N * net.width;
  const work = batch * readingFlops(net, N, causal);
  if (p.use === TRAINING) {
    const weights = s.training_bytes * net.parameters;
    return { weights, memory: weights + activations, sequences: 0, seconds: (3 * work) / rate };
  }
  const precision = bits[p.precision];
  const weights = (net.parameters * precision) / 8;
  const reading = Math.max(weightBytes(net, precision, batch * N) / bandwidth, work / rate);
  if (!causal) return { weights, memory: weights + activations, sequences: 0, seconds: reading };
  const windows = Math.min(N, net.window);
  const each = (bits[p.cache_bits] / 8) * (net.cache * N + net.kept * windows) + s.state_bytes * net.state;
  const moved = weightBytes(net, precision, batch) + batch * (each + s.state_bytes * net.state);
  const step = batch * (2 * net.active + net.pair * N + net.near * windows + net.step);
  return {
    weights,
    memory: weights + batch * each,
    sequences: Math.max(0, Math.floor((p.memory * GB - weights) / each)),
    seconds: p.use === DECODING ? Math.max(moved / bandwidth, step / rate) : reading,
  };
}

// Evidence and the short list: as in lecture17/choosing.py.

function evidence(row, p, parameters, levels) {
  const rank = (level) => levels.indexOf(level);
  const weaker = (level) => (rank(level) < rank(IN_PART) ? level : IN_PART);
  let [level, words] = row.images;
  if (p.content === "text") {
    if (p.recall === GIST) [level, words] = [SHOWN, "what it keeps can depend on the token (2312.00752)"];
    else [level, words] = p.recall === FACTS ? row.facts : row.verbatim;
    if (p.recall !== GIST && level === SHOWN && p.N > (row.up_to ?? p.N)) {
      const longer = `${words}; longer texts are not shown`;
      [level, words] = [IN_PART, p.recall === FACTS ? (row.beyond ?? longer) : longer];
    }
    if (p.tracking && rank(row.tracking[0]) <= rank(level)) [level, words] = row.tracking;
  }
  if (parameters > 2 * GB * row.largest) [level, words] = [weaker(level), `${words}; nothing near this size is published`];
  return { level, evidence: words };
}

function listed(found, given) {
  const order = Object.keys(found);
  const able = order.filter((name) => found[name].fits && found[name].level !== NO);
  if (!able.length) return [];
  const rank = (name) => given.levels.indexOf(found[name].level);
  const ranked = [...able].sort((a, b) => rank(b) - rank(a) || order.indexOf(a) - order.indexOf(b));
  const best = ranked.filter((name) => rank(name) === rank(ranked[0]));
  const quickest = Math.min(...best.map((name) => found[name].seconds));
  const first = best.find((name) => found[name].seconds <= given.slack * quickest);
  const offers = (name) =>
    order.indexOf(name) < order.indexOf(first) ||
    found[name].seconds < found[first].seconds ||
    found[first].level !== SHOWN;
  return [first, ...ranked.filter((name) => name !== first && offers(name))].slice(0, given.most);
}

function machine(p, given) {
  const device = given.devices[p.device];
  if (device.memory === null) {
    const [bandwidth, rate] = given.cpu ?? [device.bandwidth, device.rate];
    return { devices: 1, bandwidth, rate };
  }
  const devices = Math.ceil((p.memory * GB) / device.memory);
  return { devices, bandwidth: devices * device.bandwidth, rate: devices * device.rate };
}

export const compute = last((p, given) => {
  const shape = given.shapes[p.size];
  const whole = machine(p, given);
  const found = {};
  for (const [name, row] of Object.entries(given.layouts)) {
    const net = network(shape, layersOf(row.layers, shape.layers), p.cache, given.sizing);
    const cost = costs(net, p, whole, given);
    found[name] = { ...cost, fits: cost.memory <= p.memory * GB, ...evidence(row, p, net.parameters, given.levels) };
  }
  return { found, listed: listed(found, given), devices: whole.devices };
});

const PER = { [DECODING]: "a token", [READING]: "to read all", [TRAINING]: "a step" };
const UNITS = [[3600, "h"], [60, "min"], [1, "s"], [1e-3, "ms"], [1e-6, "µs"]];

const amount = (value) => (value >= 100 ? grouped(value) : fixed(value, value >= 10 ? 1 : 2));

function duration(seconds) {
  const [unit, name] = UNITS.find(([least]) => seconds >= least) ?? UNITS[UNITS.length - 1];
  return `${amount(seconds / unit)} ${name}`;
}

const firstOf = (names) => `${names[0]}${names.length > 1 ? ` and ${names.length - 1} more` : ""}`;

export function describe(p, r, given) {
  const { layouts } = given;
  const { found } = r;
  const title = (name) => layouts[name].title;
  const size = (name) => `${amount(found[name].memory / GB)} GB`;
  const what = `${grouped(p.batch)} ${p.content.replace(/s$/, "")}${p.batch > 1 ? "s" : ""} of ${grouped(p.N)} tokens`;
  const parts = [
    `${capitalized(p.use)}, ${p.size} parameters, ${what}, ${grouped(p.memory)} GB of ${r.devices} × ${p.device}.`,
  ];
  r.listed.forEach((name, k) => {
    const a = found[name];
    const per = k ? "" : ` ${PER[p.use]}`;
    const doubt = a.level === SHOWN ? "" : ", shown in part";
    let text = `${k + 1}. ${title(name)}: ${duration(a.seconds)}${per}, ${size(name)}${doubt}`;
    if (!k) {
      const { published, models, cpu, gpu } = layouts[name];
      const kernels = p.device === "CPU" ? cpu : gpu;
      text += `; ${a.evidence}. Largest: ${published}. Open: ${models.slice(0, 2).join(", ")}. Kernels: ${kernels}`;
    }
    parts.push(`${text}.`);
  });
  const able = Object.keys(found).filter((name) => found[name].level !== NO);
  if (!r.listed.length) {
    if (able.length) {
      const least = able.reduce((best, name) => (found[name].memory < found[best].memory ? name : best));
      parts.push(`Nothing that can do this fits: ${title(least)} needs least, ${size(least)}.`);
    } else parts.push("Evidence is against every layout here.");
  }
  const large = able.filter((name) => !found[name].fits).map((name) => `${title(name)} (${size(name)})`);
  if (r.listed.length && large.length) parts.push(`Too large: ${firstOf(large)}.`);
  const against = Object.keys(found).filter((name) => found[name].level === NO).map(title);
  if (able.length && against.length) parts.push(`Evidence is against ${firstOf(against)}.`);
  return parts.join(" ");
}

export function headline(p, r, { layouts }) {
  return r.listed.length ? `First to try: ${layouts[r.listed[0]].title}` : "Nothing here fits and does that";
}

export const code = (p) =>
  written("ArchitectureChooser", p, ["choosing import Task, choose"], [
    `choice = choose(Task(${settings(p)}))`,
    'print("try", " or ".join(choice.listed))',
    "memory = [a.memory / 1e9 for a in choice.assessments.values()]",
    "plt.barh(list(choice.assessments), memory)",
    'plt.xlabel("GB")',
    "plt.show()",
  ]);

const LOOKS = {
  first: ["first to try", STATE, "◆"],
  listed: ["on the short list", OFF_DIAGONAL, "●"],
  able: ["able, not listed", "currentColor", "○"],
  out: ["too large, or evidence against it", "currentColor", "×"],
};

function lookOf(name, { found, listed: names }) {
  const at = names.indexOf(name);
  if (at >= 0) return at ? "listed" : "first";
  return found[name].fits && found[name].level !== NO ? "able" : "out";
}

const HINT = "Point at a layout, or tap it, to read what shows what it can do.";

/** The domain of whole decades around these values, with at most four ticks. */
function decades(values) {
  const [low, high] = [Math.min(...values) * 0.8, Math.max(...values) * 1.25].map(Math.log10);
  const [first, past] = [Math.floor(low), Math.max(Math.ceil(high), Math.floor(low) + 2)];
  const ticks = Array.from({ length: past - first + 1 }, (_, k) => 10 ** (first + k));
  const every = Math.ceil(ticks.length / 4);
  return { x: [10 ** first, 10 ** past], xticks: ticks.filter((_, k) => k % every === 0) };
}

const bytes = (value) => {
  const [unit, name] = [[1e12, "TB"], [1e9, "GB"], [1e6, "MB"]].find(([least]) => value >= least * 0.999) ?? [1e3, "kB"];
  return `${grouped(value / unit)} ${name}`;
};
const time = (value) => {
  const [unit, name] = [[1, "s"], [1e-3, "ms"]].find(([least]) => value >= least * 0.999) ?? [1e-6, "µs"];
  return `${grouped(value / unit)} ${name}`;
};

export function panels(stage, act, given) {
  const names = Object.keys(given.layouts);
  const rows = { domain: [names.length - 0.4, -0.6], ticks: [], format: () => "" };
  const panel = (left, format) =>
    new Panel(stage, {
      width: left + 304, height: 250, margin: [4, 72, 34, left], y: rows,
      x: { scale: "log", domain: [1, 10], ticks: [], format },
    });
  const shown = { memory: panel(230, bytes), seconds: panel(16, time) };
  shown.memory.title.text("memory, and how much there is");
  const readout = stage.appendChild(element("output", { className: "readout" }));
  legend(stage)([...Object.values(LOOKS), ["memory there is", ATTENTION, "┆"]]);
  let now = null;
  let spot = null; // the layout that is pointed at

  const read = () => {
    const a = spot === null ? null : now.r.found[names[spot]];
    const models = a && given.layouts[names[spot]].models.slice(0, 3).join(", ");
    readout.textContent = a ? `${given.layouts[names[spot]].title} (${a.level}): ${a.evidence}. Open models: ${models}.` : HINT;
  };
  for (const one of Object.values(shown)) {
    one.pointer({
      hover(x, y) {
        spot = x === null ? null : Math.max(0, Math.min(names.length - 1, Math.round(y)));
        read();
      },
    });
  }

  return function draw(p, r) {
    now = { p, r };
    shown.seconds.title.text(`time ${PER[p.use]}`);
    const numbers = { memory: (a) => `${amount(a.memory / GB)} GB`, seconds: (a) => duration(a.seconds) };
    for (const [quantity, one] of Object.entries(shown)) {
      const limit = quantity === "memory" ? [p.memory * GB] : [];
      one.domain(decades([...names.map((name) => r.found[name][quantity]), ...limit]));
      const [bottom, top] = one.y.domain();
      one.line("limit", limit.length ? [[...limit, bottom], [...limit, top]] : [], { color: ATTENTION, dash: "5 4" });
      const { left, width } = one.area;
      const row = (name) => one.y(names.indexOf(name));
      one.draw("row", "path", names, { d: (n) => `M${left},${row(n)}h${width}`, stroke: "currentColor", opacity: 0.15 });
      const middle = { y: row, "dominant-baseline": "central" };
      const place = { ...middle, x: (name) => one.x(r.found[name][quantity]), "text-anchor": "middle", style: "font-size: 15px" };
      const look = (name) => LOOKS[lookOf(name, r)];
      one.draw("mark", "text", names, place, (name) => look(name)[2]).style("fill", (name) => look(name)[1]);
      one.draw("number", "text", names, { ...middle, x: left + width + 8 }, (name) => numbers[quantity](r.found[name]));
    }
    const { left } = shown.memory.area;
    const label = { x: left - 8, y: (n) => shown.memory.y(names.indexOf(n)), "text-anchor": "end", "dominant-baseline": "central" };
    const ranked = (name) => (r.listed.includes(name) ? `${r.listed.indexOf(name) + 1} · ` : "");
    shown.memory
      .draw("layout", "text", names, label, (name) => `${ranked(name)}${given.layouts[name].title}`)
      .style("font-weight", (name) => (name === r.listed[0] ? 700 : 400));
    read();
  };
}
