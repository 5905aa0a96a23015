#include "data/numpy_pickle.hpp"

#include <algorithm>
#include <array>

#include "data/printable.hpp"
#include "engine/error.hpp"

namespace posetape::data {
namespace {

// Python 2 calls the module of built-in functions __builtin__, numpy 2 its core _core.
constexpr std::array<std::string_view, 11> kGlobals{"numpy.ndarray",
                                                    "numpy.dtype",
                                                    "numpy.core.multiarray._reconstruct",
                                                    "numpy._core.multiarray._reconstruct",
                                                    "numpy.core.numeric._frombuffer",
                                                    "numpy._core.numeric._frombuffer",
                                                    "numpy.core.multiarray.scalar",
                                                    "numpy._core.multiarray.scalar",
                                                    "_codecs.encode",
                                                    "__builtin__.bytes",
                                                    "builtins.bytes"};

bool is_call(const PickleValue& value, std::string_view name) {
  return value.kind() == PickleKind::call && value.function() == name;
}
// Protocol 5: the function has all that the state has in other protocols.
bool is_buffer(const PickleValue& value) {
  return is_call(value, "numpy.core.numeric._frombuffer") ||
         is_call(value, "numpy._core.numeric._frombuffer");
}
bool is_scalar(const PickleValue& value) {
  return is_call(value, "numpy.core.multiarray.scalar") ||
         is_call(value, "numpy._core.multiarray.scalar");
}

// Protocols 0 to 2 have no bytes. Python 3 writes them as text whose code points are the bytes.
std::vector<std::byte> latin1(std::string_view text, const std::string& where) {
  std::vector<std::byte> bytes;
  bytes.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto code = static_cast<unsigned char>(text[i]);
    if (code >= 0x80) {
      // Code points up to 255 take two bytes of UTF-8, the first one 0xc2 or 0xc3.
      const bool fits = (code == 0xc2 || code == 0xc3) && i + 1 < text.size();
      if (!fits) fail("{}: its bytes are damaged; copy or write the file again", where);
      code = static_cast<unsigned char>((code & 0x03) << 6 | (text[++i] & 0x3f));
    }
    bytes.push_back(static_cast<std::byte>(code));
  }
  return bytes;
}

// The raw bytes of an array; `storage` keeps those that are not in the pickle as they are.
std::span<const std::byte> raw_bytes(const PickleValue& value, std::vector<std::byte>& storage,
                                     const std::string& where) {
  if (is_call(value, "_codecs.encode")) {
    storage = latin1(value.arguments()[0].text(), where);
    return storage;
  }
  // bytes(): nothing.
  if (is_call(value, "__builtin__.bytes") || is_call(value, "builtins.bytes")) return {};
  return value.bytes();
}

// A dtype as an npy header writes it: byte order, then the type's code.
std::string descr_of(const PickleValue& dtype, const std::string& where) {
  const std::optional<PickleValue> state =
      is_call(dtype, "numpy.dtype") ? dtype.state() : std::nullopt;
  if (!state) fail("{}: has no type of elements; write it with numpy", where);
  const std::string order((*state)[1].text());
  // A structured type has the names of its fields in the state.
  if ((*state)[3].kind() != PickleKind::none) return "structured";
  return printable(order + std::string(dtype.arguments()[0].text()));
}

// The state of an array, and what a header would say of it.
struct Array {
  NpyHeader header;
  PickleValue elements;
};

std::vector<std::int64_t> shape_of(const PickleValue& value, const std::string& where) {
  std::vector<std::int64_t> shape;
  if (value.size() > 32) fail("{}: has {} dimensions, 32 at most", where, value.size());
  for (std::size_t i = 0; i < value.size(); ++i) {
    shape.push_back(value[i].integer());
    if (shape.back() < 0) fail("{}: has the shape {}", where, shape_text(shape));
  }
  return shape;
}

Array open_array(const PickleValue& value, const std::string& where) {
  if (is_buffer(value)) {
    const PickleValue arguments = value.arguments();
    return {{descr_of(arguments[1], where), arguments[3].text() == "F",
             shape_of(arguments[2], where), 0},
            arguments[0]};
  }
  const std::optional<PickleValue> state = is_array(value) ? value.state() : std::nullopt;
  if (!state) {
    fail("{}: expected a numpy array, found {}; write it as VideoPose3D's files are", where,
         kind_name(value.kind()));
  }
  NpyHeader header;
  header.shape = shape_of((*state)[1], where);
  header.descr = descr_of((*state)[2], where);
  const PickleValue order = (*state)[3];
  header.fortran_order =
      order.kind() == PickleKind::boolean ? order.boolean() : order.integer() != 0;
  return {std::move(header), (*state)[4]};
}

}  // namespace

