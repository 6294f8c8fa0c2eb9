#include "tessera/kernels/adam8bit.h"

#include <set>

#include "tessera/base/error.h"
#include "tests/kernels/expect_close.h"

namespace tessera::kernels {

static torch::Tensor map_tensor(bool with_sign) {
  const auto map = dynamic_map(with_sign);
  return torch::tensor(std::vector<double>(map.begin(), map.end()), torch::kDouble);
}

TEST(DynamicMap, IsTheMidpointsOfSevenDecades) {
  for (bool with_sign : {true, false}) {
    std::vector<double> wanted{0.0, 1.0};
    for (int i = 0; i < 7; ++i) {
      const auto edges = torch::linspace(0.1, 1.0, (1 << (with_sign ? i : i + 1)) + 1, torch::kDouble);
      for (int64_t j = 0; j + 1 < edges.size(0); ++j) {
        const double x = (edges[j] + edges[j + 1]).item<double>() / 2 * std::pow(10.0, i - 6);
        wanted.push_back(x);
        if (with_sign) wanted.push_back(-x);
      }
    }
    std::sort(wanted.begin(), wanted.end());
    const auto map = dynamic_map(with_sign);
    ASSERT_EQ(wanted.size(), 256U);
    for (size_t i = 0; i < 256; ++i) EXPECT_NEAR(map[i], wanted[i], 1e-7 * std::abs(wanted[i])) << i;
    EXPECT_EQ(std::set<float>(map.begin(), map.end()).size(), 256U);
    if (with_sign) {
      for (size_t i = 0; i < 127; ++i) EXPECT_EQ(map[i], -map[254 - i]);
    }
  }
}

// The nearest value of the map by search: the kernel computes it instead.
static torch::Tensor nearest_error(const torch::Tensor& x, bool with_sign) {
  return std::get<0>((x.to(torch::kDouble).unsqueeze(1) - map_tensor(with_sign)).abs().min(1));
}

TEST(Adam8, EncodesToTheNearestValueOfTheMap) {
  on_every_target([] {
    for (bool with_sign : {true, false}) {
      torch::manual_seed(4);
      auto x = torch::cat({torch::pow(10.0, torch::rand({20'000}) * -8.0), torch::rand({5'000}), torch::tensor({0.0F, 1.0F})})
                   .to(torch::kFloat32);
      if (with_sign) x = x * torch::where(torch::rand_like(x) < 0.5, 1.0, -1.0);
      x = torch::cat({x, torch::zeros({(256 - x.size(0) % 256) % 256})}).view({-1, 256}).clone();
      x.select(1, 0).fill_(1.0);  // every block's maximum is 1
      x = x.view({-1});
      auto codes = torch::empty({x.size(0)}, torch::kUInt8), maxima = torch::empty({blocks8(x.size(0))});
      encode8(x, with_sign, codes, maxima);
      EXPECT_TRUE(maxima.eq(1).all().item<bool>());
      const auto said = map_tensor(with_sign).index({codes.to(torch::kLong)});
      EXPECT_LE((decode8(codes, maxima, with_sign).to(torch::kDouble) - said).abs().max().item<double>(), 2e-7)
          << "codes stand for the map";
      const auto error = (said - x.to(torch::kDouble)).abs(), least = nearest_error(x, with_sign);
      // A negative x below half of the smallest value becomes the smallest, never 0; -1 becomes its neighbour.
      EXPECT_LE((error - least - torch::where(x < 0, 6e-7, 0.0)).max().item<double>(), 2e-7);
      if (with_sign) {
        EXPECT_TRUE(said.index({x < 0}).lt(0).all().item<bool>());
        EXPECT_TRUE(said.index({x > 0}).ge(0).all().item<bool>());
      }
    }
  });
}

TEST(Adam8, ReturnsEveryCodeAndZeroBlocksAndShortBlocks) {
  on_every_target([] {
    for (bool with_sign : {true, false}) {
      const auto map = map_tensor(with_sign).to(torch::kFloat32);
      auto codes = torch::empty({256}, torch::kUInt8), maxima = torch::empty({1});
      encode8(map, with_sign, codes, maxima);
      EXPECT_TRUE(torch::equal(codes, torch::arange(256, torch::kUInt8)));
      for (int64_t n : {1, 255, 257, 511}) {
        auto some = torch::empty({n}, torch::kUInt8), most = torch::empty({blocks8(n)});
        const auto zeros = torch::zeros({n});
        encode8(zeros, with_sign, some, most);
        EXPECT_TRUE(torch::equal(decode8(some, most, with_sign), zeros));
        const auto x = torch::rand({n}) + 0.5;
        encode8(x, with_sign, some, most);
        EXPECT_LE((decode8(some, most, with_sign) - x).abs().max().item<double>(), 0.5 * 0.9 / (with_sign ? 64 : 128) * 1.5 + 1e-6);
      }
    }
  });
}

struct Adam8State {
  torch::Tensor value, mc, vc, mm, vm;
};

static Adam8State fresh_state(const torch::Tensor& value) {
  const int64_t n = value.numel();
  return {value.clone(), torch::zeros({n}, torch::kUInt8), torch::zeros({n}, torch::kUInt8), torch::zeros({blocks8(n)}),
          torch::zeros({blocks8(n)})};
}

static Adam8Item item_of(Adam8State& s, const torch::Tensor& grad, double step) {
  return {.value = s.value,
          .grad = grad,
          .m_codes = s.mc,
          .v_codes = s.vc,
          .m_maxima = s.mm,
          .v_maxima = s.vm,
          .root_scale = 1.3,
          .step = step,
          .keep = 0.99};
}

TEST(Adam8, IsDecodeAdamEncode) {
  const AdamRule rule{.eps = 1e-4};
  on_every_target([&] {
    for (int64_t n : {1, 200, 256, 300, 70'001}) {
      torch::manual_seed(n);
      auto ours = fresh_state(torch::randn({n}));
      auto value = ours.value.clone();
      for (int t = 0; t < 3; ++t) {
        const auto grad = torch::randn({n});
        // Plain: decode, Adam in float32, encode.
        auto m = decode8(ours.mc, ours.mm, true), v = decode8(ours.vc, ours.vm, false);
        const AdamItem plain{
            .value = value, .grad = grad, .exp_avg = m, .exp_avg_sq = v, .root_scale = 1.3, .step = 0.1, .keep = 0.99, .keep_after = true};
        adam_step({&plain, 1}, rule);
        const auto job = item_of(ours, grad, 0.1);
        adam8_step({&job, 1}, rule);
        EXPECT_TRUE(torch::allclose(ours.value, value, 1e-5, 1e-6)) << n;
        value.copy_(ours.value);
        auto mc = torch::empty({n}, torch::kUInt8), mm = torch::empty({blocks8(n)});
        encode8(m, true, mc, mm);
        EXPECT_TRUE(torch::allclose(mm, ours.mm, 1e-6, 0.0));
        EXPECT_LE((mc.to(torch::kInt) - ours.mc.to(torch::kInt)).abs().max().item<int>(), 1);
      }
    }
  });
}

TEST(Adam8, LeavesElementsWithoutAFiniteGradientAlone) {
  auto state = fresh_state(torch::ones({300}));
  auto grad = torch::ones({300});
  const auto first = item_of(state, grad, 0.1);
  adam8_step({&first, 1}, {});
  const auto value = state.value.clone();
  const auto before = decode8(state.mc, state.mm, true);
  grad[7] = std::numeric_limits<float>::quiet_NaN();
  grad[299] = std::numeric_limits<float>::infinity();
  const auto second = item_of(state, grad, 0.1);
  adam8_step({&second, 1}, {});
  EXPECT_EQ(state.value[7].item<float>(), value[7].item<float>());
  EXPECT_EQ(state.value[299].item<float>(), value[299].item<float>());
  EXPECT_NE(state.value[8].item<float>(), value[8].item<float>());
  EXPECT_NEAR(decode8(state.mc, state.mm, true)[7].item<float>(), before[7].item<float>(), 0.01 * before[7].item<float>());
  EXPECT_TRUE(state.value.isfinite().all().item<bool>());
}

TEST(Adam8, GivesTheSameBitsForEveryNumberOfThreads) {
  const int before = at::get_num_threads();
  torch::manual_seed(8);
  const auto value = torch::randn({60'000}), grad = torch::randn({60'000});
  auto one = fresh_state(value), many = fresh_state(value);
  at::set_num_threads(1);
  const auto a = item_of(one, grad, 0.1);
  adam8_step({&a, 1}, {});
  at::set_num_threads(7);
  const auto b = item_of(many, grad, 0.1);
  adam8_step({&b, 1}, {});
  at::set_num_threads(before);
  EXPECT_TRUE(torch::equal(one.value, many.value) && torch::equal(one.mc, many.mc) && torch::equal(one.vm, many.vm));
}

TEST(Adam8, RefusesTensorsThatDisagree) {
  auto state = fresh_state(torch::zeros({300}));
  auto job = item_of(state, torch::zeros({299}), 0.1);
  EXPECT_THROW(adam8_step({&job, 1}, {}), InputError);
  job = item_of(state, torch::zeros({300}), 0.1);
  job.m_maxima = torch::zeros({1});
  EXPECT_THROW(adam8_step({&job, 1}, {}), InputError);
}

}  // namespace tessera::kernels
