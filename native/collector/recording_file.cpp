#include "collector/recording_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>

#include "collector/crc32c.h"

namespace heaptide {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kFinished = 1; // a flag of the file header
// Room for a last state of processes and threads, and for the end.
constexpr uint64_t kReserves[] = {64 << 10, 12 << 10};
constexpr size_t kRemembered = 64; // chunks that may be given up again

constexpr uint64_t round_up(uint64_t offset) { return (offset + kPage - 1) / kPage * kPage; }

} // namespace

RecordingFile::~RecordingFile() {
  if (fd_ >= 0) close(fd_);
}

bool RecordingFile::create(const std::string &path, bool roomy) {
  fd_ = open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd_ < 0) {
    error_ = errno;
    return false;
  }
  unsigned char header[kFileHeaderBytes] = {'h', 'e', 'a', 'p', 't', 'i', 'd', 'e', 2};
  if (!put(0, header, sizeof header)) return false;
  end_ = kFileHeaderBytes;
  for (uint64_t bytes : kReserves) {
    if (roomy) reserve(bytes);
  }
  account();
  return error_ == 0;
}

bool RecordingFile::put(uint64_t offset, const void *data, size_t size) {
  const char *at = static_cast<const char *>(data);
  while (size > 0) {
    ssize_t n = pwrite(fd_, at, size, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      if (error_ == 0) error_ = n < 0 ? errno : ENOSPC;
      return false;
    }
    at += n;
    offset += static_cast<uint64_t>(n);
    size -= static_cast<size_t>(n);
  }
  return true;
}

bool RecordingFile::cut_back(uint64_t end) {
  int result;
  do {
    result = ftruncate(fd_, static_cast<off_t>(end));
  } while (result < 0 && errno == EINTR);
  end_ = end;
  account();
  return result == 0;
}

// A chunk is one write where it fits into one: header, payload and padding side by side.
bool RecordingFile::write(const Chunk &chunk) {
  uint64_t stored = chunk.payload.size();
  ChunkHeader header = make_chunk_header(chunk.kind, chunk.flags, chunk.rows, stored,
                                         crc32c(chunk.payload.data(), stored));
  std::vector<uint8_t> whole(chunk_bytes(stored));
  std::memcpy(whole.data(), &header, sizeof header);
  if (stored > 0) std::memcpy(whole.data() + sizeof header, chunk.payload.data(), stored);
  if (!put(end_, whole.data(), whole.size())) {
    cut_back(end_);
    return false;
  }
  written_.push_back({end_, whole.size()});
  if (indexed_) index_[end_] = {chunk.kind, whole.size()};
  if (written_.size() > 2 * kRemembered) {
    written_.erase(written_.begin(), written_.end() - static_cast<ptrdiff_t>(kRemembered));
  }
  end_ += whole.size();
  account();
  return true;
}

bool RecordingFile::append(const std::vector<Chunk> &chunks) {
  if (fd_ < 0 || error_ != 0) return false;
  std::vector<Region> superseded;
  bool all = true;
  for (const Chunk &chunk : chunks) {
    if (!write(chunk)) {
      all = false;
      break;
    }
    if (chunk.key == 0) continue;
    auto [at, is_new] = current_.try_emplace(chunk.key, written_.back());
    if (!is_new) {
      superseded.push_back(at->second);
      at->second = written_.back();
    }
  }
  // Only now: a reader of a file cut anywhere before this finds the old ones.
  for (const Region &region : superseded) void_chunk(region);
  return all;
}

bool RecordingFile::append_last(const std::vector<Chunk> &chunks) {
  if (fd_ < 0 || chunks.empty()) return false;
  if (error_ == 0 && append(chunks)) return true;
  // What matters least first. The reserve is given up in two steps, so that the last chunk finds
  // something even if those before it have used up the first.
  release_reserve();
  for (size_t i = 0; i + 1 < chunks.size(); i++) {
    if (!write(chunks[i])) break;
  }
  release_reserve();
  while (!write(chunks.back())) {
    if (written_.empty()) return false;
    uint64_t end = written_.back().offset;
    written_.pop_back();
    if (!cut_back(end)) return false;
  }
  return true;
}

bool RecordingFile::finish() {
  if (fd_ < 0) return false;
  uint32_t flags = kFinished;
  bool done = put(12, &flags, sizeof flags);
  // Some file systems only say here that data was lost.
  if (close(fd_) != 0 && error_ == 0 && errno != EINTR) {
    error_ = errno;
    done = false;
  }
  fd_ = -1;
  return done;
}

// ------------------------------------------------------------------------------------- index

std::vector<RecordingFile::Region> RecordingFile::chunks_of(ChunkKind kind) const {
  std::vector<Region> found;
  for (const auto &[offset, chunk] : index_) {
    if (chunk.first == kind) found.push_back({offset, chunk.second});
  }
  return found;
}

