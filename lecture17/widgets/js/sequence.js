// One random sequence, read by each mixer of the family: its states, and the matrix by running
// its recurrence on unit vectors.
import { RandomState } from "./random.js";
import { dot, rowsOf, solved, zeros } from "./arrays.js";

const scaled = (flat, factor) => flat.map((value) => value * factor);
const products = (flat, factor) => flat.map((value) => (factor === -Infinity ? -Infinity : value * factor));

const bits = (n) => 32 - Math.clz32(n);

/** The level at which token i of log-linear attention reads token j ≤ i. */
export const levelOf = (i, j) => bits(i ^ j);

/** N random tokens for mixers with d_state state entries for each feature; `decay` is the mean decay. */
export function sequence({ N, d_state: r, decay, seed }, d = 1) {
  const random = new RandomState(seed);
  const Q = rowsOf(scaled(random.normal(N * r), 1 / Math.sqrt(r)), N, r);
  const K = rowsOf(scaled(random.normal(N * r), 1 / Math.sqrt(r)), N, r);
  const logDecay = Math.log(decay);
  const log_a = products(random.uniform(0.5, 1.5, N), logDecay);
  const log_alpha = rowsOf(products(random.uniform(0.5, 1.5, N * r), logDecay), N, r);
  const beta = random.uniform(0, 1, N);
  const rate = rowsOf(random.uniform(0, 1, N * r), N, r);
  const pairs = Math.floor(r / 2);
  const theta = rowsOf(random.uniform(0, 1, N * pairs), N, pairs);
  const V = rowsOf(random.normal(N * d), N, d);
  const log_i = random.normal(N);
  const levels = bits(N) + 1;
  const lam = rowsOf(random.uniform(0.5, 1.5, N * levels), N, levels);
  const unitK = K.map((k) => scaled(k, 1 / Math.sqrt(dot(k, k))));
  return { N, r, gamma: decay, Q, K, unitK, log_a, log_alpha, beta, rate, theta, V, log_i, lam };
}

/** Pairs (0, 1), (2, 3), … of each row, rotated by the sum of the angles so far: B̃ or C̃ of Mamba-3. */
function rotated(X, theta) {
  const angle = new Float64Array(theta[0].length);
  return X.map((row, t) => {
    const turned = new Float64Array(row.length);
    for (let p = 0; p < angle.length; p += 1) {
      angle[p] += theta[t][p];
      const [cos, sin] = [Math.cos(angle[p]), Math.sin(angle[p])];
      turned[2 * p] = row[2 * p] * cos - row[2 * p + 1] * sin;
      turned[2 * p + 1] = row[2 * p] * sin + row[2 * p + 1] * cos;
    }
    return turned;
  });
}

const all = (r, value) => new Float64Array(r).fill(value);
const decayed = (logs) => logs.map(Math.exp);

/** Token t writes its value where the unit key of token `at` reads, and removes what was there. */
function replaced(s, t, at) {
  const strong = scaled(s.unitK[at], s.beta[at]);
  return { removes: { strength: strong, key: s.unitK[at] }, writes: [[t, strong]] };
}

// What a mixer does at token t: the decay of each key, what it removes (strength, key; before or after the decay), what
// it writes ([token, key] pairs), perhaps that in several `steps`, and the query it reads with.
const TOKENS = {
  linear_attention: (s) => (t) => ({ decay: all(s.r, 1), writes: [[t, s.K[t]]], query: s.Q[t] }),
  retention: (s) => (t) => ({ decay: all(s.r, s.gamma), writes: [[t, s.K[t]]], query: s.Q[t] }),
  ssd: (s) => (t) => ({ decay: all(s.r, Math.exp(s.log_a[t])), writes: [[t, s.K[t]]], query: s.Q[t] }),
  log_linear: (s) => TOKENS.ssd(s),
  gla: (s) => (t) => ({ decay: decayed(s.log_alpha[t]), writes: [[t, s.K[t]]], query: s.Q[t] }),
  delta_rule: (s) => (t) => ({ decay: all(s.r, Math.exp(s.log_a[t])), ...replaced(s, t, t), query: s.Q[t] }),
  kda: (s) => (t) => ({ decay: decayed(s.log_alpha[t]), ...replaced(s, t, t), query: s.Q[t] }),
  delta_product: (s) => (t) => {
    const steps = [replaced(s, t, s.N - 1 - t), replaced(s, t, t)];
    return { decay: all(s.r, Math.exp(s.log_a[t])), steps, query: s.Q[t] };
  },
  mlstm: (s) => (t) => {
    const written = scaled(s.K[t], Math.exp(s.log_i[t]));
    return { decay: all(s.r, Math.exp(s.log_a[t])), writes: [[t, written]], query: s.Q[t] };
  },
  mesa: (s) => {
    const H = zeros(s.r, s.r);
    return (t) => {
      const [a, weighted] = [Math.exp(s.log_a[t]), scaled(s.K[t], s.beta[t])];
      H.forEach((row, i) => row.forEach((value, j) => (row[j] = a * value + weighted[i] * s.K[t][j])));
      const ridge = H.map((row, i) => row.map((value, j) => value + (i === j ? 1 : 0)));
      return { decay: all(s.r, a), writes: [[t, weighted]], query: solved(ridge, s.Q[t]) };
    };
  },
  rwkv7: (s) => (t) => {
    const strength = s.unitK[t].map((k, i) => k * s.rate[t][i]);
    const removes = { strength, key: s.unitK[t], first: true };
    return { decay: decayed(s.log_alpha[t]), removes, writes: [[t, s.K[t]]], query: s.Q[t] };
  },
  mamba3: (s) => {
    const [B, C] = [rotated(s.K, s.theta), rotated(s.Q, s.theta)];
    return (t) => {
      const a = Math.exp(s.log_a[t]);
      const before = t ? [[t - 1, scaled(B[t - 1], 0.5 * a)]] : [];
      return { decay: all(s.r, a), writes: [...before, [t, scaled(B[t], 0.5)]], query: C[t] };
    };
  },
};

