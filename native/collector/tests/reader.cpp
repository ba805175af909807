#include "collector/tests/reader.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <set>

#include "collector/crc32c.h"

namespace heaptide::testing {
namespace {

std::string slurp(const std::string &path) {
  std::ifstream in(path, std::ios::binary);
  return {(std::istreambuf_iterator<char>(in)), {}};
}

template <class T>
T number(const std::string &bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

bool is_blob(const std::string &name) { return name == "s_bytes" || name == "table_bytes"; }

bool decode(const std::string &payload, ReadChunk *chunk) {
  if (payload.size() < 8) return false;
  uint32_t columns = number<uint32_t>(payload, 0);
  size_t data = 8 + size_t{columns} * 32;
  for (uint32_t i = 0; i < columns; i++) {
    size_t at = 8 + size_t{i} * 32;
    if (data > payload.size() || at + 32 > payload.size()) return false;
    std::string name(payload.data() + at, strnlen(payload.data() + at, 22));
    uint64_t size = number<uint64_t>(payload, at + 24);
    if (payload[at + 23] != 0 || data % 8 != 0 || size > payload.size() - data) return false;
    chunk->columns[name] = {payload[at + 22], payload.substr(data, size)};
    data += (size + 7) & ~size_t{7};
  }
  return true;
}

} // namespace

std::vector<uint64_t> ReadChunk::column(const std::string &name) const {
  auto found = columns.find(name);
  if (found == columns.end()) return std::vector<uint64_t>(rows);
  const Column &column = found->second;
  size_t width = column.type == 'B' ? 1 : column.type == 'H' ? 2 : column.type == 'I' ? 4 : 8;
  std::vector<uint64_t> values;
  for (size_t at = 0; at < column.data.size(); at += width) {
    uint64_t value = 0;
    std::memcpy(&value, column.data.data() + at, width);
    values.push_back(value);
  }
  return values;
}

std::vector<ReadChunk> read_recording(const std::string &path) {
  std::vector<ReadChunk> chunks;
  std::string file = slurp(path);
  if (file.compare(0, 8, "heaptide") != 0 || number<uint32_t>(file, 8) != 2) return chunks;
  for (size_t at = 16; at + 48 <= file.size();) {
    uint64_t stored = number<uint64_t>(file, at + 16);
    if (number<uint32_t>(file, at) != 0x4b4e4843 ||
        number<uint32_t>(file, at + 44) != crc32c_by_tables(file.data() + at, 44) ||
        stored > file.size() - at - 48) {
      break;
    }
    ReadChunk chunk;
    chunk.kind = number<uint16_t>(file, at + 4);
    chunk.supersedes = (file[at + 7] & 1) != 0;
    chunk.final = (file[at + 7] & 2) != 0;
    chunk.rows = number<uint64_t>(file, at + 8);
    if (chunk.kind != 0) {
      std::string payload = file.substr(at + 48, stored);
      if (number<uint32_t>(file, at + 32) != crc32c_by_tables(payload.data(), stored) ||
          number<uint64_t>(file, at + 24) != stored || !decode(payload, &chunk)) {
        break;
      }
      size_t end = at + 48 + ((stored + 7) & ~uint64_t{7});
      if (end > file.size()) break;
      chunks.push_back(std::move(chunk));
    }
    at += 48 + ((stored + 7) & ~uint64_t{7});
  }
  return chunks;
}

bool is_finished(const std::string &path) {
  std::string file = slurp(path);
  return file.size() >= 16 && (number<uint32_t>(file, 12) & 1) != 0;
}

namespace {

using Table = std::map<std::string, std::vector<uint64_t>>;

// Rows to where they say they belong; a later one of the same place counts.
void put_in_place(Table *table) {
  std::vector<uint64_t> places = (*table)["row"];
  table->erase("row");
  size_t rows = 0;
  for (uint64_t place : places) rows = std::max<size_t>(rows, place + 1);
  for (auto &[name, column] : *table) {
    std::vector<uint64_t> placed(rows);
    for (size_t i = 0; i < places.size(); i++) placed[places[i]] = column[i];
    column = placed;
  }
}

// Without rows of a state whose contexts have final ones, but for those of the sum.
void leave_out_stale(const std::vector<ReadChunk> &chunks, Table *table) {
  std::set<uint64_t> known;
  std::vector<bool> stale;
  for (const ReadChunk &chunk : chunks) {
    std::vector<uint64_t> contexts = chunk.column("context");
    if (chunk.final) known.insert(contexts.begin(), contexts.end());
  }
  for (const ReadChunk &chunk : chunks) {
    std::vector<uint64_t> contexts = chunk.column("context"), processes = chunk.column("process");
    for (size_t i = 0; i < contexts.size(); i++) {
      stale.push_back(!chunk.final && processes[i] != 0xffffffff && known.contains(contexts[i]));
    }
  }
  for (auto &[name, column] : *table) {
    size_t kept = 0;
    for (size_t i = 0; i < column.size(); i++) {
      if (!stale[i]) column[kept++] = column[i];
    }
    column.resize(kept);
  }
}

} // namespace

ReadRecording::ReadRecording(const std::string &path) {
  std::map<uint64_t, ReadChunk> slices;
  std::map<int, std::vector<ReadChunk>> by_kind;
  for (ReadChunk &chunk : read_recording(path)) {
    if (chunk.kind == 1) meta = chunk.text("json_bytes");
    if (chunk.kind == 10) {
      uint64_t slice = chunk.column("slice").at(0);
      slices[slice] = chunk;
      continue;
    }
    if (chunk.supersedes) {
      std::erase_if(by_kind[chunk.kind], [](const ReadChunk &earlier) { return !earlier.final; });
    }
    by_kind[chunk.kind].push_back(std::move(chunk));
  }
  for (auto &[kind, chunks] : by_kind) {
    for (ReadChunk &chunk : chunks) {
      size_t before = rows(kind);
      for (auto &[name, column] : chunk.columns) {
        auto values = chunk.column(name);
        auto &all = tables[kind][name];
        // A column that an earlier chunk left out.
        if (!is_blob(name) && all.size() < before) all.resize(before);
        all.insert(all.end(), values.begin(), values.end());
      }
      // And one that this chunk leaves out.
      for (auto &[name, column] : tables[kind]) {
        if (!chunk.has(name) && !is_blob(name)) column.resize(before + chunk.rows);
      }
    }
  }
  for (int kind : {3, 4}) put_in_place(&tables[kind]);
  for (int kind : {12, 13, 14}) leave_out_stale(by_kind[kind], &tables[kind]);
  for (auto &[slice, chunk] : slices) {
    auto contexts = chunk.column("context");
    for (auto &[name, column] : chunk.columns) {
      if (name == "context" || name == "slice" || name == "start" || name == "end") continue;
      if (name.starts_with("spread_")) continue;
      auto values = chunk.column(name);
      auto &all = tables[10][name];
      for (size_t i = 0; i < contexts.size(); i++) {
        if (all.size() <= contexts[i]) all.resize(contexts[i] + 1);
        all[contexts[i]] += values[i];
      }
    }
    if (!chunk.has("spread_blocks")) continue;
    std::vector<uint64_t> blocks = chunk.column("spread_blocks");
    auto rows = [&](const char *name) {
      std::vector<uint64_t> values = chunk.has(name) ? chunk.column(name) : std::vector<uint64_t>();
      values.resize(blocks.size()); // a column of zeros is left out
      return values;
    };
    std::vector<uint64_t> threads = rows("spread_thread"), buckets = rows("spread_bucket");
    for (size_t i = 0; i < blocks.size(); i++) spread[{threads[i], buckets[i]}] += blocks[i];
  }
  std::string bytes(tables[2]["s_bytes"].begin(), tables[2]["s_bytes"].end());
  size_t at = 0;
  for (uint64_t length : tables[2]["s_len"]) {
    strings.push_back(bytes.substr(at, length));
    at += length;
  }
  if (rows(18) == 1) end_reason = strings.at(tables[18]["reason"].at(0));
}

size_t ReadRecording::rows(int kind) const {
  static const std::map<int, const char *> kFirst = {
      {2, "s_len"},    {3, "pid"},      {4, "tid"},   {5, "path"},  {6, "filename"},
      {7, "kind"},     {8, "frame"},    {9, "stack"}, {11, "time"}, {12, "context"},
      {13, "context"}, {14, "context"}, {15, "time"}, {16, "time"}, {18, "reason"}};
  auto table = tables.find(kind);
  auto first = kFirst.find(kind);
  if (table == tables.end() || first == kFirst.end()) return 0;
  auto column = table->second.find(first->second);
  return column == table->second.end() ? 0 : column->second.size();
}

const std::vector<uint64_t> &ReadRecording::column(int kind, const std::string &name,
                                                   size_t wanted) {
  auto &column = tables[kind][name];
  if (column.size() < wanted) column.resize(wanted);
  return column;
}

uint64_t ReadRecording::total(int kind, const std::string &name) {
  uint64_t sum = 0;
  for (uint64_t value : tables[kind][name]) sum += value;
  return sum;
}

std::vector<uint64_t> ReadRecording::frames_of(uint64_t stack) {
  std::vector<uint64_t> frames;
  for (uint64_t next = stack + 1; next != 0;) {
    frames.push_back(tables[8]["frame"].at(next - 1));
    next = tables[8]["parent"].at(next - 1);
  }
  return frames;
}

} // namespace heaptide::testing
