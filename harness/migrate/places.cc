#include "harness/migrate/places.h"

#include <fmt/format.h>

#include <system_error>

#include "engines/directory.h"

namespace chaosgate::migrate {

namespace fs = std::filesystem;

namespace {

fs::path with_suffix(const fs::path& path, const char* suffix) {
  fs::path result = path;
  result += suffix;
  return result;
}

bool lies_in(const fs::path& inner, const fs::path& outer) {
  const fs::path relative = inner.lexically_relative(outer);
  return !relative.empty() && *relative.begin() != "..";
}

}  // namespace

Places::Places(const fs::path& target_directory)
    : target(target_directory),
      work(with_suffix(target_directory, ".migrating")),
      store(work / "store"),
      scratch(with_suffix(target_directory, ".migrating-source")) {}

fs::path find_target(const fs::path& given) {
  std::error_code error;
  fs::path target = engines::without_trailing_slash(fs::weakly_canonical(fs::absolute(given), error));
  if (fs::is_directory(target / "log", error) && !fs::exists(target / "engine", error)) {
    target /= "engine";
  }
  return target;
}

bool is_occupied(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::symlink_status(path, error);
  return fs::exists(status) && !(fs::is_directory(status) && fs::is_empty(path, error) && !error);
}

Status check_places(const fs::path& source, const Places& places) {
  const auto refuse = [&](std::string_view why) {
    return Status::invalid_argument(fmt::format("the target {}: {}", places.target.string(), why));
  };
  if (lies_in(places.target, source) || lies_in(source, places.target)) {
    return refuse(fmt::format("it is the source {}, or one lies in the other", source.string()));
  }
  std::error_code error;
  const fs::path parent = engines::parent_directory(places.target);
  if (!fs::is_directory(parent, error)) {
    return refuse(fmt::format("there is no directory {}", parent.string()));
  }
  if (is_occupied(places.target) && !fs::exists(places.work, error)) {
    return refuse("it is not empty");
  }
  return {};
}

}  // namespace chaosgate::migrate
