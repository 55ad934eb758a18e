#include "workloads/transaction.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "harness/base/check.h"
#include "harness/base/coding.h"

namespace chaosgate::workloads {
namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kOperationBytesMin = 1 + 1 + 4 + 1;  // erase of a one-byte key

// Which fields a kind carries, in the order of the encoding.
struct Shape {
  bool known, key, expected, value, end, number, mvcc;
};

constexpr Shape shape_of(OperationKind kind) {
  switch (kind) {
    case OperationKind::put:
    case OperationKind::append:
      return {.known = true, .key = true, .value = true};
    case OperationKind::erase:
      return {.known = true, .key = true};
    case OperationKind::erase_range:
      return {.known = true, .key = true, .end = true};
    case OperationKind::increment:
      return {.known = true, .key = true, .number = true};
    case OperationKind::compare_and_set:
      return {.known = true, .key = true, .expected = true, .value = true};
    case OperationKind::mvcc_put:
      return {.known = true, .key = true, .value = true, .mvcc = true};
    case OperationKind::mvcc_compact:
      return {.known = true, .number = true, .mvcc = true};
  }
  return {};
}

// The reason why an operation is not allowed, or nullptr.
const char* objection(const Operation& operation, const Shape& shape) {
  if (static_cast<std::size_t>(operation.keyspace) >= kKeyspaceCount) {
    return "unknown keyspace";
  }
  if (shape.mvcc && operation.keyspace != Keyspace::revision) {
    return "an MVCC operation outside keyspace revision";
  }
  if (shape.key && (operation.key.empty() || operation.key.size() + (shape.mvcc ? 1 : 0) > kKeyBytesMax)) {
    return "a key of a size that is not allowed";
  }
  if (operation.end.size() > kKeyBytesMax) {
    return "a range end that is too long";
  }
  return nullptr;
}

bool take_string(Reader* reader, std::string* out) {
  std::string_view bytes;
  if (!reader->bytes(&bytes)) {
    return false;
  }
  out->assign(bytes);
  return true;
}

// Sets every field, whatever the operation held before.
bool decode_operation(Reader* reader, Operation* operation, const char** reason) {
  std::uint8_t kind = 0;
  std::uint8_t keyspace = 0;
  *reason = "the bytes end inside an operation";
  if (!reader->u8(&kind) || !reader->u8(&keyspace)) {
    return false;
  }
  operation->kind = static_cast<OperationKind>(kind);
  operation->keyspace = static_cast<Keyspace>(keyspace);
  operation->key.clear();
  operation->value.clear();
  operation->end.clear();
  operation->expected.clear();
  operation->number = 0;
  const Shape shape = shape_of(operation->kind);
  if (!shape.known) {
    *reason = "unknown operation kind";
    return false;
  }
  if ((shape.key && !take_string(reader, &operation->key)) ||
      (shape.expected && !take_string(reader, &operation->expected)) ||
      (shape.value && !take_string(reader, &operation->value)) ||
      (shape.end && !take_string(reader, &operation->end)) ||
      (shape.number && !reader->u64(&operation->number))) {
    return false;
  }
  *reason = objection(*operation, shape);
  return *reason == nullptr;
}

}  // namespace

std::string_view to_string(Keyspace keyspace) {
  switch (keyspace) {
    case Keyspace::object:
      return "object";
    case Keyspace::counter:
      return "counter";
    case Keyspace::revision:
      return "revision";
  }
  return "unknown";
}

std::string_view to_string(OperationKind kind) {
  switch (kind) {
    case OperationKind::put:
      return "put";
    case OperationKind::erase:
      return "erase";
    case OperationKind::erase_range:
      return "erase_range";
    case OperationKind::increment:
      return "increment";
    case OperationKind::append:
      return "append";
    case OperationKind::compare_and_set:
      return "compare_and_set";
    case OperationKind::mvcc_put:
      return "mvcc_put";
    case OperationKind::mvcc_compact:
      return "mvcc_compact";
  }
  return "unknown";
}

