#include "data/torch_file.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <system_error>
#include <unordered_set>
#include <utility>

#include "data/pickle.hpp"
#include "data/printable.hpp"
#include "data/zip_reader.hpp"
#include "engine/error.hpp"
#include "engine/small_float.hpp"

namespace posetape::data {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

// ---- Elements ----

// What a storage or a tensor is made of: PyTorch's name, bytes an element, and as what it is read,
// if at all.
struct ElementType {
  std::string_view storage, dtype;
  std::size_t size = 1;
  std::optional<DType> read;
  const SmallFloat* small = nullptr;  // read as f32
};
// Types without a storage of their own are kept in an untyped one.
constexpr std::array kTypes{ElementType{"FloatStorage", "float32", 4, DType::f32},
                            ElementType{"DoubleStorage", "float64", 8, DType::f64},
                            ElementType{"BFloat16Storage", "bfloat16", 2, DType::bf16},
                            ElementType{"HalfStorage", "float16", 2, DType::f32, &kF16},
                            ElementType{"", "float8_e4m3fn", 1, DType::f32, &kF8E4M3},
                            ElementType{"", "float8_e5m2", 1, DType::f32, &kF8E5M2},
                            ElementType{"", "float8_e4m3fnuz", 1, DType::f32, &kF8E4M3Fnuz},
                            ElementType{"", "float8_e5m2fnuz", 1, DType::f32, &kF8E5M2Fnuz},
                            ElementType{"LongStorage", "int64", 8, {}},
                            ElementType{"IntStorage", "int32", 4, {}},
                            ElementType{"ShortStorage", "int16", 2, {}},
                            ElementType{"CharStorage", "int8", 1, {}},
                            ElementType{"ByteStorage", "uint8", 1, {}},
                            ElementType{"BoolStorage", "bool", 1, {}},
                            ElementType{"ComplexDoubleStorage", "complex128", 16, {}},
                            ElementType{"ComplexFloatStorage", "complex64", 8, {}},
                            ElementType{"QInt8Storage", "qint8", 1, {}},
                            ElementType{"QInt32Storage", "qint32", 4, {}},
                            ElementType{"QUInt8Storage", "quint8", 1, {}},
                            ElementType{"QUInt4x2Storage", "quint4x2", 1, {}},
                            ElementType{"QUInt2x4Storage", "quint2x4", 1, {}},
                            ElementType{"UntypedStorage", "", 1, {}}};

std::string_view last_part(std::string_view name) {
  return name.substr(name.rfind('.') + 1);
}

// ---- Values ----

bool is_call(const PickleValue& value, std::string_view name) {
  return value.kind() == PickleKind::call && value.function() == name;
}
bool is_text(const PickleValue& value) {
  return value.kind() == PickleKind::text || value.kind() == PickleKind::bytes;
}
// Of any of PyTorch's kinds, whether it can be read or not.
bool is_tensor(const PickleValue& value) {
  return value.kind() == PickleKind::call &&
         (value.function().starts_with("torch._utils._rebuild_") ||
          value.function().starts_with("torch._tensor._rebuild_"));
}

// Pairs of a dict, of an object that has entries, or of an OrderedDict from Python 2, which has
// them in its argument.
std::vector<std::pair<PickleValue, PickleValue>> entries_of(const PickleValue& value) {
  std::vector<std::pair<PickleValue, PickleValue>> entries;
  for (std::size_t i = 0; i < value.size(); ++i) entries.emplace_back(value.key(i), value.value(i));
  if (!is_call(value, "collections.OrderedDict")) return entries;
  const PickleValue arguments = value.arguments();
  if (arguments.size() != 1 || arguments[0].kind() != PickleKind::list) return entries;
  for (std::size_t i = 0; i < arguments[0].size(); ++i) {
    const PickleValue pair = arguments[0][i];
    const bool is_pair = pair.kind() == PickleKind::list || pair.kind() == PickleKind::tuple;
    if (is_pair && pair.size() == 2) entries.emplace_back(pair[0], pair[1]);
  }
  return entries;
}
bool has_entries(const PickleValue& value) {
  return value.kind() == PickleKind::dict || value.kind() == PickleKind::call;
}
bool is_sequence(const PickleValue& value) {
  return value.kind() == PickleKind::list || value.kind() == PickleKind::tuple ||
         value.kind() == PickleKind::set;
}

// An attribute in the state that an object was pickled with: a dict, or (a dict or None, slots).
std::optional<PickleValue> attribute(const PickleValue& state, std::string_view name) {
  if (state.kind() == PickleKind::dict) return state.find(name);
  if (state.kind() != PickleKind::tuple || state.size() != 2) return std::nullopt;
  for (const PickleValue& part : {state[0], state[1]}) {
    if (part.kind() != PickleKind::dict) continue;
    if (auto found = part.find(name)) return found;
  }
  return std::nullopt;
}
bool is_module(const PickleValue& value) {
  const auto state = value.kind() == PickleKind::call ? value.state() : std::nullopt;
  return state && attribute(*state, "_parameters") && attribute(*state, "_modules");
}

std::string described(const PickleValue& value) {
  if (is_tensor(value)) return "a tensor";
  if (value.kind() != PickleKind::call) return std::string(kind_name(value.kind()));
  return "a " + printable(value.function());
}

// ---- Tensors ----

// A view of a storage: where each element is.
struct View {
  std::size_t offset = 0;
  std::vector<Index> size, stride;
  Index count = 1;
};

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

struct Storage {
  std::span<const std::byte> bytes;
  bool swapped = false;  // big-endian
};

template <class T>
T element(const Storage& storage, std::size_t i) {
  std::array<std::byte, sizeof(T)> bytes;
  std::memcpy(bytes.data(), storage.bytes.data() + i * sizeof(T), sizeof(T));
  if (storage.swapped) std::ranges::reverse(bytes);
  return std::bit_cast<T>(bytes);
}

Tensor make_tensor(const View& view, const ElementType& type, const Storage& storage,
                   bool negative) {
  const Tensor tensor = Tensor::empty(Shape(std::span(view.size)), *type.read);
  auto* to = static_cast<std::byte*>(tensor.raw());
  const auto fill = [&](auto convert) {
    each_element(view, [&](std::size_t i, std::size_t from) {
      const auto value = convert(from);
      std::memcpy(to + i * sizeof(value), &value, sizeof(value));
    });
  };
  if (type.small != nullptr) {
    const float sign = negative ? -1.0f : 1.0f;
    fill([&](std::size_t i) {
      return sign * type.small->value(type.size == 1 ? element<std::uint8_t>(storage, i)
                                                     : element<std::uint16_t>(storage, i));
    });
  } else if (type.size == 8) {
    const std::uint64_t sign = negative ? std::uint64_t{1} << 63 : 0;
    fill([&](std::size_t i) { return element<std::uint64_t>(storage, i) ^ sign; });
  } else if (type.size == 4) {
    const std::uint32_t sign = negative ? 1u << 31 : 0;
    fill([&](std::size_t i) { return element<std::uint32_t>(storage, i) ^ sign; });
  } else {
    const int sign = negative ? 0x8000 : 0;
    fill([&](std::size_t i) {
      return static_cast<std::uint16_t>(element<std::uint16_t>(storage, i) ^ sign);
    });
  }
  return tensor;
}

struct Rebuild {
  std::string_view function;
  PickleValue arguments;
};
constexpr std::string_view kWrapper = "_rebuild_wrapper_subclass";

bool is_of_type(const Rebuild& call) {
  return last_part(call.function).starts_with("_rebuild_from_type");
}

// The tensor in a distributed tensor of which this process had all. `call` is a _rebuild_from_type
// with a function, a class, arguments and a state.
std::optional<PickleValue> whole_local_tensor(const Rebuild& call) {
  const PickleValue& a = call.arguments;
  if (a.size() < 4 || last_part(a[0].function()) != kWrapper) return std::nullopt;
  const auto local = attribute(a[3], "_local_tensor");
  const auto spec = attribute(a[3], "_spec");
  if (!local || !is_tensor(*local) || !spec || spec->kind() != PickleKind::call || !spec->state()) {
    return std::nullopt;
  }
  // What is spread over processes and what all of them have; partial sums are neither.
  const auto placements = attribute(*spec->state(), "placements");
  if (!placements || !is_sequence(*placements)) return std::nullopt;
  for (std::size_t i = 0; i < placements->size(); ++i) {
    const PickleValue placement = (*placements)[i];
    if (placement.kind() != PickleKind::call) return std::nullopt;
    const std::string_view kind = last_part(placement.function());
    if (kind != "Shard" && kind != "Replicate") return std::nullopt;
  }
  const PickleValue whole = a[2][2];
  const PickleValue own = local->arguments()[2];
  if (!is_sequence(whole) || !is_sequence(own) || whole.size() != own.size()) return std::nullopt;
  for (std::size_t d = 0; d < whole.size(); ++d) {
    if (whole[d].integer() != own[d].integer()) return std::nullopt;
  }
  return local;
}

// The function that makes the tensor itself, with its arguments: parameters, subclasses and tensors
// of other devices are wrapped around one. None if there is no such.
std::optional<Rebuild> unwrapped(PickleValue value) {
  constexpr int kDepth = 8;  // a damaged file's may wrap itself
  for (int i = 0; i < kDepth; ++i) {
    if (value.kind() != PickleKind::call) return std::nullopt;
    Rebuild call{value.function(), value.arguments()};
    std::optional<PickleValue> local;
    for (int j = 0; j < kDepth && is_of_type(call) && !local; ++j) {
      local = whole_local_tensor(call);
      call = {call.arguments[0].function(), call.arguments[2]};  // function, class, arguments
    }
    const std::string_view name = last_part(call.function);
    if (local) {
      value = *local;
    } else if (name.starts_with("_rebuild_parameter") ||
               name == "_rebuild_device_tensor_from_cpu_tensor") {
      value = call.arguments[0];
    } else {
      return call;
    }
  }
  return std::nullopt;
}

// A reference to a storage: ('storage', type, key, location, elements).
struct StorageName {
  const ElementType* type;
  std::string key;
};
bool is_storage(const PickleValue& value) {
  return value.kind() == PickleKind::persistent && value.arguments().kind() == PickleKind::tuple &&
         value.arguments()[0].text() == "storage";
}
StorageName storage_name(const PickleValue& value, const std::string& where) {
  if (!is_storage(value)) {
    fail("{}: has no storage; write the file again with torch.save(model.state_dict(), ...)",
         where);
  }
  const PickleValue id = value.arguments();
  const std::string_view name = last_part(id[1].function());
  const auto type = std::ranges::find(kTypes, name, &ElementType::storage);
  if (name.empty() || type == kTypes.end()) {
    fail("{}: has a storage of {}; convert the tensor with .float()", where,
         printable(id[1].function()));
  }
  if (id.size() > 5 && id[5].kind() != PickleKind::none) {
    fail("{}: is a part of another storage, as PyTorch 0.3 wrote; write the file again", where);
  }
  return {&*type, std::string(id[2].text())};
}

// ---- The start of a file ----

// PyTorch's old format: four pickles (magic number, version, machine, the checkpoint), one with the
// keys of the storages, and the storages, each its number of elements in 8 bytes, then these.
constexpr std::string_view kMagic = "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";

// PROTO, FRAME with a length (from protocol 4 on), LONG1 of 10 bytes, the magic number.
bool starts_as_legacy(std::string_view start) {
  if (start.size() < 2 || start[0] != '\x80') return false;
  start.remove_prefix(2);
  if (start.starts_with('\x95')) start.remove_prefix(std::min<std::size_t>(9, start.size()));
  return start.starts_with("\x8a\x0a") && start.substr(2).starts_with(kMagic);
}
std::string start_of(const std::string& path) {
  std::string start(32, '\0');
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

struct TorchFile::Impl {
  std::string path;
  std::uint64_t left = 0;  // bytes that tensors may still take
  std::vector<Dict> dicts;
  std::vector<std::map<std::string, PickleValue>> tensors;  // of each dict
  std::string contents, module;

  // The zip format: NAME/data.pkl, and a storage each in NAME/data/KEY.
  std::optional<ZipReader> archive;
  std::string folder;
  bool big_endian = false;
  // The pickle of the zip format, the whole file of the other.
  std::vector<std::byte> bytes;
  std::map<std::string, std::vector<std::byte>, std::less<>> loaded;
  std::map<std::string, std::span<const std::byte>, std::less<>> storages;

  static PickleOptions options() {
    return {.globals = {}, .any_class = true, .persistent_ids = true};
  }

  explicit Impl(const std::string& path);
  PickleValue open_zip();
  PickleValue open_legacy();
  class Search;
  void search(const PickleValue& top);
  std::span<const std::byte> storage(const StorageName& name, const std::string& where);
  View view(const Rebuild& call, std::size_t available, std::size_t size, const std::string& where);
  std::optional<std::string> read(const PickleValue& value, const std::string& name,
                                  TensorFile& into);
};

TorchFile::Impl::Impl(const std::string& name) : path(name) {
  std::error_code code;
  const std::uintmax_t size = std::filesystem::file_size(path, code);
  if (code) fail("{}: cannot be read ({}); check the name", path, code.message());
  // A file may name one storage, or one element, in many places.
  left = 4 * size + (std::uint64_t{1} << 28);
  const std::string start = start_of(path);
  if (start.starts_with("PK")) {
    search(open_zip());
  } else if (starts_as_legacy(start)) {
    bytes.resize(static_cast<std::size_t>(size));
    std::ifstream file(path, std::ios::binary);
    if (!file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size))) {
      fail("{}: reading failed; check the disk", path);
    }
    search(open_legacy());
  } else {
    fail("{}: no checkpoint of PyTorch; write it with torch.save(model.state_dict(), ...)", path);
  }
}