std::span<const std::string_view> numpy_globals() {
  return kGlobals;
}

bool is_array(const PickleValue& value) {
  return is_buffer(value) || is_call(value, "numpy.core.multiarray._reconstruct") ||
         is_call(value, "numpy._core.multiarray._reconstruct");
}

NpyArray array_of(const PickleValue& value, const std::string& where) {
  const Array array = open_array(value, where);
  if (array.elements.kind() == PickleKind::list) {
    fail("{}: expected numbers, found an array of Python objects; give all of its parts one shape",
         where);
  }
  std::vector<std::byte> storage;
  return make_array(array.header, raw_bytes(array.elements, storage, where), where);
}

std::vector<PickleValue> objects_of(const PickleValue& value, const std::string& where) {
  const Array array = open_array(value, where);
  std::size_t count = 1;
  const PickleValue& list = array.elements;
  if (list.kind() != PickleKind::list) {
    fail("{}: expected an array of Python objects, found one of numbers", where);
  }
  for (const std::int64_t extent : array.header.shape) {
    // More than there are elements is wrong, however much more.
    count = std::min(list.size() + 1, count * std::min(list.size() + 1, std::size_t(extent)));
  }
  if (count != list.size()) {
    fail("{}: has the shape {} and {} elements; copy or write the file again", where,
         shape_text(array.header.shape), list.size());
  }
  std::vector<PickleValue> objects;
  for (std::size_t i = 0; i < list.size(); ++i) objects.push_back(list[i]);
  if (!array.header.fortran_order || array.header.shape.size() < 2) return objects;
  fail("{}: an array of Python objects in Fortran order; write it in C order", where);
}

double number_of(const PickleValue& value, const std::string& where) {
  if (value.kind() == PickleKind::boolean) return value.boolean() ? 1 : 0;
  if (is_scalar(value)) {
    std::vector<std::byte> storage;
    const NpyHeader header{descr_of(value.arguments()[0], where), false, {}, 0};
    return make_array(header, raw_bytes(value.arguments()[1], storage, where), where)
        .as<double>()[0];
  }
  if (is_array(value)) {
    const NpyArray array = array_of(value, where);
    if (array.size() == 1) return array.as<double>()[0];
  }
  return value.real();
}

PickledObject read_object(const NpzReader& file, const std::string& name) {
  std::vector<std::byte> bytes = file.read_bytes(name);
  const std::string where = file.where(name);
  const NpyHeader header = parse_npy_header(bytes, where);
  if (header.descr != "|O" && header.descr != "O") {
    fail("{}: expected Python objects as VideoPose3D's files have them, found '{}'", where,
         printable(header.descr));
  }
  const std::span<const std::byte> pickle = std::span<const std::byte>(bytes).subspan(header.size);
  const PickleValue array = parse_pickle(pickle, where, {.globals = numpy_globals()}).value;
  const std::vector<PickleValue> objects = objects_of(array, where);
  if (objects.size() != 1) fail("{}: expected one object, found {}", where, objects.size());
  return {std::move(bytes), objects[0]};
}

}  // namespace posetape::data
