#include "data/torch_file.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <optional>
#include <system_error>
#include <unordered_set>
#include <utility>

#include "data/numpy_pickle.hpp"
#include "data/pickle.hpp"
#include "data/printable.hpp"
#include "data/zip_reader.hpp"
#include "engine/error.hpp"

namespace posetape::data {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

// ---- What a checkpoint's pickle may name ----

struct StorageType {
  std::string_view name;
  std::size_t size;  // bytes an element
};
constexpr std::array<StorageType, 10> kStorages{{{"torch.FloatStorage", 4},
                                                 {"torch.DoubleStorage", 8},
                                                 {"torch.HalfStorage", 2},
                                                 {"torch.BFloat16Storage", 2},
                                                 {"torch.LongStorage", 8},
                                                 {"torch.IntStorage", 4},
                                                 {"torch.ShortStorage", 2},
                                                 {"torch.CharStorage", 1},
                                                 {"torch.ByteStorage", 1},
                                                 {"torch.BoolStorage", 1}}};

constexpr std::string_view kTensor = "torch._utils._rebuild_tensor_v2";
constexpr std::string_view kParameter = "torch._utils._rebuild_parameter";
constexpr std::string_view kOrderedDict = "collections.OrderedDict";

// Random states and the like that training code keeps are passed over, not made.
constexpr std::array<std::string_view, 9> kPassedOver{
    "numpy.random._pickle.__randomstate_ctor",
    "numpy.random._pickle.__bit_generator_ctor",
    "numpy.random._pickle.__generator_ctor",
    "numpy.random._mt19937.MT19937",
    "numpy.random._pcg64.PCG64",
    "numpy.random.bit_generator.SeedSequence",
    "numpy.random.bit_generator.__pyx_unpickle_SeedSequence",
    "numpy.random.mtrand.RandomState",
    "collections.defaultdict"};

const std::vector<std::string_view>& globals() {
  static const std::vector<std::string_view> all = [] {
    std::vector<std::string_view> names(numpy_globals().begin(), numpy_globals().end());
    names.insert(names.end(), {kTensor, kParameter, kOrderedDict});
    names.insert(names.end(), kPassedOver.begin(), kPassedOver.end());
    for (const StorageType& storage : kStorages) names.push_back(storage.name);
    return names;
  }();
  return all;
}

PickleOptions options() {
  return {.globals = globals(), .persistent_ids = true};
}

bool is_call(const PickleValue& value, std::string_view name) {
  return value.kind() == PickleKind::call && value.function() == name;
}
bool is_tensor(const PickleValue& value) {
  return is_call(value, kTensor) || is_call(value, kParameter);
}
bool is_dict(const PickleValue& value) {
  return value.kind() == PickleKind::dict || is_call(value, kOrderedDict);
}
bool is_text(const PickleValue& value) {
  return value.kind() == PickleKind::text || value.kind() == PickleKind::bytes;
}

// ---- Tensors ----

// Elements of a storage, of one of kStorages.
struct Storage {
  std::size_t type = 0;
  std::span<const std::byte> bytes;
};

float half_to_float(std::uint16_t half) {
  const float sign = (half & 0x8000) != 0 ? -1.0f : 1.0f;
  const int exponent = half >> 10 & 0x1f;
  const auto fraction = static_cast<float>(half & 0x3ff);
  if (exponent == 0) return sign * std::ldexp(fraction, -24);
  if (exponent < 31) return sign * std::ldexp(fraction + 1024, exponent - 25);
  return fraction == 0 ? sign * std::numeric_limits<float>::infinity()
                       : std::numeric_limits<float>::quiet_NaN();
}

// A view of a storage: where each element is.
struct View {
  std::size_t offset = 0;
  std::vector<Index> size, stride;
  Index count = 1;
};

// Reads the arguments of _rebuild_tensor_v2, checked against a storage of `available` elements.
View view_of(const PickleValue& arguments, std::size_t available, const std::string& where) {
  const auto limit = static_cast<std::int64_t>(available);
  const auto bad = [&] {
    fail("{}: the tensor does not fit its storage of {} elements; copy or write the file again",
         where, available);
  };
  View view;
  const std::int64_t offset = arguments[1].integer();
  if (offset < 0 || offset > limit) bad();
  view.offset = static_cast<std::size_t>(offset);
  const PickleValue size = arguments[2];
  const PickleValue stride = arguments[3];
  if (size.size() > kMaxRank || stride.size() != size.size()) {
    fail("{}: has {} dimensions, {} at most", where, size.size(), kMaxRank);
  }
  std::int64_t last = offset;  // the element that is furthest in the storage
  bool empty = false;
  for (std::size_t d = 0; d < size.size(); ++d) {
    const std::int64_t extent = size[d].integer();
    const std::int64_t step = stride[d].integer();
    if (extent < 0 || step < 0 || extent > limit) bad();
    view.size.push_back(extent);
    view.stride.push_back(step);
    empty = empty || extent == 0;
  }
  if (empty) {
    view.count = 0;
    return view;
  }
  for (std::size_t d = 0; d < view.size.size(); ++d) {
    const std::int64_t extent = view.size[d];
    if (extent > 1 && view.stride[d] > limit / (extent - 1)) bad();
    last += (extent - 1) * view.stride[d];
    // An expanded tensor, which holds an element many times, is no weight.
    if (last >= limit || view.count > limit / extent) bad();
    view.count *= extent;
  }
  if (last >= limit) bad();
  return view;
}

// Calls f(i, element) with the place in the storage of each element i of the tensor, row-major.
template <class F>
void each_element(const View& view, F f) {
  std::vector<Index> index(view.size.size(), 0);
  std::size_t at = view.offset;
  for (Index i = 0; i < view.count; ++i) {
    f(static_cast<std::size_t>(i), at);
    for (std::size_t d = view.size.size(); d-- > 0;) {
      at += static_cast<std::size_t>(view.stride[d]);
      if (++index[d] < view.size[d]) break;
      at -= static_cast<std::size_t>(view.stride[d] * view.size[d]);
      index[d] = 0;
    }
  }
}

template <class T>
T element(const Storage& storage, std::size_t i) {
  T value;
  std::memcpy(&value, storage.bytes.data() + i * sizeof(T), sizeof(T));
  return value;
}

Tensor make_tensor(const View& view, const Storage& storage, const std::string& where) {
  const std::string_view type = kStorages[storage.type].name;
  const auto fill = [&](DType dtype, auto convert) {
    const Tensor tensor = Tensor::empty(Shape(std::span(view.size)), dtype);
    auto* to = static_cast<std::byte*>(tensor.raw());
    each_element(view, [&](std::size_t i, std::size_t from) {
      const auto value = convert(from);
      std::memcpy(to + i * sizeof(value), &value, sizeof(value));
    });
    return tensor;
  };
  if (type == "torch.FloatStorage") {
    return fill(DType::f32, [&](std::size_t i) { return element<float>(storage, i); });
  }
  if (type == "torch.DoubleStorage") {
    return fill(DType::f64, [&](std::size_t i) { return element<double>(storage, i); });
  }
  if (type == "torch.HalfStorage") {
    return fill(DType::f32,
                [&](std::size_t i) { return half_to_float(element<std::uint16_t>(storage, i)); });
  }
  if (type == "torch.BFloat16Storage") {
    return fill(DType::bf16, [&](std::size_t i) { return element<std::uint16_t>(storage, i); });
  }
  if (type == "torch.LongStorage") {
    return fill(DType::i32, [&](std::size_t i) {
      const auto value = element<std::int64_t>(storage, i);
      if (value != static_cast<std::int32_t>(value)) {
        fail("{}: the integer {} is beyond 32 bits; leave the tensor out", where, value);
      }
      return static_cast<std::int32_t>(value);
    });
  }
  if (type == "torch.IntStorage") {
    return fill(DType::i32, [&](std::size_t i) { return element<std::int32_t>(storage, i); });
  }
  fail("{}: elements of {} are not read; convert the tensor with .float()", where, type);
}

// A reference to a storage: ('storage', type, key, location, elements).
struct StorageName {
  std::size_t type = 0;
  std::string key;
  std::int64_t count = 0;
};
StorageName storage_name(const PickleValue& value, const std::string& where) {
  if (value.kind() != PickleKind::persistent || value.arguments().kind() != PickleKind::tuple ||
      value.arguments()[0].text() != "storage") {
    fail("{}: has no storage; write the file again with torch.save(model.state_dict(), ...)",
         where);
  }
  const PickleValue id = value.arguments();
  const auto type = std::ranges::find(kStorages, id[1].function(), &StorageType::name);
  if (type == kStorages.end()) {
    fail("{}: has a storage of {}; convert the tensor with .float()", where,
         printable(id[1].function()));
  }
  if (id.size() > 5 && id[5].kind() != PickleKind::none) {
    fail("{}: is a part of another storage, as PyTorch 0.3 wrote; write the file again", where);
  }
  const std::int64_t count = id[4].integer();
  if (count < 0) fail("{}: has a storage of {} elements", where, count);
  return {static_cast<std::size_t>(type - kStorages.begin()), std::string(id[2].text()), count};
}

// ---- The dict of weights ----

// Which of a checkpoint's values is the state_dict: itself, or the one dict of tensors in it.
PickleValue state_dict(const PickleValue& top, const std::string& path) {
  std::unordered_set<std::uint32_t> seen;
  const auto holds_tensors = [&](const PickleValue& value) {
    if (!is_dict(value) || !seen.insert(value.id()).second) return false;
    for (std::size_t i = 0; i < value.size(); ++i) {
      if (is_tensor(value.value(i))) return true;
    }
    return false;
  };
  if (holds_tensors(top)) return top;
  std::optional<PickleValue> found;
  std::string names;
  for (std::size_t i = 0; is_dict(top) && i < top.size(); ++i) {
    if (!is_text(top.key(i)) || !holds_tensors(top.value(i))) continue;
    names += (found ? ", " : "") + printable(top.key(i).text());
    if (found) {
      fail("{}: has several sets of weights ({}); save the one that is wanted with torch.save",
           path, names);
    }
    found = top.value(i);
  }
  if (!found) {
    fail("{}: has no weights; write it with torch.save(model.state_dict(), ...)", path);
  }
  return *found;
}

// Reads all tensors; `storage(name, where)` finds a storage's bytes.
template <class FindStorage>
TensorFile read_weights(const PickleValue& top, const std::string& path, std::uint64_t file_size,
                        FindStorage storage) {
  const PickleValue weights = state_dict(top, path);
  TensorFile file;
  // A file may name one storage in many places: all tensors are at most a few times its size.
  std::uint64_t left = 4 * file_size;
  bool wrapped = true;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    PickleValue value = weights.value(i);
    if (!is_tensor(value) || !is_text(weights.key(i))) continue;
    const std::string name(weights.key(i).text());
    const std::string where = fmt::format("{}: tensor '{}'", path, printable(name));
    if (printable(name) != name) fail("{}: its name is too long or not printable", where);
    if (is_call(value, kParameter)) value = value.arguments()[0];
    if (!is_call(value, kTensor)) fail("{}: is no tensor; write the file again", where);
    const StorageName reference = storage_name(value.arguments()[0], where);
    const std::span<const std::byte> bytes = storage(reference, where);
    const std::size_t size = kStorages[reference.type].size;
    const View view = view_of(value.arguments(), bytes.size() / size, where);
    const std::uint64_t cost = static_cast<std::uint64_t>(view.count) * size + size;
    if (cost > left) fail("{}: one storage is used in too many places", where);
    left -= cost;
    file.tensors.emplace_back(name, make_tensor(view, {reference.type, bytes}, where));
    wrapped = wrapped && name.starts_with("module.");
  }
  if (wrapped) {
    for (auto& [name, tensor] : file.tensors) name.erase(0, std::string_view("module.").size());
  }
  std::vector<std::string_view> names;
  for (const auto& [name, tensor] : file.tensors) names.push_back(name);
  std::ranges::sort(names);
  const auto twice = std::ranges::adjacent_find(names);
  if (twice != names.end()) fail("{}: tensor '{}' occurs twice", path, *twice);
  return file;
}