PickleValue TorchFile::Impl::open_zip() {
  archive.emplace(path, "checkpoint");
  constexpr std::string_view kPickle = "data.pkl";
  const auto& names = archive->names();
  const auto entry = std::ranges::find_if(names, [&](const std::string& name) {
    return name == kPickle || name.ends_with("/data.pkl");
  });
  if (entry == names.end()) {
    const std::string_view first = names.empty() ? std::string_view() : names.front();
    fail(
        "{}: a zip archive without data.pkl{}{}, so no checkpoint of PyTorch; if one is packed in "
        "it, unpack it first",
        path, first.empty() ? "" : ", which begins with ", printable(first));
  }
  folder = entry->substr(0, entry->size() - kPickle.size());
  if (archive->has(folder + "constants.pkl")) {
    fail(
        "{}: a TorchScript archive (torch.jit.save), which is code; save its weights in Python: "
        "torch.save(torch.jit.load(FILE).state_dict(), ...)",
        path);
  }
  if (const std::string order = folder + "byteorder"; archive->has(order)) {
    big_endian = archive->read(order, path).size() == 3;  // "big", else "little"
  }
  bytes = archive->read(*entry, path);
  return parse_pickle(bytes, path, options()).value;
}

PickleValue TorchFile::Impl::open_legacy() {
  std::size_t at = 0;
  const std::span<const std::byte> all = bytes;
  const auto next = [&] {
    Pickle pickle = parse_pickle(all.subspan(at), path, options());
    at += pickle.length;
    return pickle;
  };
  next();
  if (const std::int64_t version = next().value.integer(); version != 1001) {
    fail("{}: version {} of PyTorch's old format, only 1001 is known", path, version);
  }
  next();  // the machine; numbers are little-endian whatever it was
  const Pickle checkpoint = next();
  const PickleValue keys = next().value;

  // The storages' sizes in bytes follow from the type under which each is named first.
  std::map<std::string, std::size_t, std::less<>> element_sizes;
  for (const PickleValue& value : checkpoint.persistent) {
    if (!is_storage(value)) continue;
    const StorageName name = storage_name(value, path);
    element_sizes.emplace(name.key, name.type->size);
  }
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
    storages.emplace(key, all.subspan(at, count * size->second));
    at += count * size->second;
  }
  return checkpoint.value;
}

