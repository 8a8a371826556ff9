// JSON from others: what is refused, and that the message says where.
#include "json/strict_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "stepdown/error.h"

namespace stepdown::json {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

const std::string name = "file.json";
constexpr std::size_t mebibyte = std::size_t{1} << 20U;

template <class Action>
std::string refusal_of(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.details().step + ": " + error.details().cause;
  }
  return "no refusal";
}

std::string refusal(std::string_view text, const Limits& limits = {}) {
  return refusal_of([&] { parse(text, name, limits); });
}

std::string repeated(std::string_view part, std::size_t bytes) {
  std::string text;
  while (text.size() + part.size() <= bytes) text += part;
  return text;
}

// A letter of each key's: 100 keys in the first round, all different.
std::string object_of_many_keys(std::size_t bytes) {
  std::string text = "{";
  for (unsigned i = 0; text.size() + 16 < bytes; ++i) {
    text += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":1";
  }
  return text + "}";
}

TEST(StrictJson, WritesWhatIsntChangedAsItCame) {
  const std::string text =
      R"({"z":1,"a":[18446744073709551615,-9223372036854775808,1.5,true,null,"é\n"],"m":{},"b":[]})";
  EXPECT_EQ(parse(text, name).dump(), text);
}

TEST(StrictJson, TakesAValueOfEveryKindAsTheDocument) {
  for (const std::string text : {"null", "true", "7", "-7", "1.5", "\"x\"", "[]", "{}"}) {
    EXPECT_EQ(parse(text, name).dump(), text);
  }
}

struct Refused {
  std::string_view text;
  std::string message;
};
class NoJson : public testing::TestWithParam<Refused> {};

TEST_P(NoJson, IsRefusedByLineAndColumn) {
  EXPECT_EQ(refusal(GetParam().text), GetParam().message) << GetParam().text;
}

