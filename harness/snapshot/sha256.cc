#include "harness/snapshot/sha256.h"

#include <openssl/evp.h>

#include "harness/base/error.h"

namespace chaosgate::snapshot {
namespace {

void expect(bool done) {
  if (!done) {
    throw EnvironmentError("SHA-256 is not available");
  }
}

}  // namespace

Sha256::Sha256() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
  expect(context_ != nullptr && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
}

void Sha256::add(std::string_view bytes) {
  expect(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
}

std::string Sha256::finish() {
  std::string digest(kSha256Bytes, '\0');
  expect(EVP_DigestFinal_ex(context_.get(), reinterpret_cast<unsigned char*>(digest.data()), nullptr) == 1);
  return digest;
}

}  // namespace chaosgate::snapshot
