#include "workloads/generator.h"

#include <fmt/format.h>

#include "harness/base/error.h"
#include "workloads/profile.h"

namespace chaosgate::workloads {
namespace {

// One index in so many is a no-op after the preload.
constexpr std::uint64_t kNoOpEvery = 64;

const Profile& find_profile(std::string_view name) {
  std::string names;
  for (const Profile& profile : profile_table()) {
    if (profile.info.name == name) {
      return profile;
    }
    names += names.empty() ? "" : ", ";
    names += profile.info.name;
  }
  throw UsageError(fmt::format("unknown workload profile \"{}\"; there are {}", name, names));
}

}  // namespace

const std::vector<ProfileInfo>& profiles() {
  static const std::vector<ProfileInfo> infos = [] {
    std::vector<ProfileInfo> all;
    for (const Profile& profile : profile_table()) {
      all.push_back(profile.info);
    }
    return all;
  }();
  return infos;
}

Generator::Generator(std::string_view profile, std::uint64_t seed)
    : profile_(&find_profile(profile)),
      root_(Rng(seed).fork(profile).fork("entries")),
      preload_(Rng(seed).fork(profile).fork("preload")),
      salt_(Rng(seed).fork("keys").next()) {}

std::uint64_t Generator::preload_entries() const { return profile_->preload_entries(); }

Transaction Generator::transaction(std::uint64_t term, std::uint64_t index) const {
  Transaction transaction;
  if (index <= preload_entries()) {
    if (index == 0) {
      return transaction;
    }
    transaction.reserve(kPreloadSlotsPerEntry);
    Draw draw{preload_.fork(index), index, salt_, &transaction};
    const std::uint64_t first = (index - 1) * kPreloadSlotsPerEntry;
    for (std::uint64_t slot = first; slot < first + kPreloadSlotsPerEntry; ++slot) {
      if (slot < profile_->preload_slots) {
        profile_->preload(draw, slot);
      }
    }
    return transaction;
  }
  Draw draw{root_.fork(term).fork(index), index, salt_, &transaction};
  if (!draw.rng.chance(1, kNoOpEvery)) {
    transaction.reserve(4);
    profile_->entry(draw);
  }
  return transaction;
}

std::string Generator::payload(std::uint64_t term, std::uint64_t index) const {
  std::string bytes;
  encode(transaction(term, index), &bytes);
  return bytes;
}

}  // namespace chaosgate::workloads
