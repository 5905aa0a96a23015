#include "data/zip_reader.hpp"

#include <zip.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "engine/error.hpp"

namespace posetape::data {
namespace {

struct CloseEntry {
  void operator()(zip_file_t* file) const { zip_fclose(file); }
};

}  // namespace

void ZipReader::Close::operator()(zip* archive) const {
  zip_discard(archive);
}

ZipReader::ZipReader(const std::string& path, const std::string& kind) {
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
    const std::string text = zip_error_strerror(&error);
    zip_error_fini(&error);
    fail("{}: the {} is cut off or damaged ({}); copy or write it again", path, kind, text);
  }
  const zip_int64_t count = zip_get_num_entries(archive_.get(), 0);
  for (zip_int64_t i = 0; i < count; ++i) {
    const char* name = zip_get_name(archive_.get(), static_cast<zip_uint64_t>(i), 0);
    names_.emplace_back(name == nullptr ? "" : name);
    entries_.emplace(names_.back(), static_cast<std::uint64_t>(i));
  }
}

std::vector<std::byte> ZipReader::read(const std::string& name, const std::string& where) const {
  const std::uint64_t entry = entries_.at(name);
  const auto damaged = [&](const std::string& reason) {
    fail("{}: cut off or damaged ({}); copy or write the file again", where, reason);
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
    fail("{}: {} bytes that unpack to {} are refused; write the file again with numpy.savez", where,
         stored, status.size);
  }

  // PyTorch can leave the check sums out, and writes 0 in their place.
  const bool unchecked = (status.valid & ZIP_STAT_CRC) != 0 && status.crc == 0;
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
    const bool sum = n < 0 && zip_error_code_zip(zip_file_get_error(file.get())) == ZIP_ER_CRC;
    if (end && sum && unchecked) break;
    if (n < 0) damaged(zip_file_strerror(file.get()));
    if (n == 0) break;
    if (end) damaged("longer than its directory entry says");
    done += static_cast<std::size_t>(n);
  }
  if (done != bytes.size()) damaged("shorter than its directory entry says");
  return bytes;
}

}  // namespace posetape::data
