#include "harness/cli/plan_checksum.h"

namespace chaosgate::cli {

void add_plan_checksum(CLI::App& app, std::string* checksum) {
  app.add_option("--plan-checksum", *checksum, "refuse when this build plans something else")
      ->type_name("HEX");
}

}  // namespace chaosgate::cli
