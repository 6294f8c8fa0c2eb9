#include "tessera/train/optim/projector.h"

#include <numeric>

#include "tessera/base/error.h"
#include "tessera/base/random.h"

namespace tessera::train {

std::vector<int64_t> projected_axes(const ProjectorOptions& options, const std::vector<int64_t>& shape) {
  if (shape.size() < 2) throw InputError("a projector of a tensor of {} dimensions; it takes matrices and more", shape.size());
  std::vector<int64_t> axes(shape.size());
  for (size_t i = 0; i < axes.size(); ++i) axes[i] = static_cast<int64_t>(i);
  if (shape.size() > 2) return axes;
  const bool right = shape[0] > shape[1] || (shape[0] == shape[1] && options.square == SquareSide::right);
  switch (options.projection) {
    case Projection::standard:
      return {right ? 1 : 0};
    case Projection::reverse_standard:
      return {right ? 0 : 1};
    case Projection::left:
      return {0};
    case Projection::right:
      return {1};
    case Projection::full:
      break;
  }
  return axes;
}

std::vector<int64_t> projected_shape(const ProjectorOptions& options, const std::vector<int64_t>& shape) {
  auto small = shape;
  const int64_t least = *std::min_element(shape.begin(), shape.end());
  // A matrix has min(m, n) singular directions; a tensor's axis as many as it is long.
  for (const int64_t axis : projected_axes(options, shape)) small[axis] = std::min(options.rank, shape.size() == 2 ? least : shape[axis]);
  return small;
}

// tensor times matrix^T along an axis: [.., axis, ..] x [k, axis] -> [.., k, ..].
static torch::Tensor axis_product(const torch::Tensor& t, int64_t axis, const torch::Tensor& matrix) {
  return torch::tensordot(t, matrix, {axis}, {1}).movedim(-1, axis).contiguous();
}

torch::Tensor project(const Subspace& subspace, const torch::Tensor& grad) {
  auto x = grad.to(torch::kFloat32);
  for (size_t k = 0; k < subspace.axes.size(); ++k) {
    const auto& basis = subspace.basis[k];
    if (x.dim() > 2) {
      x = axis_product(x, subspace.axes[k], basis.t());
    } else {
      x = subspace.axes[k] == 1 ? torch::mm(x, basis) : torch::mm(basis.t(), x);
    }
  }
  return x;
}

void add_back(const Subspace& subspace, const torch::Tensor& value, const torch::Tensor& coordinates, double alpha) {
  if (value.dim() > 2) {
    auto x = coordinates;
    for (size_t k = 0; k < subspace.axes.size(); ++k) x = axis_product(x, subspace.axes[k], subspace.basis[k]);
    value.add_(x, alpha);
    return;
  }
  const auto scaled = coordinates * alpha;  // a product with a factor of its own goes to MKL (kernels/products.h)
  auto left = subspace.axes.front() == 0 ? subspace.basis.front() : scaled;
  auto right = subspace.axes.front() == 0 ? scaled : subspace.basis.front().t();
  if (subspace.axes.size() == 2) {
    left = torch::mm(subspace.basis[0], scaled);
    right = subspace.basis[1].t();
  }
  if (value.scalar_type() == torch::kFloat32) {
    value.addmm_(left, right);
    return;
  }
  constexpr int64_t rows = 256;  // bfloat16 weights: the sum is formed in float32, some rows at a time
  for (int64_t i = 0; i < value.size(0); i += rows) {
    const int64_t n = std::min(rows, value.size(0) - i);
    auto part = value.narrow(0, i, n);
    part.copy_(torch::addmm(part.to(torch::kFloat32), left.narrow(0, i, n), right));
  }
}

namespace {

// Orthonormal columns that span those of y, whatever their rank.
torch::Tensor orthonormal(const torch::Tensor& y) { return std::get<0>(torch::linalg_qr(y)); }

// Columns that span those of y, well apart from each other though not orthogonal: the rows of L of an LU decomposition, put back into their
// places. Four times cheaper than orthonormal columns, and as good between two power iterations.
torch::Tensor separated(const torch::Tensor& y) {
  const auto [lu, pivots] = torch::linalg_lu_factor(y);
  std::vector<int64_t> order(static_cast<size_t>(y.size(0)));
  std::iota(order.begin(), order.end(), int64_t{0});
  const auto swaps = pivots.cpu();
  for (int64_t i = 0; i < swaps.numel(); ++i)
    std::swap(order[static_cast<size_t>(i)], order[static_cast<size_t>(swaps.data_ptr<int32_t>()[i] - 1)]);
  auto lower = lu.tril(-1);
  lower.diagonal().fill_(1.0);
  return torch::empty_like(lower).index_copy_(0, torch::tensor(order, torch::kInt64).to(y.device()), lower);
}

// The top r singular vectors of an axis. A matrix is decomposed as it lies for either side, as in the published code: which of the two
// signs a vector gets depends on that, and with it what moments that are kept mean after a switch.
torch::Tensor exact_directions(const torch::Tensor& grad, int64_t axis, int64_t r) {
  const bool right = grad.dim() == 2 && axis == 1;
  const auto x = right ? grad : grad.movedim(axis, 0).reshape({grad.size(axis), -1});
  const auto [u, s, vh] = torch::linalg_svd(x.to(torch::kFloat32), false);
  return (right ? vh.t() : u).narrow(1, 0, r).contiguous();
}

// By the smaller Gram matrix in float64. Where that is the other side's, its vectors are carried over and made orthonormal.
torch::Tensor gram_directions(const torch::Tensor& x, int64_t r) {
  const auto wide = x.to(torch::kDouble);
  const bool own = x.size(0) <= x.size(1);
  const auto gram = own ? torch::mm(wide, wide.t()) : torch::mm(wide.t(), wide);
  const auto vectors = std::get<1>(torch::linalg_eigh(gram));
  const auto top = vectors.narrow(1, vectors.size(1) - r, r).flip(1);
  return (own ? top : orthonormal(torch::mm(wide, top))).to(torch::kFloat32).contiguous();
}

// Halko, Martinsson and Tropp (2011), algorithms 4.4 and 5.1: a range of r + 8 columns by two power iterations, and its best r.
torch::Tensor randomized_directions(const torch::Tensor& x, int64_t r, const torch::Tensor& previous, uint64_t seed) {
  const int64_t columns = std::min(r + 8, std::min(x.size(0), x.size(1)));
  const int64_t known = previous.defined() ? std::min(previous.size(1), columns) : 0;
  RandomStream stream(seed, "subspace");
  auto fresh = torch::empty({x.size(0), columns - known});
  for (auto& each : std::span(fresh.data_ptr<float>(), fresh.numel())) each = static_cast<float>(2.0 * stream.uniform() - 1.0);
  auto range = known > 0 ? torch::cat({previous.narrow(1, 0, known), fresh.to(x.device())}, 1) : fresh.to(x.device());
  for (const bool last : {false, true}) {
    const auto image = torch::mm(x, separated(torch::mm(x.t(), range)));
    range = last ? orthonormal(image) : separated(image);
  }
  const auto small = torch::mm(range.t(), x).to(torch::kDouble);  // [columns, q]
  const auto vectors = std::get<1>(torch::linalg_eigh(torch::mm(small, small.t())));
  return torch::mm(range, vectors.narrow(1, columns - r, r).flip(1).to(torch::kFloat32)).contiguous();
}

}  // namespace

torch::Tensor top_directions(const torch::Tensor& grad, int64_t axis, int64_t rank, Svd svd, const torch::Tensor& previous, uint64_t seed) {
  torch::NoGradGuard no_grad;
  const auto x = grad.to(torch::kFloat32).movedim(axis, 0).reshape({grad.size(axis), -1});
  if (!x.isfinite().all().item<bool>()) return {};
  const int64_t most = std::min(x.size(0), x.size(1)), r = std::min(rank, most);
  for (const Svd way : {svd, Svd::gram}) {
    try {
      auto basis = way == Svd::exact  ? exact_directions(grad, axis, r)
                   : way == Svd::gram ? gram_directions(x, r)
                                      : randomized_directions(x, r, previous, seed);
      if (basis.isfinite().all().item<bool>()) return basis;
    } catch (const c10::Error&) {
      continue;  // a decomposition that did not converge: the next way, then the old basis
    }
  }
  return {};
}

double subspace_overlap(const torch::Tensor& a, const torch::Tensor& b) {
  return torch::mm(a.t(), b).square().sum().item<double>() / static_cast<double>(std::min(a.size(1), b.size(1)));
}

}  // namespace tessera::train
