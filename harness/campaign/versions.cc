#include "harness/campaign/versions.h"

#include <archive.h>
#include <fmt/format.h>
#include <openssl/crypto.h>

#include <boost/version.hpp>

#include "harness/base/json.h"

namespace chaosgate::campaign {

std::string chaosgate_version() { return CHAOSGATE_VERSION; }

std::vector<std::pair<std::string, std::string>> library_versions() {
  return {
      {"Boost",
       fmt::format("{}.{}.{}", BOOST_VERSION / 100000, BOOST_VERSION / 100 % 1000, BOOST_VERSION % 100)},
      {"fmt", fmt::format("{}.{}.{}", FMT_VERSION / 10000, FMT_VERSION / 100 % 100, FMT_VERSION % 100)},
      {"nlohmann/json", fmt::format("{}.{}.{}", NLOHMANN_JSON_VERSION_MAJOR, NLOHMANN_JSON_VERSION_MINOR,
                                    NLOHMANN_JSON_VERSION_PATCH)},
      {"libarchive", archive_version_string()},
      {"OpenSSL", OpenSSL_version(OPENSSL_VERSION_STRING)},
  };
}

}  // namespace chaosgate::campaign
