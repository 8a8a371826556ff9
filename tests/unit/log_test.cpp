// What stands in a message may come from an image: fit for a terminal, and readable.
#include "cli/log.h"

#include <gtest/gtest.h>

#include <string>

#include "json/strict_json.h"
#include "sys/text.h"

namespace stepdown::cli {
namespace {

std::string written(const std::string& message) {
  testing::internal::CaptureStderr();
  write_log(LogLevel::error, message);
  return testing::internal::GetCapturedStderr();
}

TEST(Log, LetsNoControlSequenceThrough) {
  EXPECT_EQ(written("a\x1b[2J\r\x9b\xe2\x80\xae"),
            "stepdown: a\\x1b[2J\\x0d\\x9b\\xe2\\x80\\xae\n");
}

TEST(Log, EscapesNothingTwice) {
  EXPECT_EQ(written("the key " + json::shown("a\x1b\"\\") + " is missing"),
            "stepdown: the key \"a\\x1b\\\"\\\\\" is missing\n");
  EXPECT_EQ(sys::printable(sys::escaped("a\x1b\\\n")), "a\\x1b\\\\\\x0a");
}

TEST(Log, KeepsTheLinesOfAMessage) {
  EXPECT_EQ(written("one\n  two"), "stepdown: one\n  two\n");
  EXPECT_EQ(sys::printable("one\ntwo"), "one\\x0atwo");
}

}  // namespace
}  // namespace stepdown::cli
