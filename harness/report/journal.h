// Journal is what a campaign's report is made of: every event goes through it once, into the report and into
// events.jsonl, so that a report made from the file later is the same.
//
// ReportBuilder does the making; it sees events as they are read back.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/base/unique_fd.h"
#include "harness/report/campaign_event.h"
#include "harness/report/campaign_report.h"

namespace chaosgate::report {

// What is known at any moment, of one engine or of all.
struct Totals {
  std::uint64_t kills = 0;
  std::uint64_t images = 0;
  std::uint64_t violations = 0;
};

// Adds events up. The order of events of different lanes changes nothing, so that threads and files may come
// in any order; a lane's own come in theirs. Not thread-safe.
class ReportBuilder {
 public:
  // `event` is a line of events.jsonl. One of a type that is not known is ignored: a newer file can be read.
  // Throws UsageError or nlohmann's exceptions when it is no event; then nothing was added.
  void add(const nlohmann::json& event);

  // Without a begin (a file of version 0.1, which has cycles only) it invents nothing: no contracts, nothing
  // of what was wanted. Without an end it is not complete.
  CampaignReport report() const;
  // Of one engine; empty when nothing is known of it.
  EngineSection section(const std::string& engine) const;
  Totals totals(const std::string& engine) const;
  Totals totals() const;
  GroupTally group() const;  // what happened between the replicas

 private:
  using WhereAndWhat = std::pair<std::string, ViolationEvent>;
  struct PowerPart {  // of a lane
    PowerTally tally;
    std::vector<WhereAndWhat> violations;
    std::optional<FailingEvent> failing;  // its cause is not known yet
  };
  struct EnginePart {
    EngineSection section;  // without what follows
    bool begun = false;
    EngineBegin begin;
    EngineEnd end;
    std::uint64_t found_by_kill = 0;  // violations
    std::uint64_t images_judged = 0;
    std::uint64_t images_broken = 0;  // that broke a promise
    std::string command;              // of the first cycle with a failure
    std::map<std::uint64_t, PowerPart> lanes;
  };

  EnginePart& part(const std::string& engine);
  const EnginePart* find(const std::string& engine) const;
  static EngineSection section_of(const EnginePart& part);
  static std::string command_of(const EnginePart& part, const EngineSection& section);
  static void add_image(PowerPart* lane, const std::string& where, const PowerFinding& finding, bool first);

  void add_cycle(const CycleEvent& event);
  void add(const CampaignBegin& event);
  void add(const EngineBegin& event);
  void add(const ImagesEvent& event);
  void add(const ImageEvent& event);
  void add(const FailingEvent& event);
  void add(const FindingEvent& event);
  void add(const GroupEvent& event);
  void add(const MigrationEvent& event);
  void add(const CheckEvent& event);
  void add(const DamageEvent& event);
  void add(const ControlEvent& event);
  void add(const FaultEvent& event);
  void add(const DoubtEvent& event);
  void add(const EngineEnd& event);
  void add(const CampaignEnd& event);
  template <typename Event>
  bool add_if(const std::string& type, const nlohmann::json& event);

  CampaignReport frame_;
  std::vector<EnginePart> engines_;  // in order of appearance
  std::map<std::uint64_t, GroupTally> groups_;
  std::map<std::uint64_t, MigrationTally> migrations_;
  std::vector<Conformance> conformance_;  // in order of appearance, like the next ones
  struct DamagePart {
    Damage damage;  // without its tally
    std::map<std::uint64_t, DamageTally> lanes;
  };
  std::vector<DamagePart> damage_;
  std::map<std::uint64_t, ControlResult> controls_;
  std::map<std::uint64_t, FaultResult> faults_;
};

// Thread-safe.
class Journal {
 public:
  // Throws EnvironmentError when the file cannot be made.
  explicit Journal(const std::filesystem::path& path);
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  // The line is handed to the kernel before this returns, so that a campaign that is killed keeps all but the
  // one it was writing. Throws EnvironmentError when it cannot be written whole: then the report has it and
  // the file does not, not even a part of it.
  template <typename Event>
  void write(const Event& event) {
    write_json(event_json(event));
  }
  void write(const CycleEvent& event) { write_json(event_json("cycle", nlohmann::json(event))); }

  CampaignReport report() const;
  EngineSection section(const std::string& engine) const;
  Totals totals(const std::string& engine) const;
  Totals totals() const;
  GroupTally group() const;

 private:
  void write_json(const nlohmann::json& json);

  const std::filesystem::path path_;
  UniqueFd file_;
  mutable std::mutex mutex_;  // guards what follows
  ReportBuilder builder_;
  std::uint64_t bytes_ = 0;  // of whole lines in the file
};

// The report that an events.jsonl makes. A line that is no event is a UsageError naming file and line. The
// last line may be torn, as a campaign that was killed leaves it: it is left out, and `note` says so. `note`
// is empty when there is nothing to say.
CampaignReport read_report(const std::filesystem::path& path, std::string* note = nullptr);
// The cycles alone.
std::vector<CycleEvent> read_cycles(const std::filesystem::path& path, std::string* note = nullptr);

}  // namespace chaosgate::report