INSTANTIATE_TEST_SUITE_P(
    Table, NoJson,
    testing::Values(Refused{"", "file.json: line 1, column 1: the JSON ends too early"},
                    Refused{"\n\n ", "file.json: line 3, column 2: the JSON ends too early"},
                    Refused{"{\"a\": 1", "file.json: line 1, column 8: the JSON ends too early"},
                    Refused{"\"abc", "file.json: line 1, column 5: the JSON ends too early"},
                    Refused{"{\n  \"a\": 1,\n}", "file.json: line 3, column 1: no JSON: \"}\""},
                    Refused{"[1,\n 2 3]", "file.json: line 2, column 4: no JSON: \" 2 3\""},
                    Refused{"{'a': 1}", "file.json: line 1, column 2: no JSON: \"{'\""},
                    Refused{"{} {}", "file.json: line 1, column 4: no JSON: \"{} {\""},
                    Refused{"[1] // one", "file.json: line 1, column 5: no JSON: \"[1] /\""},
                    Refused{"[01]", "file.json: line 1, column 3: no JSON: \"[01\""},
                    Refused{"[NaN]", "file.json: line 1, column 2: no JSON: \"[N\""},
                    Refused{"[1e999]", "file.json: line 1, column 6: this number is too large"},
                    Refused{"[\"\xff\"]", R"(file.json: line 1, column 3: no JSON: "[\"\xff")"},
                    Refused{"[\"\\ud800\"]",
                            R"(file.json: line 1, column 9: no JSON: "[\"\\ud800\"")"}));

struct RefusedValue {
  std::string_view text;
  std::string message;
};
class Values : public testing::TestWithParam<RefusedValue> {};

TEST_P(Values, AreRefusedByTheirPlace) {
  EXPECT_EQ(refusal(GetParam().text), GetParam().message) << GetParam().text;
}

constexpr std::string_view twice = "this key stands here twice";
constexpr std::string_view no_64_bits = "this number doesn't fit into 64 bits";
constexpr std::string_view nul = "a NUL character, which no name or path can hold";

std::string at(std::string_view place, std::string_view cause) {
  return "file.json: " + std::string(place) + ": " + std::string(cause);
}

INSTANTIATE_TEST_SUITE_P(
    Table, Values,
    testing::Values(
        RefusedValue{R"({"a":1,"b":2,"a":1})", at("a", twice)},
        RefusedValue{R"({"a":1,"\u0061":1})", at("a", twice)},
        RefusedValue{R"({"a":{"a":1},"b":[{},{"x":[],"y":{},"x":1}]})", at("b[1].x", twice)},
        RefusedValue{R"({"a b":{"":1,"":2}})", at(R"(["a b"][""])", twice)},
        RefusedValue{R"([[18446744073709551615,18446744073709551616]])", at("[0][1]", no_64_bits)},
        RefusedValue{R"({"n":-9223372036854775809})", at("n", no_64_bits)},
        RefusedValue{R"({"path":"/a\u0000/b"})", at("path", nul)},
        RefusedValue{R"({"x":{"pa\u0000th":1}})", at(R"(x["pa\x00th"])", nul)}));

TEST(StrictJson, SameKeysOfDifferentObjectsAreNoDuplicates) {
  EXPECT_EQ(refusal(R"({"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}]})"), "no refusal");
}

class GoReaders : public testing::TestWithParam<RefusedValue> {
 protected:
  static constexpr auto names = std::to_array<std::string_view>({"noRisk", "process"});
  static constexpr auto maps = std::to_array<std::string_view>({"labels"});
  static constexpr Limits limits{.go = {.names = names, .maps = maps}};
};

TEST_P(GoReaders, TakeNoKeyForAnother) {
  EXPECT_EQ(refusal(GetParam().text, limits), GetParam().message);
  // Who doesn't ask for it isn't told.
  EXPECT_EQ(refusal(GetParam().text), "no refusal");
}

std::string other_case(std::string_view known) {
  return "some runtimes take this key for \"" + std::string(known) + "\", and others for none";
}
constexpr std::string_view twice_folded = "this key stands here twice, in another case";

INSTANTIATE_TEST_SUITE_P(
    Table, GoReaders,
    testing::Values(
        RefusedValue{R"({"process":{},"PROCESS":{}})", at("PROCESS", other_case("process"))},
        RefusedValue{R"({"Process":{}})", at("Process", other_case("process"))},
        RefusedValue{R"([{"norisk":1}])", at("[0].norisk", other_case("noRisk"))},
        RefusedValue{R"({"proceſs":{}})", at(R"(["proce\xc5\xbfs"])", other_case("process"))},
        RefusedValue{R"({"noRi\u017f\u212a":1})",
                     at(R"(["noRi\xc5\xbf\xe2\x84\xaa"])", other_case("noRisk"))},
        RefusedValue{R"({"labels":{"a":1,"A":1},"a":{"x":1,"X":1}})", at("a.X", twice_folded)},
        RefusedValue{R"({"labels":[{"x":1,"X":1}]})", at("labels[0].X", twice_folded)},
        RefusedValue{R"({"labels":{"a":{"x":1,"X":1}}})", at("labels.a.X", twice_folded)},
        RefusedValue{R"({"LABELS":{},"labels":{}})", at("labels", twice_folded)},
        RefusedValue{R"({"k":1,"\u212a":1})", at(R"(["\xe2\x84\xaa"])", twice_folded)}));

TEST_F(GoReaders, KeepTheKeysOfMapsApart) {
  EXPECT_EQ(refusal(R"({"process":1,"labels":{"a":1,"A":1,"PROCESS":1},"b":{"B":1}})", limits),
            "no refusal");
}

TEST(StrictJson, ANulByteIsNotTheEndOfTheText) {
  using namespace std::string_view_literals;
  EXPECT_EQ(refusal("{}\0"sv), "file.json: no JSON: a NUL byte");
  EXPECT_EQ(refusal("{}\0{ garbage"sv), "file.json: no JSON: a NUL byte");
}

TEST(StrictJson, EveryBeginningOfATextIsRefused) {
  const std::string text = R"({"a": [1.5e3, -2, "x\u00e9\n", true, null], "b": {"c": {}}})";
  ASSERT_EQ(refusal(text), "no refusal");
  for (std::size_t size = 0; size < text.size(); ++size) {
    EXPECT_THAT(refusal(text.substr(0, size)), StartsWith("file.json: line 1, column "))
        << text.substr(0, size);
  }
}

TEST(StrictJson, TheDepthIsBounded) {
  const Limits limits{mebibyte, 3};
  EXPECT_EQ(refusal(R"([{"a":[1]}])", limits), "no refusal");
  EXPECT_EQ(refusal(R"([{"a":[[]]}])", limits),
            "file.json: [0].a[0]: more than 3 arrays and objects within one another");
  EXPECT_EQ(refusal(R"([1,{"b":{"c":{}}}])", limits),
            "file.json: [1].b.c: more than 3 arrays and objects within one another");
}

TEST(StrictJson, AMebibyteOfBracketsIsRefusedAtTheDepth) {
  for (const std::string_view part : {"[", "{\"a\":", "[{\"a\":[", "[[],"}) {
    EXPECT_THAT(refusal(repeated(part, mebibyte)),
                HasSubstr("more than 32 arrays and objects within one another"))
        << part;
  }
}

TEST(StrictJson, TheSizeIsBounded) {
  EXPECT_EQ(refusal("[10]", {4, 32}), "no refusal");
  EXPECT_EQ(refusal("[100]", {4, 32}), "file.json: more than 4 bytes of JSON");
  EXPECT_EQ(refusal(std::string(10 * mebibyte, ' ')), "file.json: more than 1048576 bytes of JSON");
  EXPECT_EQ(refusal("[" + repeated("1,", 10 * mebibyte) + "1]"),
            "file.json: more than 1048576 bytes of JSON");
}

// Strings within 31 objects, whose places are long.
std::string strings_in_the_depth(std::size_t bytes) {
  const std::string step = "{\"" + repeated("\xc3\xa9", 40) + "\":";
  const std::string end(31, '}');
  const std::string start = repeated(step, 31 * step.size()) + "[\"\"";
  return start + repeated(",\"\"", bytes - start.size() - end.size() - 1) + "]" + end;
}

TEST(StrictJson, AMebibyteIsReadInASecondWhateverItHolds) {
  for (const std::string& text :
       {object_of_many_keys(mebibyte), strings_in_the_depth(mebibyte),
        "[" + repeated("{},", mebibyte - 8) + "1]", "[" + repeated("0,", mebibyte - 8) + "1]",
        "\"" + std::string(mebibyte - 2, 'x') + "\""}) {
    const auto start = std::chrono::steady_clock::now();
    EXPECT_EQ(refusal(text), "no refusal");
    // Under the sanitizers; looking through all keys for each would take minutes.
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
  }
}

TEST(StrictJson, NothingOfTheTextsOwnReachesTheTerminal) {
  const auto bare = [](char c) { return static_cast<unsigned char>(c - 0x20) >= 0x5f; };
  for (const std::string& hostile :
       {std::string("\x1b[2J"), std::string("\x7f"), std::string("\xc2\x9b"), std::string("\b"),
        std::string("\xe2\x80\xae"), std::string("\nstepdown: all is well")}) {
    std::string escaped;
    for (const char c : hostile) {
      const bool control = static_cast<unsigned char>(c) < 0x20;
      escaped += !control ? std::string(1, c) : c == '\x1b' ? "\\u001b" : c == '\b' ? "\\b" : "\\n";
    }
    const std::string key = '"' + escaped + '"';
    for (const std::string& text :
         {hostile, "[" + hostile + "]", "[1 \"" + hostile + "\"]", "{" + key + ":1," + key + ":2}",
          "{" + key + ":[123456789012345678901234567890]}", "{\"a\" " + key + "}"}) {
      const std::string message = refusal(text);
      EXPECT_NE(message, "no refusal") << testing::PrintToString(text);
      EXPECT_TRUE(std::none_of(message.begin(), message.end(), bare))
          << testing::PrintToString(message);
      EXPECT_THAT(message, testing::Not(HasSubstr("\nstepdown")));
    }
  }
}

TEST(StrictJson, ALongKeyIsCut) {
  const std::string key(mebibyte / 4, 'k');
  const std::string message = refusal("{\"" + key + "\":1,\"" + key + "\":1}");
  EXPECT_EQ(message, at("[\"" + std::string(40, 'k') + "\"...]", twice));
}

TEST(StrictJsonValue, KnowsItsPlace) {
  const Json json = parse(R"({"a":[{"b":1},{"b":[7]}],"x y":1})", name);
  const Value document(json, name);
  EXPECT_EQ(document.place(), "");
  EXPECT_EQ(document.at("a").place(), "a");
  EXPECT_EQ(document.at("a").elements()[1].at("b").elements()[0].place(), "a[1].b[0]");
  EXPECT_EQ(document.at("x y").place(), R"(["x y"])");
  EXPECT_EQ(Value(json["a"], name).elements()[1].place(), "[1]");
  EXPECT_EQ(refusal_of([&] { document.at("a").elements()[0].at("b").refuse("why"); }),
            "file.json: a[0].b: why");
  EXPECT_EQ(refusal_of([&] { document.refuse("why"); }), "file.json: why");
}

TEST(StrictJsonValue, ReadsWhatItIs) {
  const Json json = parse(
      R"({"s":"x","t":true,"f":false,"n":18446744073709551615,"l":["a","b"],"e":[],"z":null})",
      name);
  const Value document(json, name);
  EXPECT_EQ(document.at("s").string(), "x");
  EXPECT_TRUE(document.at("t").boolean());
  EXPECT_FALSE(document.at("f").boolean());
  EXPECT_EQ(document.at("n").number(0, UINT64_MAX), UINT64_MAX);
  EXPECT_THAT(document.at("l").strings(), ElementsAre("a", "b"));
  EXPECT_THAT(document.at("e").strings(), ElementsAre());
  EXPECT_TRUE(document.has("f"));
  EXPECT_FALSE(document.has("z"));
  EXPECT_FALSE(document.has("y"));
}

TEST(StrictJsonValue, RefusesAnotherType) {
  const Json json = parse(R"({"a":[null,{},[],"x",true,1,-1,1.5]})", name);
  const auto elements = Value(json, name).at("a").elements();
  const std::vector<std::string> kinds{"null",      "an object", "an array", "a string",
                                       "a boolean", "a number",  "a number", "a number"};
  for (std::size_t i = 0; i < elements.size(); ++i) {
    const Value& value = elements[i];
    const auto expect = [&](const std::string& wanted, const auto& read) {
      EXPECT_EQ(refusal_of(read),
                at("a[" + std::to_string(i) + "]", wanted + " is expected, not " + kinds[i]));
    };
    if (!value.json().is_object()) {
      expect("an object", [&] { static_cast<void>(value.has("k")); });
      expect("an object", [&] { static_cast<void>(value.at("k")); });
      expect("an object", [&] { value.only({"k"}); });
    }
    if (!value.json().is_array()) {
      expect("an array", [&] { static_cast<void>(value.elements()); });
      expect("an array", [&] { static_cast<void>(value.strings()); });
    }
    if (!value.json().is_string()) {
      expect("a string", [&] { static_cast<void>(value.string()); });
    }
    if (!value.json().is_boolean()) {
      expect("true or false", [&] { static_cast<void>(value.boolean()); });
    }
    if (!value.json().is_number()) {
      expect("a whole number from 2 to 5", [&] { static_cast<void>(value.number(2, 5)); });
    }
  }
}

TEST(StrictJsonValue, RefusesNumbersOutOfRange) {
  const Json json = parse("[1,6,-1,3.0,18446744073709551615]", name);
  const auto elements = Value(json, name).elements();
  const std::vector<std::string> written{"1", "6", "-1", "3.0", "18446744073709551615"};
  for (std::size_t i = 0; i < elements.size(); ++i) {
    EXPECT_EQ(refusal_of([&] { static_cast<void>(elements[i].number(2, 5)); }),
              at("[" + std::to_string(i) + "]",
                 "a whole number from 2 to 5 is expected, not " + written[i]));
  }
  EXPECT_EQ(elements[0].number(1, 5), 1U);
  EXPECT_EQ(elements[1].number(1, 6), 6U);
  // One that we made, not read.
  const Json made(5);
  EXPECT_EQ(Value(made, name).number(5, 5), 5U);
}

TEST(StrictJsonValue, RefusesAKeyThatIsMissingOrUnknown) {
  const Json json = parse(R"({"o":{"known":1,"excludez":2}})", name);
  const Value object = Value(json, name).at("o");
  EXPECT_EQ(refusal_of([&] { static_cast<void>(object.at("k")); }),
            at("o", "the key \"k\" is missing"));
  EXPECT_EQ(refusal_of([&] {
              object.only({"known", "excludes"});
            }),
            at("o.excludez", "unknown key"));
  EXPECT_EQ(refusal_of([&] { object.only({"known", "excludez"}); }), "no refusal");
  try {
    object.only({"known", "excludes"});
  } catch (const Error& error) {
    EXPECT_EQ(error.details().hint, "known here: known, excludes");
    EXPECT_EQ(error.details().status, exit_status::failed);
  }
}

}  // namespace
}  // namespace stepdown::json
