#include "tessera/methods/galore/spectrum.h"

#include "tessera/base/error.h"
#include "tessera/train/optim/projector.h"

namespace tessera::galore {

Spectrum gradient_spectrum(const std::string& name, const torch::Tensor& first, const torch::Tensor& second, int64_t rank) {
  const train::ProjectorOptions options{.rank = rank};
  const int64_t axis = train::projected_axes(options, first.sizes().vec()).front();
  const auto a = train::top_directions(first, axis, rank, train::Svd::gram, {}, 0),
             b = train::top_directions(second, axis, rank, train::Svd::gram, {}, 0);
  if (!a.defined() || !b.defined()) throw InputError("the gradient of {} is not finite; look at the model's weights", name);
  const auto s = torch::linalg_svdvals(first.to(torch::kDouble));
  const auto squares = s.square();
  const double all = squares.sum().item<double>(), most = squares.max().item<double>();
  Spectrum spectrum{.name = name, .values = {}};
  spectrum.values.assign(s.const_data_ptr<double>(), s.const_data_ptr<double>() + s.numel());
  spectrum.stable_rank = most > 0.0 ? all / most : 0.0;
  spectrum.energy = all > 0.0 ? squares.narrow(0, 0, a.size(1)).sum().item<double>() / all : 0.0;
  spectrum.overlap = train::subspace_overlap(a, b);
  return spectrum;
}

}  // namespace tessera::galore
