#include "tessera/train/optim/projector.h"

#include <cmath>
#include <numeric>

#include "tessera/base/error.h"
#include "tessera/tensor/draw.h"

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

int64_t project_bytes(const ProjectorOptions& options, const std::vector<int64_t>& shape, torch::Dtype grad) {
  const int64_t elements = c10::multiply_integers(shape);
  if (shape.size() > 2) return 12 * elements;  // a float32 copy, and one more turned for each product
  const auto axes = projected_axes(options, shape);
  const auto small = projected_shape(options, shape);
  const int64_t first = elements / shape[axes.front()] * small[axes.front()];
  return (grad == torch::kFloat32 ? 0 : 4 * elements) + 4 * first + (axes.size() > 1 ? 4 * small[0] * small[1] : 0);
}

static constexpr int64_t rows_at_once = 256;

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
  for (int64_t i = 0; i < value.size(0); i += rows_at_once) {  // bfloat16 weights: the sum is formed in float32
    const int64_t n = std::min(rows_at_once, value.size(0) - i);
    auto part = value.narrow(0, i, n);
    part.copy_(torch::addmm(part.to(torch::kFloat32), left.narrow(0, i, n), right));
  }
}

int64_t add_back_bytes(const ProjectorOptions& options, const std::vector<int64_t>& shape, torch::Dtype value) {
  if (shape.size() > 2) return 12 * c10::multiply_integers(shape);
  const auto small = projected_shape(options, shape);
  const int64_t left = projected_axes(options, shape).size() > 1 ? 4 * shape[0] * small[1] : 0;
  return 4 * small[0] * small[1] + left + (value == torch::kFloat32 ? 0 : 8 * std::min(rows_at_once, shape[0]) * shape[1]);
}

namespace {

// Orthonormal columns that span those of y, whatever their rank.
torch::Tensor orthonormal(const torch::Tensor& y) { return std::get<0>(torch::linalg_qr(y)); }

// Columns that span those of y, well apart from each other though not orthogonal: the rows of L of an LU decomposition, put back into their
// places. Four times cheaper than orthonormal columns, and as good between two power iterations.
torch::Tensor separated(const torch::Tensor& y) {
  auto [lower, pivots] = torch::linalg_lu_factor(y);
  std::vector<int64_t> order(static_cast<size_t>(y.size(0)));
  std::iota(order.begin(), order.end(), int64_t{0});
  const auto swaps = pivots.cpu();
  for (int64_t i = 0; i < swaps.numel(); ++i)
    std::swap(order[static_cast<size_t>(i)], order[static_cast<size_t>(swaps.data_ptr<int32_t>()[i] - 1)]);
  lower.tril_(-1).diagonal().fill_(1.0);
  return torch::empty_like(lower).index_copy_(0, torch::tensor(order, torch::kInt64).to(y.device()), lower);
}

// The top r singular vectors of an axis. A matrix is decomposed as it lies for either side, as in the published code: which of the two
// signs a vector gets depends on that, and with it what moments that are kept mean after a switch.
torch::Tensor exact_directions(const torch::Tensor& grad, int64_t axis, int64_t r) {
  const bool right = grad.dim() == 2 && axis == 1;
  const auto x = right ? grad : grad.movedim(axis, 0).reshape({grad.size(axis), -1});
  const auto [u, s, vh] = torch::linalg_svd(x, false);
  return (right ? vh.t() : u).narrow(1, 0, r).contiguous();
}

// Each *_bytes says what the function above it takes at most while it runs, its result included: live tensors and LAPACK's work, but for
// what grows with one side alone. x: [p, q].
int64_t exact_bytes(int64_t p, int64_t q) {
  const int64_t k = std::min(p, q);
  return 4 * (k * (p + q) + p * q + 4 * k * k);  // U and V, a copy of x, the work of gesdd
}

// By the smaller Gram matrix in float64. Where that is the other side's, its vectors are carried over and made orthonormal.
torch::Tensor gram_directions(const torch::Tensor& x, int64_t r) {
  const bool own = x.size(0) <= x.size(1);
  const auto gram = [&] {
    const auto wide = x.to(torch::kDouble);
    return own ? torch::mm(wide, wide.t()) : torch::mm(wide.t(), wide);
  }();
  const auto vectors = std::get<1>(torch::linalg_eigh(gram));
  const auto top = vectors.narrow(1, vectors.size(1) - r, r).flip(1);
  if (own) return top.to(torch::kFloat32);
  const auto carried = torch::mm(x.to(torch::kDouble), top);
  return orthonormal(carried).to(torch::kFloat32).contiguous();
}

int64_t gram_bytes(int64_t p, int64_t q, int64_t r) {
  const int64_t k = std::min(p, q);
  const int64_t forming = 8 * (p * q + k * k), solving = 48 * k * k;  // the Gram matrix, its vectors, the work of syevd and within it
  const int64_t carrying = p <= q ? 0 : 8 * (2 * k * k + k * r + p * r + std::max(p * q, 2 * p * r));
  return std::max({forming, solving, carrying});
}

// Where the range finder begins: the columns of the previous basis, random ones beside them.
torch::Tensor first_range(const torch::Tensor& x, int64_t columns, const torch::Tensor& previous, uint64_t seed) {
  const int64_t known = previous.defined() ? std::min(previous.size(1), columns) : 0;
  const auto fresh = tensor::uniform_draw({x.size(0), columns - known}, 1.0, seed, "subspace").to(x.device());
  return known > 0 ? torch::cat({previous.narrow(1, 0, known), fresh}, 1) : fresh;
}

int64_t range_columns(int64_t p, int64_t q, int64_t r) { return std::min({r + 8, p, q}); }

// Halko, Martinsson and Tropp (2011), algorithms 4.4 and 5.1: a range of r + 8 columns by two power iterations, and its best r.
torch::Tensor randomized_directions(const torch::Tensor& x, int64_t r, const torch::Tensor& previous, uint64_t seed) {
  const int64_t columns = range_columns(x.size(0), x.size(1), r);
  auto range = first_range(x, columns, previous, seed);
  for (const bool last : {false, true}) {
    const auto image = torch::mm(x, separated(torch::mm(x.t(), range)));
    range = last ? orthonormal(image) : separated(image);
  }
  const auto gram = [&] {
    const auto small = torch::mm(range.t(), x).to(torch::kDouble);  // [columns, q]
    return torch::mm(small, small.t());
  }();
  const auto vectors = std::get<1>(torch::linalg_eigh(gram));
  return torch::mm(range, vectors.narrow(1, columns - r, r).flip(1).to(torch::kFloat32)).contiguous();
}

int64_t randomized_bytes(int64_t p, int64_t q, int64_t r) {
  const int64_t c = range_columns(p, q, r), range = 4 * p * c;
  const int64_t back = range + 12 * q * c;                                    // the product, its factors, what is separated
  const int64_t there = range + 12 * p * c;                                   // the image, its factors, what is separated
  const int64_t last = range + 8 * p * c + 4 * c * c;                         // the image, Q and R
  const int64_t forming = range + std::max(12 * q * c, 8 * (q * c + c * c));  // the small matrix in float32 and float64; its Gram matrix
  const int64_t solving = range + 48 * c * c;                                 // as in gram_bytes
  const int64_t choosing = range + 16 * c * c + 12 * c * r + 4 * p * r;       // the best vectors twice, and the basis
  return std::max({back, there, last, forming, solving, choosing});
}

// Without a temporary of its size.
bool all_finite(const torch::Tensor& t) {
  if (t.numel() == 0) return true;
  const auto [low, high] = torch::aminmax(t);
  return std::isfinite(low.item<double>()) && std::isfinite(high.item<double>());
}

}  // namespace

