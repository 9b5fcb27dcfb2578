// NumPy's RandomState, bit for bit: the same seed gives the same sequence in Python and in the browser.
import MersenneTwister from "mersenne-twister";

export class RandomState {
  constructor(seed) {
    this.twister = new MersenneTwister(seed);
    this.kept = null; // Marsaglia's polar method makes normal numbers in pairs
  }

  /** `count` uniform numbers in [low, high). */
  uniform(low, high, count) {
    return Float64Array.from({ length: count }, () => low + (high - low) * this.twister.random_long());
  }

  /** `count` standard normal numbers. */
  normal(count) {
    return Float64Array.from({ length: count }, () => {
      if (this.kept !== null) {
        const second = this.kept;
        this.kept = null;
        return second;
      }
      let x, y, square;
      do {
        x = 2 * this.twister.random_long() - 1;
        y = 2 * this.twister.random_long() - 1;
        square = x * x + y * y;
      } while (square >= 1 || square === 0);
      const scale = Math.sqrt((-2 * Math.log(square)) / square);
      this.kept = scale * x;
      return scale * y;
    });
  }
}