bool RecordingFile::read(Region region, uint64_t *rows, std::vector<uint8_t> *payload) {
  std::vector<uint8_t> whole(region.bytes);
  for (size_t done = 0; done < whole.size();) {
    ssize_t n = pread(fd_, whole.data() + done, whole.size() - done,
                      static_cast<off_t>(region.offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    done += static_cast<size_t>(n);
  }
  ChunkHeader header;
  std::memcpy(&header, whole.data(), sizeof header);
  if (header.stored > whole.size() - sizeof header) return false;
  *rows = header.rows;
  auto from = whole.begin() + static_cast<ptrdiff_t>(sizeof header);
  payload->assign(from, from + static_cast<ptrdiff_t>(header.stored));
  return true;
}

bool RecordingFile::replace(const std::vector<Region> &old, const Chunk &chunk) {
  if (fd_ < 0 || error_ != 0 || !write(chunk)) return false;
  auto is_old = [&](const auto &entry) {
    return std::any_of(old.begin(), old.end(),
                       [&](Region region) { return region.offset == entry.second.offset; });
  };
  std::erase_if(current_, is_old);
  if (chunk.key != 0) current_[chunk.key] = written_.back();
  for (Region region : old) void_chunk(region);
  return true;
}

void RecordingFile::drop(ChunkKind kind) {
  std::vector<Region> old = chunks_of(kind);
  std::erase_if(current_, [&](const auto &entry) {
    auto at = index_.find(entry.second.offset);
    return at != index_.end() && at->second.first == kind;
  });
  for (Region region : old) void_chunk(region);
}

uint64_t RecordingFile::superseded_by(const std::vector<Chunk> &chunks) const {
  uint64_t bytes = 0;
  for (const Chunk &chunk : chunks) {
    auto found = chunk.key == 0 ? current_.end() : current_.find(chunk.key);
    if (found != current_.end()) bytes += found->second.bytes;
  }
  return bytes;
}

// ------------------------------------------------------------------------------------- space

// A void chunk of real bytes: space of our own on a disk that others fill.
void RecordingFile::reserve(uint64_t payload) {
  std::vector<uint8_t> whole(chunk_bytes(payload));
  ChunkHeader header = make_chunk_header(ChunkKind::kVoid, 0, 0, payload, 0);
  std::memcpy(whole.data(), &header, sizeof header);
  // Not zeros: some file systems would store those as nothing.
  for (size_t i = sizeof header; i < whole.size(); i++) {
    whole[i] = static_cast<uint8_t>((i * 0x9e3779b97f4a7c15ull) >> 32 | 1);
  }
  if (!put(end_, whole.data(), whole.size())) {
    cut_back(end_);
    return;
  }
  reserves_.push_back({end_, whole.size()});
  end_ += whole.size();
}

void RecordingFile::release_reserve() {
  if (reserves_.empty()) return;
  Region region = reserves_.front();
  reserves_.erase(reserves_.begin());
  fallocate(fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
            static_cast<off_t>(region.offset + kChunkHeaderBytes),
            static_cast<off_t>(region.bytes - kChunkHeaderBytes));
}

// The header first: from then on nobody reads what is behind it. Neighbouring voids become one, so
// that their headers do not keep a page each.
void RecordingFile::void_chunk(Region region) {
  index_.erase(region.offset);
  uint64_t start = region.offset, end = region.offset + region.bytes;
  auto after = voids_.lower_bound(start);
  if (after != voids_.end() && after->first == end) {
    end = after->first + after->second;
    after = voids_.erase(after);
  }
  if (after != voids_.begin()) {
    auto before = std::prev(after);
    if (before->first + before->second == start) {
      start = before->first;
      voids_.erase(before);
    }
  }
  voids_[start] = end - start;
  ChunkHeader header =
      make_chunk_header(ChunkKind::kVoid, 0, 0, end - start - kChunkHeaderBytes, 0);
  if (!put(start, &header, sizeof header)) return;
  if (!can_punch_) return;
  // Whole pages are given back; the page at either end when its other half has become void, too.
  uint64_t from = std::max(start + kChunkHeaderBytes, region.offset / kPage * kPage);
  uint64_t until = std::min(end, round_up(region.offset + region.bytes));
  if (round_up(from) + kPage <= until &&
      fallocate(fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(from),
                static_cast<off_t>(until - from)) != 0 &&
      errno != EINTR) {
    can_punch_ = false;
    return;
  }
  given_back_ += region.bytes;
  account();
}

void RecordingFile::account() {
  bytes_.store(end_ > given_back_ ? end_ - given_back_ : 0, std::memory_order_relaxed);
}

} // namespace heaptide
