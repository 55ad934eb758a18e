// The payload of a log entry: what was decoded encodes to the bytes that it was.
#include "workloads/transaction.h"

#include "harness/base/check.h"
#include "harness/fuzz/fuzz.h"
#include "workloads/generator.h"

namespace chaosgate::fuzz {
namespace {

std::vector<std::string> seeds() {
  std::vector<std::string> payloads = {""};
  for (const char* profile : {"mixed", "txn", "kubernetes"}) {
    const workloads::Generator generator(profile, 1);
    for (std::uint64_t i = 1; i <= 12; ++i) {
      std::string payload = generator.payload(1, generator.preload_entries() + i);
      if (payload.size() < 1024) {
        payloads.push_back(std::move(payload));
      }
    }
  }
  return payloads;
}

Reach run(std::string_view bytes) {
  workloads::Transaction transaction;
  if (!workloads::decode(bytes, &transaction).ok()) {
    return bytes.starts_with('\1') ? Reach::verified : Reach::refused;
  }
  std::string again;
  workloads::encode(transaction, &again);
  CHECK(again == bytes);
  CHECK(!workloads::describe(transaction).empty());
  return Reach::accepted;
}

}  // namespace

Target target() {
  return {"transaction", seeds, nullptr, run, 1 << 20, 512};
}  // an operation is a large value

}  // namespace chaosgate::fuzz
