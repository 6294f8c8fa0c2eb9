#include "tessera/kernels/attention_tiles.h"

#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tessera/kernels/attention_tiles.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// math-inl.h needs highway.h before it.
#include <hwy/contrib/math/math-inl.h>

#include "tessera/kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tessera::kernels::HWY_NAMESPACE {

constexpr int64_t kTile = attention_tile;

template <class T>
void tile_rows_of(const TileRows& job, float scale, float* to) {
  for (int64_t r = 0; r < job.rows; ++r) {
    const T* from = static_cast<const T*>(job.data) + r * job.stride;
    for_lanes(job.width,
              [&](auto d, int64_t i) { store_lanes(d, hn::Mul(load_lanes(d, from + i), hn::Set(d, scale)), to + r * job.width + i); });
  }
  for (int64_t i = job.rows * job.width; i < kTile * job.width; ++i) to[i] = 0.0F;
}

template <class T>
void tile_columns_of(const TileRows& job, float scale, float* to) {
  const hn::CappedTag<float, 1> one;
  for (int64_t r = 0; r < job.rows; ++r) {
    const T* from = static_cast<const T*>(job.data) + r * job.stride;
    for (int64_t i = 0; i < job.width; ++i) to[i * kTile + r] = scale * hn::GetLane(load_lanes(one, from + i));
  }
  for (int64_t i = 0; i < job.width; ++i)
    for (int64_t r = job.rows; r < kTile; ++r) to[i * kTile + r] = 0.0F;
}

template <class T>
void tile_store_of(const float* from, bool turned, const float* factor, const TileRows& to) {
  for (int64_t r = 0; r < to.rows; ++r) {
    T* row = static_cast<T*>(to.data) + r * to.stride;
    const float scale = factor == nullptr ? 1.0F : factor[r];
    if (turned) {
      const hn::CappedTag<float, 1> one;
      for (int64_t i = 0; i < to.width; ++i) store_lanes(one, hn::Set(one, scale * from[i * kTile + r]), row + i);
    } else {
      for_lanes(to.width,
                [&](auto d, int64_t i) { store_lanes(d, hn::Mul(load_lanes(d, from + r * to.width + i), hn::Set(d, scale)), row + i); });
    }
  }
}

void rows_to_tile(const TileRows& job, float scale, float* to) {
  return job.bf16 ? tile_rows_of<Bf16Bits>(job, scale, to) : tile_rows_of<float>(job, scale, to);
}
void columns_to_tile(const TileRows& job, float scale, float* to) {
  return job.bf16 ? tile_columns_of<Bf16Bits>(job, scale, to) : tile_columns_of<float>(job, scale, to);
}
void tile_to_rows(const float* from, bool turned, const float* factor, const TileRows& to) {
  return to.bf16 ? tile_store_of<Bf16Bits>(from, turned, factor, to) : tile_store_of<float>(from, turned, factor, to);
}

using Scores = hn::ScalableTag<float>;
using Keys = hn::RebindToSigned<Scores>;

// Scores with the slope's share, if there is a slope.
template <bool kSloped>
hn::Vec<Scores> sloped(hn::Vec<Scores> score, [[maybe_unused]] float slope, [[maybe_unused]] hn::Vec<Keys> key,
                       [[maybe_unused]] hn::Vec<Keys> query) {
  const Scores d;
  if constexpr (kSloped) return hn::MulAdd(hn::Set(d, slope), hn::ConvertTo(d, hn::Sub(key, query)), score);
  return score;
}

template <bool kSloped>
void softmax_of_tiles_as(float* scores, int64_t tiles, int32_t first, const TileSight& sight, float* top, float* sum) {
  const Scores d;
  const Keys whole;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t r = 0; r < kTile; ++r) {
    const auto low = hn::Set(whole, sight.low[r]), high = hn::Set(whole, sight.high[r]), step = hn::Set(whole, static_cast<int32_t>(lanes));
    const auto hidden = [&](auto key) { return hn::RebindMask(d, hn::Or(hn::Gt(low, key), hn::Gt(key, high))); };
    auto best = hn::Set(d, std::numeric_limits<float>::lowest());
    auto key = hn::Iota(whole, first);
    for (int64_t t = 0; t < tiles; ++t) {
      const float* row = scores + (t * kTile + r) * kTile;
      for (int64_t j = 0; j < kTile; j += lanes, key = hn::Add(key, step))
        best = hn::Max(best, hn::IfThenElse(hidden(key), best, sloped<kSloped>(hn::LoadU(d, row + j), sight.slope, key, high)));
    }
    const auto shift = hn::MaxOfLanes(d, best);
    auto total = hn::Zero(d);
    key = hn::Iota(whole, first);
    for (int64_t t = 0; t < tiles; ++t) {
      float* row = scores + (t * kTile + r) * kTile;
      for (int64_t j = 0; j < kTile; j += lanes, key = hn::Add(key, step)) {
        const auto score = sloped<kSloped>(hn::LoadU(d, row + j), sight.slope, key, high);
        const auto weight = hn::IfThenZeroElse(hidden(key), hn::Exp(d, hn::Sub(score, shift)));
        hn::StoreU(weight, d, row + j);
        total = hn::Add(total, weight);
      }
    }
    top[r] = hn::GetLane(shift);
    sum[r] = hn::GetLane(hn::SumOfLanes(d, total));
  }
}

