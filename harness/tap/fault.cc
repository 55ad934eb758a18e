#include "harness/tap/fault.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <utility>

namespace chaosgate::tap {
namespace {

constexpr std::array<std::pair<std::string_view, FaultAction>, 7> kActions = {{
    {"kill-before", FaultAction::kill_before},
    {"kill-after", FaultAction::kill_after},
    {"kill-inside", FaultAction::kill_inside},
    {"error", FaultAction::error},
    {"short", FaultAction::short_count},
    {"lost-sync", FaultAction::lost_sync},
    {"full", FaultAction::full},
}};

constexpr std::array<std::pair<std::string_view, int>, 8> kErrors = {{
    {"EIO", EIO},
    {"ENOSPC", ENOSPC},
    {"EDQUOT", EDQUOT},
    {"EINTR", EINTR},
    {"EROFS", EROFS},
    {"EAGAIN", EAGAIN},
    {"ENOMEM", ENOMEM},
    {"EFBIG", EFBIG},
}};

constexpr std::uint64_t kOccurrenceMax = 1'000'000'000;

bool parse_number(std::string_view text, std::uint64_t* number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

// Cuts `text` at the first `mark`: what is before it is returned, what is behind it stays. False, and
// everything is returned, when there is none.
bool cut(std::string_view* text, char mark, std::string_view* head) {
  const std::size_t at = text->find(mark);
  *head = text->substr(0, at);
  *text = at == std::string_view::npos ? std::string_view() : text->substr(at + 1);
  return at != std::string_view::npos;
}

Status wrong(std::string_view what, std::string_view found, std::string_view expected) {
  return Status::invalid_argument(fmt::format("{} '{}', expected {}", what, found, expected));
}

std::string call_names() {
  std::string names(kAnyClass);
  for (std::size_t i = 0; i < kStorageCallCount; ++i) {
    names += ", ";
    names += to_string(static_cast<StorageCall>(i));
  }
  return names;
}

Status parse_times(std::string_view text, std::string_view whole, std::uint64_t* times) {
  if (text == "*") {
    *times = UINT64_MAX;
    return {};
  }
  if (!parse_number(text, times) || *times == 0 || *times > kOccurrenceMax) {
    return wrong("times", whole, "a number from 1 to 1000000000, or *");
  }
  return {};
}

Status parse_site(std::string_view text, CallSite* site) {
  const std::string_view whole = text;
  std::string_view place;
  if (!cut(&text, '#', &place)) {
    return wrong("call site", whole, "CLASS.CALL#OCCURRENCE");
  }
  std::string_view number;
  if (const bool repeated = cut(&text, 'x', &number); repeated) {
    RETURN_IF_ERROR(parse_times(text, whole, &site->times));
  }
  if (!parse_number(number, &site->occurrence) || site->occurrence == 0 ||
      site->occurrence > kOccurrenceMax) {
    return wrong("occurrence", number, "a number from 1 to 1000000000");
  }
  std::string_view file_class;
  if (!cut(&place, '.', &file_class) || file_class.empty()) {
    return wrong("call site", whole, "CLASS.CALL#OCCURRENCE");
  }
  site->file_class = file_class;
  std::string_view call;
  cut(&place, '/', &call);
  site->phase = place;
  if (call != kAnyClass) {
    site->call = parse_storage_call(call);
    if (!site->call) {
      return wrong("storage call", call, call_names());
    }
  }
  return {};
}

Status parse_argument(std::string_view argument, StorageFault* fault) {
  switch (fault->action) {
    case FaultAction::kill_inside: {
      const bool pages = argument.ends_with('p');
      if (!pages || !parse_number(argument.substr(0, argument.size() - 1), &fault->pages) ||
          fault->pages == 0 || fault->pages > kOccurrenceMax) {
        return wrong("kill-inside", argument,
                     argument.ends_with('s') ? "a number of pages (2p): a SIGKILL leaves whole pages of a "
                                               "write; sectors (3s) tear only when the power fails"
                                             : "a number of pages (2p)");
      }
      return {};
    }
    case FaultAction::error: {
      const std::optional<std::uint32_t> error = parse_errno(argument);
      if (!error) {
        std::string names;
        for (const auto& [name, number] : kErrors) {
          names += (names.empty() ? "" : ", ") + std::string(name);
        }
        return wrong("errno", argument, names);
      }
      fault->error = *error;
      return {};
    }
    case FaultAction::short_count: {
      std::uint64_t permille = 0;
      if (!parse_number(argument, &permille) || permille > 999) {
        return wrong("short", argument, "a share of 0 to 999 thousandths");
      }
      fault->permille = static_cast<std::uint32_t>(permille);
      return {};
    }
    case FaultAction::full: {
      std::string_view bytes;
      if (cut(&argument, 'x', &bytes)) {
        RETURN_IF_ERROR(parse_times(argument, argument, &fault->refusals));
      }
      return parse_number(bytes, &fault->bytes) ? Status() : wrong("full", bytes, "a number of bytes");
    }
    case FaultAction::kill_before:
    case FaultAction::kill_after:
    case FaultAction::lost_sync:
      return argument.empty() ? Status() : wrong(to_string(fault->action), argument, "no argument");
  }
  return {};
}

std::string argument_text(const StorageFault& fault) {
  switch (fault.action) {
    case FaultAction::kill_inside:
      return fmt::format("~{}p", fault.pages);
    case FaultAction::error:
      return "~" + errno_name(fault.error);
    case FaultAction::short_count:
      return fmt::format("~{}", fault.permille);
    case FaultAction::full:
      return fmt::format("~{}{}", fault.bytes,
                         fault.refusals == UINT64_MAX ? "" : fmt::format("x{}", fault.refusals));
    default:
      return "";
  }
}

// An errno that the call cannot return would be a state that no machine leaves.
Status check_errno(const StorageFault& fault) {
  std::string names;
  for (const auto& [name, number] : kErrors) {
    const auto error = static_cast<std::uint32_t>(number);
    const bool possible = fault.site.call ? can_return(*fault.site.call, error) : error != EAGAIN;
    if (possible && error == fault.error) {
      return {};
    }
    names += possible ? (names.empty() ? "" : ", ") + std::string(name) : "";
  }
  return wrong(fmt::format("errno of call {}:", fault.site.call ? to_string(*fault.site.call) : kAnyClass),
               errno_name(fault.error),
               names.empty() ? "another call: this one does not fail" : "one that it can return: " + names);
}

// Which calls an action can happen to.
Status check_call(const StorageFault& fault) {
  const std::optional<StorageCall>& call = fault.site.call;
  const bool of_writes = fault.action == FaultAction::kill_inside || fault.action == FaultAction::short_count;
  if (of_writes && call && *call != StorageCall::write) {
    return wrong(to_string(fault.action) + " of call", to_string(*call), "write");
  }
  const bool of_syncs = fault.action == FaultAction::lost_sync;
  if (of_syncs && call && *call != StorageCall::sync && *call != StorageCall::datasync) {
    return wrong("lost-sync of call", to_string(*call), "sync or datasync");
  }
  if (fault.action == FaultAction::error) {
    return check_errno(fault);
  }
  return {};
}

}  // namespace

std::string to_string(FaultAction action) {
  for (const auto& [name, value] : kActions) {
    if (value == action) {
      return std::string(name);
    }
  }
  return "unknown";
}

std::string to_string(const CallSite& site) {
  std::string text = fmt::format("{}.{}", site.file_class, site.call ? to_string(*site.call) : kAnyClass);
  if (!site.phase.empty()) {
    text += "/" + site.phase;
  }
  text += fmt::format("#{}", site.occurrence);
  if (site.times == UINT64_MAX) {
    text += "x*";
  } else if (site.times != 1) {
    text += fmt::format("x{}", site.times);
  }
  return text;
}

std::string to_string(const StorageFault& fault) {
  const std::string action = to_string(fault.action) + argument_text(fault);
  return fault.action == FaultAction::full ? action : action + "@" + to_string(fault.site);
}

Status parse_fault(std::string_view text, StorageFault* fault) {
  StorageFault parsed;
  std::string_view rest = text;
  std::string_view action;
  const bool has_site = cut(&rest, '@', &action);
  std::string_view argument = action;
  cut(&argument, '~', &action);
  bool known = false;
  for (const auto& [name, value] : kActions) {
    if (name == action) {
      parsed.action = value;
      known = true;
    }
  }
  if (!known) {
    std::string names;
    for (const auto& [name, value] : kActions) {
      names += (names.empty() ? "" : ", ") + std::string(name);
    }
    return wrong("unknown fault", action, names);
  }
  RETURN_IF_ERROR(parse_argument(argument, &parsed));
  if (has_site != (parsed.action != FaultAction::full)) {
    return wrong("fault", text, has_site ? "no call site" : "a call site behind @");
  }
  if (has_site) {
    RETURN_IF_ERROR(parse_site(rest, &parsed.site));
    RETURN_IF_ERROR(check_call(parsed));
  }
  *fault = std::move(parsed);
  return {};
}

bool can_return(StorageCall call, std::uint32_t error, std::string_view system_call) {
  const bool of_disk = error == EIO || error == ENOMEM;
  const bool of_room = error == ENOSPC || error == EDQUOT;
  switch (call) {
    case StorageCall::create:
    case StorageCall::rename:
    case StorageCall::link:
    case StorageCall::mkdir:
      return of_disk || of_room || error == EROFS;
    case StorageCall::write:
      return of_disk || of_room || error == EROFS || error == EFBIG;
    case StorageCall::allocate:
      return of_disk || of_room || error == EROFS || error == EFBIG || error == EINTR;
    case StorageCall::truncate:
      return of_disk || of_room || error == EROFS || error == EFBIG;
    case StorageCall::sync:
    case StorageCall::datasync:
      return error == EIO || of_room || error == EROFS;
    case StorageCall::range_sync:
      return of_disk || error == ENOSPC;
    case StorageCall::sync_all:
      return system_call != "sync" && (error == EIO || of_room);
    case StorageCall::unlink:
    case StorageCall::rmdir:
      return of_disk || error == ENOSPC || error == EROFS;
    case StorageCall::refused:
      break;
  }
  return false;
}

std::optional<std::uint32_t> parse_errno(std::string_view name) {
  for (const auto& [known, number] : kErrors) {
    if (known == name) {
      return static_cast<std::uint32_t>(number);
    }
  }
  return std::nullopt;
}

std::string errno_name(std::uint32_t error) {
  for (const auto& [known, number] : kErrors) {
    if (static_cast<std::uint32_t>(number) == error) {
      return std::string(known);
    }
  }
  return std::to_string(error);
}

}  // namespace chaosgate::tap
