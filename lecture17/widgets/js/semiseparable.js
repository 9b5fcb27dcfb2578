// Mask, scores and matrix of any mixer, and the rank of each block: the twin of semiseparable.py.
import { ATTENTION, DIAGONAL, NEXT_TO_DIAGONAL, OFF_DIAGONAL, STATE } from "./colors.js";
import { largestMagnitude, singularValues, usualMagnitude } from "./arrays.js";
import { element } from "./element.js";
import { legend } from "./legend.js";
import { Panel } from "./panel.js";
import { levelOf, mask, matrix, scores, sequence } from "./sequence.js";
import { code as written, g, last } from "./words.js";

export const MOST_CHUNKS = 12;
const NOTHING = "nothing";
const FLOOR = 1e-18; // of relative singular values on a logarithmic axis
const FADED = 0.1; // the mask's handle is where the mean decay has come down to this

export function settle(params, { mixers }) {
  const p = { ...params };
  const mixer = mixers[p.mixer];
  if (mixer.turns || mixers[p.compare]?.turns) p.d_state = Math.max(2, p.d_state - (p.d_state % 2));
  if (mixer.decay === "none") p.decay = 1;
  p.key = mixer.decay === "key" ? Math.min(p.key, p.d_state - 1) : 0;
  p.chunk_size = Math.max(Math.ceil(p.N / MOST_CHUNKS), Math.min(p.chunk_size, p.N));
  p.row = Math.min(p.row, Math.ceil(p.N / p.chunk_size) - 1);
  p.column = Math.min(p.column, p.row);
  return p;
}

export function limits(p, { mixers }) {
  return {
    decay: { off: mixers[p.mixer].decay === "none" },
    key: { high: p.d_state - 1, off: mixers[p.mixer].decay !== "key" },
    chunk_size: { low: Math.ceil(p.N / MOST_CHUNKS), high: p.N },
    row: { high: Math.ceil(p.N / p.chunk_size) - 1 },
    column: { high: p.row },
  };
}

const edges = ({ N, chunk_size: c }, k) => [k * c, Math.min(N, (k + 1) * c)];

function block(M, p, row, column) {
  const [[top, bottom], [left, right]] = [edges(p, row), edges(p, column)];
  return M.slice(top, bottom).map((line) => line.subarray(left, right));
}

// The sequence, its matrices and the singular values of all blocks do not change while one of the blocks is chosen.
const ofSequence = last((mixer, p) => {
  const s = sequence(p);
  const M = matrix(mixer, s);
  return { s, M, scores: scores(mixer, s), largest: singularValues(M)[0] };
});
const ofBlocks = last((mixer, kept, chunk_size) => {
  const { M, largest } = ofSequence(mixer, kept);
  const p = { ...kept, chunk_size };
  const n = Math.ceil(p.N / chunk_size);
  return Array.from({ length: n }, (_, i) => Array.from({ length: i + 1 }, (_, j) => relative(M, largest, p, i, j)));
});
const ofOther = last((mixer, p) => {
  const M = matrix(mixer, sequence(p));
  return { M, largest: singularValues(M)[0] };
});

/** Singular values of a block, divided by the largest of the matrix. */
const relative = (X, largest, p, row, column) => singularValues(block(X, p, row, column)).map((value) => value / largest);

/** Of log-linear attention: how many levels a block reads from, each a state of its own. */
function levels(p, mixer, row, column) {
  if (!mixer.levels) return 1;
  const [[top, bottom], [left, right]] = [edges(p, row), edges(p, column)];
  const seen = new Set();
  for (let i = top; i < bottom; i += 1) for (let j = left; j < right; j += 1) seen.add(levelOf(i, j));
  return seen.size;
}

export function compute(p, { mixers }) {
  const mixer = mixers[p.mixer];
  const kept = { N: p.N, d_state: p.d_state, decay: p.decay, seed: p.seed };
  const { s, M, scores } = ofSequence(mixer, kept);
  const rounding = p.N * Number.EPSILON; // as in reference.semiseparable.rank
  const rank = (values) => values.filter((value) => value > rounding).length;
  const lower = ofBlocks(mixer, kept, p.chunk_size);
  const size = (k) => edges(p, k)[1] - edges(p, k)[0];
  const result = {
    mask: mask(mixer, s, p.key),
    scores,
    M,
    ranks: lower.map((row) => row.map(rank)),
    allowed: lower.map((row, i) =>
      row.map((_, j) => Math.min(size(i), size(j), mixer.grows || i === j ? Infinity : p.d_state * levels(p, mixer, i, j))),
    ),
    singular_values: lower[p.row][p.column],
    rounding,
    other: null,
  };
  if (p.compare !== NOTHING) {
    const other = ofOther(mixers[p.compare], kept);
    result.other = other.M;
    result.other_singular_values = relative(other.M, other.largest, p, p.row, p.column);
    result.other_rank = rank(result.other_singular_values);
    result.difference = M.map((row, i) => row.map((value, j) => value - other.M[i][j]));
    result.largest_difference = largestMagnitude(result.difference);
  }
  return result;
}