// ---- The two formats ----

// A zip archive: NAME/data.pkl, and a storage each in NAME/data/KEY.
TensorFile read_zip(const std::string& path) {
  const ZipReader archive(path, "checkpoint");
  constexpr std::string_view kPickle = "data.pkl";
  const auto entry = std::ranges::find_if(archive.names(), [&](const std::string& name) {
    return name == kPickle || name.ends_with("/data.pkl");
  });
  if (entry == archive.names().end()) {
    fail("{}: a zip archive without data.pkl, so no checkpoint of PyTorch; check the name", path);
  }
  const std::string folder = entry->substr(0, entry->size() - kPickle.size());
  if (const std::string order = folder + "byteorder"; archive.has(order)) {
    const std::vector<std::byte> bytes = archive.read(order, path);
    if (bytes.size() != 6) fail("{}: was written by a big-endian machine; write it again", path);
  }
  const std::vector<std::byte> pickle = archive.read(*entry, path);
  const PickleValue top = parse_pickle(pickle, path, options()).value;

  std::map<std::string, std::vector<std::byte>> storages;
  std::uint64_t loaded = 0;
  const std::uint64_t file_size = std::filesystem::file_size(path);
  return read_weights(top, path, file_size, [&](const StorageName& name, const std::string& where) {
    const std::string full = folder + "data/" + name.key;
    if (!archive.has(full)) fail("{}: its storage is missing; copy or write the file again", where);
    auto found = storages.find(full);
    if (found == storages.end()) {
      found = storages.emplace(full, archive.read(full, where)).first;
      // Weights do not deflate, and PyTorch does not try to.
      loaded += found->second.size();
      if (loaded > 4 * file_size) fail("{}: unpacks to more than weights do", where);
    }
    return std::span<const std::byte>(found->second);
  });
}