// Breadth first, so that of two ways to a dict the shorter one names it.
class TorchFile::Impl::Search {
 public:
  Search(Impl& found, const PickleValue& top) : found_(found), open_{{top, "", 0}} {
    seen_.insert(top.id());
    for (std::size_t at = 0; at < open_.size(); ++at) {
      const Place place = open_[at];
      if (!has_entries(place.value) && !is_sequence(place.value)) break;  // the top alone, a number
      look_into(place);
    }
  }

 private:
  struct Place {
    PickleValue value;
    std::string path;
    int depth;
  };

  // What an optimiser keeps has the names and shapes of weights and is none.
  static bool is_optimisers(std::string_view key) {
    std::string lower(key);
    std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
    return lower.find("optim") != lower.npos || lower.starts_with("grad") ||
           lower.starts_with("exp_avg");
  }

  void look_into(const Place& place) {
    const PickleValue& value = place.value;
    if (is_module(value)) {
      if (found_.module.empty()) found_.module = printable(value.function());
    } else if (is_sequence(value)) {
      for (std::size_t i = 0; i < value.size(); ++i) visit(value[i], place, std::to_string(i));
    } else {
      look_into_dict(place, entries_of(value));
    }
  }

  void look_into_dict(const Place& place,
                      const std::vector<std::pair<PickleValue, PickleValue>>& entries) {
    const auto has = [&](std::string_view key) {
      return std::ranges::any_of(
          entries, [&](const auto& e) { return is_text(e.first) && e.first.text() == key; });
    };
    if (has("state") && has("param_groups")) return;  // an optimiser's, whatever it is called
    Dict dict{place.path, {}};
    std::map<std::string, PickleValue> own;
    for (const auto& [key, item] : entries) {
      if (is_text(key) && is_tensor(item)) {
        const std::string name(key.text());
        // The last of equal keys holds, as in Python.
        if (own.insert_or_assign(name, item).second) dict.names.push_back(name);
      } else if (is_text(key)) {
        visit(item, place, key.text());
      } else {
        visit(item, place, key.kind() == PickleKind::integer ? std::to_string(key.integer()) : "?");
      }
    }
    if (!dict.names.empty()) {
      found_.dicts.push_back(std::move(dict));
      found_.tensors.push_back(std::move(own));
    }
    if (place.value.kind() != PickleKind::call) return;
    visit(place.value.arguments(), place, "");
    if (const auto elements = place.value.elements()) visit(*elements, place, "");
    if (const auto state = place.value.state()) visit(*state, place, "");
  }

