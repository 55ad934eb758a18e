// What comes from outside: names below a directory and text for a terminal.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <iterator>
#include <string>

#include "harness/base/beneath.h"
#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/printable.h"
#include "harness/base/test.h"

namespace chaosgate {
namespace {

namespace fs = std::filesystem;

// A directory "in" with a file, a link that leads out and a pipe; beside it "out", which must stay empty.
struct Place {
  Place() : directory(fs::temp_directory_path(), "chaosgate-beneath-test-") {
    fs::create_directories(directory.path() / "in" / "deep");
    fs::create_directory(directory.path() / "out");
    replace_file(directory.path() / "in" / "file", "content");
    fs::create_symlink(directory.path() / "out", directory.path() / "in" / "away");
    fs::create_symlink("deep", directory.path() / "in" / "inside");
    REQUIRE(::mkfifo((directory.path() / "in" / "pipe").c_str(), 0600) == 0);
  }

  TempDir directory;
};

}  // namespace

TEST_CASE("a name from an input never leads out of its directory") {
  const Place place;
  const Beneath in(place.directory.path() / "in");
  const std::string outside = (place.directory.path() / "out" / "evil").string();
  for (const std::string& name :
       {std::string("../out/evil"), std::string("deep/../../out/evil"), outside, "/" + outside,
        std::string("away/evil"), std::string("inside/evil"), std::string(), std::string("a\0b", 3),
        std::string("file/evil"), std::string(300, 'x'), std::string(5000, 'x')}) {
    CAPTURE(name);
    UniqueFd fd;
    CHECK(in.open(name, O_WRONLY | O_CREAT | O_EXCL, &fd).code() == StatusCode::invalid_argument);
    CHECK_FALSE(fd);
    CHECK(in.write_new(name, "evil").code() == StatusCode::invalid_argument);
    CHECK(in.make_directory(name).code() == StatusCode::invalid_argument);
    bool linked = false;
    CHECK(Beneath::link(in, "file", in, name, &linked).code() == StatusCode::invalid_argument);
    CHECK_FALSE(linked);
  }
  CHECK(in.make_parents("away/more/evil").code() == StatusCode::invalid_argument);
  CHECK(in.make_parents("../out/more/evil").code() == StatusCode::invalid_argument);
  CHECK(fs::is_empty(place.directory.path() / "out"));
  CHECK(fs::is_empty(place.directory.path() / "in" / "deep"));
}

TEST_CASE("below a directory files are made, opened and linked") {
  const Place place;
  const Beneath in(place.directory.path() / "in");
  throw_if_refused(in.make_parents("a/b/c"));
  throw_if_refused(in.write_new("a/b/c", "bytes"));
  std::string bytes;
  REQUIRE(read_file(place.directory.path() / "in" / "a" / "b" / "c", &bytes).ok());
  CHECK(bytes == "bytes");
  CHECK(in.write_new("a/b/c", "again").code() == StatusCode::invalid_argument);
  bool linked = false;
  throw_if_refused(Beneath::link(in, "a/b/c", in, "deep/c", &linked));
  CHECK(linked);
  CHECK(fs::hard_link_count(place.directory.path() / "in" / "deep" / "c") == 2);
  UniqueFd fd;
  CHECK(in.open("nosuch", O_RDONLY, &fd).is_not_found());
  CHECK_THROWS_AS(throw_if_refused(in.open("nosuch", O_RDONLY, &fd)), UsageError);
  CHECK_THROWS_AS(Beneath(place.directory.path() / "nosuch"), EnvironmentError);
}

TEST_CASE("a pipe or a device that is named for output is written to, not replaced") {
  const TempDir directory(fs::temp_directory_path(), "chaosgate-output-test-");
  const fs::path path = directory.path() / "pipe";
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  const UniqueFd reader(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  replace_file(path, "bytes");
  CHECK(fs::is_fifo(path));
  std::string bytes(5, '\0');
  CHECK(::read(reader.get(), bytes.data(), bytes.size()) == 5);
  CHECK(bytes == "bytes");
  CHECK(std::distance(fs::directory_iterator(directory.path()), fs::directory_iterator()) == 1);
}

TEST_CASE("text from outside cannot command a terminal") {
  CHECK(printable_line("plain text, \xc3\xa4 \xe2\x82\xac") == "plain text, \xc3\xa4 \xe2\x82\xac");
  CHECK(printable_line("\x1b[31mred\nchaosgate: all is well\r") ==
        "\\x1b[31mred chaosgate: all is well\\x0d");
  CHECK(printable("\xe2\x80\xae") == "\\xe2\\x80\\xae");  // turns the direction of writing
  CHECK(printable("\xe2\x81\xa7") == "\\xe2\\x81\\xa7");  // so does this
  CHECK(printable("\xe2\x80\xa8") == "\\xe2\\x80\\xa8");  // ends a line, too
  CHECK(printable("\xe2\x81\xaa") == "\xe2\x81\xaa");
  CHECK(printable("two\n\tlines\x07") == "two\n\tlines\\x07");
}

}  // namespace chaosgate
