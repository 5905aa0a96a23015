#include "data/pickle.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstring>
#include <deque>
#include <unordered_map>

#include "data/printable.hpp"
#include "engine/error.hpp"

namespace posetape::data {
namespace {

using Node = std::uint32_t;
constexpr Node kNone = std::numeric_limits<Node>::max();  // no state

struct Value {
  PickleKind kind = PickleKind::none;
  Node first = kNone;              // arguments of a call, id of a persistent
  Node state = kNone;              // of a call
  Node elements = kNone;           // of a call: a list
  std::uint32_t children = kNone;  // index of its list of elements, where it has one
  std::int64_t integer = 0;        // also boolean
  double real = 0;
  std::span<const std::byte> content;  // text, bytes, long_integer, function
};
static_assert(sizeof(Value) <= 64);

}  // namespace

struct PickleDocument {
  std::string where;
  std::vector<Value> values;
  std::vector<std::vector<Node>> children;
  // Contents that are not in the file as they are. A deque does not move them.
  std::deque<std::string> strings;
};

namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}
std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Opcodes, by the names of pickletools.
enum Op : unsigned char {
  MARK = '(',
  STOP = '.',
  POP = '0',
  POP_MARK = '1',
  DUP = '2',
  FLOAT = 'F',
  INT = 'I',
  BININT = 'J',
  BININT1 = 'K',
  LONG = 'L',
  BININT2 = 'M',
  NONE = 'N',
  PERSID = 'P',
  BINPERSID = 'Q',
  REDUCE = 'R',
  STRING = 'S',
  BINSTRING = 'T',
  SHORT_BINSTRING = 'U',
  UNICODE = 'V',
  BINUNICODE = 'X',
  APPEND = 'a',
  BUILD = 'b',
  GLOBAL = 'c',
  DICT = 'd',
  EMPTY_DICT = '}',
  APPENDS = 'e',
  GET = 'g',
  BINGET = 'h',
  LONG_BINGET = 'j',
  LIST = 'l',
  EMPTY_LIST = ']',
  PUT = 'p',
  BINPUT = 'q',
  LONG_BINPUT = 'r',
  SETITEM = 's',
  TUPLE = 't',
  EMPTY_TUPLE = ')',
  SETITEMS = 'u',
  BINFLOAT = 'G',
  BINBYTES = 'B',
  SHORT_BINBYTES = 'C',
  PROTO = 0x80,
  NEWOBJ = 0x81,
  TUPLE1 = 0x85,
  TUPLE2 = 0x86,
  TUPLE3 = 0x87,
  NEWTRUE = 0x88,
  NEWFALSE = 0x89,
  LONG1 = 0x8a,
  LONG4 = 0x8b,
  SHORT_BINUNICODE = 0x8c,
  BINUNICODE8 = 0x8d,
  BINBYTES8 = 0x8e,
  EMPTY_SET = 0x8f,
  ADDITEMS = 0x90,
  FROZENSET = 0x91,
  NEWOBJ_EX = 0x92,
  STACK_GLOBAL = 0x93,
  MEMOIZE = 0x94,
  FRAME = 0x95,
  BYTEARRAY8 = 0x96,
};

// Modules of Python that run commands, start programs or reach the net, and those of the built-in
// functions that run code or open files. No weights need them. This is no safeguard, since nothing
// is called here: it tells whoever has such a file what it would do elsewhere.
bool runs_commands(std::string_view module, std::string_view name) {
  constexpr std::array<std::string_view, 18> kModules{
      "os",       "posix",  "nt",         "subprocess", "sys",  "shutil",
      "socket",   "pty",    "runpy",      "ctypes",     "code", "codeop",
      "commands", "popen2", "webbrowser", "importlib",  "imp",  "asyncio"};
  constexpr std::array<std::string_view, 8> kFunctions{
      "eval", "exec", "execfile", "compile", "open", "__import__", "input", "breakpoint"};
  if (module == "builtins" || module == "__builtin__" || module == "io") {
    return std::ranges::find(kFunctions, name) != kFunctions.end();
  }
  return std::ranges::find(kModules, module.substr(0, module.find('.'))) != kModules.end();
}

