#include "tessera/nn/mamba_scan.h"

#include <ATen/Parallel.h>
#include <fmt/ranges.h>

#include <cstring>

#include "tessera/base/error.h"
#include "tessera/nn/scan_lanes.h"

namespace tessera::nn {
namespace {

[[gnu::always_inline]] inline float sum_lanes(const ScanLanes& x) {
  float total = 0;
  for (int64_t i = 0; i < kScanLanes; ++i) total += x[i];
  return total;
}

// One sequence, up to sixteen channels. Pointers lead to the first of them; `stride` E floats part tokens, N floats part rows of b and c.
struct ScanBlock {
  int64_t tokens, states, stride, count;
  const float *u, *dt, *b, *c, *d;
  const ScanLanes* a;  // [N], the block's own, transposed
  ScanLanes* h;        // [N] the state, updated
};

// `kept`: [T + 1][N] every state from the one before the first token on, or null.
TESSERA_SCAN_CLONES void scan_forward(const ScanBlock& s, float* y, ScanLanes* kept) {
  ScanLanes direct;
  load_lanes(s.d, s.count, direct);
  if (kept != nullptr) std::memcpy(kept, s.h, static_cast<size_t>(s.states) * sizeof(ScanLanes));
  for (int64_t t = 0; t < s.tokens; ++t) {
    ScanLanes u, dt;
    load_lanes(s.u + t * s.stride, s.count, u);
    load_lanes(s.dt + t * s.stride, s.count, dt);
    const ScanLanes entering = dt * u;
    ScanLanes out = direct * u;
    for (int64_t n = 0; n < s.states; ++n) {
      ScanLanes decay;
      exp_lanes(dt * s.a[n], decay);
      s.h[n] = decay * s.h[n] + entering * s.b[t * s.states + n];
      out += s.h[n] * s.c[t * s.states + n];
      if (kept != nullptr) kept[(t + 1) * s.states + n] = s.h[n];
    }
    if (y != nullptr) store_lanes(y + t * s.stride, s.count, out);
  }
}

struct ScanGradients {
  float *u, *dt, *b, *c, *d;  // d: the block's channels; b, c: [T, N], this block's share
  ScanLanes* a;               // [N]
};

TESSERA_SCAN_CLONES void scan_backward(const ScanBlock& s, const float* dy, const ScanLanes* kept, ScanLanes* dh, const ScanGradients& g) {
  ScanLanes direct, d_direct{};
  load_lanes(s.d, s.count, direct);
  for (int64_t t = s.tokens - 1; t >= 0; --t) {
    ScanLanes u, dt, out;
    load_lanes(s.u + t * s.stride, s.count, u);
    load_lanes(s.dt + t * s.stride, s.count, dt);
    load_lanes(dy + t * s.stride, s.count, out);
    ScanLanes du = out * direct, ddt{};
    d_direct += out * u;
    for (int64_t n = 0; n < s.states; ++n) {
      const float b = s.b[t * s.states + n];
      ScanLanes decay;
      exp_lanes(dt * s.a[n], decay);
      g.c[t * s.states + n] = sum_lanes(out * kept[(t + 1) * s.states + n]);
      dh[n] += out * s.c[t * s.states + n];
      const ScanLanes through = dh[n] * decay * kept[t * s.states + n];  // d(loss) / d(dt * a)
      ddt += through * s.a[n] + dh[n] * u * b;
      g.a[n] += through * dt;
      du += dh[n] * dt * b;
      g.b[t * s.states + n] = sum_lanes(dh[n] * dt * u);
      dh[n] *= decay;
    }
    store_lanes(g.u + t * s.stride, s.count, du);
    store_lanes(g.dt + t * s.stride, s.count, ddt);
  }
  store_lanes(g.d, s.count, d_direct);
}

// Sixteen rows of [E, N] as [N] vectors, and back.
void transpose_in(const float* from, int64_t count, int64_t states, ScanLanes* to) {
  for (int64_t n = 0; n < states; ++n) {
    to[n] = ScanLanes{};
    for (int64_t i = 0; i < count; ++i) to[n][i] = from[i * states + n];
  }
}

void transpose_out(const ScanLanes* from, int64_t count, int64_t states, float* to) {
  for (int64_t n = 0; n < states; ++n)
    for (int64_t i = 0; i < count; ++i) to[i * states + n] = from[n][i];
}

struct ScanSizes {
  int64_t batch, tokens, channels, states, blocks;
  explicit ScanSizes(const ScanInputs& in)
      : batch(in.u.size(0)),
        tokens(in.u.size(1)),
        channels(in.u.size(2)),
        states(in.a.size(1)),
        blocks((channels + kScanLanes - 1) / kScanLanes) {}
};

// Sixteen-float vectors on a 64-byte border, zeroed.
class LaneBuffer {
 public:
  explicit LaneBuffer(int64_t count) : memory_(static_cast<size_t>(count)) {}
  ScanLanes* data() { return reinterpret_cast<ScanLanes*>(memory_.data()); }

