#include "data/npz.hpp"

#include <zip.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <system_error>
#include <unordered_set>

#include "data/file_kind.hpp"
#include "data/printable.hpp"
#include "engine/atomic_file.hpp"
#include "engine/error.hpp"

namespace posetape::data {
namespace {

constexpr std::string_view kSuffix = ".npy";

// ---- Reading ----

// What a file is that is no archive of arrays.
void check_kind(const std::string& path) {
  expect_kind(path, {FileKind::npz}, "an npz file as numpy.savez or `posetape prepare` write it");
  std::array<char, 2> start{};
  std::ifstream file(path, std::ios::binary);
  if (!file.read(start.data(), start.size())) return;  // which ZipReader explains
  if (std::string_view(start.data(), start.size()) != "PK") {
    fail("{}: not an npz file; write one with numpy.savez or 'posetape prepare'", path);
  }
}

const std::string& checked(const std::string& path) {
  check_kind(path);
  return path;
}

// ---- Writing ----

std::string message(zip_error_t* error) {
  std::string text = zip_error_strerror(error);
  zip_error_fini(error);
  return text;
}

// What libzip writes goes to an AtomicFile. An exception must not pass through libzip, so the
// first one is kept here and rethrown behind it.
struct Sink {
  AtomicFile* file;
  std::uint64_t length = 0;
  std::exception_ptr thrown;
  zip_error_t error;
};

zip_int64_t write_some(Sink& sink, const void* data, zip_uint64_t length) {
  try {
    sink.file->write({static_cast<const std::byte*>(data), length});
  } catch (...) {
    sink.thrown = std::current_exception();
    zip_error_set(&sink.error, ZIP_ER_WRITE, EIO);
    return -1;
  }
  sink.length = std::max(sink.length, sink.file->position());
  return static_cast<zip_int64_t>(length);
}

// A new, empty archive that can only be written: the contract of zip_source_function(3).
zip_int64_t serve(void* user, void* data, zip_uint64_t length, zip_source_cmd_t command) {
  Sink& sink = *static_cast<Sink*>(user);
  switch (command) {
    case ZIP_SOURCE_SUPPORTS:
      return ZIP_SOURCE_SUPPORTS_WRITABLE;
    case ZIP_SOURCE_STAT: {
      auto* status = static_cast<zip_stat_t*>(data);
      zip_stat_init(status);
      status->size = 0;
      status->valid = ZIP_STAT_SIZE;
      return 0;
    }
    case ZIP_SOURCE_WRITE:
      return write_some(sink, data, length);
    case ZIP_SOURCE_SEEK_WRITE: {
      const zip_int64_t position = zip_source_seek_compute_offset(
          sink.file->position(), sink.length, data, length, &sink.error);
      if (position < 0) return -1;
      sink.file->seek(static_cast<std::uint64_t>(position));
      return 0;
    }
    case ZIP_SOURCE_TELL_WRITE:
      return static_cast<zip_int64_t>(sink.file->position());
    case ZIP_SOURCE_ERROR:
      return zip_error_to_data(&sink.error, data, length);
    case ZIP_SOURCE_OPEN:
    case ZIP_SOURCE_CLOSE:
    case ZIP_SOURCE_READ:
    case ZIP_SOURCE_SEEK:
    case ZIP_SOURCE_TELL:
    case ZIP_SOURCE_BEGIN_WRITE:
    case ZIP_SOURCE_COMMIT_WRITE:
    case ZIP_SOURCE_ROLLBACK_WRITE:
    case ZIP_SOURCE_REMOVE:
    case ZIP_SOURCE_FREE:
      return 0;
    default:
      zip_error_set(&sink.error, ZIP_ER_OPNOTSUPP, 0);
      return -1;
  }
}

void check_arrays(const std::string& path, std::span<const NamedArray> arrays) {
  if (arrays.empty()) fail("{}: there is no array to write; give at least one", path);
  std::unordered_set<std::string_view> seen;
  for (const auto& [name, array] : arrays) {
    if (name.empty()) fail("{}: an array without a name cannot be written; name it", path);
    if (!seen.insert(name).second) {
      fail("{}: two arrays have the name '{}'; give each its own", path, name);
    }
    std::size_t bytes = item_size(array.type);
    for (const std::int64_t extent : array.shape) bytes *= static_cast<std::size_t>(extent);
    if (bytes != array.bytes.size()) {
      fail("{}: array '{}': shape {} of {} takes {} bytes, given {}; fix the shape", path, name,
           shape_text(array.shape), type_name(array.type), bytes, array.bytes.size());
    }
  }
}

// One entry of header and elements, neither of them copied.
bool add_entry(zip_t* archive, const NamedArray& named, std::string& header, int deflate_level) {
  const std::array<zip_buffer_fragment_t, 2> parts{
      {{reinterpret_cast<zip_uint8_t*>(header.data()), header.size()},
       // libzip only reads it.
       {reinterpret_cast<zip_uint8_t*>(const_cast<std::byte*>(named.array.bytes.data())),
        named.array.bytes.size()}}};
  zip_source_t* source =
      zip_source_buffer_fragment(archive, parts.data(), named.array.bytes.empty() ? 1 : 2, 0);
  if (source == nullptr) return false;
  const zip_int64_t index =
      zip_file_add(archive, (named.name + std::string(kSuffix)).c_str(), source, ZIP_FL_ENC_UTF_8);
  if (index < 0) {
    zip_source_free(source);
    return false;
  }
  const auto entry = static_cast<zip_uint64_t>(index);
  const bool deflate = deflate_level > 0;
  // 1 January 1980, the first day of zip dates: the archive depends on nothing but the arrays.
  constexpr zip_uint16_t kFirstDay = 0x21;
  return zip_set_file_compression(archive, entry, deflate ? ZIP_CM_DEFLATE : ZIP_CM_STORE,
                                  static_cast<zip_uint32_t>(deflate_level)) == 0 &&
         zip_file_set_dostime(archive, entry, 0, kFirstDay, 0) == 0;
}

}  // namespace

NpzReader::NpzReader(const std::string& path) : path_(path), archive_(checked(path), "npz file") {
  for (const std::string& name : archive_.names()) {
    if (name.ends_with(kSuffix)) names_.push_back(name.substr(0, name.size() - kSuffix.size()));
  }
}

bool NpzReader::has(const std::string& name) const {
  return archive_.has(name + std::string(kSuffix));
}

std::string NpzReader::where(const std::string& name) const {
  return fmt::format("{}: array '{}'", path_, printable(name));
}

std::vector<std::byte> NpzReader::read_bytes(const std::string& name) const {
  if (!has(name)) fail("{}: there is no such array; check the name", where(name));
  return archive_.read(name + std::string(kSuffix), where(name));
}

NpyArray NpzReader::read(const std::string& name) const {
  return parse_npy(read_bytes(name), where(name));
}

void write_npz(const std::string& path, std::span<const NamedArray> arrays,
               const NpzOptions& options) {
  check_arrays(path, arrays);
  std::vector<std::string> headers;
  for (const NamedArray& named : arrays) {
    headers.push_back(npy_header(named.array.type, named.array.shape));
  }

  AtomicFile file(path);
  Sink sink{&file, 0, nullptr, {}};
  zip_error_init(&sink.error);
  zip_error_t error;
  zip_error_init(&error);
  const auto refuse = [&](const std::string& reason) {
    if (sink.thrown) std::rethrow_exception(sink.thrown);
    fail("{}: cannot be written ({}); check the disk", path, reason);
  };

  zip_source_t* source = zip_source_function_create(serve, &sink, &error);
  if (source == nullptr) refuse(message(&error));
  zip_t* archive = zip_open_from_source(source, ZIP_CREATE | ZIP_TRUNCATE, &error);
  if (archive == nullptr) {
    zip_source_free(source);
    refuse(message(&error));
  }
  bool done = true;
  for (std::size_t i = 0; done && i < arrays.size(); ++i) {
    done = add_entry(archive, arrays[i], headers[i], options.deflate_level);
  }
  if (!done || zip_close(archive) != 0) {
    const std::string reason = zip_strerror(archive);
    zip_discard(archive);
    refuse(reason);
  }
  file.commit();
}

}  // namespace posetape::data
