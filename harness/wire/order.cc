#include "harness/wire/order.h"

namespace chaosgate::wire {

std::string_view to_string(Protocol protocol) {
  return protocol == Protocol::in_batch ? "in-batch" : "sidecar";
}

std::optional<Protocol> parse_protocol(std::string_view name) {
  for (const Protocol protocol : {Protocol::in_batch, Protocol::sidecar}) {
    if (to_string(protocol) == name) {
      return protocol;
    }
  }
  return std::nullopt;
}

}  // namespace chaosgate::wire
