#include "harness/disk/profile.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>

#include "harness/base/check.h"

namespace chaosgate::disk {
namespace {

struct Flag {
  std::string_view name;
  bool Profile::*member;
};

constexpr std::array<Flag, 11> kFlags = {{
    {"ordered-dir-ops", &Profile::ordered_directories},
    {"atomic-rename", &Profile::atomic_rename},
    {"fsync-persists-name", &Profile::fsync_persists_name},
    {"fsync-commits-dir-ops", &Profile::fsync_commits_directories},
    {"data-before-rename-over", &Profile::data_before_rename_over},
    {"bare-size-zero", &Profile::bare_size_zero},
    {"bare-size-garbage", &Profile::bare_size_garbage},
    {"bare-size-hole", &Profile::bare_size_hole},
    {"ordered-appends", &Profile::ordered_appends},
    {"fdatasync-drops-size", &Profile::fdatasync_drops_size},
    {"prefix", &Profile::prefix},
}};

// Settings with a value. Their names are matched as a whole, so that "page-atomic" keeps its hyphen.
struct Choice {
  std::string_view text;
  void (*set)(Profile*);
  bool (*is)(const Profile&);
};

template <Overwrites value>
constexpr Choice overwrites(std::string_view text) {
  return {text, [](Profile* p) { p->overwrites = value; },
          [](const Profile& p) { return p.overwrites == value; }};
}

template <Tearing value>
constexpr Choice tearing(std::string_view text) {
  return {text, [](Profile* p) { p->tearing = value; }, [](const Profile& p) { return p.tearing == value; }};
}

constexpr std::array<Choice, 7> kChoices = {
    overwrites<Overwrites::free>("overwrites=free"),
    overwrites<Overwrites::page_atomic>("overwrites=page-atomic"),
    overwrites<Overwrites::ordered>("overwrites=ordered"),
    tearing<Tearing::byte>("tearing=byte"),
    tearing<Tearing::sector>("tearing=512"),
    tearing<Tearing::none>("tearing=none"),
    tearing<Tearing::last_op>("tearing=last-op"),
};

std::vector<Profile> make_profiles() {
  const Profile strict;

  Profile writeback = strict;
  writeback.base = "ext4-writeback";
  writeback.ordered_directories = true;
  writeback.atomic_rename = true;
  writeback.fsync_persists_name = true;
  writeback.fsync_commits_directories = true;
  writeback.bare_size_hole = false;

  Profile ordered = writeback;
  ordered.base = "ext4-ordered";
  ordered.data_before_rename_over = true;
  ordered.bare_size_zero = false;
  ordered.bare_size_garbage = false;
  ordered.ordered_appends = true;

  Profile xfs = writeback;
  xfs.base = "xfs";
  xfs.fsync_commits_directories = false;
  xfs.bare_size_garbage = false;

  Profile btrfs = ordered;
  btrfs.base = "btrfs";
  btrfs.ordered_directories = false;
  btrfs.fsync_commits_directories = false;
  btrfs.overwrites = Overwrites::page_atomic;
  btrfs.tearing = Tearing::none;

  Profile prefix = ordered;
  prefix.base = "prefix";
  prefix.fsync_persists_name = false;
  prefix.fsync_commits_directories = false;
  prefix.overwrites = Overwrites::ordered;
  prefix.tearing = Tearing::last_op;
  prefix.prefix = true;

  return {prefix, btrfs, ordered, xfs, writeback, strict};
}

const std::vector<Profile>& profiles() {
  static const std::vector<Profile> all = make_profiles();
  return all;
}

// Takes the longest of `names` that `text` starts with off its front. nullopt-like: npos when there is none.
template <typename Names, typename NameOf>
std::size_t take_longest(const Names& names, NameOf name_of, std::string_view* text) {
  std::size_t best = names.size();
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (text->starts_with(name_of(names[i])) &&
        (best == names.size() || name_of(names[i]).size() > name_of(names[best]).size())) {
      best = i;
    }
  }
  if (best != names.size()) {
    text->remove_prefix(name_of(names[best]).size());
  }
  return best;
}

bool at_end_of_word(std::string_view rest) { return rest.empty() || rest[0] == '+' || rest[0] == '-'; }

std::string known_settings() {
  std::vector<std::string_view> names;
  for (const Flag& flag : kFlags) {
    names.push_back(flag.name);
  }
  for (const Choice& choice : kChoices) {
    names.push_back(choice.text);
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

bool take_setting(std::string_view* rest, Profile* profile) {
  const bool on = (*rest)[0] == '+';
  rest->remove_prefix(1);
  const std::size_t flag = take_longest(
      kFlags, [](const Flag& f) { return f.name; }, rest);
  if (flag != kFlags.size()) {
    profile->*kFlags[flag].member = on;
    return at_end_of_word(*rest);
  }
  const std::size_t choice = take_longest(
      kChoices, [](const Choice& c) { return c.text; }, rest);
  if (!on || choice == kChoices.size()) {
    return false;
  }
  kChoices[choice].set(profile);
  return at_end_of_word(*rest);
}

}  // namespace

const std::vector<std::string>& profile_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const Profile& profile : profiles()) {
      all.push_back(profile.base);
    }
    return all;
  }();
  return names;
}

Profile named_profile(std::string_view name) {
  for (const Profile& profile : profiles()) {
    if (profile.base == name) {
      return profile;
    }
  }
  check_failed(__FILE__, __LINE__, "known profile", std::string(name));
}

std::string to_string(const Profile& profile) {
  const Profile base = named_profile(profile.base);
  std::string text = profile.base;
  for (const Flag& flag : kFlags) {
    if (profile.*flag.member != base.*flag.member) {
      text += fmt::format("{}{}", profile.*flag.member ? '+' : '-', flag.name);
    }
  }
  for (const Choice& choice : kChoices) {
    if (choice.is(profile) && !choice.is(base)) {
      text += fmt::format("+{}", choice.text);
    }
  }
  return text;
}

Status parse_profile(std::string_view text, Profile* profile) {
  std::string_view rest = text;
  const auto whole = [](const std::string& name) { return std::string_view(name); };
  const std::size_t base = take_longest(profile_names(), whole, &rest);
  if (base == profile_names().size() || !at_end_of_word(rest)) {
    return Status::invalid_argument(
        fmt::format("unknown persistence profile \"{}\"; known: {}", text, fmt::join(profile_names(), ", ")));
  }
  Profile parsed = named_profile(profile_names()[base]);
  while (!rest.empty()) {
    const std::string_view setting = rest;
    if (!take_setting(&rest, &parsed)) {
      return Status::invalid_argument(
          fmt::format("unknown setting \"{}\" of persistence profile \"{}\"; known: {}", setting, text,
                      known_settings()));
    }
  }
  *profile = std::move(parsed);
  return {};
}

}  // namespace chaosgate::disk