// Four pickles (magic number, version, machine, the checkpoint), one with the keys of the storages,
// and the storages: for each its number of elements in 8 bytes, then the elements.
constexpr std::string_view kMagic = "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";

TensorFile read_legacy(const std::string& path, std::span<const std::byte> bytes) {
  std::size_t at = 0;
  const auto next = [&] {
    const Pickle pickle = parse_pickle(bytes.subspan(at), path, options());
    at += pickle.length;
    return pickle.value;
  };
  next();
  if (const std::int64_t version = next().integer(); version != 1001) {
    fail("{}: version {} of PyTorch's old format, only 1001 is known", path, version);
  }
  if (const auto little = next().find("little_endian"); little && !little->boolean()) {
    fail("{}: was written by a big-endian machine; write it again", path);
  }
  const PickleValue top = next();
  const PickleValue keys = next();

  // The storages' sizes in bytes follow from their types, which only the tensors know.
  std::map<std::string, std::size_t, std::less<>> element_sizes;
  std::vector<PickleValue> open{top};
  std::unordered_set<std::uint32_t> seen{top.id()};
  const auto visit = [&](const PickleValue& value) {
    if (seen.insert(value.id()).second) open.push_back(value);
  };
  while (!open.empty()) {
    const PickleValue value = open.back();
    open.pop_back();
    switch (value.kind()) {
      case PickleKind::persistent: {
        const StorageName name = storage_name(value, path);
        element_sizes.emplace(name.key, kStorages[name.type].size);
        break;
      }
      case PickleKind::call:
        visit(value.arguments());
        [[fallthrough]];
      case PickleKind::dict:
        for (std::size_t i = 0; i < value.size(); ++i) visit(value.value(i));
        break;
      case PickleKind::list:
      case PickleKind::tuple:
        for (std::size_t i = 0; i < value.size(); ++i) visit(value[i]);
        break;
      default:
        break;
    }
  }

  std::map<std::string, std::span<const std::byte>, std::less<>> storages;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const std::string_view key = keys[i].text();
    const auto size = element_sizes.find(key);
    if (size == element_sizes.end()) {
      fail("{}: storage '{}' belongs to no tensor; write the file again", path, printable(key));
    }
    const auto cut_off = [&] {
      fail("{}: is cut off in storage '{}'; copy or write it again", path, printable(key));
    };
    std::uint64_t count = 0;
    if (bytes.size() - at < sizeof(count)) cut_off();
    std::memcpy(&count, bytes.data() + at, sizeof(count));
    at += sizeof(count);
    if (count > (bytes.size() - at) / size->second) cut_off();
    storages.emplace(key, bytes.subspan(at, count * size->second));
    at += count * size->second;
  }
  return read_weights(top, path, bytes.size(),
                      [&](const StorageName& name, const std::string& where) {
                        const auto found = storages.find(name.key);
                        if (found == storages.end()) {
                          fail("{}: its storage is missing; copy or write the file again", where);
                        }
                        return found->second;
                      });
}

