#include "harness/base/test.h"
