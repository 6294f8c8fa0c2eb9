// What LibTorch alone costs at start: the floor that bench/startup.py compares `tessera --help` with.
int main() { return at::get_num_threads() > 0 ? 0 : 1; }