  void visit(const PickleValue& value, const Place& from, std::string_view key) {
    constexpr int kDepth = 12;
    if ((!has_entries(value) && !is_sequence(value)) || is_tensor(value) || from.depth >= kDepth) {
      return;
    }
    if (is_optimisers(key) || !seen_.insert(value.id()).second) return;
    const std::string_view dot = from.path.empty() || key.empty() ? "" : ".";
    open_.push_back({value, fmt::format("{}{}{}", from.path, dot, printable(key)), from.depth + 1});
  }

  Impl& found_;
  std::vector<Place> open_;
  std::unordered_set<std::uint32_t> seen_;
};

void TorchFile::Impl::search(const PickleValue& top) {
  Search(*this, top);
  const auto add = [&](const std::string& text) {
    contents += (contents.empty() ? "" : ", ") + text;
  };
  const auto entries =
      has_entries(top) ? entries_of(top) : std::vector<std::pair<PickleValue, PickleValue>>();
  constexpr std::size_t kShown = 6;
  for (std::size_t i = 0; i < std::min(kShown, entries.size()); ++i) {
    const auto& [key, item] = entries[i];
    add(fmt::format("{} ({})", is_text(key) ? printable(key.text()) : "?", described(item)));
  }
  if (entries.size() > kShown) add(fmt::format("{} more", entries.size() - kShown));
  if (entries.empty()) add(described(top));
}

