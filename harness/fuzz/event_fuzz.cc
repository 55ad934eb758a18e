// Lines of events.jsonl, of all kinds: what was read is written and read again as the same, makes the same
// report, and every writer can show it. A line that is refused adds nothing.
#include <algorithm>

#include "harness/base/check.h"
#include "harness/base/error.h"
#include "harness/base/fill_fields_for_test.h"
#include "harness/base/hash.h"
#include "harness/base/json.h"
#include "harness/fuzz/fuzz.h"
#include "harness/fuzz/json_mutant.h"
#include "harness/report/journal.h"
#include "harness/report/writers.h"

namespace chaosgate::fuzz {
namespace {

using nlohmann::json;
using namespace report;  // NOLINT: nineteen kinds of event

template <typename Event>
std::string line_of(const Event& event) {
  return event_json(event).dump();
}

CycleEvent cycle() {
  CycleEvent event;
  event.engine = "rocksdb";
  event.protocol = "sidecar";
  event.cells = {"after sst.datasync/flush"};
  event.crash.kind = "step";
  event.crash.step = "before-log-sync";
  event.recrashes = {event.crash};
  event.recrashes[0].outcome = Outcome::died;
  event.recovered = true;
  event.checked = {"log.acked", "state.prefix"};
  event.violations = {
      {"state.prefix", "a key is missing", "key \"a\"\n", "failures/1", "chaosgate replay 1", ""}};
  return event;
}

PowerFinding finding() {
  PowerFinding found;
  found.invariant = "state.prefix";
  found.cause = "the rename of CURRENT was lost";
  found.profile = "ext4-ordered";
  found.images = 3;
  return found;
}

GroupTally group() {
  GroupTally tally;
  tally.replicas = {"0 rocksdb in-batch", "1 lmdb sidecar"};
  tally.snapshots_installed = {{"rocksdb -> lmdb", 2}};
  tally.snapshots_damaged = {{"cut", 1}};
  return tally;
}

PowerTally power() {
  PowerTally tally;
  tally.judged = 40;
  tally.strategies = {{"sync", {30, 2, 1, 0}}};
  tally.cuts = {{"rename", {4, 2}}};
  tally.checks = {{"log.acked", 40}};
  tally.not_reproduced = {{"lane 0: hung", false}};
  return tally;
}

std::vector<std::string> seeds() {
  CampaignBegin begin{"0.2", {{"fmt", "9.1"}}, "0x2a", "12ab", {{"kills", "10", "flag"}}};
  begin.command = "chaosgate run --seed 0x2a";
  EngineBegin engine;
  engine.engine = "rocksdb";
  engine.profile = "ext4-ordered";
  engine.kills_wanted = 10;
  engine.steps_expected = {"before-log-sync"};
  ViolationEvent violation{"log.acked", "an entry is lost", "", "", "chaosgate replay 2", ""};
  DamageTally damage;
  damage.by_class = {{"sst", {1, 2, 3, 4}}};
  damage.findings = {with_all_fields_set<DamageFinding>()};
  MigrationTally migration;
  migration.from = "bbolt";
  migration.to = "rocksdb";
  migration.findings = {with_all_fields_set<MigrationFinding>()};
  const std::vector<std::string> lines = {
      line_of(begin),
      line_of(engine),
      event_json("cycle", json(cycle())).dump(),
      line_of(ImagesEvent{"rocksdb", 0, power()}),
      line_of(FailingEvent{"rocksdb", 0, "lane 0 load 3", finding()}),
      line_of(ImageEvent{"rocksdb", 0, "lane 0 load 3", true, finding()}),
      line_of(FindingEvent{"rocksdb", 1, "lane 1 load 3, after a kill", 7, violation}),
      line_of(GroupEvent{1, group()}),
      line_of(MigrationEvent{2, migration}),
      line_of(CheckEvent{"lmdb", with_all_fields_set<ConformResult>()}),
      line_of(DamageEvent{"lmdb", 0, 10, true, damage}),
      line_of(ControlEvent{0, with_all_fields_set<ControlResult>()}),
      line_of(FaultEvent{1, with_all_fields_set<FaultResult>()}),
      line_of(DoubtEvent{"", "no kill landed"}),
      line_of(EngineEnd{"rocksdb", 1.5, true, 0.5, 2}),
      line_of(CampaignEnd{true, "", false, false, 12.5})};
  std::vector<std::string> files = lines;
  std::string& whole = files.emplace_back();
  for (const std::size_t i : {0, 1, 2, 7, 14, 15}) {
    whole += lines.at(i) + "\n";
  }
  return files;
}

// Whether the line is of this kind; then it is written and read again as the same.
template <typename Event>
bool round_trip(const std::string& type, const json& line, const char* name) {
  if (type != name) {
    return false;
  }
  Event event;
  try {
    event = line.get<Event>();
  } catch (const json::exception&) {
    return true;  // a line of an earlier build, which lacks what the builder fills in
  }
  const json written = event_json(name, json(event));
  CHECK(event_json(name, json(written.get<Event>())) == written, "{}", written.dump());
  return true;
}

template <typename... Events>
void round_trips(const json& line) {
  const std::string type = line.value("type", "cycle");
  round_trip<CycleEvent>(type, line, "cycle") || (round_trip<Events>(type, line, Events::kType) || ...);
}

void show(const CampaignReport& report) {
  for (const std::string& text :
       {render_json(report), render_junit(report), render_markdown(report), render_html(report),
        render_terminal(report, false), render_github_errors(report)}) {
    const bool plain = std::none_of(text.begin(), text.end(), [](char c) {
      return static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t';
    });
    CHECK(plain, "a report acts on a terminal: {}", text);
  }
}

// What a builder knows, as text.
std::string known(const ReportBuilder& builder) { return render_json(builder.report()); }

// Adds a line; how far it came.
Reach add(std::string_view text, ReportBuilder* builder, ReportBuilder* again) {
  if (!json::accept(text)) {  // the same without an exception, which takes long
    return Reach::refused;
  }
  json line;
  try {
    line = parse_json(text);
  } catch (const json::exception&) {
    return Reach::refused;
  }
  try {
    builder->add(line);
  } catch (const json::exception&) {
    return Reach::verified;
  } catch (const UsageError&) {
    return Reach::verified;
  }
  round_trips<CampaignBegin, EngineBegin, ImagesEvent, ImageEvent, FailingEvent, FindingEvent, GroupEvent,
              MigrationEvent, CheckEvent, DamageEvent, ControlEvent, FaultEvent, DoubtEvent, EngineEnd,
              CampaignEnd>(line);
  again->add(parse_json(line.dump()));
  return Reach::accepted;
}

// The reach is that of the line that came furthest.
Reach run(std::string_view bytes) {
  static const std::string kNothing = known(ReportBuilder());
  ReportBuilder builder;
  ReportBuilder again;
  Reach reach = Reach::refused;
  while (!bytes.empty()) {
    const std::size_t end = std::min(bytes.find('\n'), bytes.size());
    reach = std::max(reach, add(bytes.substr(0, end), &builder, &again));
    bytes.remove_prefix(std::min(end + 1, bytes.size()));
  }
  if (reach == Reach::refused) {
    return reach;
  }
  const std::string text = known(builder);
  if (reach == Reach::verified) {
    CHECK(text == kNothing, "a line that was refused added something: {}", text);
    return reach;
  }
  CHECK(text == known(again));
  if (hash64(text) % 64 == 0) {  // writers are slow
    show(builder.report());
  }
  return reach;
}

}  // namespace

// A JSON value is large, and a page has much around what it shows.
Target target() {
  Target target{"event", seeds, nullptr, run, 4 << 20, 1024};
  target.mutate = mutate_json_lines;
  return target;
}

}  // namespace chaosgate::fuzz
