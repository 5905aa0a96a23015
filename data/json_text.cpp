#include "data/json_text.hpp"

#include <algorithm>
#include <cctype>
#include <limits>

#include "data/printable.hpp"
#include "engine/error.hpp"

namespace posetape::data {
namespace {

constexpr int kDeepest = 32;

// Goes over a text once, and makes of it what the parser takes. Strings are copied as they are.
class Cleaner {
 public:
  Cleaner(std::string_view text, const std::string& where) : text_(text), where_(where) {
    if (text_.starts_with("\xef\xbb\xbf")) text_.remove_prefix(3);
    result_.reserve(text_.size() + 2);
  }

  std::string clean() {
    while (at_ < text_.size()) step();
    return values_ > 1 ? '[' + result_ + ']' : std::move(result_);
  }

 private:
  void step() {
    const char c = text_[at_];
    if (c == '"') return copy_string();
    if (c == '[' || c == '{') {
      begin_value();
      if (++depth_ > kDeepest) fail("{}: values nest deeper than {}", where_, kDeepest);
    } else if (c == ']' || c == '}') {
      --depth_;
    } else if (std::isalpha(static_cast<unsigned char>(c)) != 0) {
      return copy_word();
    } else if (c == '-' && text_.substr(at_).starts_with("-Infinity")) {
      ++at_;
      return copy_word();
    }
    result_ += c;
    ++at_;
  }

  // Between values that stand one after another there is a comma in an array.
  void begin_value() {
    if (depth_ == 0 && ++values_ > 1) result_ += ',';
  }

  void copy_string() {
    begin_value();
    const std::size_t begin = at_++;
    while (at_ < text_.size() && text_[at_] != '"') at_ += text_[at_] == '\\' ? 2 : 1;
    at_ = std::min(at_ + 1, text_.size());
    result_ += text_.substr(begin, at_ - begin);
  }

  // Exponents end in a digit or a sign and are a word of one letter here.
  void copy_word() {
    const std::size_t begin = at_;
    while (at_ < text_.size() && std::isalpha(static_cast<unsigned char>(text_[at_])) != 0) ++at_;
    const std::string_view word = text_.substr(begin, at_ - begin);
    const bool none = word == "NaN" || word == "nan" || word == "Infinity" || word == "None";
    result_ += none ? "null" : word;
  }

  std::string_view text_;
  const std::string& where_;
  std::string result_;
  std::size_t at_ = 0;
  int depth_ = 0;
  int values_ = 0;
};

}  // namespace

Json parse_json(std::string_view text, const std::string& where) {
  const std::string clean = Cleaner(text, where).clean();
  try {
    return Json::parse(clean);
  } catch (const Json::parse_error& error) {
    const auto end =
        clean.begin() + static_cast<std::ptrdiff_t>(std::min(error.byte, clean.size()));
    const auto line = 1 + std::count(clean.begin(), end, '\n');
    const bool cut = error.byte >= clean.size();
    fail("{}: line {}: {}; copy or write the file again", where, line,
         cut ? "the JSON ends before it is complete" : "is not JSON");
  } catch (const Json::exception& error) {
    fail("{}: {}; write the file again", where, printable(error.what()));
  }
}

float number_in(const Json& value, const std::string& where) {
  if (value.is_null()) return std::numeric_limits<float>::quiet_NaN();
  if (value.is_boolean()) return value.get<bool>() ? 1.0f : 0.0f;
  if (!value.is_number()) fail("{}: expected a number, found {}", where, value.type_name());
  return static_cast<float>(value.get<double>());
}

std::vector<float> numbers_in(const Json& value, const std::string& where) {
  if (!value.is_array()) return {number_in(value, where)};
  std::vector<float> numbers;
  for (const Json& element : value) {
    if (element.is_array()) {
      const std::vector<float> inner = numbers_in(element, where);
      numbers.insert(numbers.end(), inner.begin(), inner.end());
    } else {
      numbers.push_back(number_in(element, where));
    }
  }
  return numbers;
}

const Json* member(const Json& value, const char* name) {
  if (!value.is_object()) return nullptr;
  const auto found = value.find(name);
  return found == value.end() ? nullptr : &*found;
}

}  // namespace posetape::data
