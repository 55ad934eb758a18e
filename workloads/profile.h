// Profile is how one kind of workload draws its entries; Draw is what it draws with. Internal to workloads/.
//
// A profile works on fixed populations of keys, each numbered 0 .. size-1. Puts and removals hit the numbers
// of a population in a fixed proportion, so its live share settles at puts / (puts + removals) and the state
// neither grows nor dies out, however long a campaign runs. The preload puts that share in one go.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/rng.h"
#include "workloads/generator.h"
#include "workloads/transaction.h"

namespace chaosgate::workloads {

inline constexpr std::uint64_t kPreloadSlotsPerEntry = 100;

// The randomness and the place of one entry, and the operations made so far.
struct Draw {
  Rng rng;
  std::uint64_t index;
  std::uint64_t salt;  // the same for every entry of a seed
  Transaction* out;

  Operation& add(OperationKind kind, Keyspace keyspace);
};

struct Profile {
  ProfileInfo info;
  std::uint64_t preload_slots;
  // Puts what preload slot `slot` stands for, or nothing.
  void (*preload)(Draw& draw, std::uint64_t slot);
  // The operations of one entry, at least one.
  void (*entry)(Draw& draw);

  std::uint64_t preload_entries() const {
    return (preload_slots + kPreloadSlotsPerEntry - 1) / kPreloadSlotsPerEntry;
  }
};

Profile mixed_profile();
Profile kubernetes_profile();
Profile churn_profile();
Profile bigvalue_profile();
Profile txn_profile();
Profile small_profile();
Profile rollover_profile();
// All of them; the first is the default.
const std::vector<Profile>& profile_table();

// A number that depends on the seed and `number` only, evenly distributed.
std::uint64_t mix(std::uint64_t salt, std::uint64_t number);

// The key of a population whose keys hold every byte value, have 1 to 500 bytes (most 2 to 40) and many
// neighbours that are prefixes of each other. The numbers 0..255 are the one-byte keys; above them, keys
// ascend with their numbers.
struct BinaryKeys {
  std::uint64_t size;  // REQUIRES: 512 <= size <= 2^20

  void key(std::uint64_t salt, std::uint64_t number, std::string* out) const;
  // Half of the draws fall on a sixteenth of the numbers.
  std::uint64_t pick(Draw& draw) const;
  // `width` numbers in a row, from a number above 255: the range [key, end).
  void range(Draw& draw, std::uint64_t width, Operation* operation) const;
};

// Behind every key of a BinaryKeys population.
inline constexpr std::string_view kBehindBinaryKeys = "\xff\xff";

// "<prefix><number>" in decimal.
void numbered_key(std::string_view prefix, std::uint64_t number, std::string* out);

// Appends `size` random bytes; faster than Rng::append_bytes on large values.
void append_random(Rng& rng, std::size_t size, std::string* out);

// One of four values (the first is empty) that compare-and-set moves between: an expectation is right in one
// of four draws.
void cas_value(std::uint64_t which, std::string* out);
void draw_compare_and_set(Draw& draw, Keyspace keyspace, std::string_view prefix, std::uint64_t keys);

void draw_increment(Draw& draw, std::string_view prefix, std::uint64_t keys);
void draw_append(Draw& draw, std::string_view prefix, std::uint64_t keys);

// True for `percent` of the numbers of a population: those that the preload puts.
bool preloaded(const Draw& draw, std::uint64_t number, std::uint64_t percent);

// A key's number and the size of its value. To be written {draw a number, draw a size}: within braces the
// draws happen from left to right with every compiler, which they do not among a function's arguments.
struct Item {
  std::uint64_t number;
  std::size_t value_bytes;
};

void put_binary(Draw& draw, const BinaryKeys& keys, Item item);
void erase_binary(Draw& draw, const BinaryKeys& keys);
// A range of 1 to 16 numbers.
void erase_binary_range(Draw& draw, const BinaryKeys& keys);
void put_numbered(Draw& draw, Keyspace keyspace, std::string_view prefix, Item item);
void erase_numbered(Draw& draw, Keyspace keyspace, std::string_view prefix, std::uint64_t number);

void preload_counter(Draw& draw, std::string_view prefix, std::uint64_t number);
void preload_cas(Draw& draw, Keyspace keyspace, std::string_view prefix, std::uint64_t number);

// An MVCC put; compact_revisions() must be the only operation of its transaction.
void put_item(Draw& draw, Item item);
void compact_revisions(Draw& draw, std::uint64_t keep_low, std::uint64_t keep_high);

// Takes `count` off *slot and says whether it was below.
bool take_slot(std::uint64_t* slot, std::uint64_t count);

}  // namespace chaosgate::workloads
