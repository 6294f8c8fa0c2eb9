#include "tessera/kernels/attention_passes.h"

#include <ATen/Parallel.h>
#include <ATen/native/CPUBlas.h>

#include <algorithm>
#include <cmath>

#include "tessera/kernels/attention_tiles.h"

namespace tessera::kernels {

namespace {

constexpr int64_t kTile = attention_tile;

#if defined(CPUBLAS_BRGEMM_F32F32F32) && defined(__x86_64__)
// c [m, n] (+)= a [m, k] b [k, n], all dense.
void tile_product(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c, bool add) {
  at::native::cpublas::brgemm(m, n, k, k, n, n, add, a, b, c, false);
}
#else
void tile_product(int64_t /* m */, int64_t /* n */, int64_t /* k */, const float* /* a */, const float* /* b */, float* /* c */,
                  bool /* add */) {}
#endif

int64_t tiles_of(int64_t n) { return (n + kTile - 1) / kTile; }

// A [B, heads, tokens, e] tensor as rows.
struct HeadRows {
  void* data;
  int64_t batch, head, token;  // strides in elements
  int64_t tokens, width;
  bool bf16;

  explicit HeadRows(const torch::Tensor& t)
      : data(t.data_ptr()),
        batch(t.stride(0)),
        head(t.stride(1)),
        token(t.stride(2)),
        tokens(t.size(2)),
        width(t.size(3)),
        bf16(t.scalar_type() == torch::kBFloat16) {}

  TileRows tile(int64_t b, int64_t h, int64_t index) const {
    const int64_t at = b * batch + h * head + index * kTile * token;
    return {static_cast<char*>(data) + at * (bf16 ? 2 : 4), token, std::clamp<int64_t>(tokens - index * kTile, 0, kTile), width, bf16};
  }
};

// What every query sees, padded to whole tiles: [B or 1, tiles * 64].
struct Sight {
  torch::Tensor low, high, slopes;
  int64_t batches;

  Sight(const torch::Tensor& given, const torch::Tensor& of_heads, int64_t queries, int64_t keys) : slopes(of_heads) {
    const int64_t padded = tiles_of(queries) * kTile;
    batches = given.size(0);
    low = torch::zeros({batches, padded}, torch::kInt32);
    high = torch::full({1, padded}, -1, torch::kInt32);
    low.narrow(1, 0, queries).copy_(given);
    high.narrow(1, 0, queries).copy_(torch::arange(keys - queries, keys, torch::kInt32));
  }
  TileSight tile(int64_t b, int64_t h, int64_t index) const {
    return {low.const_data_ptr<int32_t>() + (batches == 1 ? 0 : b) * low.size(1) + index * kTile,
            high.const_data_ptr<int32_t>() + index * kTile, slopes.defined() ? slopes.const_data_ptr<float>()[h] : 0.0F};
  }
  // The first tile of keys that a tile of queries sees, and the one after the last.
  std::pair<int64_t, int64_t> tiles(int64_t b, int64_t index) const {
    const auto sight = tile(b, 0, index);
    int32_t first = INT32_MAX, last = 0;
    for (int64_t r = 0; r < kTile && sight.high[r] >= 0; ++r) first = std::min(first, sight.low[r]), last = std::max(last, sight.high[r]);
    return {first / kTile, last / kTile + 1};
  }
};

struct Shape {
  int64_t batch, heads, kv_heads, queries, keys, width;
  Shape(const torch::Tensor& q, const torch::Tensor& k)
      : batch(q.size(0)), heads(q.size(1)), kv_heads(k.size(1)), queries(q.size(2)), keys(k.size(2)), width(q.size(3)) {}
  int64_t kv(int64_t head) const { return head / (heads / kv_heads); }
};

float* data_of(const torch::Tensor& t) { return t.mutable_data_ptr<float>(); }

// Every tile of keys turned, [B, K, tiles, e, 64], and of values, [B, K, tiles, 64, e].
std::pair<torch::Tensor, torch::Tensor> packed_keys(const Shape& s, const HeadRows& k, const HeadRows& v) {
  const int64_t tiles = tiles_of(s.keys), size = kTile * s.width;
  const auto turned = torch::empty({s.batch * s.kv_heads * tiles, size}), values = torch::empty_like(turned);
  at::parallel_for(0, s.batch * s.kv_heads * tiles, 4, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t b = i / tiles / s.kv_heads, h = i / tiles % s.kv_heads;
      tile_columns(k.tile(b, h, i % tiles), 1.0F, data_of(turned) + i * size);
      tile_rows(v.tile(b, h, i % tiles), 1.0F, data_of(values) + i * size);
    }
  });
  return {turned, values};
}

