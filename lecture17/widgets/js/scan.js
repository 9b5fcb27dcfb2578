// An image read as a sequence, and what a pixel still sees of the pixels before it: the twin of scan.py.
import { clamp, rowsOf } from "./arrays.js";
import { DIAGONAL, OFF_DIAGONAL, OUTPUT } from "./colors.js";
import { element } from "./element.js";
import { legend } from "./legend.js";
import { Panel } from "./panel.js";
import { capitalized, code as written, fixed, g, last } from "./words.js";

const N_BINS = 10; // distances from 1, 2, 4, …, 512 to just below the next power of two

const list = (length, value) => Array.from({ length }, (_, i) => value(i));

/** Hilbert's curve over `length` pixels in steps of `along` by `width` in steps of `across`: as `_curve` of scan2d.py. */
function curve(start, along, length, across, width) {
  if (width === 1) return list(length, (i) => start + along * i);
  if (length === 1) return list(width, (i) => start + across * i);
  if (2 * length > 3 * width) {
    const half = evenHalf(length);
    return [...curve(start, along, half, across, width), ...curve(start + half * along, along, length - half, across, width)];
  }
  const [half, left] = [evenHalf(width), Math.floor(length / 2)];
  const corner = start + (length - 1) * along + (half - 1) * across;
  return [
    ...curve(start, across, half, along, left),
    ...curve(start + half * across, along, length, across, width - half),
    ...curve(corner, -across, half, -along, length - left),
  ];
}

function evenHalf(n) {
  const half = Math.floor(n / 2);
  return n > 2 ? half + (half % 2) : 1;
}

/** The bits of the column and of the row of a pixel, interleaved: Morton's key. */
function interleaved(pixel, n) {
  const [row, column] = [Math.floor(pixel / n), pixel % n];
  let key = 0;
  for (let b = 0; 2 ** b < n; b += 1) key |= (((column >> b) & 1) << (2 * b)) | (((row >> b) & 1) << (2 * b + 1));
  return key;
}

const rows = (n) => list(n * n, (t) => t);
const columns = (n) => list(n * n, (t) => (t % n) * n + Math.floor(t / n));
const ROUTES = {
  "row by row": rows,
  "column by column": columns,
  "row by row, reversed": (n) => rows(n).reverse(),
  "column by column, reversed": (n) => columns(n).reverse(),
  Hilbert: (n) => curve(0, 1, n, n, n),
  "Z-order": (n) => rows(n).sort((a, b) => interleaved(a, n) - interleaved(b, n)),
};

export const settle = (p) => ({ ...p, step: Math.min(p.step, p.side ** 2 - 1) });

export const limits = (p) => ({ step: { high: p.side ** 2 - 1 } });

// The route does not change while the step or the decay does.
const ofRoute = last((route, n) => {
  const order = ROUTES[route](n);
  const read = new Float64Array(n * n);
  order.forEach((pixel, step) => (read[pixel] = step));
  const position = rowsOf(read, n, n);
  const beside = position.flatMap((row) => list(n - 1, (j) => Math.abs(row[j + 1] - row[j])));
  const below = list(n * (n - 1), (pixel) => Math.abs(read[pixel + n] - read[pixel]));
  const distances = [...beside, ...below];
  const shares = new Float64Array(N_BINS);
  for (const distance of distances) shares[Math.floor(Math.log2(distance))] += 1 / distances.length;
  const sum = distances.reduce((total, distance) => total + distance, 0);
  return { order, position, distances, shares, mean: sum / distances.length, most: Math.max(...distances) };
});

export function compute(p) {
  const { side: n, step, decay } = p;
  const route = ofRoute(p.route, n);
  const { order, position } = route;
  const context = position.map((row) => row.map((at) => (at <= step ? decay ** (step - at) : 0)));
  const pixel = [Math.floor(order[step] / n), order[step] % n];
  const [row, column] = pixel;
  const around = [[row - 1, column], [row + 1, column], [row, column - 1], [row, column + 1]];
  const before = around.filter(([i, j]) => position[i]?.[j] < step);
  const neighbors = before.map(([i, j]) => context[i][j]).sort((a, b) => b - a);
  return { ...route, context, pixel, before, neighbors };
}