void encode(const Transaction& transaction, std::string* out) {
  if (transaction.empty()) {
    return;
  }
  CHECK(transaction.size() <= kOperationsMax, "{} operations", transaction.size());
  std::size_t bytes = 1 + 2;
  for (const Operation& operation : transaction) {
    bytes += 2 + 4 * 3 + 8 + operation.key.size() + operation.value.size() + operation.end.size() +
             operation.expected.size();
  }
  out->reserve(out->size() + bytes);
  put_u8(out, kVersion);
  put_fixed(out, static_cast<std::uint16_t>(transaction.size()));
  for (const Operation& operation : transaction) {
    const Shape shape = shape_of(operation.kind);
    const char* reason = shape.known ? objection(operation, shape) : "unknown operation kind";
    CHECK(reason == nullptr, "{}", reason);
    put_u8(out, static_cast<std::uint8_t>(operation.kind));
    put_u8(out, static_cast<std::uint8_t>(operation.keyspace));
    if (shape.key) put_bytes(out, operation.key);
    if (shape.expected) put_bytes(out, operation.expected);
    if (shape.value) put_bytes(out, operation.value);
    if (shape.end) put_bytes(out, operation.end);
    if (shape.number) put_u64(out, operation.number);
  }
}

Status decode(std::string_view bytes, Transaction* transaction) {
  if (bytes.empty()) {
    transaction->clear();
    return {};
  }
  Reader reader(bytes);
  std::uint8_t version = 0;
  std::uint16_t count = 0;
  if (!reader.u8(&version) || !reader.fixed(&count)) {
    return Status::corruption(fmt::format("transaction: {} bytes are too few for its header", bytes.size()));
  }
  if (version != kVersion) {
    return Status::corruption(
        fmt::format("transaction: version {} is not the supported {}", version, kVersion));
  }
  if (count == 0 || count > reader.rest().size() / kOperationBytesMin) {
    return Status::corruption(
        fmt::format("transaction: {} operations do not fit into {} bytes", count, reader.rest().size()));
  }
  transaction->resize(count);  // keeps the strings' memory of an earlier use
  for (std::size_t i = 0; i < count; ++i) {
    const char* reason = nullptr;
    if (!decode_operation(&reader, &(*transaction)[i], &reason)) {
      return Status::corruption(fmt::format("transaction: operation {} of {}: {}", i + 1, count, reason));
    }
  }
  if (!reader.empty()) {
    return Status::corruption(
        fmt::format("transaction: {} bytes behind the last operation", reader.rest().size()));
  }
  return {};
}

std::string printable(std::string_view bytes) {
  constexpr std::size_t kShownMax = 48;
  const std::string_view shown = bytes.substr(0, kShownMax);
  const bool text = std::all_of(shown.begin(), shown.end(),
                                [](char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; });
  std::string out;
  if (text) {
    out = fmt::format("\"{}\"", shown);
  } else {
    out = "0x";
    for (const char c : shown) {
      fmt::format_to(std::back_inserter(out), "{:02x}", static_cast<unsigned char>(c));
    }
  }
  if (shown.size() < bytes.size()) {
    fmt::format_to(std::back_inserter(out), "...({} B)", bytes.size());
  }
  return out;
}

std::string describe(const Transaction& transaction) {
  if (transaction.empty()) {
    return "no-op";
  }
  std::string out;
  for (const Operation& operation : transaction) {
    if (!out.empty()) {
      out += "; ";
    }
    const Shape shape = shape_of(operation.kind);
    fmt::format_to(std::back_inserter(out), "{} {}", to_string(operation.kind),
                   to_string(operation.keyspace));
    if (shape.key) fmt::format_to(std::back_inserter(out), "/{}", printable(operation.key));
    if (shape.end) fmt::format_to(std::back_inserter(out), " to {}", printable(operation.end));
    if (shape.expected) fmt::format_to(std::back_inserter(out), " if {} B", operation.expected.size());
    if (shape.value) fmt::format_to(std::back_inserter(out), " {} B", operation.value.size());
    if (operation.kind == OperationKind::increment) {
      fmt::format_to(std::back_inserter(out), " +{}", operation.number);
    } else if (shape.number) {
      fmt::format_to(std::back_inserter(out), " keep {}", operation.number);
    }
  }
  return out;
}

}  // namespace chaosgate::workloads
