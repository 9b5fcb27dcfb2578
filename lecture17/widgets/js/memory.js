// What a transition's eigenvalues remember, and what they can count: the twin of memory.py.
import { clamp } from "./arrays.js";
import { ATTENTION, OFF_DIAGONAL, STATE } from "./colors.js";
import { element } from "./element.js";
import { legend } from "./legend.js";
import { Panel } from "./panel.js";
import { RandomState } from "./random.js";
import { capitalized, code as written, fixed, g } from "./words.js";

const T = 48; // tokens
const FAINT = 0.01; // a state smaller than this (it starts at 1) is lost in noise of one percent
const [ONE, CHANNELS, GATES] = ["one decay", "a decay per channel", "gates set by the data"];
const [NEGATIVE, COMPLEX] = ["a negative eigenvalue", "a complex eigenvalue"];
const USED_BY = {
  [ONE]: "RetNet without its rotation",
  [CHANNELS]: "RWKV-4",
  [GATES]: "Mamba-2, GLA",
  [NEGATIVE]: "DeltaNet with β up to 2",
  [COMPLEX]: "Mamba-3, S4D",
};
const PERIODS = [12, 11, 10, 9, 8, 7, 6, 5, 4, 3]; // by growing angle

export const settle = (p) => ({ ...p, period: p.kind === COMPLEX ? Math.max(3, p.period) : 2 });

export const limits = (p) => ({ period: p.kind === COMPLEX ? { low: 3 } : { off: true } });

const angleOf = ({ kind, period }) => ({ [NEGATIVE]: Math.PI, [COMPLEX]: (2 * Math.PI) / period })[kind] ?? 0;

const complex = (sizes, angles) => ({
  re: sizes.map((size, k) => size * Math.cos(angles[k])),
  im: sizes.map((size, k) => size * Math.sin(angles[k])),
});

export function compute(p) {
  const angle = angleOf(p);
  const sizes = Array.from({ length: p.kind === CHANNELS ? 4 : 1 }, (_, c) => p.size ** (0.5 ** c));
  const bits = Array.from(new RandomState(p.seed).uniform(0, 1, T), (value) => value < 0.5);
  let sum = 0;
  const ones = bits.map((bit) => (sum += bit));
  // The token k steps ago has passed k transitions or, with gates, one for each 1 among the last k bits.
  const passed = ones.map((_, k) => (p.kind === GATES ? sum - ones[T - 1 - k] : k));
  const left = ones.map((n) => p.size ** n);
  const states = complex(left, ones.map((n) => angle * n));
  const read = left.map((size, t) => {
    if (size < FAINT) return -1;
    const turns = Math.atan2(states.im[t], states.re[t]) / (2 * Math.PI);
    return (Math.round(turns * p.period) + p.period) % p.period;
  });
  return {
    eigenvalues: complex(sizes, sizes.map(() => angle)),
    kernels: sizes.map((size) => passed.map((n) => size ** n * Math.cos(angle * n))),
    bits,
    ones,
    counts: ones.map((n) => n % p.period),
    states,
    read,
  };
}

/** What happens to the weight of a token. */
function kernelInWords(p) {
  const half = fixed(Math.log(0.5) / Math.log(p.size), 1);
  const last = fixed((8 * Math.log(0.5)) / Math.log(p.size), 1);
  const fading = {
    [CHANNELS]: `is halved every ${half} tokens in the first of four channels, ${last} in the last`,
    [GATES]: `is halved every ${half} ones that follow it, while zeros keep it`,
  };
  const gone = `is gone at the next ${p.kind === GATES ? "1" : "token"}`;
  const fades = { 0: gone, 1: "never fades" }[p.size] ?? fading[p.kind] ?? `is halved every ${half} tokens`;
  const swings = { [NEGATIVE]: "changes sign at every token and ", [COMPLEX]: `oscillates once in ${p.period} tokens and ` };
  return `a token's weight ${(p.size && swings[p.kind]) || ""}${fades}`;
}

const count = (list, wanted) => list.filter(wanted).length;

export function describe(p, r) {
  const value = { [NEGATIVE]: `−${g(p.size)}`, [COMPLEX]: `${g(p.size)} e^(2πi/${p.period})` }[p.kind] ?? g(p.size);
  const counting =
    {
      [NEGATIVE]: "the sign of the state gives the parity of the ones, which is right",
      [COMPLEX]: `the angle of the state gives the number of ones modulo ${p.period}, which is right`,
    }[p.kind] ?? "nothing turns the state, so the only possible answer to parity is “even”, which is right";
  const faint = count(r.read, (n) => n < 0);
  const lost = faint ? `; at ${faint} the state is too faint to read` : "";
  const right = count(r.read, (n, t) => n === r.counts[t]);
  return (
    `${capitalized(p.kind)}, λ = ${value} (as in ${USED_BY[p.kind]}): ${kernelInWords(p)}. When each 1 of ${T} random ` +
    `bits multiplies a state by λ, ${counting} at ${right} of ${T} tokens${lost}. (Seed ${p.seed}.)`
  );
}