const below = (ranks) => ranks.flatMap((row, i) => row.slice(0, i));

export function describe(p, r, { mixers }) {
  const distance = p.row - p.column;
  const { grows, decay } = mixers[p.mixer];
  const why = grows
    ? "softmax attention has no finite state, so every block is computed"
    : distance === 0
      ? "on the diagonal, computed inside its chunk"
      : `it passes through the state${distance > 1 ? ", carried across the chunks between" : ""}`;
  const [[top, bottom], [left, right]] = [edges(p, p.row), edges(p, p.column)];
  const parts = [
    `Block rows ${top}–${bottom - 1}, columns ${left}–${right - 1}: rank ${r.ranks[p.row][p.column]} of at most ` +
      `${r.allowed[p.row][p.column]}; ${why}.`,
  ];
  if (r.other) {
    parts.push(
      `The same block of ${p.compare} has rank ${r.other_rank}, and the two matrices differ by up to ` +
        `${r.largest_difference.toFixed(2)}.`,
    );
  }
  const ranks = below(r.ranks);
  if (ranks.length) {
    const [least, most] = [Math.min(...ranks), Math.max(...ranks)];
    parts.push(`The blocks below the diagonal have rank ${least === most ? least : `${least} to ${most}`}.`);
  }
  if (p.N % p.chunk_size) parts.push(`The last chunk has only ${p.N % p.chunk_size} of ${p.chunk_size} tokens.`);
  if (!grows && p.chunk_size <= p.d_state) parts.push("A chunk has no more tokens than the state has rows, so no block could exceed it.");
  const around = decay === "none" ? "" : `, decays around ${g(p.decay)}`;
  const settings = `${p.N} tokens, state size r = ${p.d_state}${around}, chunks of ${p.chunk_size}, seed ${p.seed}`;
  return `${parts.join(" ")} (${p.mixer}, ${settings}.)`;
}

export function headline(p, r, { mixers }) {
  if (p.chunk_size === p.N) return `${p.mixer}: a single chunk is the parallel form, one block and no state`;
  const { grows, levels: several } = mixers[p.mixer];
  if (!grows) return `${p.mixer}: at most ${p.d_state} numbers for each feature${several ? " and level" : ""} pass from chunk to chunk`;
  return `Softmax attention: blocks below the diagonal have rank up to ${Math.max(...below(r.ranks))}`;
}

export function code(p, { mixers }) {
  const [rows, columns] = [p.row, p.column].map((k) => `${k * p.chunk_size}:${Math.min(p.N, (k + 1) * p.chunk_size)}`);
  const shown = [p.mixer, p.compare].filter((title) => title !== NOTHING);
  return written("SemiseparableExplorer", p, ["mixers import MIXERS", "widgets.sequence import Sequence"], [
    `sequence = Sequence(${p.N}, d_state=${p.d_state}, decay=${p.decay}, seed=${p.seed})  # queries, keys, values, gates`,
    `for name in ${JSON.stringify(shown.map((title) => mixers[title].name))}:`,
    "    M = sequence.matrix(MIXERS[name])  # by lecture17.reference",
    `    block = M[${rows}, ${columns}]`,
    "    rank = np.linalg.matrix_rank(block, tol=len(M) * np.finfo(float).eps * np.linalg.norm(M, 2))",
    "    limit = np.quantile(abs(M[np.tril_indices(len(M))]), 0.99)",
    "    plt.figure()",
    '    plt.title(f"{name}: the chosen block has rank {rank}")',
    '    plt.imshow(M, cmap="PuOr", vmin=-limit, vmax=limit)',
    "    plt.show()",
  ]);
}

const MATRICES = ["mask", "scores", "M", "other", "difference"];