void softmax_of_tiles(float* scores, int64_t tiles, int32_t first, const TileSight& sight, float* top, float* sum) {
  return sight.slope == 0.0F ? softmax_of_tiles_as<false>(scores, tiles, first, sight, top, sum)
                             : softmax_of_tiles_as<true>(scores, tiles, first, sight, top, sum);
}

template <bool kSloped>
void weights_of_tile_as(float* scores, int32_t first, const TileSight& sight, const float* log_sum) {
  const Scores d;
  const Keys whole;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t r = 0; r < kTile; ++r) {
    const auto key = hn::Set(whole, first + static_cast<int32_t>(r));
    for (int64_t j = 0; j < kTile; j += lanes) {
      float* at = scores + r * kTile + j;
      const auto high = hn::LoadU(whole, sight.high + j);
      const auto hidden = hn::Or(hn::Gt(hn::LoadU(whole, sight.low + j), key), hn::Gt(key, high));
      const auto score = sloped<kSloped>(hn::LoadU(d, at), sight.slope, key, high);
      const auto weight = hn::Exp(d, hn::Sub(score, hn::LoadU(d, log_sum + j)));
      hn::StoreU(hn::IfThenZeroElse(hn::RebindMask(d, hidden), weight), d, at);
    }
  }
}

void weights_of_tile(float* scores, int32_t first, const TileSight& sight, const float* log_sum) {
  return sight.slope == 0.0F ? weights_of_tile_as<false>(scores, first, sight, log_sum)
                             : weights_of_tile_as<true>(scores, first, sight, log_sum);
}

void slopes_of_tile(const float* weights, const float* mean, float* slopes) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t r = 0; r < kTile; ++r)
    for (int64_t j = 0; j < kTile; j += lanes) {
      const int64_t at = r * kTile + j;
      hn::StoreU(hn::Mul(hn::LoadU(d, weights + at), hn::Sub(hn::LoadU(d, slopes + at), hn::LoadU(d, mean + j))), d, slopes + at);
    }
}

void dots_of_tile(const float* a, const float* b, int64_t width, float* sum) {
  for (int64_t r = 0; r < kTile; ++r) {
    sum[r] = 0.0F;
    for_lanes(width, [&](auto d, int64_t i) {
      sum[r] += hn::GetLane(hn::SumOfLanes(d, hn::Mul(hn::LoadU(d, a + r * width + i), hn::LoadU(d, b + r * width + i))));
    });
  }
}

}  // namespace tessera::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tessera::kernels {

HWY_EXPORT(rows_to_tile);
HWY_EXPORT(columns_to_tile);
HWY_EXPORT(tile_to_rows);
HWY_EXPORT(softmax_of_tiles);
HWY_EXPORT(weights_of_tile);
HWY_EXPORT(slopes_of_tile);
HWY_EXPORT(dots_of_tile);

void tile_rows(const TileRows& job, float scale, float* to) { HWY_DYNAMIC_DISPATCH(rows_to_tile)(job, scale, to); }
void tile_columns(const TileRows& job, float scale, float* to) { HWY_DYNAMIC_DISPATCH(columns_to_tile)(job, scale, to); }
void tiles_softmax(float* scores, int64_t tiles, int32_t first, const TileSight& sight, float* top, float* sum) {
  HWY_DYNAMIC_DISPATCH(softmax_of_tiles)(scores, tiles, first, sight, top, sum);
}
void tile_weights(float* scores, int32_t first, const TileSight& sight, const float* log_sum) {
  HWY_DYNAMIC_DISPATCH(weights_of_tile)(scores, first, sight, log_sum);
}
void tile_slopes(const float* weights, const float* mean, float* slopes) { HWY_DYNAMIC_DISPATCH(slopes_of_tile)(weights, mean, slopes); }
void tile_dots(const float* a, const float* b, int64_t width, float* sum) { HWY_DYNAMIC_DISPATCH(dots_of_tile)(a, b, width, sum); }
void tile_store(const float* from, bool turned, const float* factor, const TileRows& to) {
  HWY_DYNAMIC_DISPATCH(tile_to_rows)(from, turned, factor, to);
}

}  // namespace tessera::kernels
#endif
