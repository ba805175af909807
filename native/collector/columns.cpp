#include "collector/columns.h"

#include <cstring>

namespace heaptide {
namespace {

constexpr size_t kDescriptor = 32, kName = 22;

size_t width_of(char type) { return type == 'B' ? 1 : type == 'H' ? 2 : type == 'I' ? 4 : 8; }

} // namespace

Columns::Column &Columns::column(const std::string &name, bool blob) {
  for (Column &column : columns_) {
    if (column.name == name) return column;
  }
  columns_.push_back({name, {}, {}, blob});
  return columns_.back();
}

bool Columns::read(RecordingFile &file, RecordingFile::Region region) {
  std::vector<uint8_t> payload;
  uint64_t rows;
  if (!file.read(region, &rows, &payload) || payload.size() < 8) return false;
  uint32_t count;
  std::memcpy(&count, payload.data(), sizeof count);
  size_t at = 8 + size_t{count} * kDescriptor;
  for (uint32_t i = 0; i < count; i++) {
    const uint8_t *descriptor = payload.data() + 8 + i * kDescriptor;
    const char *text = reinterpret_cast<const char *>(descriptor);
    std::string name(text, strnlen(text, kName));
    char type = static_cast<char>(descriptor[kName]);
    uint64_t size;
    std::memcpy(&size, descriptor + 24, sizeof size);
    if (size > payload.size() - at) return false;
    const uint8_t *data = payload.data() + at;
    bool blob = name == "s_bytes" || name == "table_bytes";
    Column &into = column(name, blob);
    if (blob) {
      into.joined.append(reinterpret_cast<const char *>(data), size);
    } else {
      into.values.resize(rows_);
      size_t width = width_of(type);
      for (uint64_t done = 0; done < size; done += width) {
        uint64_t value = 0;
        std::memcpy(&value, data + done, width);
        into.values.push_back(value);
      }
    }
    at += (size + 7) & ~uint64_t{7};
  }
  rows_ += rows;
  for (Column &each : columns_) {
    if (!each.blob && each.values.size() < rows_) each.values.resize(rows_);
  }
  return true;
}

std::vector<std::string> Columns::names() const {
  std::vector<std::string> names;
  for (const Column &each : columns_) names.push_back(each.name);
  return names;
}

const std::vector<uint64_t> &Columns::values(std::string_view name) const {
  static const std::vector<uint64_t> none;
  for (const Column &each : columns_) {
    if (each.name == name) return each.values;
  }
  return none;
}

std::vector<uint64_t> &Columns::add(const std::string &name, size_t rows) {
  rows_ = rows;
  Column &added = column(name, false);
  added.values.resize(rows);
  return added.values;
}

Chunk Columns::chunk(ChunkKind kind) const {
  Payload payload;
  for (size_t i = 0; i < columns_.size(); i++) {
    const Column &each = columns_[i];
    if (each.blob) {
      payload.bytes(each.name, each.joined);
    } else if (i == 0 || each.name.ends_with("_len")) {
      payload.column(each.name, each.values);
    } else {
      payload.sparse(each.name, each.values);
    }
  }
  Chunk chunk{kind, rows_, payload.finish()};
  chunk.flags = kSupersedes;
  return chunk;
}

} // namespace heaptide