void append_utf8(std::string& text, std::uint32_t code) {
  const auto tail = [&](int shift) { text += static_cast<char>(0x80 | (code >> shift & 0x3f)); };
  if (code < 0x80) {
    text += static_cast<char>(code);
  } else if (code < 0x800) {
    text += static_cast<char>(0xc0 | code >> 6);
    tail(0);
  } else if (code < 0x10000) {
    text += static_cast<char>(0xe0 | code >> 12);
    tail(6), tail(0);
  } else {
    text += static_cast<char>(0xf0 | code >> 18);
    tail(12), tail(6), tail(0);
  }
}

class Parser {
 public:
  Parser(std::span<const std::byte> bytes, const std::string& where, const PickleOptions& options)
      : text_(text_of(bytes)), options_(options), document_(std::make_shared<PickleDocument>()) {
    document_->where = where;
  }

  Pickle parse() {
    while (true) {
      const auto op = static_cast<Op>(static_cast<unsigned char>(take(1)[0]));
      if (op == STOP) break;
      step(op);
    }
    const Node top = pop();
    std::vector<PickleValue> persistent;
    for (const Node node : persistent_) persistent.emplace_back(document_, node);
    return {PickleValue(document_, top), at_, std::move(persistent)};
  }

 private:
  // ---- Messages ----

  const std::string& where() const { return document_->where; }
  [[noreturn]] void damaged(std::string_view what) const {
    fail("{}: the pickle is damaged at byte {} ({}); copy or write the file again", where(), at_,
         what);
  }

  // ---- Bytes ----

  std::string_view take(std::uint64_t count) {
    if (count > text_.size() - at_) damaged("cut off");
    const std::string_view taken = text_.substr(at_, static_cast<std::size_t>(count));
    at_ += taken.size();
    return taken;
  }
  std::string_view line() {
    const std::size_t end = text_.find('\n', at_);
    if (end == std::string_view::npos) damaged("cut off");
    const std::string_view taken = take(end - at_);
    ++at_;
    return taken.ends_with('\r') ? taken.substr(0, taken.size() - 1) : taken;
  }
  // An unsigned number of `count` bytes, little-endian.
  std::uint64_t number(std::size_t count) {
    const std::string_view from = take(count);
    std::uint64_t value = 0;
    for (std::size_t i = count; i-- > 0;) value = value << 8 | static_cast<unsigned char>(from[i]);
    return value;
  }
  std::string_view counted(std::size_t length_bytes) { return take(number(length_bytes)); }

  std::uint64_t decimal(std::string_view from) const {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(from.data(), from.data() + from.size(), value);
    if (error != std::errc() || end != from.data() + from.size()) damaged("not a number");
    return value;
  }

  // ---- Values ----

  // Every value and every link counts, so that no file takes more than `most_values` of memory.
  void spend(std::size_t count) {
    spent_ += count;
    if (spent_ > options_.most_values) {
      fail("{}: the pickle holds more than {} values; store numbers as numpy arrays", where(),
           options_.most_values);
    }
  }
  Node add(const Value& value) {
    spend(1);
    document_->values.push_back(value);
    return static_cast<Node>(document_->values.size() - 1);
  }
  void push(Node node) {
    spend(1);
    stack_.push_back(node);
  }
  void push(const Value& value) { push(add(value)); }
  void push(PickleKind kind, std::int64_t integer = 0) {
    push(Value{.kind = kind, .integer = integer, .content = {}});
  }
  void push_real(double real) {
    push(Value{.kind = PickleKind::real, .real = real, .content = {}});
  }
  void push_content(PickleKind kind, std::string_view content) {
    push(Value{.kind = kind, .content = bytes_of(content)});
  }
  std::string_view keep(std::string text) {
    return document_->strings.emplace_back(std::move(text));
  }

  Node pop() {
    if (stack_.empty() || (!marks_.empty() && stack_.size() == marks_.back())) {
      damaged("nothing on the stack");
    }
    const Node node = stack_.back();
    stack_.pop_back();
    return node;
  }
  // The values above the last mark, which goes as well.
  std::vector<Node> pop_mark() {
    if (marks_.empty()) damaged("no mark");
    const auto start = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<Node> values(start, stack_.end());
    stack_.erase(start, stack_.end());
    marks_.pop_back();
    return values;
  }
  Node top() {
    const Node node = pop();
    stack_.push_back(node);
    return node;
  }
  Value& at(Node node) { return document_->values[node]; }

