// Little-endian encoding of fixed-width integers and length-prefixed bytes, for every on-disk format.
//
// Writers append to a std::string. Reader consumes a view and never reads past its end: each call
// returns false, and changes nothing, when the bytes are not there.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace chaosgate {

static_assert(std::endian::native == std::endian::little, "big-endian hosts are not supported");

template <typename T>
void put_fixed(std::string* out, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out->append(bytes, sizeof(T));
}

inline void put_u8(std::string* out, std::uint8_t value) { put_fixed(out, value); }
inline void put_u32(std::string* out, std::uint32_t value) { put_fixed(out, value); }
inline void put_u64(std::string* out, std::uint64_t value) { put_fixed(out, value); }

// A 32-bit length, then the bytes. REQUIRES: bytes.size() < 4 GiB.
inline void put_bytes(std::string* out, std::string_view bytes) {
  put_u32(out, static_cast<std::uint32_t>(bytes.size()));
  out->append(bytes);
}

template <typename T>
T load_fixed(const char* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

// Eight bytes, most significant first: memcmp order is numeric order. For keys, not for records.
inline std::string big_endian_key(std::uint64_t value) {
  std::string key(8, '\0');
  for (int i = 0; i < 8; ++i) {
    key[i] = static_cast<char>(value >> (56 - 8 * i));
  }
  return key;
}

class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  template <typename T>
  bool fixed(T* value) {
    if (rest_.size() < sizeof(T)) {
      return false;
    }
    *value = load_fixed<T>(rest_.data());
    rest_.remove_prefix(sizeof(T));
    return true;
  }
  bool u8(std::uint8_t* value) { return fixed(value); }
  bool u32(std::uint32_t* value) { return fixed(value); }
  bool u64(std::uint64_t* value) { return fixed(value); }

  // The view stays valid as long as the underlying bytes.
  bool raw(std::size_t size, std::string_view* bytes) {
    if (rest_.size() < size) {
      return false;
    }
    *bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return true;
  }
  bool bytes(std::string_view* bytes) {
    const Reader before = *this;
    std::uint32_t size = 0;
    if (u32(&size) && raw(size, bytes)) {
      return true;
    }
    *this = before;
    return false;
  }

  bool empty() const { return rest_.empty(); }
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

}  // namespace chaosgate