torch::Tensor top_directions(const torch::Tensor& grad, int64_t axis, int64_t rank, Svd svd, const torch::Tensor& previous, uint64_t seed) {
  torch::NoGradGuard no_grad;
  if (!all_finite(grad)) return {};
  const auto wide = grad.to(torch::kFloat32), x = wide.movedim(axis, 0).reshape({grad.size(axis), -1});
  const int64_t most = std::min(x.size(0), x.size(1)), r = std::min(rank, most);
  for (const Svd way : {svd, Svd::gram}) {
    try {
      auto basis = way == Svd::exact  ? exact_directions(wide, axis, r)
                   : way == Svd::gram ? gram_directions(x, r)
                                      : randomized_directions(x, r, previous, seed);
      if (all_finite(basis)) return basis;
    } catch (const c10::Error&) {
      continue;  // a decomposition that did not converge: the next way, then the old basis
    }
  }
  return {};
}

int64_t search_bytes(const std::vector<int64_t>& shape, int64_t axis, int64_t rank, Svd svd, torch::Dtype grad) {
  const int64_t elements = c10::multiply_integers(shape), p = shape.at(axis), q = elements / p, r = std::min({rank, p, q});
  const int64_t copies = (grad == torch::kFloat32 ? 0 : 4 * elements) + (shape.size() > 2 && axis > 0 ? 4 * elements : 0);
  const bool as_it_lies = shape.size() == 2 && axis == 1;
  switch (svd) {
    case Svd::exact:
      return copies + (as_it_lies ? exact_bytes(q, p) : exact_bytes(p, q));
    case Svd::gram:
      return copies + gram_bytes(p, q, r);
    case Svd::randomized:
      break;
  }
  return copies + randomized_bytes(p, q, r);
}

double subspace_overlap(const torch::Tensor& a, const torch::Tensor& b) {
  return torch::mm(a.t(), b).square().sum().item<double>() / static_cast<double>(std::min(a.size(1), b.size(1)));
}

}  // namespace tessera::train
