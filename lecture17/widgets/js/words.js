// Numbers and settings in words, written as Python writes them.

/** Python's format "g", for numbers of usual size. */
export const g = (value, digits = 6) => String(Number(value.toPrecision(digits)));

/** So many decimal places, of two numbers equally near the even one, as in Python; with a true minus. */
export function fixed(value, places) {
  const scaled = value * 10 ** places;
  const tie = Number.isInteger(value * 2 ** (places + 1)) && Math.abs(scaled % 1) === 0.5;
  const written = tie ? (2 * Math.round(scaled / 2) / 10 ** places).toFixed(places) : value.toFixed(places);
  return written.replace("-", "−");
}

export const tuple = (values, places = 2) => `(${Array.from(values, (value) => fixed(value, places)).join(", ")})`;

/** 1234567 as "1,234,567"; a half goes to the even number, as in Python. */
export const grouped = (value) => value.toLocaleString("en-US", { maximumFractionDigits: 0, roundingMode: "halfEven" });

/** The first letter as a capital. */
export const capitalized = (text) => text[0].toUpperCase() + text.slice(1);

const python = (value) => ({ string: () => JSON.stringify(value), boolean: () => (value ? "True" : "False") })[typeof value]?.() ?? String(value);

/** Settings as arguments of a call in Python. */
export const settings = (params) => Object.entries(params).map(([key, value]) => `${key}=${python(value)}`).join(", ");

/** A cell that makes what is shown by these lines, which need these imports, and then shows this very explorer. */
export function code(name, params, imports, lines) {
  const libraries = ["import matplotlib.pyplot as plt", "import numpy as np"];
  const own = ["from lecture17 import widgets", ...imports.map((line) => `from lecture17.${line}`)];
  return [...libraries, "", ...own, "", ...lines, `widgets.${name}(${settings(params)})`, ""].join("\n");
}

/** A function of a few settings that remembers its last value. */
export function last(compute) {
  let key, value;
  return (...args) => {
    const asked = JSON.stringify(args);
    if (asked !== key) [key, value] = [asked, compute(...args)];
    return value;
  };
}
