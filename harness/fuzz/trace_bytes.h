// For targets whose input is a trace's file.
#pragma once

#include <string>
#include <string_view>

#include "harness/fuzz/fuzz.h"
#include "harness/fuzz/sealed.h"
#include "harness/tap/trace.h"

namespace chaosgate::fuzz {

inline std::string saved(const tap::Trace& trace) {
  std::string bytes;
  tap::save_trace(trace, &bytes);
  return bytes;
}

// What every trace's file begins with.
inline std::string trace_begin() { return saved({}).substr(0, 8); }

inline void repair_trace(Rng& /*rng*/, std::string* bytes) { seal(trace_begin(), bytes); }

// How far one came that load_trace() refuses.
inline Reach reach_of_refused_trace(std::string_view bytes) {
  return is_sealed(bytes, trace_begin()) ? Reach::verified : Reach::refused;
}

}  // namespace chaosgate::fuzz
