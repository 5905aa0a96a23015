// Python pickles, read as inert data. Source: Python's Lib/pickletools.py, protocols 0 to 5.
//
// A pickle is a program that may call any function of Python. Here nothing is called: a global is
// a name, a call is a node that holds the function's name and its arguments, and what it means is
// the business of whoever reads the tree (numpy_pickle.hpp, torch_file.hpp). Which names may occur
// is the reader's choice: those of a list, or all but such as run commands.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace posetape::data {

// `bytes` is also a str of Python 2. `global` is a name alone; `call` a function's or class's name
// with arguments, and where the pickle has them the state, the entries and the elements that the
// result got; `persistent` an object that is stored elsewhere, known by its id.
enum class PickleKind {
  none,
  boolean,
  integer,
  long_integer,
  real,
  text,
  bytes,
  list,
  tuple,
  set,
  dict,
  global,
  call,
  persistent
};

std::string_view kind_name(PickleKind kind);  // "a list", "an integer", ...

struct PickleOptions {
  // The globals that may occur, as "module.name".
  std::span<const std::string_view> globals;
  // Others may occur as well, so that objects of any class can be passed over. Names of modules
  // that run commands are refused all the same: they would do so where Python opens the file.
  bool any_class = false;
  bool persistent_ids = false;
  // Values, and links between them. One takes some 64 bytes.
  std::size_t most_values = std::size_t{1} << 22;
};

struct PickleDocument;

// A value in a pickle: a cheap handle that keeps the tree alive. A tree may hold a value twice, and
// a list may even hold itself, so who walks it bounds the depth. The functions that want a kind
// throw Error where the value is of another.
class PickleValue {
 public:
  PickleValue(std::shared_ptr<const PickleDocument> document, std::uint32_t node)
      : document_(std::move(document)), node_(node) {}

  PickleKind kind() const;
  bool boolean() const;
  std::int64_t integer() const;
  double real() const;
  std::string_view text() const;             // text (UTF-8) or bytes
  std::span<const std::byte> bytes() const;  // the same, and of a long_integer, which is
                                             // little-endian in two's complement

  // Elements of a list, a tuple or a set, entries of a dict or a call.
  std::size_t size() const;
  PickleValue operator[](std::size_t i) const;  // list, tuple, set
  PickleValue key(std::size_t i) const;         // dict, call; i < size()
  PickleValue value(std::size_t i) const;
  std::optional<PickleValue> find(std::string_view key) const;  // by a key that is text

  // "module.name" of a global or a call; "" of a call of what another one made.
  std::string_view function() const;
  PickleValue arguments() const;                // of a call; the id of a persistent
  std::optional<PickleValue> state() const;     // of a call
  std::optional<PickleValue> elements() const;  // of a call: a list
  // Which value of the pickle it is: equal where a tree holds one value in several places.
  std::uint32_t id() const { return node_; }
  const std::string& where() const;  // for messages

 private:
  std::shared_ptr<const PickleDocument> document_;
  std::uint32_t node_;
};

struct Pickle {
  PickleValue value;
  std::size_t length;                   // bytes that it takes
  std::vector<PickleValue> persistent;  // every object that is stored elsewhere, in order
};

// Reads the pickle at the start of `bytes`, which must outlive all values. `where` starts every
// message. Throws Error on other globals, persistent ids where not allowed, extensions, buffers
// outside of the pickle, and on anything damaged or cut off. Time and memory are bounded by the
// bytes and by `most_values`; nothing recurses.
Pickle parse_pickle(std::span<const std::byte> bytes, const std::string& where,
                    const PickleOptions& options);

}  // namespace posetape::data
