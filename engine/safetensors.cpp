#include "engine/safetensors.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <system_error>

#include "engine/atomic_file.hpp"
#include "engine/crc32.hpp"
#include "engine/error.hpp"
#include "engine/foreign_safetensors.hpp"
#include "engine/small_float.hpp"

namespace posetape {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

using Json = nlohmann::ordered_json;  // keeps the header's order

constexpr std::uint64_t kLengthBytes = 8;
constexpr std::uint64_t kAlignment = 8;
// The reference implementation's limit: a larger length is a wrong file, not a large header.
constexpr std::uint64_t kLargestHeader = 100'000'000;
// Depth of a shape's numbers. What is nested deeper is dropped, since no header has it and printing
// it in an error would recurse.
constexpr int kDepth = 3;
constexpr const char* kMetadata = "__metadata__";
constexpr const char* kTensorSums = "crc32.tensors";
constexpr const char* kMetadataSum = "crc32.metadata";

struct FormatName {
  const char* text;
  DType dtype;
};
constexpr std::array kDTypes = {FormatName{"F64", DType::f64}, FormatName{"F32", DType::f32},
                                FormatName{"BF16", DType::bf16}, FormatName{"I32", DType::i32}};

// What others write: read as F32, or only passed over.
struct OtherFormat {
  const char* text;
  std::uint64_t size;  // bytes an element
  const SmallFloat* format = nullptr;
};
constexpr std::array kOthers = {OtherFormat{"F16", 2, &kF16},
                                OtherFormat{"F8_E4M3", 1, &kF8E4M3},
                                OtherFormat{"F8_E5M2", 1, &kF8E5M2},
                                OtherFormat{"F8_E4M3FNUZ", 1, &kF8E4M3Fnuz},
                                OtherFormat{"F8_E5M2FNUZ", 1, &kF8E5M2Fnuz},
                                OtherFormat{"F8_E8M0", 1},
                                OtherFormat{"I64", 8},
                                OtherFormat{"U64", 8},
                                OtherFormat{"U32", 4},
                                OtherFormat{"I16", 2},
                                OtherFormat{"U16", 2},
                                OtherFormat{"I8", 1},
                                OtherFormat{"U8", 1},
                                OtherFormat{"BOOL", 1},
                                OtherFormat{"C64", 8}};

const char* format_name(DType dtype) {
  const auto found = std::ranges::find(kDTypes, dtype, &FormatName::dtype);
  if (found == kDTypes.end()) fail("safetensors cannot hold {}; convert it to f64", name(dtype));
  return found->text;
}

// Checksums as safetensors.hpp describes them.

std::string hex(std::uint32_t sum) {
  return fmt::format("{:08x}", sum);
}

std::string sum_of(const Tensor& t) {
  const std::string what = fmt::format("{} {}", format_name(t.dtype()), t.shape().text());
  return hex(crc32({static_cast<const std::byte*>(t.raw()), t.bytes()}, crc32(what)));
}

// Throws nlohmann's exception where a string is not UTF-8.
std::string sum_of(const std::map<std::string, std::string>& metadata) {
  return hex(crc32(Json(metadata).dump()));
}

// One tensor as the header describes it; offsets in bytes from the start of the data.
struct Entry {
  std::string name;
  DType dtype = DType::f32;
  const OtherFormat* other = nullptr;  // what the file has in place of the dtype
  Shape shape;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

constexpr const char* kDamaged =
    "copy it again, or where a program changed it on purpose, leave crc32.metadata and "
    "crc32.tensors out of its metadata";

class Reader {
 public:
  Reader(const std::string& path, std::vector<PassedOver>* others)
      : path_(path), others_(others), stream_(path, std::ios::binary) {
    const int code = errno;
    std::error_code error;
    if (!stream_) {
      fail("{}: cannot be read ({}); check the name", path_, std::generic_category().message(code));
    }
    size_ = std::filesystem::file_size(path_, error);
    if (error) fail("{}: cannot be read ({}); give the name of a file", path_, error.message());
  }