function listed(weights) {
  const told = weights.map((weight) => (weight >= 0.005 ? fixed(weight, 2) : "nearly 0"));
  return told.length > 1 ? `${told.slice(0, -1).join(", ")} and ${told.at(-1)}` : told[0];
}

export function describe(p, r) {
  const { length } = r.neighbors;
  const seen = length
    ? `${length} of its neighbors came before it, with weight${length > 1 ? "s" : ""} ${listed(r.neighbors)}`
    : "none of its neighbors came before it";
  return (
    `Route “${p.route}” over ${p.side} × ${p.side} pixels: step ${p.step} reads the pixel in row ${r.pixel[0]}, column ` +
    `${r.pixel[1]}; ${seen} (decay ${g(p.decay)} per step). Neighboring pixels are read ${fixed(r.mean, 1)} steps apart ` +
    `on average, ${r.most} at most, and ${fixed(100 * r.shares[0], 0)}% of the pairs directly one after the other.`
  );
}

export const headline = (p, r) => `${capitalized(p.route)}: neighbors are read ${fixed(r.mean, 1)} steps apart on average`;

export const code = (p) => {
  const size = `${p.side}, ${p.side}`;
  const curve = { Hilbert: `hilbert(${size})`, "Z-order": `z_order(${size})` }[p.route];
  return written("ScanExplorer", p, ["reference import scan2d"], [
    `order = scan2d.${curve ?? `routes(${size})[${Object.keys(ROUTES).indexOf(p.route)}]`}  # the pixel that is read at each step`,
    `age = ${p.step} - np.argsort(order).reshape(${size})  # steps since each pixel was read`,
    `context = np.where(age >= 0, ${p.decay} ** np.maximum(age, 0.0), 0)  # its weight in the state`,
    "plt.imshow(context, vmin=0, vmax=1)",
    'plt.colorbar(label="weight")',
    "plt.show()",
  ]);
};

/** An image of n × n pixels, for something to look at. */
const ring = last((n) => {
  const along = (k) => (2 * k) / (n - 1) - 1;
  return list(n, (i) => list(n, (j) => Math.exp(-20 * (Math.hypot(along(i), along(j)) - 0.7) ** 2)));
});

