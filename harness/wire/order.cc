#include "harness/wire/order.h"

#include <algorithm>

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

const EngineDescription* find_engine(const Hello& hello, std::string_view name) {
  const auto found = std::find_if(hello.engines.begin(), hello.engines.end(),
                                  [&](const EngineDescription& engine) { return engine.name == name; });
  return found == hello.engines.end() ? nullptr : &*found;
}

}  // namespace chaosgate::wire