  TensorFile read() {
    const Json header = read_header();
    TensorFile file;
    std::vector<Entry> entries;
    for (const auto& [name, value] : header.items()) {
      name == kMetadata ? read_metadata(value, file) : entries.push_back(entry(name, value));
    }
    check_layout(entries);
    const std::optional<Json> sums = take_sums(file.metadata);
    for (const Entry& e : entries) {
      if (e.other != nullptr && e.other->format == nullptr) {
        others_->push_back({e.name, e.other->text});
        continue;
      }
      Tensor t = Tensor::empty(e.shape, e.dtype);
      stream_.seekg(static_cast<std::streamoff>(data_start_ + e.begin));
      e.other == nullptr ? load(t.raw(), t.bytes()) : load_small(*e.other, t);
      if (sums && e.other == nullptr && sums->value(e.name, "") != sum_of(t)) {
        refuse("tensor '{}' is damaged (its checksum is {}, not \"{}\"); {}", e.name, sum_of(t),
               sums->value(e.name, ""), kDamaged);
      }
      file.tensors.emplace_back(e.name, std::move(t));
    }
    return file;
  }

 private:
  template <class... Args>
  [[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) const {
    fail("{}: {}", path_, fmt::format(format, std::forward<Args>(args)...));
  }

  void load(void* to, std::uint64_t bytes) {
    stream_.read(static_cast<char*>(to), static_cast<std::streamsize>(bytes));
    if (!stream_) refuse("reading failed; check the disk");
  }

  void load_small(const OtherFormat& from, const Tensor& to) {
    std::vector<unsigned char> bytes(static_cast<std::size_t>(to.size()) * from.size);
    load(bytes.data(), bytes.size());
    for (std::size_t i = 0; i < static_cast<std::size_t>(to.size()); ++i) {
      const unsigned char* at = bytes.data() + i * from.size;
      to.data<float>()[i] = from.format->value(from.size == 1 ? *at : *at | at[1] << 8);
    }
  }

  Json read_header() {
    if (size_ < kLengthBytes) {
      refuse("not a safetensors file ({} bytes, at least {} expected); check the name", size_,
             kLengthBytes);
    }
    std::uint64_t length = 0;
    load(&length, kLengthBytes);
    if (length > kLargestHeader) {
      refuse(
          "not a safetensors file (a header of {} bytes, at most {} is possible); check the name",
          length, kLargestHeader);
    }
    if (length > size_ - kLengthBytes) {
      refuse("cut short: a header of {} bytes in a file of {}; copy or write it again", length,
             size_);
    }
    data_start_ = kLengthBytes + length;
    std::string text(length, '\0');
    load(text.data(), length);

    // The parser would keep one of two equal names in silence.
    std::set<std::string> names;
    std::string twice;
    const auto watch = [&](int depth, Json::parse_event_t event, Json& parsed) {
      if (event == Json::parse_event_t::key && depth == 1 &&
          !names.insert(parsed.get<std::string>()).second) {
        twice = parsed.get<std::string>();
      }
      return depth <= kDepth;
    };
    Json header = Json::parse(text, watch, /*allow_exceptions=*/false);
    // A zero byte would end the text for the parser.
    if (!header.is_object() || text.find('\0') != std::string::npos) {
      refuse("not a safetensors file (its header is not a JSON object); check the name");
    }
    if (!twice.empty()) refuse("header names '{}' twice; write the file again", twice);
    return header;
  }

  void read_metadata(const Json& value, TensorFile& file) const {
    if (!value.is_object()) refuse("'{}' is not a JSON object; write the file again", kMetadata);
    for (const auto& [key, text] : value.items()) {
      if (!text.is_string()) {
        refuse("metadata '{}' is not a string; write it as a string", key);
      }
      file.metadata.emplace(key, text.get<std::string>());
    }
  }

  // The checksums of the tensors, by name, where the file has any, taken out of the metadata. What
  // the metadata says is checked here, the data when it is read.
  std::optional<Json> take_sums(std::map<std::string, std::string>& metadata) const {
    const auto own = metadata.extract(kMetadataSum);
    const auto tensors = metadata.find(kTensorSums);
    if (own.empty() && tensors == metadata.end()) return std::nullopt;
    if (own.empty() || tensors == metadata.end() || own.mapped() != sum_of(metadata)) {
      refuse("the header is damaged (its metadata does not have the checksum \"{}\"); {}",
             own.empty() ? "" : own.mapped(), kDamaged);
    }
    Json sums = Json::parse(tensors->second, nullptr, /*allow_exceptions=*/false);
    metadata.erase(tensors);
    const bool strings =
        sums.is_object() && std::ranges::all_of(sums, [](const Json& x) { return x.is_string(); });
    if (!strings) refuse("metadata '{}' is not a list of checksums; {}", kTensorSums, kDamaged);
    return sums;
  }

  Entry entry(const std::string& name, const Json& value) const {
    const auto field = [&](const char* key) -> const Json& {
      static const Json none;
      if (!value.is_object()) return none;
      const auto found = value.find(key);
      return found == value.end() ? none : *found;
    };
    const auto unsigned_list = [](const Json& list) {
      return list.is_array() &&
             std::ranges::all_of(list, [](const Json& x) { return x.is_number_unsigned(); });
    };
    const Json& dtype = field("dtype");
    const Json& shape = field("shape");
    const Json& offsets = field("data_offsets");
    if (!dtype.is_string() || !unsigned_list(shape) || !unsigned_list(offsets) ||
        offsets.size() != 2) {
      refuse(
          "tensor '{}' is described by {}; a dtype, a shape and two data_offsets are expected, "
          "write the file again",
          name, shorten(value.dump()));
    }

    Entry e;
    e.name = name;
    const auto& text = dtype.get_ref<const std::string&>();
    const auto known = std::ranges::find(
        kDTypes, text, [](const FormatName& f) { return std::string_view(f.text); });
    if (known == kDTypes.end()) {
      const auto other = std::ranges::find(
          kOthers, text, [](const OtherFormat& f) { return std::string_view(f.text); });
      if (other == kOthers.end() || others_ == nullptr) {
        refuse(
            "tensor '{}' holds {}; F64, F32, BF16 and I32 can be read, convert it to one of them",
            name, text);
      }
      e.other = &*other;
    } else {
      e.dtype = known->dtype;
    }
    const std::uint64_t size = e.other != nullptr ? e.other->size : size_of(e.dtype);
    e.begin = offsets[0].get<std::uint64_t>();
    e.end = offsets[1].get<std::uint64_t>();
    if (shape.size() > kMaxRank) {
      refuse("tensor '{}' has rank {}, at most {} is possible", name, shape.size(), kMaxRank);
    }

    // The product may overflow, and a dimension of 0 would hide that: so every dimension is
    // checked.
    std::vector<Index> dims;
    std::uint64_t elements = 1;
    for (const Json& x : shape) {
      const auto dim = x.get<std::uint64_t>();
      const std::uint64_t room =
          std::numeric_limits<std::int64_t>::max() /
          std::max<std::uint64_t>(1, elements * std::max(size, size_of(e.dtype)));
      if (dim > room) refuse("tensor '{}' has an impossible shape {}", name, shape.dump());
      elements *= dim;
      dims.push_back(static_cast<Index>(dim));
    }
    e.shape = Shape(dims);
    const std::uint64_t bytes = elements * size;
    if (e.end < e.begin || e.end - e.begin != bytes) {
      refuse(
          "tensor '{}' of shape {} needs {} bytes, but its data_offsets are [{}, {}]; write the "
          "file again",
          name, e.shape.text(), bytes, e.begin, e.end);
    }
    return e;
  }

  // The tensors must fill the data exactly, one after the other.
  void check_layout(std::span<const Entry> entries) const {
    std::vector<const Entry*> order;
    for (const Entry& e : entries) order.push_back(&e);
    // By end too, so that an empty tensor comes before the one that begins where it is.
    std::ranges::sort(order, {}, [](const Entry* e) { return std::pair(e->begin, e->end); });

    const std::uint64_t data = size_ - data_start_;
    std::uint64_t last = 0;
    for (const Entry* e : order) {
      if (e->begin < last) {
        refuse(
            "tensor '{}' overlaps the one before it (it begins at {}, that one ends at {}); "
            "write the file again",
            e->name, e->begin, last);
      }
      if (e->begin > last) {
        refuse("gap of {} bytes before tensor '{}'; write the file again", e->begin - last,
               e->name);
      }
      if (e->end > data) {
        refuse("cut short: tensor '{}' ends at byte {} of {} bytes of data; copy or write it again",
               e->name, e->end, data);
      }
      last = e->end;
    }
    if (last != data) {
      refuse("{} bytes after the last tensor; write the file again", data - last);
    }
  }

  static std::string shorten(std::string text) {
    constexpr std::size_t kMost = 80;
    return text.size() <= kMost ? text : text.substr(0, kMost) + "...";
  }

  std::string path_;
  std::vector<PassedOver>* others_;
  std::ifstream stream_;
  std::uint64_t size_ = 0;
  std::uint64_t data_start_ = 0;
};

}  // namespace

bool TensorFile::contains(std::string_view name) const {
  return std::ranges::find(tensors, name, [](const auto& t) {
           return std::string_view(t.first);
         }) != tensors.end();
}

const Tensor& TensorFile::at(std::string_view name) const {
  for (const auto& [own, tensor] : tensors) {
    if (own == name) return tensor;
  }
  fail("no tensor '{}' among the {} of the file; it was written for something else", name,
       tensors.size());
}

void TensorFile::check_finite(const std::string& path) const {
  for (const auto& [name, tensor] : tensors) {
    if (name.starts_with("trainer.")) continue;
    const auto bad = first_not_finite(tensor);
    if (!bad) continue;
    fail(
        "{}: tensor '{}' holds {} (element {} of {}): its training diverged; use another "
        "checkpoint, or train again with a lower learning rate",
        path, name, bad->value, bad->index, tensor.size());
  }
}

TensorFile read_safetensors(const std::string& path) {
  return Reader(path, nullptr).read();
}

TensorFile read_foreign_safetensors(const std::string& path, std::vector<PassedOver>& passed_over) {
  return Reader(path, &passed_over).read();
}

void write_safetensors(const std::string& path, const TensorFile& file) {
  std::set<std::string_view> names = {kMetadata};
  for (const auto& [name, tensor] : file.tensors) {
    if (!tensor.defined()) fail("{}: tensor '{}' is undefined", path, name);
    if (!names.insert(name).second) {
      fail("{}: tensor name '{}' is {}", path, name,
           name == kMetadata ? "reserved by the format" : "given twice");
    }
  }
  for (const char* key : {kTensorSums, kMetadataSum}) {
    if (file.metadata.contains(key)) fail("{}: metadata '{}' is the checksum's own", path, key);
  }

  std::vector<Tensor> tensors;  // on the host
  for (const auto& [name, tensor] : file.tensors) tensors.push_back(tensor.to(Device::cpu));
  std::vector<std::size_t> order(file.tensors.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::stable_sort(order, std::greater<>(),
                           [&](std::size_t i) { return size_of(tensors[i].dtype()); });
  std::vector<std::uint64_t> begin(order.size());
  std::uint64_t position = 0;
  for (const std::size_t i : order) {
    begin[i] = position;
    position += tensors[i].bytes();
  }

  std::string text;
  try {
    std::map<std::string, std::string> metadata = file.metadata;
    Json sums = Json::object();
    for (std::size_t i = 0; i < order.size(); ++i) sums[file.tensors[i].first] = sum_of(tensors[i]);
    if (!sums.empty()) {
      metadata[kTensorSums] = sums.dump();
      metadata[kMetadataSum] = sum_of(metadata);
    }
    Json header = Json::object();
    if (!metadata.empty()) header[kMetadata] = metadata;
    for (std::size_t i = 0; i < order.size(); ++i) {
      const auto dims = tensors[i].shape().dims();
      header[file.tensors[i].first] = {{"dtype", format_name(tensors[i].dtype())},
                                       {"shape", std::vector<Index>(dims.begin(), dims.end())},
                                       {"data_offsets", {begin[i], begin[i] + tensors[i].bytes()}}};
    }
    text = header.dump();
  } catch (const Json::exception&) {
    fail("{}: a tensor name or a metadata string is not UTF-8", path);
  }
  text.resize((text.size() + kAlignment - 1) / kAlignment * kAlignment, ' ');

  AtomicFile out(path);
  const std::uint64_t length = text.size();
  out.write(std::as_bytes(std::span(&length, 1)));
  out.write(text);
  for (const std::size_t i : order) {
    out.write({static_cast<const std::byte*>(tensors[i].raw()), tensors[i].bytes()});
  }
  out.commit();
}

}  // namespace posetape
