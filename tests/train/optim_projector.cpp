#include "tessera/train/optim/projector.h"

#include "tests/train/optim_cases.h"

namespace tessera::train {
namespace {

Subspace subspace_for(const ProjectorOptions& options, const torch::Tensor& grad) {
  Subspace subspace{.axes = projected_axes(options, grad.sizes().vec()), .basis = {}};
  const auto small = projected_shape(options, grad.sizes().vec());
  for (const int64_t axis : subspace.axes) subspace.basis.push_back(top_directions(grad, axis, small[axis], options.svd, {}, 1));
  return subspace;
}

torch::Tensor there_and_back(const Subspace& subspace, const torch::Tensor& grad) {
  auto back = torch::zeros(grad.sizes());
  add_back(subspace, back, project(subspace, grad), 1.0);
  return back;
}

TEST(Projector, ReturnsAGradientOfLowRankAndLosesTheTailOfAnyOther) {
  for (const Svd svd : {Svd::exact, Svd::gram, Svd::randomized}) {
    for (auto [m, n] : {std::pair<int64_t, int64_t>{40, 24}, {24, 40}, {30, 30}}) {
      torch::manual_seed(m);
      const ProjectorOptions options{.rank = 6, .svd = svd};
      const auto low = torch::mm(torch::randn({m, 4}), torch::randn({4, n}));
      EXPECT_LE((there_and_back(subspace_for(options, low), low) - low).norm().item<double>(), 1e-5 * low.norm().item<double>());
      if (svd == Svd::randomized) continue;
      const auto any = torch::randn({m, n});
      const auto s = torch::linalg_svdvals(any);
      const double tail = s.narrow(0, 6, s.size(0) - 6).norm().item<double>();
      EXPECT_NEAR((there_and_back(subspace_for(options, any), any) - any).norm().item<double>(), tail, 1e-4 * tail);
    }
  }
}

TEST(Projector, HasTheShapesAndSidesOfThePublishedCode) {
  struct Row {
    Projection projection;
    int64_t m, n;
    std::vector<int64_t> axes, small;
  };
  const std::vector<Row> rows = {
      {Projection::standard, 8, 3, {1}, {8, 2}},
      {Projection::standard, 3, 8, {0}, {2, 8}},
      {Projection::standard, 5, 5, {1}, {5, 2}},
      {Projection::reverse_standard, 8, 3, {0}, {2, 3}},
      {Projection::reverse_standard, 3, 8, {1}, {3, 2}},
      {Projection::reverse_standard, 5, 5, {0}, {2, 5}},
      {Projection::left, 8, 3, {0}, {2, 3}},
      {Projection::right, 3, 8, {1}, {3, 2}},
      {Projection::full, 8, 3, {0, 1}, {2, 2}},
      {Projection::full, 5, 5, {0, 1}, {2, 2}},
  };
  for (const auto& row : rows) {
    const ProjectorOptions options{.rank = 2, .projection = row.projection};
    EXPECT_EQ(projected_axes(options, {row.m, row.n}), row.axes);
    EXPECT_EQ(projected_shape(options, {row.m, row.n}), row.small);
    const auto grad = torch::randn({row.m, row.n});
    EXPECT_EQ(project(subspace_for(options, grad), grad).sizes(), torch::IntArrayRef(row.small));
  }
  // The side is stored, not guessed from a shape: the code's guess is wrong for reverse_std with r = m.
  const ProjectorOptions whole{.rank = 3, .projection = Projection::reverse_standard};
  const auto grad = torch::randn({3, 8});
  EXPECT_LE((there_and_back(subspace_for(whole, grad), grad) - grad).abs().max().item<double>(), 1e-5);
  EXPECT_EQ(projected_axes({.square = SquareSide::left}, {5, 5}), std::vector<int64_t>{0});
  EXPECT_EQ(projected_shape({.rank = 100}, {8, 3}), (std::vector<int64_t>{8, 3}));
}

TEST(Projector, HasOrthonormalBasesOfAGradientOfAnyRank) {
  for (const Svd svd : {Svd::exact, Svd::gram, Svd::randomized}) {
    for (const int64_t rank : {0, 2, 20}) {
      torch::manual_seed(3);
      const torch::Tensor grad = rank == 0 ? torch::zeros({50, 30}) : torch::mm(torch::randn({50, rank}), torch::randn({rank, 30}));
      for (const int64_t axis : {0, 1}) {
        const auto basis = top_directions(grad, axis, 8, svd, {}, 1);
        ASSERT_TRUE(basis.defined());
        EXPECT_LE((torch::mm(basis.t(), basis) - torch::eye(8)).abs().max().item<double>(), 1e-5) << rank << " " << axis;
      }
    }
  }
}

TEST(Projector, RandomizedCapturesTheEnergyOfTheExactSubspaceAndStartsWarm) {
  torch::manual_seed(9);
  const auto spectrum = torch::arange(1, 101).to(torch::kFloat32).pow(-0.7);
  const auto grad = torch::mm(std::get<0>(torch::linalg_qr(torch::randn({200, 100}))) * spectrum,
                              std::get<0>(torch::linalg_qr(torch::randn({100, 100}))));
  const auto energy = [&](const torch::Tensor& basis) { return torch::mm(grad, basis).square().sum().item<double>(); };
  const double exact = energy(top_directions(grad, 1, 16, Svd::exact, {}, 1));
  const auto cold = top_directions(grad, 1, 16, Svd::randomized, {}, 1), warm = top_directions(grad, 1, 16, Svd::randomized, cold, 1);
  EXPECT_GE(energy(cold), 0.99 * exact);
  EXPECT_GE(energy(warm), 0.999 * exact);
  EXPECT_GE(energy(warm), energy(cold) * (1 - 1e-6));
}

TEST(Projector, RefusesToFindABasisInWhatIsNotFinite) {
  auto grad = torch::randn({6, 4});
  grad[2][1] = std::numeric_limits<float>::quiet_NaN();
  for (const Svd svd : {Svd::exact, Svd::gram, Svd::randomized}) EXPECT_FALSE(top_directions(grad, 0, 2, svd, {}, 1).defined());
}

TEST(Projector, KeepsABasisInFewerBits) {
  torch::manual_seed(2);
  const auto basis = std::get<0>(torch::linalg_qr(torch::randn({101, 7})));
  for (auto [dtype, worst] : {std::pair{ProjectorDtype::float32, 0.0},
                              {ProjectorDtype::bfloat16, 2e-3},
                              {ProjectorDtype::int8, 2.5e-3},
                              {ProjectorDtype::int4, 4e-2}}) {
    std::vector<torch::Tensor> slots;
    for (const auto& slot : basis_slots("p", {101, 7}, dtype)) slots.push_back(torch::zeros(slot.shape, slot.dtype));
    store_basis(basis, dtype, slots);
    EXPECT_LE((read_basis({101, 7}, dtype, slots) - basis).abs().max().item<double>(), worst) << static_cast<int>(dtype);
  }
  EXPECT_EQ(basis_slots("p", {101, 7}, ProjectorDtype::int4)[0].shape, std::vector<int64_t>{354});
}

TEST(Projector, ProjectsEveryAxisOfATensorOfMoreDimensions) {
  torch::manual_seed(4);
  const auto core = torch::randn({2, 3, 2});
  auto grad = core;
  for (int64_t axis = 0; axis < 3; ++axis)
    grad = torch::tensordot(grad, torch::randn({7 + axis, grad.size(axis)}), {axis}, {1}).movedim(-1, axis);
  const auto subspace = subspace_for({.rank = 3}, grad);
  EXPECT_EQ(project(subspace, grad).sizes(), torch::IntArrayRef({3, 3, 3}));
  EXPECT_LE((there_and_back(subspace, grad) - grad).norm().item<double>(), 1e-4 * grad.norm().item<double>());
}

}  // namespace
}  // namespace tessera::train
