#include "collector/row_chunks.h"

#include <utility>

namespace heaptide {

void add_rows(std::vector<Chunk> *chunks, ChunkKind kind, size_t rows, Payload *payload) {
  if (rows != 0) chunks->push_back({kind, rows, payload->finish()});
}

void add_strings(std::vector<Chunk> *chunks, Definitions &definitions) {
  Definitions::Strings strings = std::exchange(definitions.new_strings, {});
  if (strings.lengths.empty()) return;
  Payload payload;
  payload.column("s_len", strings.lengths).bytes("s_bytes", strings.bytes);
  add_rows(chunks, ChunkKind::kStrings, strings.lengths.size(), &payload);
}

void add_definitions(std::vector<Chunk> *chunks, Definitions &definitions) {
  Payload payload;
  Definitions::Modules modules = std::exchange(definitions.new_modules, {});
  if (!modules.path.empty()) {
    payload.column("process", modules.process)
        .column("bias", modules.bias)
        .column("start", modules.start)
        .column("end", modules.end)
        .column("path", modules.path)
        .column("build_id", modules.build_id);
    add_rows(chunks, ChunkKind::kModules, modules.path.size(), &payload);
  }
  Definitions::Codes codes = std::exchange(definitions.new_codes, {});
  if (!codes.filename.empty()) {
    payload.column("filename", codes.filename)
        .column("qualname", codes.qualname)
        .column("firstlineno", codes.first_line)
        .column("python_version", codes.python_version)
        .column("table_len", codes.table_lengths)
        .bytes("table_bytes", codes.table_bytes);
    add_rows(chunks, ChunkKind::kCodes, codes.filename.size(), &payload);
  }
  Definitions::Frames frames = std::exchange(definitions.new_frames, {});
  if (!frames.kind.empty()) {
    payload.column("kind", frames.kind).column("ref", frames.ref).column("offset", frames.offset);
    add_rows(chunks, ChunkKind::kFrames, frames.kind.size(), &payload);
  }
  Definitions::Stacks stacks = std::exchange(definitions.new_stacks, {});
  if (!stacks.frame.empty()) {
    payload.column("parent", stacks.parent).column("frame", stacks.frame);
    add_rows(chunks, ChunkKind::kStacks, stacks.frame.size(), &payload);
  }
}

void add_contexts(std::vector<Chunk> *chunks, const ContextRows &rows) {
  if (rows.process.empty()) return;
  Payload payload;
  payload.column("process", rows.process)
      .column("thread", rows.thread)
      .column("stack", rows.stack)
      .column("kind", rows.kind);
  add_rows(chunks, ChunkKind::kContexts, rows.process.size(), &payload);
}

void add_timeline(std::vector<Chunk> *chunks, const Timeline::Rows &rows) {
  if (rows.time.empty()) return;
  Payload payload;
  payload.column("time", rows.time)
      .column("process", rows.process)
      .sparse("live_bytes", rows.live_bytes)
      .sparse("live_blocks", rows.live_blocks)
      .sparse("peak_bytes", rows.peak_bytes)
      .sparse("rss", rows.rss)
      .sparse("pss", rows.pss)
      .sparse("uss", rows.uss)
      .sparse("allocations", rows.allocations)
      .sparse("bytes", rows.bytes);
  add_rows(chunks, ChunkKind::kTimeline, rows.time.size(), &payload);
}

} // namespace heaptide
