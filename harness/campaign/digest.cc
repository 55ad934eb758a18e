#include "harness/campaign/digest.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include "harness/base/error.h"

namespace chaosgate::campaign {

std::string sha256(std::string_view bytes) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest, &size, EVP_sha256(), nullptr) != 1) {
    throw EnvironmentError("SHA-256 is not available");
  }
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) {
    hex += fmt::format("{:02x}", digest[i]);
  }
  return hex;
}

}  // namespace chaosgate::campaign