  void link(Node parent, std::span<const Node> children) {
    spend(children.size());
    std::uint32_t& index = at(parent).children;
    if (index == kNone) {
      index = static_cast<std::uint32_t>(document_->children.size());
      document_->children.emplace_back();
    }
    auto& list = document_->children[index];
    list.insert(list.end(), children.begin(), children.end());
  }
  void push_collection(PickleKind kind, std::span<const Node> children) {
    const Node node = add({.kind = kind, .content = {}});
    if (!children.empty()) link(node, children);
    push(node);
  }
  void push_tuple(std::size_t count) {
    std::array<Node, 3> children{};
    for (std::size_t i = count; i-- > 0;) children[i] = pop();
    push_collection(PickleKind::tuple, std::span(children).first(count));
  }

  void append(std::span<const Node> children) {
    Node parent = top();
    if (at(parent).kind == PickleKind::call && options_.any_class) {
      if (at(parent).elements == kNone) {
        const Node list = add({.kind = PickleKind::list, .content = {}});
        at(parent).elements = list;
      }
      parent = at(parent).elements;
    }
    if (at(parent).kind != PickleKind::list) damaged("elements for what is no list");
    link(parent, children);
  }
  void add_items(std::span<const Node> children) {
    const Node parent = top();
    if (at(parent).kind != PickleKind::set) damaged("elements for what is no set");
    link(parent, children);
  }
  void set_items(std::span<const Node> children) {
    const Node parent = top();
    if (at(parent).kind != PickleKind::dict && at(parent).kind != PickleKind::call) {
      damaged("entries for what is no dict");
    }
    if (children.size() % 2 != 0) damaged("a key without a value");
    link(parent, children);
  }

  // ---- Names and calls ----

  void push_global(std::string_view module, std::string_view name) {
    std::string full = std::string(module) + "." + std::string(name);
    const bool listed = std::ranges::find(options_.globals, full) != options_.globals.end();
    if (!listed && options_.any_class && runs_commands(module, name)) {
      fail(
          "{}: the pickle wants '{}', which is refused: Python would run it, and no weights need "
          "it; don't load the file there either",
          where(), printable(full));
    }
    if (!listed && !options_.any_class) {
      fail(
          "{}: the pickle wants '{}', which is refused, for a pickle could run any code; save "
          "plain numbers and numpy arrays",
          where(), printable(full));
    }
    push_content(PickleKind::global, keep(std::move(full)));
  }
  // The name of what is called. PyTorch's old format keeps the class of a module elsewhere, under
  // the id ('module', class, ...).
  std::optional<std::span<const std::byte>> callee(Node function) {
    const Value& value = at(function);
    if (value.kind == PickleKind::global) return value.content;
    if (!options_.any_class) return std::nullopt;
    if (value.kind == PickleKind::call) return bytes_of("");
    if (value.kind != PickleKind::persistent) return std::nullopt;
    const std::uint32_t index = at(value.first).children;
    if (index == kNone || document_->children[index].size() < 2) return std::nullopt;
    const Value& type = at(document_->children[index][1]);
    if (type.kind != PickleKind::global) return std::nullopt;
    return type.content;
  }
  void call() {
    const Node arguments = pop();
    const auto function = callee(pop());
    if (!function || at(arguments).kind != PickleKind::tuple) {
      damaged("a call of what is no function");
    }
    push(Value{.kind = PickleKind::call, .first = arguments, .content = *function});
  }
  void build() {
    const Node state = pop();
    const Node object = top();
    if (at(object).kind != PickleKind::call) damaged("a state for what has none");
    at(object).state = state;
  }
  void persistent(Node id) {
    if (!options_.persistent_ids) {
      fail("{}: the pickle refers to objects outside of it, which is refused; save numpy arrays",
           where());
    }
    push(Value{.kind = PickleKind::persistent, .first = id, .content = {}});
    persistent_.push_back(stack_.back());
  }

  // ---- The memo ----

  void put(std::uint64_t index) {
    spend(1);
    memo_[index] = top();
  }
  void get(std::uint64_t index) {
    const auto found = memo_.find(index);
    if (found == memo_.end()) damaged("a value that was not kept");
    push(found->second);
  }

  // ---- Protocols 0 and 1: numbers and strings as text ----

  void push_int(std::string_view from) {
    if (from == "00" || from == "01") return push(PickleKind::boolean, from == "01");
    if (from.ends_with('L')) from.remove_suffix(1);
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(from.data(), from.data() + from.size(), value);
    if (error != std::errc() || end != from.data() + from.size()) damaged("not a number");
    push(PickleKind::integer, value);
  }
  void push_float(std::string_view from) {
    double value = 0;
    const auto [end, error] = std::from_chars(from.data(), from.data() + from.size(), value);
    if (error != std::errc() || end != from.data() + from.size()) damaged("not a number");
    push_real(value);
  }

