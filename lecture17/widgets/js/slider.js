// The pictures of what a Python function made of a number, one for each stop; slider.py has run it. Nothing is computed
// here but colors and places.
import { clamp, largestMagnitude, zeros } from "./arrays.js";
import { OUTPUT, STATE } from "./colors.js";
import { element } from "./element.js";
import { legend } from "./legend.js";
import { Panel } from "./panel.js";
import { fixed } from "./words.js";

const DASHES = [null, "7 3", "2 3", "7 3 2 3"]; // one for each row of the state
const MARKS = ["—", "- -", "···", "-·-"];

export function settle(p, { stops }) {
  const off = (stop) => Math.abs(stop - p.value);
  return { value: stops.reduce((best, stop) => (off(stop) < off(best) ? stop : best)) };
}

function numbersOf({ float32 }) {
  return new Float32Array(Uint8Array.from(atob(float32), (letter) => letter.charCodeAt(0)).buffer);
}

/** A matrix of which the entries on and below the diagonal are given, or all. */
function matrixOf(entries, N) {
  const full = entries.length === N * N;
  return zeros(N, N).map((row, i) => {
    const start = full ? i * N : (i * (i + 1)) / 2;
    row.set(entries.subarray(start, start + (full ? N : i + 1)));
    return row;
  });
}

const decoded = new WeakMap(); // the plays of each slider's data

/** The plays, one for each stop: M as rows; states [signal][row][token], x and y [signal][token]. */
function playsOf(data) {
  if (!decoded.has(data)) {
    const [, N, r, d] = data.states.shape;
    const [M, states, x, y] = [data.M, data.states, data.x, data.y].map(numbersOf);
    const along = (length, value) => Array.from({ length }, (_, k) => value(k));
    const tokens = (value) => Float32Array.from({ length: N }, (_, t) => value(t));
    const plays = data.stops.map((_, k) => ({
      M: matrixOf(M.subarray(k * data.M.shape[1], (k + 1) * data.M.shape[1]), N),
      states: along(d, (c) => along(r, (row) => tokens((t) => states[((k * N + t) * r + row) * d + c]))),
      x: along(d, (c) => tokens((t) => x[(k * N + t) * d + c])),
      y: along(d, (c) => tokens((t) => y[(k * N + t) * d + c])),
    }));
    decoded.set(data, plays);
  }
  return decoded.get(data);
}

const at = (p, { stops }) => stops.indexOf(p.value);

export const compute = (p, data) => playsOf(data)[at(p, data)];
export const describe = (p, play, data) => data.words[at(p, data)];
export const headline = (p, play, data) => data.titles[at(p, data)];

/** A domain that holds these curves, with some room around. */
function around(curves) {
  let [low, high] = [0, 0];
  for (const curve of curves) {
    for (const value of curve) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  const room = 0.06 * (high - low || 1);
  return [low - room, high + room];
}

export function panels(stage, act, data) {
  const plays = playsOf(data);
  const [, N, r] = data.states.shape;
  const limit = Math.max(...plays.map((play) => largestMagnitude(play.M)));
  const kind = plays.some(({ M }) => M.some((row) => row.some((value) => value < 0))) ? "signed" : "magnitude";
  const most = limit.toPrecision(2);
  const matrix = new Panel(stage, {
    width: 264, height: 262, margin: [2, 8, 34, 34],
    title: `the matrix M\ncolors ${kind === "signed" ? `to ±${most}` : `from 0 to ${most}`}`,
    x: { label: "written at token j", domain: [0, N], ticks: [0, N] },
    y: { label: "read at token i", domain: [N, 0], ticks: [0, N] },
  });
  const signals = stage.appendChild(element("div", { className: "group" }));
  const small = { width: 204, height: 156, x: { domain: [0, N - 1], ticks: 4 } };
  const lines = data.signals.map((name, c) => ({
    name,
    state: new Panel(signals, {
      ...small,
      title: `state of the ${name}`,
      x: { ...small.x, label: "after token t" },
      y: { label: "value", domain: around(plays.flatMap(({ states }) => states[c])), ticks: 4 },
    }),
    out: new Panel(signals, {
      ...small,
      title: `output of the ${name}`,
      x: { ...small.x, label: "token t" },
      y: { label: "value", domain: around(plays.flatMap(({ x, y }) => [x[c], y[c]])), ticks: 4 },
    }),
  }));
  const readout = stage.appendChild(element("output", { className: "readout" }));
  legend(stage)([
    ...Array.from({ length: r }, (_, row) => [r > 1 ? `row ${row} of the state` : "state", STATE, MARKS[row % MARKS.length]]),
    ["in", "currentColor", "- -"],
    ["out", OUTPUT, "—"],
  ]);
  const both = lines.flatMap(({ state, out }) => [state, out]);
  let play = plays[0]; // what is drawn
  let spot = {}; // under the pointer: { entry: [i, j] } or { t }

  const read = () => {
    const { entry, t } = spot;
    matrix.draw("spot", "rect", entry ? [entry] : [], {
      x: ([, j]) => matrix.x(j) - 1, y: ([i]) => matrix.y(i) - 1,
      width: matrix.area.width / N + 2, height: matrix.area.height / N + 2,
      fill: "none", stroke: "currentColor", "stroke-width": 1.5,
    });
    for (const panel of both) panel.line("spot", t === undefined ? [] : panel.y.domain().map((y) => [t, y]), { dash: "2 3", width: 1 });
    const number = (value) => fixed(value, 4);
    if (entry) {
      const [i, j] = entry;
      const value = play.M[i][j];
      const late = j > i && !value ? `: token ${i} cannot see token ${j}, which comes later` : ` = ${number(value)}`;
      readout.textContent = `M[${i}, ${j}]${late}`;
    } else if (t !== undefined) {
      const told = lines.map(({ name }, c) => {
        const state = play.states[c].map((row) => number(row[t])).join(", ");
        return `${name}: in ${number(play.x[c][t])}, state ${state}, out ${number(play.y[c][t])}`;
      });
      readout.textContent = `Token ${t} · ${told.join(" · ")}`;
    } else {
      readout.textContent = "Point at the matrix or at a curve to read it.";
    }
  };
  const look = (found) => {
    spot = found;
    read();
  };
  const token = (value) => clamp(value, 0, N - 1);
  matrix.pointer({
    hover(x, y) {
      const inside = x !== null && Math.min(x, y) >= 0 && Math.max(x, y) < N;
      look(inside ? { entry: [Math.floor(y), Math.floor(x)] } : {});
    },
  });
  matrix.arrows("entries of the matrix M", (dx, dy) => {
    const [i, j] = spot.entry ?? [N - 1 - dy, -dx];
    look({ entry: [token(i + dy), token(j + dx)] });
  });
  for (const panel of both) {
    panel.pointer({ hover: (x) => look(x === null ? {} : { t: token(Math.round(x)) }) });
    panel.arrows(`${panel.title.text()}: left and right choose the token`, (dx) => look({ t: token((spot.t ?? -dx) + dx) }));
  }

  return function draw(p, result, paper) {
    play = result;
    matrix.matrix(play.M, limit, kind, paper);
    matrix.outline();
    lines.forEach(({ state, out }, c) => {
      const points = (curve) => Array.from(curve, (value, t) => [t, value]);
      play.states[c].forEach((row, k) => state.line(`row${k}`, points(row), { color: STATE, dash: DASHES[k % DASHES.length] }));
      out.line("in", points(play.x[c]), { dash: "5 4", width: 1.4, step: true });
      out.line("out", points(play.y[c]), { color: OUTPUT, width: 2.2 });
    });
    read();
  };
}
