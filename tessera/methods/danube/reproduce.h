#pragma once
// The embedded experiment.

#include "tessera/run/method.h"
#include "tessera/run/report.h"

namespace tessera::danube {

void reproduce(run::Report& report, run::Context& context, run::Mode mode);

}  // namespace tessera::danube