  std::uint32_t hex(std::string_view digits, std::size_t at, std::size_t count) const {
    std::uint32_t value = 0;
    if (at + count > digits.size()) damaged("a bad escape");
    const char* begin = digits.data() + at;
    const auto [end, error] = std::from_chars(begin, begin + count, value, 16);
    if (error != std::errc() || end != begin + count) damaged("a bad escape");
    return value;
  }
  // Python's repr of a str: 'a\x00\n'.
  void push_repr(std::string_view from) {
    if (from.size() < 2 || (from[0] != '\'' && from[0] != '"') || from.back() != from[0]) {
      damaged("a string without quotes");
    }
    from = from.substr(1, from.size() - 2);
    std::string text;
    for (std::size_t i = 0; i < from.size(); ++i) {
      if (from[i] != '\\') {
        text += from[i];
        continue;
      }
      if (++i == from.size()) damaged("a bad escape");
      constexpr std::string_view kLetters = "\\'\"abfnrtv";
      constexpr std::string_view kMeanings = "\\'\"\a\b\f\n\r\t\v";
      const std::size_t letter = kLetters.find(from[i]);
      if (letter != std::string_view::npos) {
        text += kMeanings[letter];
      } else if (from[i] == 'x') {
        text += static_cast<char>(hex(from, i + 1, 2));
        i += 2;
      } else {
        damaged("a bad escape");
      }
    }
    push_content(PickleKind::bytes, keep(std::move(text)));
  }
  // Latin-1 with \uXXXX and \UXXXXXXXX for the rest.
  void push_unicode(std::string_view from) {
    std::string text;
    for (std::size_t i = 0; i < from.size(); ++i) {
      const char kind = from[i] == '\\' && i + 1 < from.size() ? from[i + 1] : '\0';
      const std::size_t digits = kind == 'u' ? 4 : kind == 'U' ? 8 : 0;
      append_utf8(text,
                  digits == 0 ? static_cast<unsigned char>(from[i]) : hex(from, i + 2, digits));
      if (digits > 0) i += 1 + digits;
    }
    push_content(PickleKind::text, keep(std::move(text)));
  }

  // A long of `count` bytes in two's complement.
  void push_long(std::uint64_t count) {
    const std::string_view from = take(count);
    if (from.size() > 8) return push_content(PickleKind::long_integer, from);
    const bool negative = !from.empty() && (from.back() & 0x80) != 0;
    std::uint64_t value = negative ? ~std::uint64_t{0} : 0;
    for (std::size_t i = from.size(); i-- > 0;) {
      value = value << 8 | static_cast<unsigned char>(from[i]);
    }
    push(PickleKind::integer, static_cast<std::int64_t>(value));
  }

  // ---- Opcodes ----

