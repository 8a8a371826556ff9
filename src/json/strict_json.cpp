#include "json/strict_json.h"

#include <algorithm>
#include <set>
#include <utility>

#include "stepdown/error.h"
#include "sys/text.h"

namespace stepdown::json {

namespace {

constexpr std::size_t longest_shown = 40;

std::string step(const std::string& name, const std::string& place) {
  return place.empty() ? name : name + ": " + place;
}

// Keys as they stand in JSON's many relatives; others are quoted, so that a place can't be forged.
std::string below(const std::string& place, std::string_view key) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  if (key.empty() || key.size() > longest_shown || !std::all_of(key.begin(), key.end(), plain)) {
    return place + "[" + shown(key) + "]";
  }
  return place.empty() ? std::string(key) : place + "." + std::string(key);
}

std::string below(const std::string& place, std::size_t index) {
  return place + "[" + std::to_string(index) + "]";
}

std::string_view type(const Json& json) {
  switch (json.type()) {
    case Json::value_t::object:
      return "an object";
    case Json::value_t::array:
      return "an array";
    case Json::value_t::string:
      return "a string";
    case Json::value_t::boolean:
      return "a boolean";
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned:
    case Json::value_t::number_float:
      return "a number";
    case Json::value_t::null:
    case Json::value_t::binary:
    case Json::value_t::discarded:
      break;
  }
  return "null";
}

bool among(std::span<const std::string_view> all, std::string_view one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

// Keys that are the same to Go's encoding/json are the same here. Beyond ASCII two characters fold
// into it (Unicode's CaseFolding.txt): the long s, and the sign of the kelvin.
char take_folded(std::string_view& key) {
  constexpr std::string_view long_s = "\xc5\xbf";
  constexpr std::string_view kelvin = "\xe2\x84\xaa";
  const char c = key.front();
  std::size_t length = 1;
  char folded = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  if (c == long_s.front() && key.starts_with(long_s)) {
    length = long_s.size();
    folded = 's';
  } else if (c == kelvin.front() && key.starts_with(kelvin)) {
    length = kelvin.size();
    folded = 'k';
  }
  key.remove_prefix(length);
  return folded;
}

bool plainly_less(std::string_view a, std::string_view b) {
  return a < b;
}

bool folded_less(std::string_view a, std::string_view b) {
  while (!a.empty() && !b.empty()) {
    const char of_a = take_folded(a);
    const char of_b = take_folded(b);
    if (of_a != of_b) return of_a < of_b;
  }
  return a.empty() && !b.empty();
}

// Builds the value while the text is read. Of nlohmann's own builders one keeps the last of
// duplicate keys without a word, and neither bounds the depth; and ordered_json looks through all
// keys for each new one, minutes for an object of a MiB.
class Builder : public nlohmann::json_sax<Json> {
 public:
  Builder(std::string_view text, const std::string& name, const Limits& limits)
      : text_(text), name_(name), limits_(limits) {}

  Json take() { return std::move(root_); }

  bool null() override { return add(Json(nullptr)); }
  bool boolean(bool value) override { return add(Json(value)); }
  bool number_integer(number_integer_t value) override { return add(Json(value)); }
  bool number_unsigned(number_unsigned_t value) override { return add(Json(value)); }
  bool number_float(number_float_t value, const string_t& text) override {
    // What the library makes of integers beyond 64 bits; it would be written as another number.
    if (text.find_first_of(".eE") == std::string::npos) {
      refuse(step(name_, next_place()), "this number doesn't fit into 64 bits");
    }
    return add(Json(value));
  }
  bool string(string_t& value) override {
    refuse_nul(value);
    return add(Json(std::move(value)));
  }
  bool binary(binary_t& /*value*/) override { return false; }  // there is none in JSON

  bool start_object(std::size_t /*size*/) override { return open(Json::object()); }
  bool start_array(std::size_t /*size*/) override { return open(Json::array()); }
  bool end_object() override {
    refuse_duplicates(open_.back());
    return close();
  }
  bool end_array() override { return close(); }
  bool key(string_t& value) override {
    Open& object = open_.back();
    object.key = std::move(value);
    refuse_nul(object.key);
    if (is_for_go(object)) refuse_other_case(object.key);
    return true;
  }

  bool parse_error(std::size_t position, const std::string& /*token*/,
                   const nlohmann::detail::exception& error) override {
    // How many bytes were read, the offending one included; one more than there are at the end.
    const std::size_t offset = position == 0 ? 0 : position - 1;
    const std::string_view before = text_.substr(0, offset);
    const std::size_t line_start = before.rfind('\n') + 1;  // 0 where there is none
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const std::string where = "line " + std::to_string(line) + ", column " +
                              std::to_string(before.size() - line_start + 1) + ": ";
    if (offset >= text_.size()) refuse(name_, where + "the JSON ends too early");
    // "out of range": a number such as 1e999.
    if (error.id == 406) refuse(name_, where + "this number is too large");
    const std::string_view line_end = text_.substr(line_start, offset + 1 - line_start);
    const std::size_t length = std::min(line_end.size(), longest_shown / 2);
    refuse(name_, where + "no JSON: " + shown(line_end.substr(line_end.size() - length)));
  }

 private:
  struct Open {
    Json* container = nullptr;
    std::string key;        // of an object: the one that was read last
    bool own_keys = false;  // of an object: a map to Go
  };

  [[nodiscard]] bool is_for_go(const Open& object) const {
    return !limits_.go.names.empty() && !object.own_keys;
  }

  void refuse_other_case(std::string_view key) const {
    const auto& names = limits_.go.names;
    const auto known = std::lower_bound(names.begin(), names.end(), key, folded_less);
    if (known != names.end() && *known != key && !folded_less(key, *known)) {
      refuse(step(name_, next_place()),
             "some runtimes take this key for " + shown(*known) + ", and others for none",
             "write " + shown(*known));
    }
  }

  void refuse_duplicates(Open& object) const {
    std::set<std::string_view, decltype(&folded_less)> seen(is_for_go(object) ? folded_less
                                                                              : plainly_less);
    for (const auto& member : object.container->get_ref<const Json::object_t&>()) {
      const auto [before, is_new] = seen.insert(member.first);
      if (is_new) continue;
      object.key = member.first;
      if (*before == member.first) {
        refuse(step(name_, next_place()), "this key stands here twice",
               "of duplicate keys some readers take the first and some the last");
      }
      refuse(step(name_, next_place()), "this key stands here twice, in another case",
             "some runtimes take both for the same");
    }
  }

  // Of the value that comes next.
  [[nodiscard]] std::string next_place() const {
    std::string place;
    for (std::size_t i = 0; i < open_.size(); ++i) {
      const Json& container = *open_[i].container;
      // What is open in it is counted already.
      const std::size_t index = container.size() - (i + 1 < open_.size() ? 1 : 0);
      place = container.is_array() ? below(place, index) : below(place, open_[i].key);
    }
    return place;
  }

  void refuse_nul(const std::string& text) const {
    if (text.find('\0') != std::string::npos) {
      refuse(step(name_, next_place()), "a NUL character, which no name or path can hold");
    }
  }

  Json* insert(Json value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Open& into = open_.back();
    if (into.container->is_array()) {
      auto& array = into.container->get_ref<Json::array_t&>();
      return &array.emplace_back(std::move(value));
    }
    // push_back, of the vector that it is, as emplace would look for the key.
    auto& object = into.container->get_ref<Json::object_t&>();
    object.push_back(Json::object_t::value_type(into.key, std::move(value)));
    return &object.back().second;
  }

  bool add(Json value) {
    insert(std::move(value));
    return true;
  }

  bool open(Json container) {
    if (open_.size() == limits_.depth) {
      refuse(step(name_, next_place()), "more than " + std::to_string(limits_.depth) +
                                            " arrays and objects within one another");
    }
    const bool own_keys = !open_.empty() && open_.back().container->is_object() &&
                          among(limits_.go.maps, open_.back().key);
    // Stays where it is: what it is in doesn't grow while it is open.
    Json* const inserted = insert(std::move(container));
    Open& inner = open_.emplace_back();
    inner.container = inserted;
    inner.own_keys = own_keys;
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  std::string_view text_;
  const std::string& name_;
  Limits limits_;
  Json root_;
  std::vector<Open> open_;
};

}  // namespace

std::string text_of(const Json& document, const std::string& name) {
  try {
    return document.dump();
  } catch (const Json::exception&) {
    stepdown::refuse(name, "a word isn't UTF-8, and JSON can't say it",
                     "give --env, and the words of an exec, in UTF-8");
  }
}

std::string shown(std::string_view text) {
  std::string safe = "\"";
  for (const char c : sys::escaped(text.substr(0, longest_shown))) {
    if (c == '"') safe += '\\';
    safe += c;
  }
  return safe + (text.size() > longest_shown ? "\"..." : "\"");
}

Json parse(std::string_view text, const std::string& name, const Limits& limits) {
  if (text.size() > limits.bytes) {
    refuse(name, "more than " + std::to_string(limits.bytes) + " bytes of JSON");
  }
  // The library takes it for the end of the text and would ignore what is behind it.
  if (text.find('\0') != std::string_view::npos) refuse(name, "no JSON: a NUL byte");
  Builder builder(text, name, limits);
  Json::sax_parse(text.begin(), text.end(), &builder);
  return builder.take();
}

bool Value::has(std::string_view key) const {
  if (!json_->is_object()) refuse("an object is expected, not " + std::string(type(*json_)));
  const auto& object = json_->get_ref<const Json::object_t&>();
  return std::any_of(object.begin(), object.end(), [key](const auto& member) {
    return member.first == key && !member.second.is_null();
  });
}

Value Value::at(std::string_view key) const {
  if (!json_->is_object()) refuse("an object is expected, not " + std::string(type(*json_)));
  for (const auto& [name, value] : json_->get_ref<const Json::object_t&>()) {
    if (name == key) return {value, *name_, below(place_, key)};
  }
  refuse("the key " + shown(key) + " is missing");
}

std::vector<Value> Value::elements() const {
  if (!json_->is_array()) refuse("an array is expected, not " + std::string(type(*json_)));
  std::vector<Value> values;
  values.reserve(json_->size());
  for (const Json& element : *json_) {
    values.push_back(Value(element, *name_, below(place_, values.size())));
  }
  return values;
}

const std::string& Value::string() const {
  if (!json_->is_string()) refuse("a string is expected, not " + std::string(type(*json_)));
  return json_->get_ref<const std::string&>();
}

bool Value::boolean() const {
  if (!json_->is_boolean()) refuse("true or false is expected, not " + std::string(type(*json_)));
  return json_->get<bool>();
}

std::uint64_t Value::number(std::uint64_t least, std::uint64_t most) const {
  const std::string wanted =
      "a whole number from " + std::to_string(least) + " to " + std::to_string(most);
  if (!json_->is_number()) refuse(wanted + " is expected, not " + std::string(type(*json_)));
  const bool natural = json_->is_number_unsigned() ||
                       (json_->is_number_integer() && json_->get<std::int64_t>() >= 0);
  const std::uint64_t value = natural ? json_->get<std::uint64_t>() : 0;
  if (!natural || value < least || value > most) {
    refuse(wanted + " is expected, not " + json_->dump());
  }
  return value;
}

std::vector<std::string> Value::strings() const {
  std::vector<std::string> texts;
  for (const Value& element : elements()) texts.push_back(element.string());
  return texts;
}

void Value::only(const std::vector<std::string_view>& keys) const {
  if (!json_->is_object()) refuse("an object is expected, not " + std::string(type(*json_)));
  for (const auto& [name, value] : json_->get_ref<const Json::object_t&>()) {
    if (std::find(keys.begin(), keys.end(), name) != keys.end()) continue;
    std::string known;
    for (const std::string_view key : keys) known.append(known.empty() ? "" : ", ").append(key);
    Value(value, *name_, below(place_, name)).refuse("unknown key", "known here: " + known);
  }
}

void Value::refuse(std::string_view cause, std::string_view hint) const {
  stepdown::refuse(step(*name_, place_), cause, hint);
}

}  // namespace stepdown::json