std::span<const std::byte> TorchFile::Impl::storage(const StorageName& name,
                                                    const std::string& where) {
  if (!archive) {
    const auto found = storages.find(name.key);
    if (found != storages.end()) return found->second;
    fail("{}: its storage is missing; copy or write the file again", where);
  }
  const std::string entry = folder + "data/" + name.key;
  if (!archive->has(entry)) {
    fail("{}: its storage is missing; copy or write the file again", where);
  }
  auto found = loaded.find(entry);
  if (found == loaded.end()) {
    found = loaded.emplace(entry, archive->read(entry, where)).first;
    // Weights do not deflate, and PyTorch does not try to.
    if (found->second.size() > left) fail("{}: unpacks to more than weights do", where);
    left -= found->second.size();
  }
  return found->second;
}

// The view that a call makes of a storage with `available` elements of `size` bytes.
View TorchFile::Impl::view(const Rebuild& call, std::size_t available, std::size_t size,
                           const std::string& where) {
  const auto limit = static_cast<std::int64_t>(available);
  const auto bad = [&] {
    fail("{}: the tensor does not fit its storage of {} elements; copy or write the file again",
         where, available);
  };
  View view;
  const std::int64_t offset = call.arguments[1].integer();
  if (offset < 0 || offset > limit) bad();
  view.offset = static_cast<std::size_t>(offset);
  const PickleValue extents = call.arguments[2];
  const PickleValue strides = call.arguments[3];
  if (strides.size() != extents.size()) bad();
  for (std::size_t d = 0; d < extents.size(); ++d) {
    const std::int64_t extent = extents[d].integer();
    const std::int64_t step = strides[d].integer();
    if (extent < 1 || step < 0) bad();
    view.size.push_back(extent);
    view.stride.push_back(step);
  }
  std::int64_t last = offset;  // the element that is furthest in the storage
  const auto most = static_cast<std::int64_t>(left / size);
  for (std::size_t d = 0; d < view.size.size(); ++d) {
    const std::int64_t extent = view.size[d];
    if (extent > 1 && view.stride[d] > limit / (extent - 1)) bad();
    last += (extent - 1) * view.stride[d];
    if (last >= limit) bad();
    // Expanded tensors hold an element many times, so that the storage is no bound.
    if (view.count > most / extent) {
      fail("{}: shape and storage make more numbers than a file of this size can hold", where);
    }
    view.count *= extent;
  }
  if (last >= limit) bad();
  left -= static_cast<std::uint64_t>(view.count) * size;
  return view;
}