export function panels(stage, { set }, { mixers }) {
  const heat = { width: 212, height: 206, margin: [2, 8, 32, 34] };
  const axes = { x: { label: "written at token j", ticks: [] }, y: { label: "read at token i", ticks: [] } };
  const shown = Object.fromEntries(MATRICES.map((name) => [name, new Panel(stage, { ...heat, ...axes })]));
  const readout = stage.appendChild(element("p", { className: "readout" }));
  const blank = { x: { label: "written in chunk" }, y: { label: "read in chunk" } };
  const grid = new Panel(stage, { width: 250, height: 250, title: "rank of each block", ...blank, margin: [2, 8, 22, 24] });
  const values = new Panel(stage, {
    width: 330,
    height: 250,
    title: "singular values of the chosen block",
    x: { label: "largest first, one for each token of the chunk" },
    y: { label: "relative to all of M", scale: "log", domain: [FLOOR / 3, 5], ticks: [1, 1e-5, 1e-10, 1e-15], format: (v) => v.toExponential(0) },
    margin: [4, 8, 36, 56],
  });
  const explain = legend(stage);
  let now = null; // what is drawn
  let spot = null; // the entry under the pointer: [i, j]

  const entry = (x, y) => {
    const [i, j] = [Math.floor(y), Math.floor(x)];
    return i >= 0 && i < now.p.N && j >= 0 && j < now.p.N ? [i, j] : null;
  };
  const read = () => {
    const names = MATRICES.filter((name) => now.r[name]);
    for (const name of names) {
      const at = spot ? [spot] : [];
      shown[name].draw("spot", "rect", at, {
        x: ([, j]) => shown[name].x(j) - 2,
        y: ([i]) => shown[name].y(i) - 2,
        width: Math.max(3, shown[name].area.width / now.p.N) + 4,
        height: Math.max(3, shown[name].area.height / now.p.N) + 4,
        fill: "none",
        stroke: "currentColor",
        "stroke-width": 1.5,
      });
    }
    if (!spot) {
      const there = now.handle.length ? " The dashed line of the mask is where the mean decay leaves a tenth; drag it to change the decay." : "";
      readout.textContent = `Point at an entry to read it. Click a block to choose it, drag a border to change the chunks.${there}`;
      return;
    }
    const [i, j] = spot;
    if (j > i) readout.textContent = `Token ${i} cannot see token ${j}, which comes later.`;
    else readout.textContent = names.map((name) => `${now.names[name]}[${i}, ${j}] = ${now.r[name][i][j].toFixed(4)}`).join(" · ");
  };
  const hover = (x, y) => {
    spot = x === null ? null : entry(x, y);
    read();
  };
  const move = (dx, dy) => {
    const [i, j] = spot ?? [now.p.N - 1, 0];
    spot = [Math.max(0, Math.min(now.p.N - 1, i + dy)), Math.max(0, Math.min(now.p.N - 1, j + dx))];
    read();
  };
  const choose = (panel) => (x, y) => {
    const k = (value) => Math.floor(value / now.p.chunk_size);
    const near = (value) => {
      const border = Math.round(value / now.p.chunk_size);
      const pixels = Math.abs(panel.x(border * now.p.chunk_size) - panel.x(value));
      return border > 0 && border * now.p.chunk_size < now.p.N && pixels < 5 ? border : 0;
    };
    const border = near(x) || near(y);
    const along = near(x) ? "x" : "y";
    if (border) return (px, py) => set({ chunk_size: Math.max(1, Math.round((along === "x" ? px : py) / border)) });
    if (entry(x, y) && k(x) <= k(y)) set({ row: k(y), column: k(x) });
    return null;
  };
  for (const name of MATRICES) {
    shown[name].arrows(`entries of ${name}`, move);
    const fade = (x, y) => (y - x >= 1 ? (px, py) => set({ decay: Number(Math.min(1, FADED ** (1 / Math.max(0.5, py - px))).toFixed(3)) }) : null);
    const grab = { mask: (x, y) => (now.mixer.decay === "none" ? null : fade(x, y)), M: choose(shown.M) }[name];
    shown[name].pointer({ hover, grab });
  }
  grid.pointer({ grab: choose(grid) });
  grid.arrows("the chosen block", (dx, dy) => {
    const n = now.r.ranks.length;
    const row = Math.max(0, Math.min(n - 1, now.p.row + dy));
    set({ row, column: Math.max(0, Math.min(row, now.p.column + dx)) });
  });

  return function draw(p, r, paper) {
    const mixer = mixers[p.mixer];
    const maskName = { none: "causal mask L", key: `mask L of key ${p.key}, one of ${p.d_state}` }[mixer.decay] ?? "decay mask L";
    const age = p.decay > 0 ? Math.log(FADED) / Math.log(p.decay) : 0;
    const handle = mixer.decay !== "none" && age < p.N && age >= 1 ? [[0, age], [p.N - age, p.N]] : [];
    now = { p, r, mixer, handle, names: { mask: "L", scores: "score", M: "M", other: p.compare, difference: "difference" } };
    const titles = { mask: maskName, scores: `scores ${mixer.scores}`, M: mixer.formula, other: p.compare, difference: "M − the other" };
    const n = r.ranks.length;
    const borders = Array.from({ length: n - 1 }, (_, k) => (k + 1) * p.chunk_size);
    for (const name of MATRICES) {
      const panel = shown[name];
      panel.figure.style("display", r[name] ? null : "none");
      if (!r[name]) continue;
      const limit = usualMagnitude(r[name]);
      panel.title.text(`${titles[name]}\ncolors to ±${limit.toPrecision(2)}`);
      panel.domain({ x: [0, p.N], y: [p.N, 0], xticks: [0, p.N], yticks: [0, p.N] });
      panel.matrix(r[name], limit, "signed", paper);
      panel.outline();
    }
    shown.mask.line("handle", handle, { dash: "5 4", width: 2 });
    for (const panel of [shown.M, grid]) {
      panel.domain({ x: [0, p.N], y: [p.N, 0], xticks: [], yticks: [] });
      const across = borders.flatMap((at) => [[[at, 0], [at, p.N]], [[0, at], [p.N, at]]]);
      panel.draw("border", "line", across, {
        x1: ([a]) => panel.x(a[0]), y1: ([a]) => panel.y(a[1]), x2: ([, b]) => panel.x(b[0]), y2: ([, b]) => panel.y(b[1]),
        stroke: panel === grid ? "var(--jp-layout-color0, canvas)" : "currentColor", "stroke-width": 0.8, opacity: 0.7,
      });
    }
    drawGrid(grid, p, r, mixer.grows);
    for (const panel of [shown.M, grid]) {
      const [[top, bottom], [left, right]] = [edges(p, p.row), edges(p, p.column)];
      panel.marks.selectAll(".chosen").raise();
      panel.frame("chosen", [[left, top], [right, bottom]]);
      panel.marks.selectAll(".chosen").raise();
    }
    drawValues(values, p, r);
    const steps = mixer.grows
      ? [["no finite state", ATTENTION]]
      : [["inside a chunk", DIAGONAL], ["to the next chunk", NEXT_TO_DIAGONAL], ["to later chunks", OFF_DIAGONAL]];
    const compared = r.other ? [[p.mixer, STATE, "—"], [p.compare, ATTENTION, "—"]] : [];
    explain([...steps, ...compared]);
    read();
  };
}

