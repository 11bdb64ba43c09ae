#include "naive.hpp"

#include <algorithm>
#include <cmath>

namespace naive {
namespace {

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// Where the parameters of one layer and direction begin in the flat array; -1: there are none.
struct Layer {
  int input, output, hidden;
  int w_ih, w_hh, b_ih, b_hh, w_hr;
};

Layer layer_at(const Sizes& s, int layer, int direction) {
  int at = 0;
  for (int l = 0; l < layer; ++l) at += s.D * s.layer_parameters(l);
  at += direction * s.layer_parameters(layer);
  Layer w{s.layer_input(layer), s.P(), s.H, at, 0, -1, -1, -1};
  w.w_hh = w.w_ih + 4 * w.hidden * w.input;
  int next = w.w_hh + 4 * w.hidden * w.output;
  if (s.bias) {
    w.b_ih = next;
    w.b_hh = next + 4 * w.hidden;
    next += 8 * w.hidden;
  }
  if (s.proj) w.w_hr = next;
  return w;
}

// What one step leaves for its derivative.
struct Step {
  Array x, h_before, c_before, gates, c;  // gates: i, f, g, o, activated
};

// Advances h and c by one step.
Step advance(const Layer& w, const Array& p, const Array& x, Array& h, Array& c) {
  const int H = w.hidden;
  Step step{x, h, c, Array(4 * H), Array(H)};
  for (int row = 0; row < 4 * H; ++row) {
    double z = w.b_ih < 0 ? 0 : p[w.b_ih + row] + p[w.b_hh + row];
    for (int j = 0; j < w.input; ++j) z += p[w.w_ih + row * w.input + j] * x[j];
    for (int j = 0; j < w.output; ++j) z += p[w.w_hh + row * w.output + j] * h[j];
    step.gates[row] = row / H == 2 ? std::tanh(z) : sigmoid(z);
  }
  Array cell(H);
  for (int u = 0; u < H; ++u) {
    const double *i = &step.gates[u], f = i[H], g = i[2 * H], o = i[3 * H];
    c[u] = f * c[u] + *i * g;
    cell[u] = o * std::tanh(c[u]);
  }
  step.c = c;
  if (w.w_hr < 0) {
    h = cell;
  } else {
    for (int k = 0; k < w.output; ++k) {
      h[k] = 0;
      for (int u = 0; u < H; ++u) h[k] += p[w.w_hr + k * H + u] * cell[u];
    }
  }
  return step;
}

// Turns dh and dc of a step's results into those of its arguments; dx and dp are added to.
void pull_back(const Layer& w, const Array& p, const Step& step, Array& dh, Array& dc, Array& dx,
               Array& dp) {
  const int H = w.hidden;
  Array d_cell(H), dz(4 * H), dh_before(w.output);
  for (int u = 0; u < H; ++u) {
    if (w.w_hr < 0) {
      d_cell[u] = dh[u];
      continue;
    }
    const double cell = step.gates[3 * H + u] * std::tanh(step.c[u]);
    for (int k = 0; k < w.output; ++k) {
      d_cell[u] += p[w.w_hr + k * H + u] * dh[k];
      dp[w.w_hr + k * H + u] += dh[k] * cell;
    }
  }
  for (int u = 0; u < H; ++u) {
    const double i = step.gates[u], f = step.gates[H + u], g = step.gates[2 * H + u];
    const double o = step.gates[3 * H + u], t = std::tanh(step.c[u]);
    const double d = dc[u] + d_cell[u] * o * (1 - t * t);
    dz[u] = d * g * i * (1 - i);
    dz[H + u] = d * step.c_before[u] * f * (1 - f);
    dz[2 * H + u] = d * i * (1 - g * g);
    dz[3 * H + u] = d_cell[u] * t * o * (1 - o);
    dc[u] = d * f;
  }
  for (int row = 0; row < 4 * H; ++row) {
    for (int j = 0; j < w.input; ++j) {
      dx[j] += p[w.w_ih + row * w.input + j] * dz[row];
      dp[w.w_ih + row * w.input + j] += dz[row] * step.x[j];
    }
    for (int j = 0; j < w.output; ++j) {
      dh_before[j] += p[w.w_hh + row * w.output + j] * dz[row];
      dp[w.w_hh + row * w.output + j] += dz[row] * step.h_before[j];
    }
    if (w.b_ih >= 0) {
      dp[w.b_ih + row] += dz[row];
      dp[w.b_hh + row] += dz[row];
    }
  }
  dh = dh_before;
}

Array slice(const Array& from, int begin, int count) {
  return {from.begin() + begin, from.begin() + begin + count};
}
void put(const Array& from, Array& to, int begin) {
  for (std::size_t j = 0; j < from.size(); ++j) to[begin + j] = from[j];
}

void run_row(const Sizes& s, const Problem& problem, int n, Results& r) {
  const Array& p = problem.parameters;
  const int steps = problem.length[n], P = s.P();
  std::vector<Array> frames(steps);
  for (int t = 0; t < steps; ++t) frames[t] = slice(problem.x, (t * s.N + n) * s.I, s.I);

  std::vector<std::vector<Step>> scans;
  for (int l = 0; l < s.L; ++l) {
    std::vector<Array> outputs(steps, Array(s.D * P));
    for (int d = 0; d < s.D; ++d) {
      const int state = (l * s.D + d) * s.N + n;
      const Layer w = layer_at(s, l, d);
      Array h = slice(problem.h, state * P, P), c = slice(problem.c, state * s.H, s.H);
      std::vector<Step> scan(steps);
      for (int k = 0; k < steps; ++k) {
        const int t = d ? steps - 1 - k : k;
        scan[t] = advance(w, p, frames[t], h, c);
        put(h, outputs[t], d * P);
      }
      put(h, r.h, state * P);
      put(c, r.c, state * s.H);
      scans.push_back(scan);
    }
    frames = outputs;
  }

  std::vector<Array> d_frames(steps);
  for (int t = 0; t < steps; ++t) {
    put(frames[t], r.y, (t * s.N + n) * s.D * P);
    d_frames[t] = slice(problem.dy, (t * s.N + n) * s.D * P, s.D * P);
  }
  for (int l = s.L - 1; l >= 0; --l) {
    std::vector<Array> d_inputs(steps, Array(s.layer_input(l)));
    for (int d = 0; d < s.D; ++d) {
      const int state = (l * s.D + d) * s.N + n;
      Array dh = slice(problem.dh, state * P, P), dc = slice(problem.dc, state * s.H, s.H);
      for (int k = steps - 1; k >= 0; --k) {
        const int t = d ? steps - 1 - k : k;
        for (int j = 0; j < P; ++j) dh[j] += d_frames[t][d * P + j];
        pull_back(layer_at(s, l, d), p, scans[l * s.D + d][t], dh, dc, d_inputs[t], r.d_parameters);
      }
      put(dh, r.dh, state * P);
      put(dc, r.dc, state * s.H);
    }
    d_frames = d_inputs;
  }
  for (int t = 0; t < steps; ++t) put(d_frames[t], r.dx, (t * s.N + n) * s.I);
}

}  // namespace

Problem draw_problem(const Sizes& s, bool ragged, std::mt19937& random) {
  const auto draw = [&](std::size_t count, double bound) {
    Array values(count);
    for (double& v : values) v = static_cast<float>(bound * (random() / 2147483648.0 - 1));
    return values;
  };
  const std::size_t states = s.L * s.D * s.N, frames = s.T * s.N;
  Problem p;
  p.parameters = draw(s.parameters(), 1.5 / std::sqrt(std::max(s.H, s.I)));
  for (int n = 0; n < s.N; ++n)
    p.length.push_back(ragged && n != s.N / 2 ? static_cast<int>(random() % (s.T + 1)) : s.T);
  p.x = draw(frames * s.I, 1.5);
  p.h = draw(states * s.P(), 1);
  p.c = draw(states * s.H, 1);
  p.dy = draw(frames * s.D * s.P(), 1);
  p.dh = draw(states * s.P(), 1);
  p.dc = draw(states * s.H, 1);
  return p;
}

Results run(const Sizes& s, const Problem& problem) {
  Results r{Array(problem.dy.size()),        Array(problem.h.size()), Array(problem.c.size()),
            Array(problem.x.size()),         Array(problem.h.size()), Array(problem.c.size()),
            Array(problem.parameters.size())};
  for (int n = 0; n < s.N; ++n) run_row(s, problem, n, r);
  return r;
}

}  // namespace naive