export function headline(p, r) {
  const kept = { 0: "does not last", 1: "never fades" }[p.size] ?? "fades";
  const able = !angleOf(p) ? "cannot count" : r.read.every((n, t) => n === r.counts[t]) ? "counts" : "counts until it is too faint";
  return `${capitalized(p.kind)}: memory ${kept}, and ${able}`;
}

/** In Python: the weights of the tokens k = 0, 1, … ago, one row for each channel. */
const KERNELS = {
  [ONE]: ({ size }) => [`kernels = [${size} ** np.arange(${T})]`],
  [CHANNELS]: ({ size }) => [
    `sizes = ${size} ** 0.5 ** np.arange(4)  # each channel half as fast`,
    `kernels = sizes[:, None] ** np.arange(${T})`,
  ],
  [GATES]: ({ size, seed }) => [
    `ones = np.cumsum(np.random.RandomState(${seed}).random_sample(${T}) < 0.5)`,
    `kernels = [${size} ** (ones[-1] - ones[::-1])]  # only ones fade a token`,
  ],
  [NEGATIVE]: ({ size }) => [`kernels = [(-${size}) ** np.arange(${T})]`],
  [COMPLEX]: ({ size, period }) => [
    `eigenvalue = ${size} * np.exp(2j * np.pi / ${period})`,
    `kernels = [(eigenvalue ** np.arange(${T})).real]`,
  ],
};

export const code = (p) =>
  written("MemoryExplorer", p, [], [
    ...KERNELS[p.kind](p),
    'plt.plot(np.transpose(kernels), ".-")',
    'plt.xlabel("k tokens ago")',
    'plt.ylabel("weight")',
    "plt.show()",
  ]);

/** The settings for an eigenvalue at this angle from 0 to π: the nearest one that there is; `real` is a positive kind. */
function turned(angle, real) {
  const places = [
    { angle: 0, kind: real },
    ...PERIODS.map((period) => ({ angle: (2 * Math.PI) / period, kind: COMPLEX, period })),
    { angle: Math.PI, kind: NEGATIVE },
  ];
  const off = (place) => Math.abs(place.angle - angle);
  const { angle: _, ...found } = places.reduce((best, place) => (off(place) < off(best) ? place : best));
  return found;
}

export function panels(stage, { set }) {
  const unit = { domain: [-1.15, 1.15], ticks: [-1, 0, 1], format: String };
  const tokens = { domain: [-1, T], ticks: [0, 10, 20, 30, 40] };
  const disk = new Panel(stage, {
    width: 236, height: 224, title: "eigenvalues and states",
    x: { ...unit, label: "real part" }, y: { ...unit, label: "imaginary part" },
  });
  const kernel = new Panel(stage, {
    width: 306, height: 224, title: "weight of the token k tokens ago",
    x: { ...tokens, label: "k" }, y: { domain: [-1.1, 1.1], ticks: [-1, 0, 1], format: String, label: "weight, real part" },
  });
  const counts = new Panel(stage, {
    width: 306, height: 224, x: { ...tokens, label: "token" }, y: { label: "count", format: String },
  });
  const readout = stage.appendChild(element("output", { className: "readout" }));
  legend(stage)([
    ["eigenvalue", STATE, "⬤"],
    ["state after each token", OFF_DIAGONAL, "○"],
    ["true count", "currentColor", "—"],
    ["read right", STATE, "●"],
    ["read wrong", ATTENTION, "×"],
    ["too faint to read", "currentColor", "○"],
    ["a 1 comes in", "currentColor", "|"],
  ]);
  drawPlane(disk);
  kernel.line("zero", [[-1, 0], [T, 0]], { width: 0.8 }).attr("opacity", 0.6);
  let now = null; // what is drawn
  let spot = {}; // under the pointer: { k } in the kernel, { t } in the counts
  let real = ONE; // the positive kind that was shown last

  const read = () => {
    const { p, r } = now;
    const { k, t } = spot;
    const upright = (panel, at) => panel.line("spot", at === undefined ? [] : panel.y.domain().map((y) => [at, y]), { dash: "2 3", width: 1 });
    upright(kernel, k);
    upright(counts, t);
    disk.dots("spot", t === undefined ? [] : [[r.states.re[t], r.states.im[t]]], { radius: 7, hollow: true });
    if (k !== undefined) {
      const weights = r.kernels.map((channel) => fixed(channel[k], 4));
      readout.textContent = `k = ${k}: weight ${weights.join(", ")}${weights.length > 1 ? " in the four channels" : ""}`;
    } else if (t !== undefined) {
      const size = fixed(Math.hypot(r.states.re[t], r.states.im[t]), 4);
      const answer = r.read[t] < 0 ? "too small to read its angle" : `and its angle reads ${r.read[t]}`;
      readout.textContent =
        `Token ${t} is a ${Number(r.bits[t])}: ${r.ones[t]} ones so far, ${r.counts[t]} modulo ${p.period}. ` +
        `The state has size ${size}, ${answer}.`;
    } else {
      readout.textContent = "Drag the eigenvalue λ: toward 0 it forgets, around the circle it turns. Point at the kernel or at the counts to read them.";
    }
  };
  const point = (name) => ({
    hover(x) {
      spot = x === null ? {} : { [name]: clamp(Math.round(x), 0, T - 1) };
      read();
    },
  });
  const walk = (name) => (dx) => {
    spot = { [name]: name in spot ? clamp(spot[name] + dx, 0, T - 1) : 0 };
    read();
  };
  kernel.pointer(point("k"));
  kernel.arrows("the weight of each token: left and right choose k", walk("k"));
  counts.pointer(point("t"));
  counts.arrows("the count at each token: left and right choose the token", walk("t"));

  const drag = (x, y) => {
    const size = Math.min(1, Math.hypot(x, y));
    const around = size < 0.05 ? {} : turned(Math.abs(Math.atan2(y, x)), real); // so near to 0 a hand means no angle
    set({ size: Math.round(200 * size) / 200, ...around });
  };
  disk.pointer({
    grab(x, y) {
      drag(x, y);
      return drag;
    },
  });
  disk.arrows("the eigenvalue: left and right turn it, up and down change its size", (dx, dy) => {
    const { p } = now;
    if (dy) return set({ size: clamp(Math.round(200 * p.size) - 2 * dy, 0, 200) / 200 });
    const angles = [0, ...PERIODS.map((period) => (2 * Math.PI) / period), Math.PI];
    return set(turned(angles[clamp(angles.indexOf(angleOf(p)) - dx, 0, angles.length - 1)], real));
  });

  return function draw(p, r) {
    now = { p, r };
    if (!angleOf(p)) real = p.kind;
    const { re, im } = r.eigenvalues;
    disk.dots("state", r.states.re.map((value, t) => [value, r.states.im[t]]), { color: OFF_DIAGONAL, hollow: true });
    disk.dots("conjugate", re.map((value, c) => [value, -im[c]]), { color: STATE, radius: 5 });
    disk.dots("eigenvalue", re.map((value, c) => [value, im[c]]), { color: STATE, radius: 5 });
    disk.dots("handle", [[re[0], im[0]]], { radius: 9, hollow: true });
    r.kernels.forEach((weights, c) => drawKernel(kernel, `channel${c}`, weights));
    for (let c = r.kernels.length; c < 4; c += 1) drawKernel(kernel, `channel${c}`, []);
    drawCounts(counts, p, r);
    read();
  };
}

