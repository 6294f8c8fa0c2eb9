#pragma once
// GaLore's projector (arXiv 2403.03507, section 3 and the published code): a gradient seen in the subspace of its top singular vectors.
// m rows, n columns, r rank (clipped to the smaller side).

#include <torch/torch.h>

#include <string>
#include <vector>

#include "tessera/train/optim/options.h"
#include "tessera/train/optim/stateful.h"

namespace tessera::train {

struct ProjectorOptions {
  int64_t rank = 128;
  Projection projection = Projection::standard;
  SquareSide square = SquareSide::right;
  Svd svd = Svd::gram;
  ProjectorDtype dtype = ProjectorDtype::float32;
};

// Orthonormal bases of one parameter, one an axis that is projected: the columns of basis [size of axis, r]. A matrix's right side is axis
// 1, its left side axis 0; a tensor of more than two dimensions has all axes (Tucker's projection by HOSVD).
struct Subspace {
  std::vector<int64_t> axes;         // ascending
  std::vector<torch::Tensor> basis;  // float32, as many as axes
};

// The axes that the options project for a parameter of this shape.
std::vector<int64_t> projected_axes(const ProjectorOptions& options, const std::vector<int64_t>& shape);
// The projected gradient's shape.
std::vector<int64_t> projected_shape(const ProjectorOptions& options, const std::vector<int64_t>& shape);

// grad [m, n], or more dimensions -> its coordinates, float32.
torch::Tensor project(const Subspace& subspace, const torch::Tensor& grad);
// value += alpha * what the coordinates stand for; no temporary of value's size for float32 matrices.
void add_back(const Subspace& subspace, const torch::Tensor& value, const torch::Tensor& coordinates, double alpha);

// The top r singular directions of one axis of grad, each [size of axis, r], orthonormal to 1e-5. `previous` (may be undefined) is where
// the randomized search begins; `seed` names its random directions. Falls back from exact to gram; undefined when grad is not finite or
// nothing converges.
torch::Tensor top_directions(const torch::Tensor& grad, int64_t axis, int64_t rank, Svd svd, const torch::Tensor& previous, uint64_t seed);

// What these take at most while they run, in bytes, results included, from shapes alone: float32 copies of the gradient, Gram matrices, the
// factors of a decomposition and LAPACK's work. Exact but for what grows with one side alone; a search that falls back takes gram's.
int64_t search_bytes(const std::vector<int64_t>& shape, int64_t axis, int64_t rank, Svd svd, torch::Dtype grad);  // top_directions
int64_t project_bytes(const ProjectorOptions& options, const std::vector<int64_t>& shape, torch::Dtype grad);
int64_t add_back_bytes(const ProjectorOptions& options, const std::vector<int64_t>& shape, torch::Dtype value);

// Mean squared cosine of the principal angles between two bases: 1 for one subspace, r / size for chance.
double subspace_overlap(const torch::Tensor& a, const torch::Tensor& b);

// How a basis lies in a state: one tensor in float32 or bfloat16; codes, scales and zeros of blocks of 256 in int8 or int4.
std::vector<StateSlot> basis_slots(const std::string& name, const std::vector<int64_t>& shape, ProjectorDtype dtype);
void store_basis(const torch::Tensor& basis, ProjectorDtype dtype, std::span<torch::Tensor> slots);
torch::Tensor read_basis(const std::vector<int64_t>& shape, ProjectorDtype dtype, std::span<const torch::Tensor> slots);
// What both take at most for n values while they run, in bytes; a basis that was read keeps 4 n of it unless it lies in float32.
int64_t store_basis_bytes(int64_t n, ProjectorDtype dtype);
int64_t read_basis_bytes(int64_t n, ProjectorDtype dtype);

}  // namespace tessera::train
