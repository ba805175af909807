#include "collector/chunk.h"

#include <cstring>
#include <utility>

#include "collector/crc32c.h"

namespace heaptide {
namespace {

constexpr uint32_t kChunkMagic = 0x4b4e4843;
constexpr size_t kNameBytes = 22;

template <class T>
void append_as(std::span<const uint64_t> values, std::vector<uint8_t> *data) {
  size_t at = data->size();
  data->resize(at + values.size() * sizeof(T));
  for (uint64_t value : values) {
    T narrow = static_cast<T>(value);
    std::memcpy(data->data() + at, &narrow, sizeof narrow);
    at += sizeof narrow;
  }
}

} // namespace

ChunkHeader make_chunk_header(ChunkKind kind, uint8_t flags, uint64_t rows, uint64_t stored,
                              uint32_t payload_crc) {
  ChunkHeader header{};
  header.magic = kChunkMagic;
  header.kind = static_cast<uint16_t>(kind);
  header.flags = flags;
  header.rows = rows;
  header.stored = header.raw = stored;
  header.payload_crc = payload_crc;
  header.header_crc = crc32c(&header, offsetof(ChunkHeader, header_crc));
  return header;
}

void Payload::add(std::string_view name, char type, size_t bytes) {
  uint8_t descriptor[32] = {};
  std::memcpy(descriptor, name.data(), name.size() < kNameBytes ? name.size() : kNameBytes);
  descriptor[22] = static_cast<uint8_t>(type);
  uint64_t size = bytes;
  std::memcpy(descriptor + 24, &size, sizeof size);
  descriptors_.insert(descriptors_.end(), descriptor, descriptor + sizeof descriptor);
  data_.resize((data_.size() + 7) & ~size_t{7});
  columns_++;
}

Payload &Payload::column(std::string_view name, std::span<const uint64_t> values) {
  uint64_t all = 0;
  for (uint64_t value : values) all |= value;
  if (all <= UINT8_MAX) {
    append_as<uint8_t>(values, &data_);
    add(name, 'B', values.size());
  } else if (all <= UINT16_MAX) {
    append_as<uint16_t>(values, &data_);
    add(name, 'H', values.size() * 2);
  } else if (all <= UINT32_MAX) {
    append_as<uint32_t>(values, &data_);
    add(name, 'I', values.size() * 4);
  } else {
    append_as<uint64_t>(values, &data_);
    add(name, 'Q', values.size() * 8);
  }
  return *this;
}

Payload &Payload::sparse(std::string_view name, std::span<const uint64_t> values) {
  for (uint64_t value : values) {
    if (value != 0) return column(name, values);
  }
  return *this;
}

Payload &Payload::bytes(std::string_view name, std::string_view data) {
  data_.insert(data_.end(), data.begin(), data.end());
  add(name, 'B', data.size());
  return *this;
}

std::vector<uint8_t> Payload::finish() {
  std::vector<uint8_t> payload(8);
  std::memcpy(payload.data(), &columns_, sizeof columns_);
  payload.reserve(8 + descriptors_.size() + data_.size());
  payload.insert(payload.end(), descriptors_.begin(), descriptors_.end());
  payload.insert(payload.end(), data_.begin(), data_.end());
  *this = Payload();
  return payload;
}

} // namespace heaptide
