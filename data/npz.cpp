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

#include "engine/atomic_file.hpp"
#include "engine/error.hpp"

namespace posetape::data {
namespace {

constexpr std::string_view kSuffix = ".npy";

// ---- Reading ----

// The first bytes say what a file is that libzip takes for no archive.
[[noreturn]] void refuse_archive(const std::string& path, const std::string& reason) {
  std::array<char, 6> start{};
  std::ifstream(path, std::ios::binary).read(start.data(), start.size());
  const std::string_view text(start.data(), start.size());
  if (text.starts_with("\x93NUMPY")) {
    fail("{}: is a single npy array, not an npz file; write it with numpy.savez", path);
  }
  if (text.starts_with("PK\x03\x04")) {
    fail("{}: the npz file is cut off or damaged ({}); copy or write it again", path, reason);
  }
  fail("{}: not an npz file; write one with numpy.savez or 'posetape prepare'", path);
}

std::string message(zip_error_t* error) {
  std::string text = zip_error_strerror(error);
  zip_error_fini(error);
  return text;
}

struct CloseEntry {
  void operator()(zip_file_t* file) const { zip_fclose(file); }
};

// ---- Writing ----

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

void NpzReader::Close::operator()(zip* archive) const {
  zip_discard(archive);
}

NpzReader::NpzReader(const std::string& path) : path_(path) {
  std::error_code code;
  file_size_ = std::filesystem::file_size(path, code);
  if (code) fail("{}: cannot be read ({}); check the name", path, code.message());
  if (file_size_ == 0) fail("{}: the file is empty; write it again", path);
  if (std::FILE* file = std::fopen(path.c_str(), "rb")) {
    std::fclose(file);
  } else {
    fail("{}: cannot be read ({}); check that you may read it", path,
         std::generic_category().message(errno));
  }

  int reason = 0;
  archive_.reset(zip_open(path.c_str(), ZIP_RDONLY, &reason));
  if (!archive_) {
    zip_error_t error;
    zip_error_init_with_code(&error, reason);
    refuse_archive(path, message(&error));
  }
  const zip_int64_t count = zip_get_num_entries(archive_.get(), 0);
  for (zip_int64_t i = 0; i < count; ++i) {
    const char* name = zip_get_name(archive_.get(), static_cast<zip_uint64_t>(i), 0);
    const std::string_view text = name == nullptr ? "" : name;
    if (!text.ends_with(kSuffix)) continue;
    names_.emplace_back(text.substr(0, text.size() - kSuffix.size()));
    entries_.emplace(names_.back(), static_cast<std::uint64_t>(i));
  }
}

std::string NpzReader::where(const std::string& name) const {
  return fmt::format("{}: array '{}'", path_, name);
}

std::vector<std::byte> NpzReader::read_bytes(const std::string& name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) fail("{}: there is no such array; check the name", where(name));
  const std::uint64_t entry = found->second;

  const auto damaged = [&](const std::string& reason) {
    fail("{}: cut off or damaged ({}); copy or write the file again", where(name), reason);
  };
  zip_stat_t status;
  zip_stat_init(&status);
  if (zip_stat_index(archive_.get(), entry, 0, &status) != 0 ||
      (status.valid & ZIP_STAT_SIZE) == 0) {
    damaged(zip_strerror(archive_.get()));
  }
  // Deflate gains a factor of 1032 at most (zlib's technical notes), so that a greater size is a
  // lie that would only exhaust the memory. Large arrays that gain as much are no poses, either.
  const std::uint64_t stored = (status.valid & ZIP_STAT_COMP_SIZE) != 0
                                   ? std::min(status.comp_size, file_size_)
                                   : file_size_;
  if (status.size / 1032 > stored) damaged("impossible size");
  constexpr std::uint64_t kLarge = std::uint64_t{1} << 28;
  if (status.size > kLarge && status.size / 100 > stored) {
    fail("{}: {} bytes that unpack to {} are refused; write the file again with numpy.savez",
         where(name), stored, status.size);
  }

  std::vector<std::byte> bytes(status.size);
  const std::unique_ptr<zip_file_t, CloseEntry> file(zip_fopen_index(archive_.get(), entry, 0));
  if (!file) damaged(zip_strerror(archive_.get()));
  std::size_t done = 0;
  while (true) {
    // The read after the last byte checks the CRC, into a byte that must stay unused.
    std::byte extra{};
    const bool end = done == bytes.size();
    const zip_int64_t n = end ? zip_fread(file.get(), &extra, 1)
                              : zip_fread(file.get(), bytes.data() + done, bytes.size() - done);
    if (n < 0) damaged(zip_file_strerror(file.get()));
    if (n == 0) break;
    if (end) damaged("longer than its directory entry says");
    done += static_cast<std::size_t>(n);
  }
  if (done != bytes.size()) damaged("shorter than its directory entry says");
  return bytes;
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
