// What a program that uses the installed library looks like: the rows of a tensor, shuffled by a named random stream.
#include <cstdio>

#include "tessera/base/random.h"
#include "tessera/tensor/shapes.h"

int main() {
  const auto matrix = torch::arange(6).view({2, 3});
  const auto [rows, columns] = tessera::tensor::dims<2>(matrix, "matrix");
  std::printf("%ld x %ld, %s\n", rows, columns, tessera::RandomStream(1, "consumer").below(100) < 100 ? "ok" : "wrong");
}