  void step(Op op) {
    switch (op) {
      case PROTO:
        if (const std::uint64_t version = number(1); version > 5) {
          fail("{}: a pickle of protocol {}, 0 to 5 are read; write it with protocol=4", where(),
               version);
        }
        return;
      case FRAME:
        number(8);  // a hint for readers of streams
        return;
      case MARK:
        spend(1);
        return marks_.push_back(stack_.size());
      case POP:
        // A mark is something that can be taken from the stack as well.
        if (!marks_.empty() && marks_.back() == stack_.size()) return marks_.pop_back();
        pop();
        return;
      case POP_MARK:
        pop_mark();
        return;
      case DUP:
        return push(top());

      case NONE:
        return push(PickleKind::none);
      case NEWTRUE:
        return push(PickleKind::boolean, 1);
      case NEWFALSE:
        return push(PickleKind::boolean, 0);
      case INT:
      case LONG:
        return push_int(line());
      case BININT:
        return push(PickleKind::integer,
                    static_cast<std::int32_t>(static_cast<std::uint32_t>(number(4))));
      case BININT1:
        return push(PickleKind::integer, static_cast<std::int64_t>(number(1)));
      case BININT2:
        return push(PickleKind::integer, static_cast<std::int64_t>(number(2)));
      case LONG1:
        return push_long(number(1));
      case LONG4:
        return push_long(number(4));
      case FLOAT:
        return push_float(line());
      case BINFLOAT: {
        std::uint64_t bits = 0;  // big-endian
        for (const char c : take(8)) bits = bits << 8 | static_cast<unsigned char>(c);
        return push_real(std::bit_cast<double>(bits));
      }

      case STRING:
        return push_repr(line());
      case UNICODE:
        return push_unicode(line());
      case BINSTRING:
      case BINBYTES:
        return push_content(PickleKind::bytes, counted(4));
      case SHORT_BINSTRING:
      case SHORT_BINBYTES:
        return push_content(PickleKind::bytes, counted(1));
      case BINBYTES8:
      case BYTEARRAY8:
        return push_content(PickleKind::bytes, counted(8));
      case SHORT_BINUNICODE:
        return push_content(PickleKind::text, counted(1));
      case BINUNICODE:
        return push_content(PickleKind::text, counted(4));
      case BINUNICODE8:
        return push_content(PickleKind::text, counted(8));

      case EMPTY_LIST:
        return push(PickleKind::list);
      case EMPTY_TUPLE:
        return push(PickleKind::tuple);
      case EMPTY_DICT:
        return push(PickleKind::dict);
      case EMPTY_SET:
        return push(PickleKind::set);
      case FROZENSET:
        return push_collection(PickleKind::set, pop_mark());
      case LIST:
        return push_collection(PickleKind::list, pop_mark());
      case TUPLE:
        return push_collection(PickleKind::tuple, pop_mark());
      case TUPLE1:
        return push_tuple(1);
      case TUPLE2:
        return push_tuple(2);
      case TUPLE3:
        return push_tuple(3);
      case DICT: {
        const std::vector<Node> entries = pop_mark();
        if (entries.size() % 2 != 0) damaged("a key without a value");
        return push_collection(PickleKind::dict, entries);
      }
      case APPEND: {
        const Node element = pop();
        return append({&element, 1});
      }
      case APPENDS:
        return append(pop_mark());
      case ADDITEMS:
        return add_items(pop_mark());
      case SETITEM: {
        const Node value = pop();
        const std::array entry{pop(), value};
        return set_items(entry);
      }
      case SETITEMS:
        return set_items(pop_mark());

      case PUT:
        return put(decimal(line()));
      case BINPUT:
        return put(number(1));
      case LONG_BINPUT:
        return put(number(4));
      case MEMOIZE:
        return put(memo_.size());
      case GET:
        return get(decimal(line()));
      case BINGET:
        return get(number(1));
      case LONG_BINGET:
        return get(number(4));

      case GLOBAL: {
        const std::string_view module = line();
        return push_global(module, line());
      }
      case STACK_GLOBAL: {
        const Node name = pop();
        const Node module = pop();
        if (at(name).kind != PickleKind::text || at(module).kind != PickleKind::text) {
          damaged("a global without a name");
        }
        return push_global(text_of(at(module).content), text_of(at(name).content));
      }
      case REDUCE:
      case NEWOBJ:
        return call();
      case NEWOBJ_EX:
        if (at(pop()).kind != PickleKind::dict) damaged("named arguments that are no dict");
        return call();
      case BUILD:
        return build();
      case PERSID: {
        const std::string_view id = line();
        return persistent(add({.kind = PickleKind::text, .content = bytes_of(id)}));
      }
      case BINPERSID:
        return persistent(pop());
      default:
        fail("{}: the pickle has the opcode {:#04x}, which is not read; save plain numpy arrays",
             where(), static_cast<unsigned>(op));
    }
  }

  std::string_view text_;
  const PickleOptions& options_;
  std::shared_ptr<PickleDocument> document_;
  std::size_t at_ = 0;
  std::size_t spent_ = 0;
  std::vector<Node> stack_;
  std::vector<std::size_t> marks_;  // sizes of the stack
  std::vector<Node> persistent_;
  std::unordered_map<std::uint64_t, Node> memo_;
};

const Value& value_of(const PickleDocument& document, Node node) {
  return document.values[node];
}
std::span<const Node> children_of(const PickleDocument& document, Node node) {
  const std::uint32_t index = document.values[node].children;
  if (index == kNone) return {};
  return document.children[index];
}

[[noreturn]] void wrong_kind(const PickleDocument& document, PickleKind found,
                             std::string_view wanted) {
  fail("{}: the pickle has {} where {} is expected; the file is of another kind or version",
       document.where, kind_name(found), wanted);
}

}  // namespace

std::string_view kind_name(PickleKind kind) {
  constexpr std::array<std::string_view, 14> kNames{
      "None",   "a bool",  "an integer", "a long integer", "a float",  "a text", "bytes",
      "a list", "a tuple", "a set",      "a dict",         "a global", "a call", "a stored object"};
  return kNames[static_cast<std::size_t>(kind)];
}

