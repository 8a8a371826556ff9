// JSON as we take it from others: limited in size and depth, no duplicate keys, and every complaint
// names the place. The library is nlohmann's; readers get values by these functions alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stepdown::json {

// Keeps the order of the keys: what isn't changed is written as it came.
using Json = nlohmann::ordered_json;

// For a document that a program in Go reads as well: encoding/json takes the key "USER" for "user",
// and of both together the last, member by member.
struct GoKeys {
  // That stand as they are, or not at all; in alphabetical order, in which case doesn't count.
  std::span<const std::string_view> names;
  std::span<const std::string_view> maps;  // the objects below these have keys of their own
};

struct Limits {
  std::size_t bytes = std::size_t{1} << 20U;  // of the text
  std::size_t depth = 32;                     // arrays and objects within one another
  GoKeys go = {};
};

// Error, step `name`: not JSON (line and column), a duplicate key (its place), above a limit, not
// UTF-8, a NUL in a string. With `go`: a key that Go would take for another, or for one of the
// names.
Json parse(std::string_view text, const std::string& name, const Limits& limits = {});

// Without a blank. Error, step `name`: a string isn't UTF-8. What was read is; options need not be.
std::string text_of(const Json& document, const std::string& name);

// For messages: in double quotes, cut, fit for a terminal.
std::string shown(std::string_view text);

// A value and where it stands, as "syscalls[3].args[0].op".
class Value {
 public:
  // `name` is what messages call the document; both must outlive the Value.
  Value(const Json& json, const std::string& name) : json_(&json), name_(&name) {}

  [[nodiscard]] const Json& json() const { return *json_; }
  [[nodiscard]] const std::string& place() const { return place_; }  // "" for the document

  // Whether the key is there and not null: Go writes null for what is empty. Error: not an object.
  [[nodiscard]] bool has(std::string_view key) const;
  // Error, naming the place: not an object, no such key.
  [[nodiscard]] Value at(std::string_view key) const;
  // The elements. Error: not an array.
  [[nodiscard]] std::vector<Value> elements() const;
  // Error: another type; for numbers, out of range (a float, a sign and an overflow included).
  [[nodiscard]] const std::string& string() const;
  [[nodiscard]] bool boolean() const;
  [[nodiscard]] std::uint64_t number(std::uint64_t least, std::uint64_t most) const;
  [[nodiscard]] std::vector<std::string> strings() const;
  // Error: not an object, or a key that isn't one of these, with its place.
  void only(const std::vector<std::string_view>& keys) const;

  // Throws the Error: step "NAME: PLACE".
  [[noreturn]] void refuse(std::string_view cause, std::string_view hint = {}) const;

 private:
  Value(const Json& json, const std::string& name, std::string place)
      : json_(&json), name_(&name), place_(std::move(place)) {}

  const Json* json_;
  const std::string* name_;
  std::string place_;
};

}  // namespace stepdown::json
