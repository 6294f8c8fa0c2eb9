#pragma once
// How a process that computes is set up: the program, and what is measured in its place.

namespace tessera::kernels {

// LibTorch's threads (at least 1), float32 products by take_float_products, and freed memory kept for the next tensor. Called once, before
// the work.
void set_up_process(int threads);

// Gives the system what the heap keeps free, for after work that does not come again, such as loading a model (some milliseconds).
void give_back_freed_memory();

}  // namespace tessera::kernels
