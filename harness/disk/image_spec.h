// ImageSpec names one disk image after a power cut: where the cut was, and what of the calls before it did
// not reach the disk. It says nothing about whether a file system may do so: see Order.
//
// Plain data with a printed form of one line, so that a bundle can keep it:
//
//   spec := "cut=" number [" dropped=" list] [" torn=" tear (";" tear)*] [" fill=garbage"]
//   list := item ("," item)*     item := op | first-last
//   tear := op ":" range ("," range)*     range := begin-end, bytes of the page
//
// for example "cut=19 dropped=3-7,9 torn=12:0-512,1024-1536 fill=garbage".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/status.h"
#include "harness/disk/micro_op.h"

namespace chaosgate::disk {

// What a reader finds where a file has grown but the data did not arrive.
enum class Fill : std::uint8_t { zero, garbage };

// Bytes [begin, end) of a page.
struct PageRange {
  std::uint16_t begin = 0;
  std::uint16_t end = 0;

  bool operator==(const PageRange&) const = default;
};

// A write of which only `kept` reached the disk.
struct Tear {
  OpId op = 0;
  std::vector<PageRange> kept;  // ascending, neither touching nor empty

  bool operator==(const Tear&) const = default;
};

struct ImageSpec {
  std::uint64_t cut = 0;
  std::vector<OpId> dropped;  // ascending; every other op before the cut is in the image
  std::vector<Tear> torn;     // ascending by op, none of them dropped
  Fill fill = Fill::zero;

  bool operator==(const ImageSpec&) const = default;

  bool drops(OpId op) const;
  const Tear* tear_of(OpId op) const;  // nullptr when the op is whole or dropped
};

// A spec unfolded for one look at each op. REQUIRES: the spec fits the history and outlives this.
class SpecIndex {
 public:
  enum class State : std::uint8_t { kept, torn, dropped };

  SpecIndex(const History& history, const ImageSpec& spec);

  const ImageSpec& spec() const { return *spec_; }
  OpId end() const { return static_cast<OpId>(state_.size()); }  // ops from here on come after the cut
  State state(OpId op) const { return state_[op]; }
  bool in_image(OpId op) const { return op < end() && state_[op] != State::dropped; }
  const Tear* tear_of(OpId op) const { return state_[op] == State::torn ? spec_->tear_of(op) : nullptr; }
  void drop(OpId op) { state_[op] = State::dropped; }  // leaves the spec as it is

 private:
  const ImageSpec* spec_;
  std::vector<State> state_;
};

// Bytes [begin, end) of a file.
struct ByteRange {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

// What of a write is in the image, and what is not, when `tear` (nullptr: none) is what became of it.
std::vector<ByteRange> kept_bytes(const MicroOp& op, const Tear* tear);
std::vector<ByteRange> missing_bytes(const MicroOp& op, const Tear* tear);

std::string to_string(const ImageSpec& spec);
// invalid_argument for anything that to_string() does not print; *spec is then left alone.
Status parse_spec(std::string_view text, ImageSpec* spec);

// Whether the spec fits the history: cut and ops exist, only writes are torn, within their bytes.
// invalid_argument with the reason when it does not.
Status fits(const History& history, const ImageSpec& spec);

}  // namespace chaosgate::disk