function drawGrid(grid, p, r, grows) {
  const cells = r.ranks.flatMap((row, i) => row.map((rank, j) => ({ i, j, rank })));
  const color = ({ i, j }) => (grows ? ATTENTION : i === j ? DIAGONAL : i - j === 1 ? NEXT_TO_DIAGONAL : OFF_DIAGONAL);
  const [x, y] = [(k) => grid.x(edges(p, k)[0]), (k) => grid.y(edges(p, k)[0])];
  grid.draw("cell", "rect", cells, {
    x: ({ j }) => x(j), y: ({ i }) => y(i), fill: color,
    width: ({ j }) => grid.x(edges(p, j)[1]) - x(j), height: ({ i }) => grid.y(edges(p, i)[1]) - y(i),
  }).lower();
  grid.draw("number", "text", cells, {
    x: ({ j }) => (x(j) + grid.x(edges(p, j)[1])) / 2, y: ({ i }) => (y(i) + grid.y(edges(p, i)[1])) / 2 + 4,
    "text-anchor": "middle", style: ({ i, j }) => `fill: ${i === j && !grows ? "white" : "black"}`,
  }, ({ rank }) => rank).raise();
}

function drawValues(panel, p, r) {
  const count = r.singular_values.length;
  panel.domain({ x: [0.5, count + 0.5], xticks: Math.min(count, 8) });
  const points = (values) => values.map((value, k) => [k + 1, Math.max(value, FLOOR)]);
  const [low, high] = panel.y.domain();
  const allowed = r.allowed[p.row][p.column] + 0.5;
  panel.line("rounding", [[0.5, r.rounding], [count + 0.5, r.rounding]], { dash: "6 4", width: 1 });
  panel.draw("said", "text", [["rounding: below is zero", r.rounding]], { x: panel.area.left + panel.area.width, y: ([, at]) => panel.y(at) - 5, "text-anchor": "end" }, ([text]) => text);
  panel.line("limit", [[allowed, low], [allowed, high]], { dash: "2 4", width: 1.5 });
  const late = allowed > count * 0.6;
  panel.draw("theory", "text", [0], { x: panel.x(allowed) + (late ? -6 : 6), y: panel.area.top + 12, "text-anchor": late ? "end" : "start" }, () => "rank that theory allows");
  panel.line("values", points(r.singular_values), { color: STATE });
  panel.dots("value", points(r.singular_values), { color: STATE });
  const other = r.other ? points(r.other_singular_values) : [];
  panel.line("others", other, { color: ATTENTION });
  panel.dots("other", other, { color: ATTENTION });
}
