#include "harness/log/segment_reader.h"

#include <fmt/format.h>

#include "harness/base/coding.h"

namespace chaosgate::log {
namespace {

class SegmentReader {
 public:
  SegmentReader(std::string_view bytes, const std::string& name, const SegmentRules& rules,
                SegmentContent* content)
      : bytes_(bytes), name_(name), rules_(rules), content_(*content) {}

  Status run() {
    RETURN_IF_ERROR(read_header());
    while (content_.end_offset < bytes_.size() && !sealed_end()) {
      bool stop = false;
      RETURN_IF_ERROR(read_next(&stop));
      if (stop) {
        break;
      }
    }
    return check_end();
  }

 private:
  std::uint64_t next_index() const { return content_.last_index() + 1; }
  std::string_view rest() const { return bytes_.substr(content_.end_offset); }
  bool sealed_end() const { return rules_.sealed_at && content_.last_index() == *rules_.sealed_at; }

  Status corrupt(const std::string& what) const {
    return Status::corruption(fmt::format("log segment {}, offset {}, entry {}: {}", name_,
                                          content_.end_offset, next_index(), what));
  }

  Status read_header() {
    if (const Status status = decode_segment_header(bytes_, &content_.header); !status.ok()) {
      return {status.code(), fmt::format("log segment {}, offset 0: {}", name_, status.message())};
    }
    const std::string expected = segment_name(content_.header.sequence, content_.header.first_index);
    if (name_ != expected) {
      return Status::corruption(
          fmt::format("log segment {}, offset 0: name: expected {} as in the header", name_, expected));
    }
    content_.end_offset = kSegmentHeaderBytes;
    content_.chain = content_.header.checksum;
    content_.last_term = content_.header.previous_term;
    return {};
  }

  void accept(const Record& record, std::uint64_t offset) {
    content_.offsets.push_back(offset);
    content_.end_offset = offset + record.size();
    content_.chain = record.checksum;
    content_.last_term = record.entry.term;
    content_.last_synced = record.synced;
  }

  // Accepts the next record, or sets *stop at a torn tail.
  Status read_next(bool* stop) {
    Record record;
    const RecordDamage damage = parse_record(rest(), content_.header.sequence, content_.end_offset, &record);
    if (rules_.fault_skip_chain) {
      if (damage == RecordDamage::none && record.entry.index == next_index()) {
        accept(record, content_.end_offset);
        return {};
      }
      return resynchronise(damage, stop);
    }
    if (damage != RecordDamage::none) {
      return judge_damage(std::string(to_string(damage)),
                          describe_damage(rest(), content_.header.sequence, content_.end_offset), stop);
    }
    if (record.entry.index != next_index()) {
      return judge_damage(
          "index", fmt::format("index: expected {}, found {}", next_index(), record.entry.index), stop);
    }
    if (record.prev != content_.chain) {
      return judge_broken_chain(record, stop);
    }
    // From here on the record is whole and in its place: what is wrong with it was written so.
    if (record.entry.term < content_.last_term) {
      return corrupt(
          fmt::format("term: expected at least {}, found {}", content_.last_term, record.entry.term));
    }
    if (record.synced >= record.entry.index) {
      return corrupt(
          fmt::format("synced index: expected less than {}, found {}", record.entry.index, record.synced));
    }
    if (record.entry.type > EntryType::transaction) {
      return corrupt(
          fmt::format("entry type: expected 0 or 1, found {}", static_cast<unsigned>(record.entry.type)));
    }
    accept(record, content_.end_offset);
    return {};
  }

  // The record verifies itself but was written behind another predecessor than the one we have. If it says
  // that its predecessor was durable, then it is the predecessor that is stale.
  Status judge_broken_chain(const Record& record, bool* stop) {
    const std::string what =
        fmt::format("chain: expected {:#018x}, found {:#018x}", content_.chain, record.prev);
    if (record.entry.term >= content_.last_term && record.synced + 1 >= next_index() &&
        !content_.offsets.empty()) {
      return corrupt(fmt::format("{}; entry {} was durable and is another one now", what, record.synced));
    }
    return judge_damage("chain", what, stop);
  }

  Status judge_damage(std::string reason, const std::string& what, bool* stop) {
    if (rules_.sealed_at) {
      return corrupt(what + "; the segment is not the last one");
    }
    if (const auto proof = rules_.fault_cut_damage ? std::nullopt : find_testimony()) {
      return corrupt(
          fmt::format("{}; not a torn tail: entry {} at offset {} says that entries up to {} were synced",
                      what, proof->index, proof->offset, proof->synced));
    }
    content_.torn_bytes = rest().size();
    content_.torn_reason = std::move(reason);
    *stop = true;
    return {};
  }

  struct Testimony {
    std::uint64_t offset = 0;
    std::uint64_t index = 0;
    std::uint64_t synced = 0;
  };

  // A record at or behind the damage, at any byte position since lengths cannot be trusted, that verifies
  // itself, could follow what we have, and says that the damaged entry was durable.
  std::optional<Testimony> find_testimony() const {
    const std::uint64_t damaged = next_index();
    for (std::size_t at = content_.end_offset; at + kRecordOverheadBytes <= bytes_.size(); ++at) {
      // The index first: it is what random bytes fail at, without a hash.
      const auto index = load_fixed<std::uint64_t>(bytes_.data() + at + kRecordIndexAt);
      if (index < damaged || index - damaged > bytes_.size() / kRecordOverheadBytes) {
        continue;
      }
      Record record;
      if (parse_record(bytes_.substr(at), content_.header.sequence, at, &record) == RecordDamage::none &&
          record.synced >= damaged && record.synced < record.entry.index &&
          record.entry.term >= content_.last_term) {
        return Testimony{at, record.entry.index, record.synced};
      }
    }
    return std::nullopt;
  }

  // Planted fault. A reader of recycled log files that trusts each record's own checksum looks for the next
  // one that fits by index alone. Behind the end of a log that was cut and written again that is a record
  // of the old tail, whenever the new records ended before it.
  Status resynchronise(RecordDamage damage, bool* stop) {
    for (std::size_t at = content_.end_offset; at + kRecordOverheadBytes <= bytes_.size(); ++at) {
      Record record;
      if (load_fixed<std::uint64_t>(bytes_.data() + at + kRecordIndexAt) == next_index() &&
          parse_record(bytes_.substr(at), content_.header.sequence, at, &record) == RecordDamage::none) {
        accept(record, at);
        return {};
      }
    }
    content_.torn_bytes = rest().size();
    content_.torn_reason = damage == RecordDamage::none ? "index" : to_string(damage);
    *stop = true;
    return {};
  }

  Status check_end() const {
    if (!rules_.sealed_at) {
      return {};
    }
    if (!sealed_end()) {
      return corrupt(fmt::format("last entry of the segment: expected {}, found {}", *rules_.sealed_at,
                                 content_.last_index()));
    }
    if (!rest().empty() && !rules_.fault_keep_tail_bytes) {
      return corrupt(fmt::format("end of the segment: expected here, found {} more bytes", rest().size()));
    }
    return {};
  }

  std::string_view bytes_;
  const std::string& name_;
  const SegmentRules& rules_;
  SegmentContent& content_;
};

}  // namespace

Status read_segment(std::string_view bytes, const std::string& name, const SegmentRules& rules,
                    SegmentContent* content) {
  *content = SegmentContent();
  return SegmentReader(bytes, name, rules, content).run();
}

}  // namespace chaosgate::log
