// Chunks of rows that are added once and stand: definitions, contexts, the timeline.
#ifndef HEAPTIDE_COLLECTOR_ROW_CHUNKS_H
#define HEAPTIDE_COLLECTOR_ROW_CHUNKS_H

#include <vector>

#include "collector/aggregator.h"
#include "collector/chunk.h"
#include "collector/definitions.h"
#include "collector/timeline.h"

namespace heaptide {

// What has been defined since the last call; a kind of which nothing has makes no chunk.
void add_strings(std::vector<Chunk> *chunks, Definitions &definitions);
void add_definitions(std::vector<Chunk> *chunks, Definitions &definitions); // all but strings
void add_contexts(std::vector<Chunk> *chunks, const ContextRows &rows);
void add_timeline(std::vector<Chunk> *chunks, const Timeline::Rows &rows);

// Adds a chunk of so many rows, if there are any.
void add_rows(std::vector<Chunk> *chunks, ChunkKind kind, size_t rows, Payload *payload);

} // namespace heaptide

#endif