/** Queries and keys that the scores are made of. */
export function queriesKeys(mixer, s) {
  const K = mixer.unit_key ? s.unitK : s.K;
  return mixer.turns ? [rotated(s.Q, s.theta), rotated(K, s.theta)] : [s.Q, K];
}

export function scores(mixer, s) {
  const [Q, K] = queriesKeys(mixer, s);
  return Q.map((q) => Float64Array.from(K, (k) => dot(q, k)));
}

function softmax(rows) {
  return rows.map((row, i) => {
    const seen = row.subarray(0, i + 1);
    const most = Math.max(...seen);
    const weights = new Float64Array(row.length);
    let sum = 0;
    for (let j = 0; j <= i; j += 1) sum += weights[j] = Math.exp(seen[j] - most);
    return weights.map((weight) => weight / sum);
  });
}

/**
 * The recurrence over inputs X (N × d): after each token { S, y }, the state (r × d), changed in place, and the output.
 * Features from `reached(t)` on are still zero at token t.
 */
export function* recurrent(mixer, s, X, reached = () => X[0].length) {
  const token = TOKENS[mixer.name](s);
  const S = zeros(s.r, X[0].length);
  const held = new Float64Array(X[0].length);
  for (let t = 0; t < s.N; t += 1) {
    const { decay, query, steps, ...only } = token(t);
    const d = reached(t);
    const recall = (key) => {
      held.fill(0);
      S.forEach((row, k) => {
        for (let c = 0; c < d; c += 1) held[c] += key[k] * row[c];
      });
    };
    if (only.removes?.first) recall(only.removes.key);
    S.forEach((row, k) => {
      for (let c = 0; c < d; c += 1) row[c] *= decay[k];
    });
    for (const { removes, writes } of steps ?? [only]) {
      if (removes) {
        if (!removes.first) recall(removes.key);
        S.forEach((row, k) => {
          for (let c = 0; c < d; c += 1) row[c] -= removes.strength[k] * held[c];
        });
      }
      for (const [j, key] of writes) {
        S.forEach((row, k) => {
          for (let c = 0; c < d; c += 1) row[c] += key[k] * X[j][c];
        });
      }
    }
    const y = new Float64Array(held.length);
    S.forEach((row, k) => {
      for (let c = 0; c < d; c += 1) y[c] += query[k] * row[c];
    });
    yield { S, y };
  }
}

/** The (N, N) matrix of a mixer on this sequence. */
export function matrix(mixer, s) {
  if (mixer.name === "softmax") return softmax(scores(mixer, s));
  const unit = zeros(s.N, s.N);
  unit.forEach((row, j) => (row[j] = 1));
  const rows = Array.from(recurrent(mixer, s, unit, (t) => t + 1), ({ y }) => y);
  return ROWS[mixer.name] ? rows.map((row, i) => ROWS[mixer.name](row, i, s)) : rows;
}

// What becomes of row i of the matrix after the recurrence: mLSTM's normalizer, the weights of log-linear levels.
const ROWS = {
  mlstm: (row) => scaled(row, 1 / Math.max(Math.abs(row.reduce((sum, value) => sum + value, 0)), 1)),
  log_linear: (row, i, s) => row.map((value, j) => (j > i ? 0 : value * s.lam[i][levelOf(i, j)])),
};

/** The decay mask: of the key dimension `key`, for a mixer with a decay for each. */
export function mask(mixer, s, key) {
  const { N } = s;
  const perKey = () => s.log_alpha.map((row) => row[key]);
  const axes = { none: () => all(N, 0), one: () => all(N, Math.log(s.gamma)), token: () => s.log_a, key: perKey };
  const logs = axes[mixer.decay]();
  return Array.from({ length: N }, (_, i) => {
    const row = new Float64Array(N);
    let sum = 0;
    for (let j = i; j >= 0; j -= 1) {
      row[j] = Math.exp(sum);
      sum += logs[j];
    }
    return row;
  });
}