// What the gradient of one key head works in: rows of keys (and turned), values, queries (both ways), slopes of the output (both ways), and
// the sums of the three gradients.
struct GradientMemory {
  torch::Tensor memory;
  float *key, *key_turned, *value, *query, *query_turned, *slope, *slope_turned, *dq_turned, *dk, *dv, *weights, *slopes, *mean;

  GradientMemory(int64_t query_tiles, int64_t key_tiles, int64_t size) {
    const int64_t keys = key_tiles * size, queries = query_tiles * size;
    memory = torch::empty({5 * keys + 5 * queries + 2 * kTile * kTile + query_tiles * kTile});
    float* at = data_of(memory);
    const auto take = [&](int64_t n) { return std::exchange(at, at + n); };
    key = take(keys), key_turned = take(keys), value = take(keys), dk = take(keys), dv = take(keys);
    query = take(queries), query_turned = take(queries), slope = take(queries), slope_turned = take(queries), dq_turned = take(queries);
    weights = take(kTile * kTile), slopes = take(kTile * kTile), mean = take(query_tiles * kTile);
  }
};

struct Gradient {
  Shape s;
  HeadRows q, k, v, out, dout, dq, dk, dv;
  const Sight& sight;
  const float* log_sum;
  float scale;

  // Queries of one head: their tiles both ways, scaled, and mean = dout . out, which is the mean slope of a query's scores (section 3.1).
  void load_queries(GradientMemory& m, int64_t b, int64_t h) const {
    const int64_t size = kTile * s.width;
    for (int64_t i = 0; i < tiles_of(s.queries); ++i) {
      tile_rows(out.tile(b, h, i), 1.0F, m.query);  // for a moment
      tile_rows(dout.tile(b, h, i), 1.0F, m.slope + i * size);
      tile_dots(m.query, m.slope + i * size, s.width, m.mean + i * kTile);
      tile_columns(dout.tile(b, h, i), 1.0F, m.slope_turned + i * size);
      tile_columns(q.tile(b, h, i), scale, m.query_turned + i * size);
    }
    for (int64_t i = 0; i < tiles_of(s.queries); ++i) tile_rows(q.tile(b, h, i), scale, m.query + i * size);
    std::fill_n(m.dq_turned, tiles_of(s.queries) * size, 0.0F);
  }

  // Keys j and queries i of a head; all matrices but dq are those of the paper, turned.
  void pair(GradientMemory& m, int64_t b, int64_t h, int64_t i, int64_t j) const {
    const int64_t size = kTile * s.width, e = s.width;
    tile_product(kTile, kTile, e, m.key + j * size, m.query_turned + i * size, m.weights, false);
    tile_weights(m.weights, static_cast<int32_t>(j * kTile), sight.tile(b, h, i),
                 log_sum + ((b * s.heads + h) * tiles_of(s.queries) + i) * kTile);
    tile_product(kTile, e, kTile, m.weights, m.slope + i * size, m.dv + j * size, true);
    tile_product(kTile, kTile, e, m.value + j * size, m.slope_turned + i * size, m.slopes, false);
    tile_slopes(m.weights, m.mean + i * kTile, m.slopes);
    tile_product(kTile, e, kTile, m.slopes, m.query + i * size, m.dk + j * size, true);
    tile_product(e, kTile, kTile, m.key_turned + j * size, m.slopes, m.dq_turned + i * size, true);
  }

  void key_head(GradientMemory& m, int64_t b, int64_t kv) const {
    const int64_t size = kTile * s.width, group = s.heads / s.kv_heads, key_tiles = tiles_of(s.keys);
    for (int64_t j = 0; j < key_tiles; ++j) {
      tile_rows(k.tile(b, kv, j), 1.0F, m.key + j * size);
      tile_columns(k.tile(b, kv, j), 1.0F, m.key_turned + j * size);
      tile_rows(v.tile(b, kv, j), 1.0F, m.value + j * size);
    }
    std::fill_n(m.dk, key_tiles * size, 0.0F);
    std::fill_n(m.dv, key_tiles * size, 0.0F);
    const std::vector<float> scales(kTile, scale);
    for (int64_t h = kv * group; h < (kv + 1) * group; ++h) {
      load_queries(m, b, h);
      for (int64_t i = 0; i < tiles_of(s.queries); ++i) {
        const auto [first, last] = sight.tiles(b, i);
        for (int64_t j = first; j < last; ++j) pair(m, b, h, i, j);
        tile_store(m.dq_turned + i * size, true, scales.data(), dq.tile(b, h, i));
      }
    }
    for (int64_t j = 0; j < key_tiles; ++j) {
      tile_store(m.dk + j * size, false, nullptr, dk.tile(b, kv, j));
      tile_store(m.dv + j * size, false, nullptr, dv.tile(b, kv, j));
    }
  }
};

}  // namespace

