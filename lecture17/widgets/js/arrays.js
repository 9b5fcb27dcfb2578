// Arrays as the explorers use them: a matrix is an array of rows, each a Float64Array.
import { Matrix, SingularValueDecomposition, solve } from "ml-matrix";

export const clamp = (value, low, high) => Math.max(low, Math.min(high, value));

export const zeros = (rows, columns) => Array.from({ length: rows }, () => new Float64Array(columns));

/** The rows of a matrix whose entries follow one another. */
export function rowsOf(flat, rows, columns) {
  return Array.from({ length: rows }, (_, i) => flat.subarray(i * columns, (i + 1) * columns));
}

export function dot(a, b) {
  let sum = 0;
  for (let k = 0; k < a.length; k += 1) sum += a[k] * b[k];
  return sum;
}

/** Singular values, largest first. */
export function singularValues(rows) {
  const options = { computeLeftSingularVectors: false, computeRightSingularVectors: false, autoTranspose: true };
  return new SingularValueDecomposition(new Matrix(rows.map((row) => Array.from(row))), options).diagonal;
}

/** The value below which 99 % of the magnitudes on and below the diagonal lie: one outlier leaves the rest its color. */
export function usualMagnitude(rows) {
  const sizes = new Float64Array((rows.length * (rows.length + 1)) / 2);
  let count = 0;
  rows.forEach((row, i) => {
    for (let j = 0; j <= i; j += 1) sizes[count++] = Math.abs(row[j]);
  });
  sizes.sort();
  const at = 0.99 * (count - 1);
  const below = Math.floor(at);
  return sizes[below] + (at - below) * ((sizes[below + 1] ?? sizes[below]) - sizes[below]);
}

export function largestMagnitude(rows) {
  let most = 0;
  for (const row of rows) for (const value of row) most = Math.max(most, Math.abs(value));
  return most;
}

/** x with A x = b. */
export const solved = (A, b) => Float64Array.from(solve(new Matrix(A.map((row) => Array.from(row))), Matrix.columnVector(Array.from(b))).to1DArray());
