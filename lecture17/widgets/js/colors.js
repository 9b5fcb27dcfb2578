// The course's palette, as in lecture17/figures/picture.py, on light and on dark paper.
import { scaleLinear } from "d3-scale";

export const DIAGONAL = "#0072b2";
export const NEXT_TO_DIAGONAL = "#f5ce80";
export const OFF_DIAGONAL = "#e69f00";
export const STATE = "#009e73";
export const OUTPUT = "#cc79a7";
export const ATTENTION = "#d55e00";

const SIGNED = {
  light: ["#2d004b", "#8073ac", "#f7f7f7", "#e08214", "#7f3b08"],
  dark: ["#d8cdf0", "#8f80c4", "#1c1c1e", "#d9821f", "#ffd9a0"],
};
const MAGNITUDE = {
  light: ["#ffffff", "#b8d9c9", "#56ab8b", "#00694d", "#00291e"],
  dark: ["#1c1c1e", "#0d5b45", "#1d9c76", "#7fd6b6", "#e2fff3"],
};

const GRAY = { light: ["#ffffff", "#000000"], dark: ["#1c1c1e", "#ffffff"] };
const KINDS = { signed: SIGNED, magnitude: MAGNITUDE, gray: GRAY };

/** 511 colors from -1 to 1 (`signed`), or from 0 to 1 in the upper half, as RGB triples. */
function table(stops, low) {
  const color = scaleLinear(
    stops.map((_, i) => low + ((1 - low) * i) / (stops.length - 1)),
    stops,
  );
  const entries = new Uint8ClampedArray(511 * 3);
  for (let i = 0; i < 511; i += 1) {
    const [r, g, b] = color(Math.max(low, (i - 255) / 255)).match(/\d+/g).map(Number);
    entries.set([r, g, b], 3 * i);
  }
  return entries;
}

const tables = {};

/** The RGB triples for a kind of values on this paper. */
export function palette(kind, paper) {
  return (tables[kind + paper] ??= table(KINDS[kind][paper], kind === "signed" ? -1 : 0));
}
