#include "tessera/app/program.h"
#include "tessera/base/interrupt.h"

int main(int argc, char** argv) {
  tessera::catch_interrupts();
  return tessera::app::run_program(std::vector<std::string>(argv + 1, argv + argc));
}
