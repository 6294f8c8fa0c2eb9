#pragma once
// LibTorch sends float32 matrix products to MKL, which on a CPU that is not Intel's stays with its AVX2 code: 40 % of what an AVX-512 core
// can do. The oneDNN inside the same LibTorch reaches 90 % (bench/products.py). It is given the products by taking the place of LibTorch's
// own kernels, so that linear layers, matmul, einsum, their gradients and every optimizer profit alike.

namespace tessera::kernels {

// From now on mm, addmm and bmm of dense float32 matrices on the CPU run in oneDNN, in this whole process; other types, layouts and tiny
// products as before. Changes nothing and returns false on an Intel CPU, without AVX-512, or where a trial product fails. Call it once,
// when the program starts; later calls repeat the answer.
bool take_float_products();

}  // namespace tessera::kernels