/** The unit circle, the axes, and where the eigenvalue can be put on the circle. */
function drawPlane(disk) {
  const { x, y } = disk;
  const faint = { stroke: "currentColor", opacity: 0.6, fill: "none" };
  disk.draw("circle", "circle", [0], { ...faint, cx: x(0), cy: y(0), r: x(1) - x(0) });
  disk.line("real", [[-1, 0], [1, 0]], { width: 0.6 });
  disk.line("imaginary", [[0, -1], [0, 1]], { width: 0.6 });
  const angles = [0, Math.PI, ...PERIODS.flatMap((period) => [(2 * Math.PI) / period, (-2 * Math.PI) / period])];
  disk.draw("stop", "path", angles, {
    ...faint,
    d: (a) => `M${x(Math.cos(a))},${y(Math.sin(a))}L${x(1.07 * Math.cos(a))},${y(1.07 * Math.sin(a))}`,
  });
}

function drawKernel(panel, name, weights) {
  const points = weights.map((weight, k) => [k, weight]);
  panel.line(name, points, { color: STATE, width: 1 });
  panel.dots(`of${name}`, points, { color: STATE, radius: 1.5 });
}

function drawCounts(panel, p, r) {
  const top = p.period - 1;
  const every = Math.ceil(p.period / 6);
  const ticks = Array.from({ length: p.period }, (_, n) => n).filter((n) => n % every === 0);
  panel.title.text(`ones so far, modulo ${p.period}, read from the angle`);
  panel.domain({ y: [-0.25 * top, 1.08 * top], yticks: ticks });
  panel.line("truth", r.counts.map((n, t) => [t, n]), { width: 1, step: true });
  const at = (wanted, height) => r.counts.flatMap((_, t) => (wanted(t) ? [[t, height(t)]] : []));
  panel.dots("right", at((t) => r.read[t] === r.counts[t], (t) => r.read[t]), { color: STATE });
  panel.dots("faint", at((t) => r.read[t] < 0, (t) => r.counts[t]), { hollow: true });
  const wrong = at((t) => r.read[t] >= 0 && r.read[t] !== r.counts[t], (t) => r.read[t]);
  const cross = ([t, n]) => `M${panel.x(t) - 3},${panel.y(n) - 3}l6,6m0,-6l-6,6`;
  panel.draw("wrong", "path", wrong, { d: cross, stroke: ATTENTION, "stroke-width": 2 });
  const tick = ([t, n]) => `M${panel.x(t)},${panel.y(n) - 5}v10`;
  panel.draw("one", "path", at((t) => r.bits[t], () => -0.15 * top), { d: tick, stroke: "currentColor", "stroke-width": 1.5 });
}
