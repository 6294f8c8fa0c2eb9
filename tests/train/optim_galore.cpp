#include "tessera/train/optim/galore.h"

#include "tessera/train/optim/sgd_rule.h"
#include "tests/train/optim_cases.h"

namespace tessera::train {
namespace {

OptimOptions galore_of(std::string name, int64_t gap = 10) { return {.name = std::move(name), .rank = 3, .gap = gap}; }

torch::Tensor named_state(const Optimizer& optimizer, size_t i, const std::string& name) {
  for (const auto& [each, tensor] : optimizer.state(i)) {
    if (each == name) return tensor.clone();
  }
  return {};
}

TEST(GaLore, IsPlainSgdAtFullRankAndIsNotPlainAdam) {
  for (const bool adam : {false, true}) {
    auto plain = make_optimizer({.name = adam ? "adamw" : "sgd"}, optim_parameters());
    auto projected =
        make_optimizer({.name = adam ? "galore-adamw" : "galore-sgd", .rank = 100, .gap = 1000, .scale = 1.0}, optim_parameters());
    optim_run(*plain, 1, 5);
    optim_run(*projected, 1, 5);
    for (size_t i = 1; i < 4; ++i) {
      const double apart = (plain->parameters()[i].value - projected->parameters()[i].value).abs().max().item<double>();
      if (adam) {
        EXPECT_GE(apart, 1e-3) << "Adam sees the coordinates of another basis";
      } else {
        EXPECT_LE(apart, 1e-5);
      }
    }
  }
}

TEST(GaLore, FindsANewSubspaceAtUpdates0TAnd2TOnly) {
  for (const bool stagger : {false, true}) {
    auto options = galore_of("galore-adamw", 6);
    options.stagger = stagger;
    auto optimizer = make_optimizer(options, optim_parameters());
    std::vector<std::vector<int64_t>> changed(5);
    std::vector<torch::Tensor> before(5);
    for (int64_t step = 1; step <= 14; ++step) {
      optim_run(*optimizer, step, step);
      for (size_t i = 1; i < 4; ++i) {
        auto basis = named_state(*optimizer, i, "ortho_1");
        if (!basis.defined()) basis = named_state(*optimizer, i, "ortho_0");
        if (!before[i].defined() || !torch::equal(before[i], basis)) changed[i].push_back(step);
        before[i] = basis;
      }
    }
    EXPECT_EQ(changed[1], (std::vector<int64_t>{1, 7, 13}));
    EXPECT_EQ(changed[2], (stagger ? std::vector<int64_t>{1, 3, 9} : std::vector<int64_t>{1, 7, 13}));
    EXPECT_EQ(changed[3], (stagger ? std::vector<int64_t>{1, 5, 11} : std::vector<int64_t>{1, 7, 13}));
    EXPECT_EQ(subspace_stats(*optimizer)->refreshes, 9);
    EXPECT_EQ(subspace_stats(*optimizer)->switches, 6);
  }
  EXPECT_EQ(subspace_stats(*make_optimizer({}, optim_parameters())), nullptr);
}

TEST(GaLore, KeepsResetsOrRotatesTheMomentsAtASwitch) {
  // Update 2 switches the basis; its gradient is zero, so that the moments change by the switch and the averages' decay alone.
  for (const auto way : {OnSwitch::keep, OnSwitch::reset, OnSwitch::rotate}) {
    auto options = galore_of("galore-adamw", 1);
    options.on_switch = way;
    std::vector<Parameter> parameters{{.name = "w", .value = torch::zeros({9, 5}), .matrix = true}};
    auto optimizer = make_optimizer(options, parameters);
    torch::manual_seed(1);
    const auto first = torch::randn({9, 5});
    optimizer->update({{0}}, {&first, 1}, {.step = 1, .lr = 0.1});
    const auto m = named_state(*optimizer, 0, "exp_avg"), old = named_state(*optimizer, 0, "ortho_1");
    const torch::Tensor second = torch::randn({9, 5}) * 1e-12;
    optimizer->update({{0}}, {&second, 1}, {.step = 2, .lr = 0.1});
    const auto now = named_state(*optimizer, 0, "exp_avg"), fresh = named_state(*optimizer, 0, "ortho_1");
    ASSERT_FALSE(torch::allclose(old, fresh));
    const auto wanted = way == OnSwitch::keep ? m : way == OnSwitch::reset ? torch::zeros_like(m) : torch::mm(torch::mm(m, old.t()), fresh);
    EXPECT_TRUE(torch::allclose(now, wanted * 0.9, 1e-4, 1e-6)) << static_cast<int>(way);
  }
}

TEST(GaLore, KeepsTheOldSubspaceWhenAGradientIsNotFinite) {
  std::vector<Parameter> parameters{{.name = "w", .value = torch::zeros({9, 5}), .matrix = true}};
  auto optimizer = make_optimizer(galore_of("galore-sgd", 2), parameters);
  const auto bad = torch::full({9, 5}, std::numeric_limits<float>::quiet_NaN());
  optimizer->update({{0}}, {&bad, 1}, {.step = 1, .lr = 0.1});
  EXPECT_TRUE(parameters[0].value.eq(0).all().item<bool>()) << "no subspace yet: nothing moves";
  EXPECT_EQ(subspace_stats(*optimizer)->kept, 1);
  const auto good = torch::randn({9, 5});
  optimizer->update({{0}}, {&good, 1}, {.step = 2, .lr = 0.1});
  EXPECT_EQ(subspace_stats(*optimizer)->refreshes, 1);
  EXPECT_GT(parameters[0].value.abs().max().item<double>(), 0.0);
}

TEST(GaLore, ResumesBitForBitWithEveryProjector) {
  for (const auto dtype : {ProjectorDtype::float32, ProjectorDtype::bfloat16, ProjectorDtype::int8, ProjectorDtype::int4}) {
    for (const auto svd : {Svd::exact, Svd::gram, Svd::randomized}) {
      auto options = galore_of("galore-adamw8bit", 3);
      options.projector_dtype = dtype;
      options.svd = svd;
      expect_exact_resume(options);
      expect_exact_state_bytes(options);
    }
  }
}

// A gradient of one matrix [9, 5] with these singular values.
torch::Tensor with_spectrum(const std::vector<float>& values, int64_t seed) {
  torch::manual_seed(seed);
  const auto n = static_cast<int64_t>(values.size());
  const auto u = std::get<0>(torch::linalg_qr(torch::randn({9, n}))), v = std::get<0>(torch::linalg_qr(torch::randn({5, n})));
  return torch::mm(u * torch::tensor(values), v.t());
}

TEST(GaLore, TakesAsManyDirectionsAsHoldTheWantedEnergy) {
  // Squares 16, 9, 4, 1 of 30: 2 directions hold 0.83, 3 hold 0.97, 4 all.
  for (const auto& [energy, most, wanted] : {std::tuple{0.5, 4, 1}, {0.8, 4, 2}, {0.9, 4, 3}, {0.9, 2, 2}, {1.0, 5, 4}}) {
    for (const auto svd : {Svd::exact, Svd::gram, Svd::randomized}) {
      std::vector<Parameter> parameters{{.name = "w", .value = torch::zeros({9, 5}), .matrix = true}};
      auto optimizer = make_optimizer({.name = "galore-adamw", .rank = most, .rank_energy = energy, .svd = svd}, parameters);
      const int64_t before = optimizer->state_bytes(0);
      const auto grad = with_spectrum({4, 3, 2, 1}, 1);
      optimizer->update({{0}}, {&grad, 1}, {.step = 1, .lr = 0.1});
      EXPECT_NEAR(static_cast<double>(named_state(*optimizer, 0, "rank").item<int64_t>()), wanted, energy == 1.0 ? 1 : 0) << energy;
      const int64_t rank = named_state(*optimizer, 0, "rank").item<int64_t>();
      EXPECT_EQ(named_state(*optimizer, 0, "ortho_1").sizes(), torch::IntArrayRef({5, rank}));
      EXPECT_EQ(named_state(*optimizer, 0, "exp_avg_sq").sizes(), torch::IntArrayRef({9, rank}));
      EXPECT_EQ(optimizer->state_bytes(0), 16 + 4 * (5 * rank + 2 * 9 * rank));
      EXPECT_EQ(before, 16 + 4 * (5 * most + 2 * 9 * most)) << "at most";
      EXPECT_DOUBLE_EQ(subspace_stats(*optimizer)->rank, static_cast<double>(rank));
      EXPECT_LE(torch::linalg_matrix_rank(parameters[0].value, 1e-4).item<int64_t>(), rank);
    }
  }
}

TEST(GaLore, ARankThatChangesKeepsTheFirstCoordinates) {
  for (const char* name : {"galore-adamw", "galore-adafactor", "galore-sgd"}) {
    std::vector<Parameter> parameters{{.name = "w", .value = torch::zeros({9, 5}), .matrix = true}};
    auto optimizer = make_optimizer({.name = name, .rank = 4, .rank_energy = 0.9, .gap = 1}, parameters);
    const std::string mean = name == std::string("galore-sgd") ? "momentum_buffer" : "exp_avg";
    auto step = [&, t = int64_t{0}](const torch::Tensor& grad) mutable {
      optimizer->update({{0}}, {&grad, 1}, {.step = ++t, .lr = 0.1});
      return named_state(*optimizer, 0, "rank").item<int64_t>();
    };
    EXPECT_EQ(step(with_spectrum({4, 3, 2, 1}, 1)), 3);
    const auto m = named_state(*optimizer, 0, mean), v = named_state(*optimizer, 0, "exp_avg_sq");
    EXPECT_EQ(step(with_spectrum({4, 0.1F}, 2) * 1e-12), 1);
    EXPECT_EQ(step(with_spectrum({1, 1, 1, 1}, 3) * 1e-12), 4);
    if (name == std::string("galore-adafactor")) {
      EXPECT_EQ(named_state(*optimizer, 0, "exp_avg_sq_col").sizes(), torch::IntArrayRef({4}));
      continue;
    }
    const auto now = named_state(*optimizer, 0, mean);
    ASSERT_EQ(now.sizes(), torch::IntArrayRef({9, 4}));
    EXPECT_TRUE(torch::allclose(now.narrow(1, 0, 1), m.narrow(1, 0, 1) * 0.81, 1e-4, 1e-9)) << name;
    EXPECT_LE(now.narrow(1, 1, 3).abs().max().item<double>(), 1e-9) << name;
    if (name != std::string("galore-adamw")) continue;
    EXPECT_TRUE(torch::allclose(named_state(*optimizer, 0, "exp_avg_sq"), v.narrow(1, 0, 1).expand({9, 4}) * 0.998001, 1e-4, 1e-12));
  }
}

TEST(GaLore, ResumesBitForBitWithARankThatFollowsTheGradient) {
  for (const char* name : {"galore-adamw", "galore-adamw8bit", "galore-adafactor", "galore-sgd"}) {
    for (const auto dtype : {ProjectorDtype::float32, ProjectorDtype::int4}) {
      for (const auto way : {OnSwitch::keep, OnSwitch::reset}) {
        auto options = galore_of(name, 2);
        options.rank = 6;
        options.rank_energy = 0.55;
        options.projector_dtype = dtype;
        options.on_switch = way;
        expect_exact_resume(options);
        expect_split_calls_agree(options);
      }
    }
  }
  auto turned = galore_of("galore-adamw8bit", 2);
  turned.rank_energy = 0.4;
  turned.on_switch = OnSwitch::rotate;
  expect_exact_resume(turned);
  auto varied = galore_of("galore-adamw", 1);
  varied.rank = 8;
  varied.rank_energy = 0.6;
  auto optimizer = make_optimizer(varied, optim_parameters());
  std::set<int64_t> ranks;
  for (int64_t step = 1; step <= 8; ++step) {
    optim_run(*optimizer, step, step);
    for (size_t i = 1; i < 4; ++i) ranks.insert(named_state(*optimizer, i, "rank").item<int64_t>());
  }
  EXPECT_GE(ranks.size(), 2U) << "or nothing was tested";
  varied.rank = 1;
  auto narrow = make_optimizer(varied, optim_parameters());
  EXPECT_THAT(optim_error([&] { narrow->load_state(1, optimizer->state(1)); }), testing::HasSubstr("and --rank allows 1; resume with"));
  EXPECT_THAT(optim_error([] { check_optim_options({.name = "galore-adamw", .rank_energy = 0.0}); }),
              testing::StartsWith("--rank-energy 0: expected a share"));
}

TEST(GaLore, TakesTheBytesOfTheFormula) {
  // P: r min(m, n); moments: 2 r max(m, n); elsewhere 2 an element; and the step's 8 bytes.
  auto optimizer = make_optimizer(galore_of("galore-adamw"), optim_parameters());
  EXPECT_EQ(optimizer->state_bytes(1), 8 + 4 * (3 * 12 + 2 * 3 * 20));
  EXPECT_EQ(optimizer->state_bytes(2), 8 + 4 * (3 * 12 + 2 * 3 * 20));
  EXPECT_EQ(optimizer->state_bytes(0), 8 + 4 * 2 * 66);
  // 7B shapes, no memory taken.
  std::vector<Parameter> large{{.name = "up", .value = torch::empty({11008, 4096}, torch::device(torch::kMeta)), .matrix = true}};
  auto bits8 = make_optimizer({.name = "galore-adamw8bit", .rank = 1024, .projector_dtype = ProjectorDtype::bfloat16}, large);
  const int64_t low = int64_t{1024} * 11008;
  EXPECT_EQ(bits8->state_bytes(0), 8 + 2 * 1024 * 4096 + 2 * (low + 4 * low / 256));
}

TEST(GaLore, ProjectsTensorsOfMoreDimensions) {
  torch::manual_seed(1);
  const auto target = torch::randn({6, 5, 3, 3});
  std::vector<Parameter> parameters{{.name = "conv", .value = torch::zeros({6, 5, 3, 3}), .matrix = true}};
  auto optimizer = make_optimizer({.name = "galore-adamw", .rank = 4, .gap = 5, .scale = 1.0}, parameters);
  const auto loss = [&] { return (parameters[0].value - target).square().sum().item<double>(); };
  const double before = loss();
  for (int64_t t = 1; t <= 80; ++t) {
    const torch::Tensor grad = parameters[0].value - target;
    optimizer->update({{0}}, {&grad, 1}, {.step = t, .lr = 0.05});
  }
  EXPECT_LT(loss(), 0.3 * before);
}

// Two micro-batches of one gradient: their sum lies in the subspace that the first one found. And of one, nothing differs at all.
TEST(GaLore, AddsUpMicroBatchesInItsSubspace) {
  for (const char* name : {"galore-adamw", "galore-adamw8bit", "galore-sgd"}) {
    auto whole = make_optimizer(galore_of(name, 3), optim_parameters()), once = make_optimizer(galore_of(name, 3), optim_parameters()),
         twice = make_optimizer(galore_of(name, 3), optim_parameters());
    optim_run(*whole, 1, 7);
    for (int64_t step = 1; step <= 7; ++step) {
      const auto grads = optim_gradients(whole->parameters(), step);
      for (size_t i = grads.size(); i-- > 0;) {
        once->accumulate(i, grads[i]);
        for (int half = 0; half < 2; ++half) twice->accumulate(i, grads[i] * 0.5);
      }
      once->update_accumulated({.step = step, .lr = 0.01});
      twice->update_accumulated({.step = step, .lr = 0.01});
    }
    expect_same_values(*whole, *once);
    for (size_t i = 0; i < whole->parameters().size(); ++i) {
      EXPECT_TRUE(torch::allclose(whole->parameters()[i].value, twice->parameters()[i].value, 1e-4, 1e-5)) << name << i;
    }
    EXPECT_EQ(subspace_stats(*twice)->refreshes, subspace_stats(*whole)->refreshes) << "one a step, not one a micro-batch";
    EXPECT_EQ(whole->accumulated_bytes(1), 4 * 20 * 3);
    EXPECT_EQ(whole->accumulated_bytes(0), 4 * 66);
  }
}

TEST(GaLore, ProjectsItsTargetsAlone) {
  auto options = galore_of("galore-adamw");
  options.targets = {"up", "square"};
  auto optimizer = make_optimizer(options, optim_parameters());
  optim_run(*optimizer, 1, 1);
  for (const size_t i : {1, 2, 3}) EXPECT_EQ(optimizer->state(i)[1].first.starts_with("ortho"), i != 2) << i;
  options.targets = {"up", "attn"};
  EXPECT_EQ(optim_error([&] { make_optimizer(options, optim_parameters()); }),
            "--targets attn: no matrix has it in its name; there are up.weight, down.weight, square.weight");
  EXPECT_THAT(optim_error([] { check_optim_options({.name = "adamw", .targets = {"up"}}); }),
              testing::StartsWith("--targets says nothing"));
}

TEST(GaLore, NamesWhatItCannotProject) {
  auto none = optim_parameters();
  for (auto& parameter : none) parameter.matrix = false;
  EXPECT_EQ(
      optim_error([&] { make_optimizer(galore_of("galore-adamw"), none); }),
      "GaLore projects matrices and none is marked among embed.weight, up.weight, down.weight, square.weight, norm.weight; choose other "
      "targets");
  auto vector = optim_parameters();
  vector[4].matrix = true;
  EXPECT_THAT(optim_error([&] { make_optimizer(galore_of("galore-adamw"), vector); }),
              testing::StartsWith("norm.weight has 1 dimension(s)"));
  EXPECT_THAT(optim_error([] { check_optim_options({.name = "galore-adafactor", .on_switch = OnSwitch::rotate}); }),
              testing::StartsWith("--on-switch rotate turns Adam's two moments"));
  EXPECT_THAT(optim_error([] { check_optim_options({.name = "galore-adamw", .rank = 0}); }), testing::StartsWith("--rank 0: "));
  const GaLore wide(optim_parameters(), std::make_unique<SgdUpdate>(0.0, false), {.projector = {.rank = 10}});
  EXPECT_EQ(wide.clipped(), std::vector<std::string>{"square.weight"});
}

TEST(Adam8bit, EndsWithinTwiceTheLossOfFloat32OnAQuadratic) {
  double losses[2];
  for (const bool bits8 : {false, true}) {
    torch::manual_seed(1);
    const auto target = torch::randn({80, 80}), curvature = torch::rand({80, 80}) + 0.1;
    std::vector<Parameter> parameters{{.name = "w", .value = torch::zeros({80, 80}), .matrix = true}};
    auto optimizer = make_optimizer({.name = bits8 ? "adamw8bit" : "adamw"}, parameters);
    for (int64_t t = 1; t <= 200; ++t) {
      const torch::Tensor grad = (parameters[0].value - target) * curvature + 0.1 * torch::randn({80, 80});
      optimizer->update({{0}}, {&grad, 1}, {.step = t, .lr = 0.03});
    }
    losses[bits8 ? 1 : 0] = (parameters[0].value - target).square().mean().item<double>();
    EXPECT_EQ(named_state(*optimizer, 0, "exp_avg").scalar_type(), bits8 ? torch::kUInt8 : torch::kFloat32);
  }
  EXPECT_LE(losses[1], 2 * losses[0]);
}

}  // namespace
}  // namespace tessera::train