// Reads a tensor, or says what it is that is not read.
std::optional<std::string> TorchFile::Impl::read(const PickleValue& value, const std::string& name,
                                                 TensorFile& into) {
  const std::string where = fmt::format("{}: tensor '{}'", path, printable(name));
  const auto call = unwrapped(value);
  if (!call) fail("{}: is no tensor; write the file again", where);
  const std::string_view function = last_part(call->function);
  const bool typed = function == "_rebuild_tensor_v2" || function == "_rebuild_tensor";
  const bool untyped = function == "_rebuild_tensor_v3";
  if (!typed && !untyped) {
    constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kWords{
        {{"_rebuild_sparse_tensor", "sparse"},
         {"_rebuild_qtensor", "quantised"},
         {"_rebuild_nested_tensor", "nested"},
         {"_rebuild_meta_tensor_no_storage", "without numbers, on the device 'meta'"},
         {kWrapper, "part of a distributed tensor, save its full_tensor()"},
         {"_rebuild_device_tensor_from_numpy", "a numpy array"}}};
    const auto word = std::ranges::find(kWords, function, [](const auto& w) { return w.first; });
    return word != kWords.end() ? std::string(word->second) : printable(call->function);
  }
  const StorageName reference = storage_name(call->arguments[0], where);
  const ElementType* type = reference.type;
  if (untyped) {
    const std::string_view dtype = last_part(call->arguments[6].function());
    const auto found = std::ranges::find(kTypes, dtype, &ElementType::dtype);
    if (dtype.empty() || found == kTypes.end()) return printable(dtype);
    type = &*found;
  }
  if (!type->read) return std::string(type->dtype);
  if (call->arguments[2].size() > kMaxRank) {
    return fmt::format("of {} dimensions", call->arguments[2].size());
  }
  for (std::size_t d = 0; d < call->arguments[2].size(); ++d) {
    if (call->arguments[2][d].integer() == 0) return "without elements";
  }
  // A lazy negation is a flag beside the numbers: {'neg': True}.
  const std::size_t metadata = untyped ? 7 : 6;
  bool negative = false;
  if (call->arguments.size() > metadata && call->arguments[metadata].kind() == PickleKind::dict) {
    const auto flag = call->arguments[metadata].find("neg");
    negative = flag && flag->boolean();
  }
  const std::span<const std::byte> elements = storage(reference, where);
  const View v =
      view(*call, elements.size() / type->size, std::max(type->size, size_of(*type->read)), where);
  into.tensors.emplace_back(name, make_tensor(v, *type, {elements, big_endian}, negative));
  return std::nullopt;
}

TorchFile::TorchFile(const std::string& path) : impl_(std::make_unique<Impl>(path)) {}
TorchFile::~TorchFile() = default;

const std::vector<TorchFile::Dict>& TorchFile::dicts() const {
  return impl_->dicts;
}
const std::string& TorchFile::contents() const {
  return impl_->contents;
}
const std::string& TorchFile::module() const {
  return impl_->module;
}

TensorFile TorchFile::read(std::size_t dict, std::span<const std::string> names,
                           std::vector<PassedOver>& passed_over) const {
  TensorFile file;
  for (const std::string& name : names) {
    const auto what = impl_->read(impl_->tensors[dict].at(name), name, file);
    if (what) passed_over.push_back({name, *what});
  }
  return file;
}

}  // namespace posetape::data
