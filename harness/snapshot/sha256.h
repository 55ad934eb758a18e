// Sha256 is a SHA-256 computed piece by piece.
#pragma once

#include <memory>
#include <string>
#include <string_view>

struct evp_md_ctx_st;  // OpenSSL's EVP_MD_CTX

namespace chaosgate::snapshot {

inline constexpr std::size_t kSha256Bytes = 32;

// Not thread-safe. Throws EnvironmentError when OpenSSL does not have it.
class Sha256 {
 public:
  Sha256();

  void add(std::string_view bytes);
  // The digest, kSha256Bytes bytes. Nothing may be added after it.
  std::string finish();

 private:
  std::unique_ptr<evp_md_ctx_st, void (*)(evp_md_ctx_st*)> context_;
};

}  // namespace chaosgate::snapshot
