// What a chunk size costs, by formula, and in time on the machine of a kernel: the twin of chunks.py.
import { DIAGONAL, OFF_DIAGONAL, STATE } from "./colors.js";
import { element } from "./element.js";
import { legend } from "./legend.js";
import { Panel } from "./panel.js";
import { code as written, grouped, last } from "./words.js";

// All chunk sizes up to these are drawn, and powers of two from there on: no cost is lowest beyond.
const MOST = { flops: 32, held: 1024 };

export const settle = (p) => ({ ...p, chunk_size: Math.min(p.chunk_size, p.N) });

export const limits = ({ N }) => ({ chunk_size: { high: N } });

// FLOPs of SSD per token: the formulas of lecture17/formulas.py.
const flops = {
  recurrent: ({ d_state: r, d_head: d }) => 5 * r * d,
  parallel: ({ N, d_state: r, d_head: d }) => (N ** 2 * (2 * r + 2 * d) + N ** 2) / N,
  chunkwise({ N, d_state: r, d_head: d }, c) {
    const scores = N * c;
    return (scores * (2 * r + 2 * d) + 4 * N * r * d + (scores + N * ((2 * r * d) / c + 2 * r + d))) / N;
  },
};

// Numbers that exist at one time besides inputs and outputs: `held` of lecture17/costs.py.
const held = {
  recurrent: ({ d_state: r, d_head: d }) => r * d,
  parallel: ({ N }) => N * N,
  chunkwise: ({ N, d_state: r, d_head: d }, c) => N * c + Math.ceil(N / c) * r * d,
};

function cost(of, p, most) {
  const sizes = Array.from({ length: Math.min(p.N, most) }, (_, k) => k + 1);
  for (let c = 2 * most; c <= p.N; c *= 2) sizes.push(c);
  const chunkwise = sizes.map((c) => of.chunkwise(p, c));
  const best = sizes[chunkwise.indexOf(Math.min(...chunkwise))];
  return { sizes, chunkwise, recurrent: of.recurrent(p), parallel: of.parallel(p), best };
}

// The curves do not change while a chunk size is chosen.
const curves = last((p) => ({ flops: cost(flops, p, MOST.flops), held: cost(held, p, MOST.held) }));

export function compute({ chunk_size, ...p }, { times = {} }) {
  const at = (c) => ({ flops: flops.chunkwise(p, c), held: held.chunkwise(p, c) });
  return { ...curves(p), at, chosen: at(chunk_size), times: times[`${p.N} ${p.d_state} ${p.d_head}`] ?? null };
}

const threeDigits = (value) => value.toLocaleString("en-US", { maximumSignificantDigits: 3 });
const fastest = ({ chunkwise }) => chunkwise.reduce((best, timed) => (timed[1] < best[1] ? timed : best));

export function describe(p, r) {
  const parts = [
    `With ${grouped(p.N)} tokens, state size ${p.d_state} and head size ${p.d_head}, chunks of ${grouped(p.chunk_size)} take ` +
      `${grouped(r.chosen.flops)} FLOPs per token and hold ${grouped(r.chosen.held)} numbers.`,
    `The recurrent form takes ${grouped(r.flops.recurrent)} and holds ${grouped(r.held.recurrent)}; the parallel form takes ` +
      `${grouped(r.flops.parallel)} and holds ${grouped(r.held.parallel)}.`,
    `Of all chunk sizes, chunks of ${r.flops.best} take the fewest FLOPs, and chunks of ${r.held.best} hold the fewest numbers.`,
  ];
  if (r.times) {
    const [c, time] = fastest(r.times);
    const parallel = r.times.parallel === null ? "not tried, because its matrix is too large" : threeDigits(r.times.parallel);
    parts.push(
      `Measured on this machine, in microseconds per token: recurrent ${threeDigits(r.times.recurrent)}, chunkwise ` +
        `${threeDigits(time)} at best, with chunks of ${c}, parallel ${parallel}.`,
    );
  }
  return parts.join(" ");
}

export function headline(p, r) {
  return `Fewest FLOPs with chunks of ${r.flops.best}, fewest numbers held with chunks of ${r.held.best}`;
}

export const code = (p) =>
  written("ChunkExplorer", p, ["costs import work"], [
    `N, r, d = ${p.N}, ${p.d_state}, ${p.d_head}`,
    "sizes = 2 ** np.arange(N.bit_length())  # of chunks",
    'flops = [work("ssd", "chunkwise", N, r, d, int(c)).total / N for c in sizes]  # per token',
    'plt.loglog(sizes, flops, "o-", label="chunkwise")',
    'plt.axhline(work("ssd", "recurrent", N, r, d).total / N, label="recurrent")',
    'plt.xlabel("chunk size")',
    'plt.ylabel("FLOPs per token")',
    "plt.legend()",
    "plt.show()",
  ]);