PickleKind PickleValue::kind() const {
  return value_of(*document_, node_).kind;
}
bool PickleValue::boolean() const {
  if (kind() != PickleKind::boolean) wrong_kind(*document_, kind(), "a bool");
  return value_of(*document_, node_).integer != 0;
}
std::int64_t PickleValue::integer() const {
  if (kind() != PickleKind::integer) wrong_kind(*document_, kind(), "an integer");
  return value_of(*document_, node_).integer;
}
double PickleValue::real() const {
  if (kind() == PickleKind::integer) return static_cast<double>(integer());
  if (kind() != PickleKind::real) wrong_kind(*document_, kind(), "a float");
  return value_of(*document_, node_).real;
}
std::string_view PickleValue::text() const {
  if (kind() != PickleKind::text && kind() != PickleKind::bytes) {
    wrong_kind(*document_, kind(), "a text");
  }
  return text_of(value_of(*document_, node_).content);
}
std::span<const std::byte> PickleValue::bytes() const {
  if (kind() != PickleKind::long_integer) return bytes_of(text());
  return value_of(*document_, node_).content;
}

std::size_t PickleValue::size() const {
  const std::size_t count = children_of(*document_, node_).size();
  switch (kind()) {
    case PickleKind::list:
    case PickleKind::tuple:
    case PickleKind::set:
      return count;
    case PickleKind::dict:
    case PickleKind::call:
      return count / 2;
    default:
      wrong_kind(*document_, kind(), "a list, a tuple or a dict");
  }
}
PickleValue PickleValue::operator[](std::size_t i) const {
  if (kind() != PickleKind::list && kind() != PickleKind::tuple && kind() != PickleKind::set) {
    wrong_kind(*document_, kind(), "a list or a tuple");
  }
  const auto children = children_of(*document_, node_);
  if (i >= children.size()) {
    fail(
        "{}: the pickle has {} of {} elements where more are expected; the file is of another "
        "kind or version",
        document_->where, kind_name(kind()), children.size());
  }
  return {document_, children[i]};
}
PickleValue PickleValue::key(std::size_t i) const {
  if (kind() != PickleKind::dict && kind() != PickleKind::call) {
    wrong_kind(*document_, kind(), "a dict");
  }
  return {document_, children_of(*document_, node_)[2 * i]};
}
PickleValue PickleValue::value(std::size_t i) const {
  if (kind() != PickleKind::dict && kind() != PickleKind::call) {
    wrong_kind(*document_, kind(), "a dict");
  }
  return {document_, children_of(*document_, node_)[2 * i + 1]};
}
std::optional<PickleValue> PickleValue::find(std::string_view wanted) const {
  // The last of equal keys holds, as in Python.
  for (std::size_t i = size(); i-- > 0;) {
    const PickleValue name = key(i);
    const bool is_text = name.kind() == PickleKind::text || name.kind() == PickleKind::bytes;
    if (is_text && name.text() == wanted) return value(i);
  }
  return std::nullopt;
}

std::string_view PickleValue::function() const {
  if (kind() != PickleKind::global && kind() != PickleKind::call) {
    wrong_kind(*document_, kind(), "a call");
  }
  return text_of(value_of(*document_, node_).content);
}
PickleValue PickleValue::arguments() const {
  if (kind() != PickleKind::call && kind() != PickleKind::persistent) {
    wrong_kind(*document_, kind(), "a call");
  }
  return {document_, value_of(*document_, node_).first};
}
std::optional<PickleValue> PickleValue::state() const {
  if (kind() != PickleKind::call) wrong_kind(*document_, kind(), "a call");
  const Node node = value_of(*document_, node_).state;
  if (node == kNone) return std::nullopt;
  return PickleValue(document_, node);
}
std::optional<PickleValue> PickleValue::elements() const {
  if (kind() != PickleKind::call) wrong_kind(*document_, kind(), "a call");
  const Node node = value_of(*document_, node_).elements;
  if (node == kNone) return std::nullopt;
  return PickleValue(document_, node);
}
const std::string& PickleValue::where() const {
  return document_->where;
}

Pickle parse_pickle(std::span<const std::byte> bytes, const std::string& where,
                    const PickleOptions& options) {
  return Parser(bytes, where, options).parse();
}

}  // namespace posetape::data