 private:
  struct alignas(64) Row {
    float values[kScanLanes] = {};
  };
  std::vector<Row> memory_;
};

ScanBlock block_of(const ScanInputs& in, const ScanSizes& z, int64_t sequence, int64_t first) {
  const int64_t at = sequence * z.tokens * z.channels + first, maps = sequence * z.tokens * z.states;
  return {.tokens = z.tokens,
          .states = z.states,
          .stride = z.channels,
          .count = std::min(kScanLanes, z.channels - first),
          .u = in.u.const_data_ptr<float>() + at,
          .dt = in.dt.const_data_ptr<float>() + at,
          .b = in.b.const_data_ptr<float>() + maps,
          .c = in.c.const_data_ptr<float>() + maps,
          .d = in.d.const_data_ptr<float>() + first,
          .a = nullptr,
          .h = nullptr};
}

// Calls work(sequence, block index) for all, split over threads.
template <class F>
void for_each_block(const ScanSizes& z, const F& work) {
  at::parallel_for(0, z.batch * z.blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) work(i / z.blocks, i % z.blocks);
  });
}

void load_state(const ScanInputs& in, const ScanSizes& z, int64_t sequence, int64_t first, int64_t count, ScanLanes* h) {
  transpose_in(in.state.const_data_ptr<float>() + (sequence * z.channels + first) * z.states, count, z.states, h);
}

ScanOutputs run_forward(const ScanInputs& in) {
  const ScanSizes z(in);
  ScanOutputs out{torch::empty_like(in.u), torch::empty({z.batch, z.channels, z.states})};
  float *y = out.y.data_ptr<float>(), *last = out.state.data_ptr<float>();
  for_each_block(z, [&](int64_t sequence, int64_t index) {
    const int64_t first = index * kScanLanes;
    LaneBuffer a(z.states), h(z.states);
    auto block = block_of(in, z, sequence, first);
    transpose_in(in.a.const_data_ptr<float>() + first * z.states, block.count, z.states, a.data());
    load_state(in, z, sequence, first, block.count, h.data());
    block.a = a.data();
    block.h = h.data();
    scan_forward(block, y + (sequence * z.tokens * z.channels + first), nullptr);
    transpose_out(h.data(), block.count, z.states, last + (sequence * z.channels + first) * z.states);
  });
  return out;
}

