// One token at a time, as a row of the matrix and as a read of the state: the twin of two_views.py.
import { DIAGONAL, OUTPUT, STATE } from "./colors.js";
import { dot, largestMagnitude, zeros } from "./arrays.js";
import { element } from "./element.js";
import { legend } from "./legend.js";
import { Panel } from "./panel.js";
import { matrix, recurrent, sequence } from "./sequence.js";
import { code as written, fixed, g, grouped, last, tuple } from "./words.js";

const [N, D] = [24, 3]; // tokens, features of a token
const NOTHING = 1e-9; // a share of the state that is only rounding
const LATER = 0.25; // how strong the colors of rows are that the token has not reached

export const settle = (p, { mixers }) => (mixers[p.mixer].decay === "none" ? { ...p, decay: 1 } : p);

export const limits = (p, { mixers }) => ({ decay: { off: mixers[p.mixer].decay === "none" } });

const combine = (A, B, of) => A.map((row, k) => row.map((value, c) => of(value, B[k][c])));
const outer = (k, x) => Array.from(k, (key) => x.map((value) => key * value));
const norm = (A) => Math.sqrt(A.reduce((sum, row) => sum + dot(row, row), 0));

// All tokens at once: they do not change while one is chosen.
const ofSequence = last((mixer, { d_state: r, ...kept }) => {
  const s = sequence({ N, d_state: r, ...kept }, D);
  const M = matrix(mixer, s);
  const states = [zeros(r, D)];
  const y_state = [];
  for (const { S, y } of recurrent(mixer, s, s.V)) {
    states.push(S.map((row) => row.slice()));
    y_state.push(y);
  }
  const added = s.K.map((k, t) => outer(k, s.V[t]));
  const forgotten = added.map((A, t) => combine(states[t], combine(states[t + 1], A, (S, more) => S - more), (S, kept) => S - kept));
  const decays = { none: 0, key: r }[mixer.decay] ?? 1; // of a score
  const perInput = 2 * r + decays + 2 * D; // score, decay, weighted sum
  const perToken = (mixer.decay === "none" ? 4 : 5) * r * D; // decay, product k xᵀ, sum, and two for the read
  const soFar = Array.from({ length: N }, (_, t) => t + 1);
  return {
    M,
    x: s.V,
    y_matrix: M.map((row) => Float64Array.from({ length: D }, (_, c) => row.reduce((sum, weight, j) => sum + weight * s.V[j][c], 0))),
    y_state,
    states,
    written: added,
    forgotten,
    share_forgotten: forgotten.map((F, t) => norm(F) / (norm(states[t]) || 1)),
    matrix_operations: soFar.map((n) => (perInput * n * (n + 1)) / 2),
    state_operations: soFar.map((n) => perToken * n),
    matrix_numbers: soFar.map((n) => (r + D) * n),
    state_numbers: soFar.map(() => r * D),
  };
});

export function compute({ mixer, d_state, decay, seed }, { mixers }) {
  return ofSequence(mixers[mixer], { d_state, decay, seed });
}

export function describe(p, r, { mixers }) {
  const { t } = p;
  const same = r.y_matrix.every((row, i) => row.every((value, c) => Math.abs(value - r.y_state[i][c]) <= 1e-10));
  const share = r.share_forgotten[t];
  const forgot =
    t === 0
      ? "The state was empty."
      : share < NOTHING
        ? "The state forgets nothing."
        : `The state forgets ${g(100 * share, 3)}% of what it held.`;
  const around = mixers[p.mixer].decay === "none" ? "" : `, decays around ${g(p.decay)}`;
  return (
    `Token ${t}: row ${t} of the matrix weighs ${t + 1} input${t ? "s" : ""}; the state takes in one input and is read. ` +
    `Both give y = ${tuple(r.y_matrix[t])}${same ? "" : ", but other tokens differ"}. ${forgot} So far the matrix view has ` +
    `done ${grouped(r.matrix_operations[t])} operations and holds ${grouped(r.matrix_numbers[t])} numbers; the state view ` +
    `has done ${grouped(r.state_operations[t])} and holds ${grouped(r.state_numbers[t])}. (${p.mixer}, state size ` +
    `r = ${p.d_state}${around}, seed ${p.seed}.)`
  );
}

export function headline({ mixer, t }) {
  return `${mixer}, token ${t}: ${t ? `${t + 1} weighted inputs` : "one weighted input"} and one state give the same output`;
}

