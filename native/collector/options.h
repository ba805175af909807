// The command line.
#ifndef HEAPTIDE_COLLECTOR_OPTIONS_H
#define HEAPTIDE_COLLECTOR_OPTIONS_H

#include <cstdint>
#include <string>
#include <vector>

namespace heaptide {

struct Options {
  std::string output;
  std::string import_format;        // of a log on standard input; empty: live events
  std::string meta;                 // a JSON object, or empty
  std::vector<std::string> command; // what is recorded, for the meta
  uint64_t max_bytes = 0;           // 0: no limit
  uint64_t duration_ns = 0;         // 0: until the program ends
  uint64_t start_after_ns = 0;
};

// heaptide-collector --output PATH [--meta JSON] [--max-size BYTES] [--duration SECONDS]
//                    [--start-after SECONDS] [-- COMMAND...]
// heaptide-collector --import FORMAT --output PATH --meta JSON <LOG
// False: `*error` says what is wrong, in one line.
bool parse_options(int argc, char **argv, Options *options, std::string *error);

} // namespace heaptide

#endif
