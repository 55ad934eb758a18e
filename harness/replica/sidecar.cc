#include "harness/replica/sidecar.h"

#include <fmt/format.h>

#include "harness/base/coding.h"
#include "harness/base/file.h"
#include "harness/base/hash.h"

namespace chaosgate::replica {

Status Sidecar::persist(std::uint64_t index, StepSink& steps) const {
  std::string bytes;
  put_u64(&bytes, kSidecarMagic);
  put_u64(&bytes, index);
  put_u64(&bytes, hash64(bytes));
  RETURN_IF_ERROR(replace_file_durably(path_, bytes, [&] { steps.at(Step::before_sidecar_rename); }));
  steps.at(Step::after_sidecar_rename);
  return {};
}

Status Sidecar::read(std::uint64_t* index) const {
  std::string bytes;
  const Status status = read_file(path_, &bytes);
  if (status.is_not_found()) {
    *index = 0;
    return {};
  }
  RETURN_IF_ERROR(status);
  Reader reader(bytes);
  std::uint64_t magic = 0;
  std::uint64_t found = 0;
  std::uint64_t checksum = 0;
  if (!reader.u64(&magic) || !reader.u64(&found) || !reader.u64(&checksum) || !reader.empty() ||
      magic != kSidecarMagic || checksum != hash64(std::string_view(bytes).substr(0, 16))) {
    return Status::corruption(
        fmt::format("{}: {} bytes are not a durable index", path_.string(), bytes.size()));
  }
  RETURN_IF_ERROR(sync_directory(path_.parent_path()));
  *index = found;
  return {};
}

}  // namespace chaosgate::replica
