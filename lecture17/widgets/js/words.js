// Numbers and settings in words, written as Python writes them.

/** Python's format "g", for numbers of usual size. */
export const g = (value) => String(Number(value.toPrecision(6)));

/** Python's format ".1f" for one digit, and so on: of two numbers equally near, the even one. */
export function rounded(value, digits) {
  const scaled = value * 10 ** digits;
  const tie = Number.isInteger(value * 2 ** (digits + 1)) && Math.abs(scaled % 1) === 0.5;
  return tie ? (2 * Math.round(scaled / 2) / 10 ** digits).toFixed(digits) : value.toFixed(digits);
}

/** The first letter as a capital. */
export const capitalized = (text) => text[0].toUpperCase() + text.slice(1);

/** 1234567 as "1,234,567". */
export const grouped = (value) => Math.round(value).toLocaleString("en-US");

const python = (value) => ({ string: () => JSON.stringify(value), boolean: () => (value ? "True" : "False") })[typeof value]?.() ?? String(value);

/** A cell that shows this very explorer. */
export function code(name, params) {
  const settings = Object.entries(params).map(([key, value]) => `${key}=${python(value)}`);
  return `from lecture17 import widgets\n\nwidgets.${name}(${settings.join(", ")})\n`;
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