export const code = (p, { mixers }) => {
  const { name } = mixers[p.mixer];
  return written("TwoViews", p, ["mixers import MIXERS", `reference import ${name}`, "widgets.sequence import Sequence"], [
    `sequence = Sequence(${N}, d_state=${p.d_state}, decay=${p.decay}, seed=${p.seed}, d=${D})`,
    `arguments = sequence.arguments(MIXERS["${name}"])`,
    "state = None",
    `for t in range(${p.t + 1}):`,
    `    y, state = ${name}.step(*(a[t] if np.ndim(a) else a for a in arguments), state=state)`,
    `M = ${name}.matrix(*arguments)`,
    `print(M[${p.t}] @ sequence.V, y)  # row ${p.t} of the matrix times the inputs, and a read of the state`,
    'plt.imshow(M, cmap="PuOr", vmin=-abs(M).max(), vmax=abs(M).max())',
    "plt.show()",
  ]);
};

const UPDATE = { "S before": "Before", "− faded": "Faded at", "+ written": "Written at", "= S after": "After" };
const HINT =
  "Press Play, or click a row of M or a token of the output to go there. Point at a number to read it; the arrow keys move the token.";

export function panels(stage, { set, params }) {
  const height = 250;
  const M = new Panel(stage, {
    width: 250, height, title: "row t of M", margin: [2, 4, 32, 34],
    x: { label: "weighs inputs 0 … t" }, y: { label: "token t" },
  });
  const x = new Panel(stage, { width: 66, height, title: "times x", margin: [2, 2, 32, 4], x: { label: "features" } });
  const update = Object.keys(UPDATE).map((title, k) => {
    const left = k ? 2 : 18;
    return new Panel(stage, { width: 64 + left, height, title, margin: [2, 2, 32, left], x: { label: "features" }, y: { label: k ? "" : "keys" } });
  });
  const readout = stage.appendChild(element("output", { className: "readout" }));
  const y = new Panel(stage, {
    width: 330, height: 210, title: "the output y, both ways", margin: [4, 8, 34, 44],
    x: { label: "token t", domain: [-0.7, N - 0.3], ticks: [0, 5, 10, 15, 20] },
    y: { label: "relative to the largest", domain: [-1.1, 1.1], ticks: [-1, 0, 1] },
  });
  const costs = new Panel(stage, { width: 330, height: 210, title: "what each view has cost so far", margin: [0, 8, 0, 8] });
  costs.axes.x.group.remove();
  legend(stage)([["matrix view", DIAGONAL], ["state view", STATE], ["row t times x", OUTPUT]]);
  M.domain({ x: [0, N], y: [N, 0], xticks: [0, N], yticks: [0, N] });
  x.domain({ x: [0, D], y: [N, 0], xticks: [], yticks: [] });
  let now = null; // what is drawn
  let spot = null; // what is pointed at: { panel, i, j }, row and column

  const extent = (panel) => [panel.y.domain()[0], panel.x.domain()[1]];
  const within = ({ panel, i, j }) => panel === y || (i >= 0 && j >= 0 && i < extent(panel)[0] && j < extent(panel)[1]);
  const cell = (i, j) => [[j, i], [j + 1, i + 1]];
  /** What is pointed at in words, and the corners of what to frame in each panel. */
  const tell = ({ panel, i, j }, { r, update: parts }) => {
    if (panel === y) return [`Token ${i}: row ${i} times x = ${tuple(r.y_matrix[i], 4)}, read from the state = ${tuple(r.y_state[i], 4)}.`];
    const marks = new Map([[panel, cell(i, j)]]);
    if (panel === x) return [`Input ${i}, feature ${j}: ${fixed(r.x[i][j], 4)}.`, marks];
    if (panel !== M) {
      const k = update.indexOf(panel);
      return [`${Object.values(UPDATE)[k]} token ${now.p.t}, key ${i}, feature ${j}: ${fixed(parts[k][i][j], 4)}.`, marks];
    }
    if (j > i) return [`Token ${i} cannot see input ${j}, which comes later.`, marks];
    const weight = r.M[i][j];
    marks.set(x, [[0, j], [D, j + 1]]);
    const contribution = tuple(r.x[j].map((value) => weight * value), 4);
    return [`M[${i}, ${j}] = ${fixed(weight, 4)}: input ${j} adds M[${i}, ${j}] · x = ${contribution} to the output of token ${i}.`, marks];
  };
  const read = () => {
    const [text, marks] = spot && within(spot) ? tell(spot, now) : [HINT];
    readout.textContent = text;
    for (const panel of [M, x, ...update]) {
      panel.frame("spot", marks?.get(panel) ?? cell(0, 0), { width: 1.5 }).attr("display", marks?.has(panel) ? null : "none");
    }
  };
  const point = (panel) => (px, py) => {
    spot = px === null ? null : { panel, i: Math.floor(py), j: Math.floor(px) };
    read();
  };
  const token = (value) => Math.max(0, Math.min(N - 1, value));
  const goTo = (value) => set({ t: token(value) });
  /** Pressed and dragged, `along` says which token a place stands for. */
  const scrub = (along) => (px, py) => {
    goTo(along(px, py));
    return (qx, qy) => goTo(along(qx, qy));
  };

  M.pointer({ hover: point(M), grab: scrub((px, py) => Math.floor(py)) });
  for (const panel of [x, ...update]) panel.pointer({ hover: point(panel) });
  y.pointer({
    hover(px) {
      spot = px === null ? null : { panel: y, i: token(Math.round(px)) };
      read();
    },
    grab: scrub((px) => Math.round(px)),
    touch: "pan-y",
  });
  M.arrows("row of M: up and down move the token, left and right read an entry", (dx, dy) => {
    const t = token(params().t + dy);
    const from = spot?.panel === M ? spot.j : t;
    spot = { panel: M, i: t, j: Math.max(0, Math.min(t, from + dx)) };
    goTo(t);
    read();
  });
  y.arrows("output: left and right move the token", (dx) => {
    const t = token(params().t + dx);
    spot = { panel: y, i: t };
    goTo(t);
    read();
  });

  return function draw(p, r, paper) {
    const { t } = p;
    now = { p, r, update: [r.states[t], r.forgotten[t], r.written[t], r.states[t + 1]] };
    const paler = (rows) => rows.map((row, i) => (i > t ? row.map((value) => LATER * value) : row));
    M.matrix(paler(r.M), largestMagnitude(r.M), "signed", paper);
    x.matrix(paler(r.x), largestMagnitude(r.x), "signed", paper);
    const largest = Math.max(...[...r.states, ...r.written].map(largestMagnitude));
    update.forEach((panel, k) => {
      panel.domain({ x: [0, D], y: [p.d_state, 0], xticks: [], yticks: [] });
      panel.matrix(now.update[k], largest, "signed", paper);
    });
    for (const panel of [M, x, ...update]) panel.outline();
    M.frame("chosen", [[0, t], [t + 1, t + 1]], { color: DIAGONAL });
    x.frame("chosen", [[0, 0], [D, t + 1]], { color: DIAGONAL });
    drawOutputs(y, t, r);
    drawCosts(costs, t, r);
    read();
  };
}

