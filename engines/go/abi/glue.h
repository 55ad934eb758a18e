// What the Go side needs of the C side.
#pragma once

#include "engines/plugin/chaosgate_engine.h"

extern const chaosgate_functions chaosgate_go_functions;