export function panels(stage, { set }) {
  const image = { width: 272, height: 266, margin: [4, 8, 22, 24], x: { label: "column" }, y: { label: "row" } };
  const path = new Panel(stage, { ...image, title: "the path so far" });
  const context = new Panel(stage, { ...image, title: "what the pixel sees: weights from 0 to 1" });
  const shares = new Panel(stage, {
    width: 296, height: 266, title: "pairs of neighboring pixels",
    x: { label: "steps apart in the sequence", scale: "log", domain: [1, 2], format: String },
    y: { label: "share", ticks: [0, 0.5, 1], format: (share) => `${100 * share}%` },
    margin: [4, 8, 34, 52],
  });
  const readout = stage.appendChild(element("output", { className: "readout" }));
  legend(stage)([
    ["read so far", DIAGONAL],
    ["still to come", OFF_DIAGONAL],
    ["the pixel read at this step", OUTPUT, "●"],
    ["its neighbors read before", OUTPUT, "□"],
  ]);
  let now = null; // what is drawn
  let spot = null; // under the pointer: { pixel: [row, column] } or { bin }

  const read = () => {
    const { p, r } = now;
    const [i, j] = spot?.pixel ?? [];
    for (const panel of [path, context]) {
      panel.draw("spot", "rect", spot?.pixel ? [0] : [], {
        x: panel.x(j) - 1, y: panel.y(i) - 1, width: panel.area.width / p.side + 2, height: panel.area.height / p.side + 2,
        fill: "none", stroke: "currentColor", "stroke-width": 2,
      }).raise();
    }
    if (spot?.pixel) {
      const at = r.position[i][j];
      const weight = at > p.step ? `not read yet at step ${p.step}` : `weight ${fixed(r.context[i][j], 4)} in the state after step ${p.step}`;
      readout.textContent = `Row ${i}, column ${j}: read at step ${at}, ${weight}`;
    } else if (spot) {
      const least = 2 ** spot.bin;
      const apart = spot.bin ? `${least} to ${2 * least - 1} steps` : "1 step";
      readout.textContent = `${apart} apart: ${fixed(100 * r.shares[spot.bin], 1)}% of the ${r.distances.length} pairs`;
    } else {
      readout.textContent = "Click a pixel to go to the step that reads it, or drag along the path. Point at a pixel or at a bar to read it.";
    }
  };
  const look = (found) => {
    spot = found;
    read();
  };
  const pixelAt = (x, y) => {
    const [i, j] = [Math.floor(y), Math.floor(x)];
    return now.r.position[i]?.[j] === undefined ? null : [i, j];
  };
  const go = (pixel) => pixel && set({ step: now.r.position[pixel[0]][pixel[1]] });
  const moved = ([i, j], dx, dy) => [clamp(i + dy, 0, now.p.side - 1), clamp(j + dx, 0, now.p.side - 1)];
  for (const panel of [path, context]) {
    panel.pointer({
      hover(x, y) {
        const pixel = x === null ? null : pixelAt(x, y);
        look(pixel && { pixel });
      },
      grab(x, y) {
        go(pixelAt(x, y));
        return (px, py) => go(pixelAt(px, py));
      },
    });
  }
  path.arrows("the pixel read at this step: arrow keys choose another", (dx, dy) => go(moved(now.r.pixel, dx, dy)));
  context.arrows("the weight of each pixel", (dx, dy) => look({ pixel: moved(spot?.pixel ?? now.r.pixel, dx, dy) }));
  const bins = () => Math.ceil(2 * Math.log2(now.p.side));
  shares.pointer({ hover: (x) => look(x >= 1 && x < 2 ** bins() ? { bin: Math.floor(Math.log2(x)) } : null) });
  shares.arrows("the share of each distance", (dx) => look({ bin: clamp((spot?.bin ?? 0) + dx, 0, bins() - 1) }));

  return function draw(p, r, paper) {
    now = { p, r };
    const { side: n, step } = p;
    if (spot?.pixel && Math.max(...spot.pixel) >= n) spot = null;
    const middles = r.order.map((pixel) => [(pixel % n) + 0.5, Math.floor(pixel / n) + 0.5]);
    for (const panel of [path, context]) panel.domain({ x: [0, n], y: [n, 0], xticks: [], yticks: [] });
    path.matrix(ring(n), 3, "gray", paper);
    context.matrix(r.context, 1, "magnitude", paper);
    path.line("route", middles.slice(step), { color: OFF_DIAGONAL, width: 1.2 });
    path.line("path", middles.slice(0, step + 1), { color: DIAGONAL, width: 2.2 });
    context.outline();
    const inset = (ends) => (d) => ends(d) + 1.5;
    context.draw("neighbor", "rect", r.before, {
      x: inset(([, j]) => context.x(j)), y: inset(([i]) => context.y(i)),
      width: context.area.width / n - 3, height: context.area.height / n - 3,
      fill: "none", stroke: OUTPUT, "stroke-width": 2,
    });
    for (const panel of [path, context]) panel.dots("here", [middles[step]], { color: OUTPUT, radius: n > 20 ? 3 : 4 }).attr("stroke", "currentColor").raise();
    const ticks = list(bins(), (b) => 2 ** b);
    shares.domain({ x: [1, 2 ** bins()], xticks: ticks.filter((_, b) => bins() <= 8 || b % 2 === 0) });
    shares.draw("bar", "rect", ticks, {
      x: (least) => shares.x(least), y: (_, b) => shares.y(r.shares[b]),
      width: (least) => shares.x(2 * least) - shares.x(least) - 1, height: (_, b) => shares.y(0) - shares.y(r.shares[b]),
      fill: DIAGONAL,
    });
    read();
  };
}