function drawOutputs(panel, t, r) {
  const largest = largestMagnitude(r.y_matrix) || 1;
  const points = (outputs, c) => outputs.slice(0, t + 1).map((row, i) => [i, row[c] / largest]);
  panel.line("now", [[t, -1.1], [t, 1.1]], { width: 1 });
  for (let c = 0; c < D; c += 1) {
    panel.line(`row${c}`, points(r.y_matrix, c), { color: OUTPUT });
    panel.dots(`state${c}`, points(r.y_state, c), { color: STATE, hollow: true });
  }
}

function drawCosts(panel, t, r) {
  const bars = [
    ["matrix view", "operations", r.matrix_operations, r.state_operations],
    ["state view", "operations", r.state_operations, r.matrix_operations],
    ["matrix view", "numbers held", r.matrix_numbers, r.state_numbers],
    ["state view", "numbers held", r.state_numbers, r.matrix_numbers],
  ];
  const top = (k) => 6 + 48 * k + (k > 1 ? 8 : 0);
  panel.draw("bar", "rect", bars, {
    x: panel.area.left,
    y: (_, k) => top(k) + 18,
    height: 18,
    width: ([, , costs, others]) => (panel.area.width * costs[t]) / Math.max(costs[N - 1], others[N - 1]),
    fill: ([view]) => (view === "matrix view" ? DIAGONAL : STATE),
  });
  panel.draw("cost", "text", bars, { x: panel.area.left + 2, y: (_, k) => top(k) + 13 }, ([view, unit, costs]) => `${view}: ${grouped(costs[t])} ${unit}`);
}
