#pragma once
// Ctrl-C: the first asks the work to finish its step and save, the second ends the program at once.

namespace tessera {

void catch_interrupts();      // installs the handler for SIGINT and SIGTERM; called once, by the program
bool interrupted();           // whether a stop was asked for
void forget_interrupt();      // `chat` stops an answer and goes on
void request_interrupt();     // what the handler does, for tests and embedding programs
void throw_if_interrupted();  // Interrupted, for work that has nothing to save

}  // namespace tessera
