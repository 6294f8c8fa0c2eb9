#pragma once
// How low-rank a gradient is (GaLore, section 3.1 and 3.2): its singular values and how slowly its top subspace turns.

#include <torch/torch.h>

#include <string>
#include <vector>

namespace tessera::galore {

struct Spectrum {
  std::string name;
  std::vector<double> values;  // singular values, descending
  double stable_rank = 0.0;    // sum of squares over the largest square
  double energy = 0.0;         // share of the squares that the top r hold
  double overlap = 0.0;        // of the top r subspaces of two gradients: mean squared cosine of principal angles; 1: the same
};

// first, second: gradients of one matrix [m, n] on different text. rank is clipped to the smaller side. The side is the one that GaLore
// projects. Throws InputError when a gradient is not finite.
Spectrum gradient_spectrum(const std::string& name, const torch::Tensor& first, const torch::Tensor& second, int64_t rank);

}  // namespace tessera::galore