const HINT = "Point at another to read its numbers. Drag the dotted line to choose it; arrow keys go by one, or double and halve.";

const PANELS = {
  flops: { title: "FLOPs per token", domain: [4, 1e8], ticks: { 1e2: "100", 1e4: "10 k", 1e6: "1 M", 1e8: "100 M" } },
  held: { title: "numbers held at once", domain: [0.8, 1.2e10], ticks: { 1: "1", 1e3: "1 k", 1e6: "1 M", 1e9: "1 G" } },
  times: { title: "measured, µs per token", domain: [1e-2, 1e4], ticks: { 0.01: "0.01", 1: "1", 100: "100", 1e4: "10 k" } },
};

export function panels(stage, { set, params }) {
  const x = { label: "chunk size", scale: "log", domain: [0.7, 2 ** 16.5], ticks: [1, 16, 256, 4096, 65536], format: grouped };
  const shown = Object.fromEntries(
    Object.entries(PANELS).map(([name, { title, domain, ticks }]) => {
      const y = { scale: "log", domain, ticks: Object.keys(ticks).map(Number), format: (value) => ticks[value] };
      return [name, new Panel(stage, { width: 284, height: 240, margin: [6, 18, 36, 46], title, x, y })];
    }),
  );
  legend(stage)([["recurrent", STATE], ["parallel", "currentColor"], ["chunkwise", DIAGONAL], ["lowest", OFF_DIAGONAL]]);
  const readout = stage.appendChild(element("output", { className: "readout" }));
  let now = null; // what is drawn
  let spot = null; // the chunk size that is pointed at

  const whole = (c) => Math.max(1, Math.min(now.p.N, Math.round(c)));
  const read = () => {
    for (const panel of Object.values(shown)) {
      const [low, high] = panel.y.domain();
      panel.line("spot", spot ? [[whole(spot), low], [whole(spot), high]] : [], { width: 1 });
    }
    readout.textContent = spot ? tell(whole(spot)) : `${tell(now.p.chunk_size)} ${HINT}`;
  };
  const tell = (c) => {
    const { flops: work, held: numbers } = now.r.at(c);
    const time = now.r.times?.chunkwise.find(([timed]) => timed === c)?.[1];
    const measured = time ? `, ${threeDigits(time)} µs per token` : "";
    return `Chunks of ${grouped(c)}: ${grouped(work)} FLOPs per token, ${grouped(numbers)} numbers held${measured}.`;
  };
  const choose = (c) => {
    set({ chunk_size: whole(c) });
    return choose;
  };
  for (const [name, panel] of Object.entries(shown)) {
    panel.pointer({
      hover(c) {
        spot = c;
        read();
      },
      grab: choose,
      cursor: () => "ew-resize",
      touch: "pan-y",
    });
    panel.arrows(`chunk size against ${PANELS[name].title}`, (dx, dy) => choose((params().chunk_size + dx) * 2 ** -dy));
  }

  return function draw(p, r) {
    now = { p, r };
    const { times } = r;
    for (const name of ["flops", "held"]) {
      const points = r[name].sizes.map((c, k) => [c, r[name].chunkwise[k]]);
      drawCost(shown[name], p, r[name], points, r.chosen[name]);
    }
    drawCost(shown.times, p, times ?? {}, times?.chunkwise ?? []);
    shown.times.dots("measured", times?.chunkwise ?? [], { color: DIAGONAL }).lower();
    shown.times.title.text(times ? PANELS.times.title : "µs per token: not measured yet");
    read();
  };
}

/** Both ends as lines, the chunkwise form as a curve through `points`, its lowest point, and the chosen chunk size. */
function drawCost(panel, { N, chunk_size }, { recurrent, parallel }, points, chosen) {
  const level = (cost) => (cost ? [[1, cost], [N, cost]] : []);
  panel.line("recurrent", level(recurrent), { color: STATE, dash: "6 4" });
  panel.line("parallel", level(parallel), { dash: "6 4" });
  panel.line("chunkwise", points, { color: DIAGONAL });
  const lowest = points.length ? [fastest({ chunkwise: points })] : [];
  panel.dots("lowest", lowest, { color: OFF_DIAGONAL, radius: 5 });
  const [low, high] = panel.y.domain();
  panel.line("chosen", [[chunk_size, low], [chunk_size, high]], { dash: "2 4", width: 2 });
  panel.dots("handle", chosen ? [[chunk_size, chosen]] : [], { hollow: true, radius: 5 });
}
