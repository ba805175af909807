// The `meta` chunk's JSON object.
#ifndef HEAPTIDE_COLLECTOR_META_JSON_H
#define HEAPTIDE_COLLECTOR_META_JSON_H

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "collector/options.h"

namespace heaptide {

// `options.meta`, with the keys of docs/format.md that it lacks. `config` and `sample_interval` are the
// session's; `start` in seconds since 1970.
std::string make_meta(const Options &options, uint32_t config, uint64_t sample_interval,
                      double start);

std::string json_string(std::string_view text);

// The keys of a JSON object, not those of objects in it. False if `json` is no object.
bool json_keys(std::string_view json, std::vector<std::string> *keys);

} // namespace heaptide

#endif