// The start of a file: PROTO 2, LONG1 of 10 bytes, the magic number; or a zip archive's.
bool starts_as_legacy(std::string_view start) {
  return start.size() >= 14 && start[0] == '\x80' && start.substr(2, 2) == "\x8a\x0a" &&
         start.substr(4, kMagic.size()) == kMagic;
}
std::string start_of(const std::string& path) {
  std::string start(14, '\0');
  std::ifstream file(path, std::ios::binary);
  file.read(start.data(), static_cast<std::streamsize>(start.size()));
  start.resize(static_cast<std::size_t>(file.gcount()));
  return start;
}

}  // namespace

bool is_torch_file(const std::string& path) {
  const std::string start = start_of(path);
  return start.starts_with("PK\x03\x04") || starts_as_legacy(start);
}

TensorFile read_torch(const std::string& path) {
  std::error_code code;
  const std::uintmax_t size = std::filesystem::file_size(path, code);
  if (code) fail("{}: cannot be read ({}); check the name", path, code.message());
  const std::string start = start_of(path);
  if (start.starts_with("PK")) return read_zip(path);
  if (!starts_as_legacy(start)) {
    fail("{}: no checkpoint of PyTorch; write it with torch.save(model.state_dict(), ...)", path);
  }
  std::vector<std::byte> bytes(static_cast<std::size_t>(size));
  std::ifstream file(path, std::ios::binary);
  if (!file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size))) {
    fail("{}: reading failed; check the disk", path);
  }
  return read_legacy(path, bytes);
}

}  // namespace posetape::data
