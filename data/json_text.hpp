// JSON as other people's programs write it: read strictly, within limits, with errors that say
// where.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace posetape::data {

using Json = nlohmann::json;

// The value in a text. Python's NaN and Infinity, which JSON does not have, become null, and
// several values one after another (a line each) become one array. Throws Error "<where>: ..." with
// the line for anything else that is not JSON, for text that is not UTF-8 and for values that nest
// deeper than 32.
Json parse_json(std::string_view text, const std::string& where);

// A number; NaN for null. `where` says for messages what it is.
float number_in(const Json& value, const std::string& where);

// All numbers of arrays in arrays, in order.
std::vector<float> numbers_in(const Json& value, const std::string& where);

// The member of an object, or null where the value is no object or has no such member.
const Json* member(const Json& value, const char* name);

}  // namespace posetape::data