#if defined(CPUBLAS_BRGEMM_F32F32F32) && defined(__x86_64__)
bool attention_has_products() { return true; }
#else
bool attention_has_products() { return false; }
#endif

AttentionPass attention_forward(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v, double scale,
                                const torch::Tensor& low, const torch::Tensor& slopes) {
  const Shape s(q, k);
  const Sight sight(low, slopes, s.queries, s.keys);
  const auto out = torch::empty({s.batch, s.queries, s.heads, s.width}, q.options().requires_grad(false));
  const auto log_sum = torch::empty({s.batch, s.heads, tiles_of(s.queries) * kTile});
  const HeadRows queries(q), to(out.transpose(1, 2));
  const int64_t tiles = tiles_of(s.queries), key_tiles = tiles_of(s.keys), size = kTile * s.width;
  const auto [turned, values] = packed_keys(s, HeadRows(k), HeadRows(v));
  at::parallel_for(0, s.batch * s.heads * tiles, 1, [&, keys = data_of(turned), values = data_of(values)](int64_t begin, int64_t end) {
    const auto memory = torch::empty({2 * size + key_tiles * kTile * kTile + 2 * kTile});
    float *query = data_of(memory), *sum = query + size, *total = sum + size, *top = total + kTile, *scores = top + kTile;
    for (int64_t item = begin; item < end; ++item) {
      const int64_t b = item / tiles / s.heads, h = item / tiles % s.heads, i = item % tiles;
      const auto [first, last] = sight.tiles(b, i);
      const int64_t kv = (b * s.kv_heads + s.kv(h)) * key_tiles;
      tile_rows(queries.tile(b, h, i), static_cast<float>(scale), query);
      for (int64_t j = first; j < last; ++j)
        tile_product(kTile, kTile, s.width, query, keys + (kv + j) * size, scores + (j - first) * kTile * kTile, false);
      tiles_softmax(scores, last - first, static_cast<int32_t>(first * kTile), sight.tile(b, h, i), top, total);
      for (int64_t j = first; j < last; ++j)
        tile_product(kTile, s.width, kTile, scores + (j - first) * kTile * kTile, values + (kv + j) * size, sum, j > first);
      float* logs = data_of(log_sum) + item * kTile;
      for (int64_t r = 0; r < kTile; ++r) logs[r] = top[r] + std::log(total[r]), total[r] = 1.0F / total[r];
      tile_store(sum, false, total, to.tile(b, h, i));
    }
  });
  return {.q = q, .k = k, .v = v, .out = out, .log_sum = log_sum, .low = low, .slopes = slopes, .scale = scale};
}

void attention_backward(const AttentionPass& pass, const torch::Tensor& dout, const torch::Tensor& dq, const torch::Tensor& dk,
                        const torch::Tensor& dv) {
  const Shape s(pass.q, pass.k);
  const Sight sight(pass.low, pass.slopes, s.queries, s.keys);
  const auto slope = dout.contiguous().view(pass.out.sizes());
  const Gradient gradient{.s = s,
                          .q = HeadRows(pass.q),
                          .k = HeadRows(pass.k),
                          .v = HeadRows(pass.v),
                          .out = HeadRows(pass.out.transpose(1, 2)),
                          .dout = HeadRows(slope.transpose(1, 2)),
                          .dq = HeadRows(dq),
                          .dk = HeadRows(dk),
                          .dv = HeadRows(dv),
                          .sight = sight,
                          .log_sum = pass.log_sum.const_data_ptr<float>(),
                          .scale = static_cast<float>(pass.scale)};
  at::parallel_for(0, s.batch * s.kv_heads, 1, [&](int64_t begin, int64_t end) {
    GradientMemory memory(tiles_of(s.queries), tiles_of(s.keys), kTile * s.width);
    for (int64_t item = begin; item < end; ++item) gradient.key_head(memory, item / s.kv_heads, item % s.kv_heads);
  });
}

}  // namespace tessera::kernels