struct SelectiveScan : torch::autograd::Function<SelectiveScan> {
  static torch::autograd::variable_list forward(torch::autograd::AutogradContext* ctx, const torch::Tensor& u, const torch::Tensor& dt,
                                                const torch::Tensor& a, const torch::Tensor& b, const torch::Tensor& c,
                                                const torch::Tensor& d, const torch::Tensor& state) {
    const auto out = run_forward({u, dt, a, b, c, d, state});
    ctx->save_for_backward({u, dt, a, b, c, d, state});
    ctx->mark_non_differentiable({out.state});
    return {out.y, out.state};
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx, torch::autograd::variable_list gradients) {
    const auto saved = ctx->get_saved_variables();
    const ScanInputs in{saved[0], saved[1], saved[2], saved[3], saved[4], saved[5], saved[6]};
    const ScanSizes z(in);
    const auto dy = gradients[0].contiguous();
    auto du = torch::empty_like(in.u), ddt = torch::empty_like(in.u);
    // b and c feed every channel, a and d every sequence: each block keeps its own share, and the sum has one order.
    auto db = torch::empty({z.blocks, z.batch, z.tokens, z.states}), dc = torch::empty_like(db);
    auto da = torch::empty({z.batch, z.channels, z.states}), dd = torch::empty({z.batch, z.channels});
    float *to_u = du.data_ptr<float>(), *to_dt = ddt.data_ptr<float>(), *to_b = db.data_ptr<float>(), *to_c = dc.data_ptr<float>();
    float *to_a = da.data_ptr<float>(), *to_d = dd.data_ptr<float>();
    const float* from = dy.const_data_ptr<float>();
    for_each_block(z, [&](int64_t sequence, int64_t index) {
      const int64_t first = index * kScanLanes, at = sequence * z.tokens * z.channels + first;
      LaneBuffer a(z.states), h(z.states), dh(z.states), share_a(z.states), kept((z.tokens + 1) * z.states);
      auto block = block_of(in, z, sequence, first);
      transpose_in(in.a.const_data_ptr<float>() + first * z.states, block.count, z.states, a.data());
      load_state(in, z, sequence, first, block.count, h.data());
      block.a = a.data();
      block.h = h.data();
      scan_forward(block, nullptr, kept.data());
      const int64_t maps = (index * z.batch + sequence) * z.tokens * z.states;
      scan_backward(block, from + at, kept.data(), dh.data(),
                    {to_u + at, to_dt + at, to_b + maps, to_c + maps, to_d + sequence * z.channels + first, share_a.data()});
      transpose_out(share_a.data(), block.count, z.states, to_a + (sequence * z.channels + first) * z.states);
    });
    return {du, ddt, da.sum(0), db.sum(0), dc.sum(0), dd.sum(0), torch::Tensor()};
  }
};

void check_scan(const ScanInputs& in) {
  const auto shape = [](const torch::Tensor& t) { return t.sizes().vec(); };
  if (in.u.dim() != 3 || in.a.dim() != 2) throw InputError("selective scan: u is [B, T, E] and a [E, N]; give them so");
  const int64_t batch = in.u.size(0), tokens = in.u.size(1), channels = in.u.size(2), states = in.a.size(1);
  const auto expect = [&](const char* name, const torch::Tensor& t, std::vector<int64_t> wanted) {
    if (shape(t) != wanted) {
      throw InputError("selective scan: {} is [{}], u and a ask for [{}]; give equal sizes", name, fmt::join(shape(t), ", "),
                       fmt::join(wanted, ", "));
    }
  };
  expect("dt", in.dt, shape(in.u));
  expect("a", in.a, {channels, states});
  expect("b", in.b, {batch, tokens, states});
  expect("c", in.c, {batch, tokens, states});
  expect("d", in.d, {channels});
  if (in.state.defined()) expect("state", in.state, {batch, channels, states});
}

}  // namespace

ScanOutputs selective_scan(const ScanInputs& inputs) {
  check_scan(inputs);
  if (!inputs.u.is_cpu()) return selective_scan_loop(inputs);
  const auto ready = [](const torch::Tensor& t) { return t.to(torch::kFloat).contiguous(); };
  const auto state =
      inputs.state.defined() ? ready(inputs.state.detach()) : torch::zeros({inputs.u.size(0), inputs.u.size(2), inputs.a.size(1)});
  const auto out =
      SelectiveScan::apply(ready(inputs.u), ready(inputs.dt), ready(inputs.a), ready(inputs.b), ready(inputs.c), ready(inputs.d), state);
  return {out[0], out[1]};
}

ScanOutputs selective_scan_loop(const ScanInputs& in) {
  check_scan(in);
  const int64_t tokens = in.u.size(1);
  auto h = in.state.defined() ? in.state : torch::zeros({in.u.size(0), in.u.size(2), in.a.size(1)}, in.u.options());
  std::vector<torch::Tensor> outputs;
  for (int64_t t = 0; t < tokens; ++t) {
    const auto u = in.u.select(1, t).unsqueeze(-1), dt = in.dt.select(1, t).unsqueeze(-1);  // [B, E, 1]
    h = torch::exp(dt * in.a) * h + dt * u * in.b.select(1, t).unsqueeze(1);
    outputs.push_back((h * in.c.select(1, t).unsqueeze(1)).sum(-1));
  }
  return {torch::stack(outputs, 1) + in.u * in.d, h.detach()};
}

}  // namespace tessera::nn
