#include "collector/options.h"

#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <string_view>

namespace heaptide {
namespace {

bool parse_seconds(const char *text, uint64_t *ns) {
  char *end;
  double seconds = std::strtod(text, &end);
  if (end == text || *end != 0 || !(seconds >= 0) || seconds > 1e9) return false;
  *ns = static_cast<uint64_t>(std::llround(seconds * 1e9));
  return true;
}

bool parse_bytes(const char *text, uint64_t *bytes) {
  char *end;
  errno = 0;
  unsigned long long value = std::strtoull(text, &end, 10);
  if (end == text || *end != 0 || *text == '-' || errno != 0) return false;
  *bytes = value;
  return true;
}

} // namespace

bool parse_options(int argc, char **argv, Options *options, std::string *error) {
  for (int i = 1; i < argc; i++) {
    std::string_view name = argv[i];
    if (name == "--") {
      options->command.assign(argv + i + 1, argv + argc);
      break;
    }
    if (i + 1 == argc) {
      *error = "unknown option or missing value: " + std::string(name);
      return false;
    }
    const char *value = argv[++i];
    bool good = true;
    if (name == "--output") {
      options->output = value;
    } else if (name == "--import") {
      options->import_format = value;
    } else if (name == "--meta") {
      options->meta = value;
    } else if (name == "--max-size") {
      good = parse_bytes(value, &options->max_bytes);
    } else if (name == "--duration") {
      good = parse_seconds(value, &options->duration_ns);
    } else if (name == "--start-after") {
      good = parse_seconds(value, &options->start_after_ns);
    } else {
      *error = "unknown option: " + std::string(name);
      return false;
    }
    if (!good) {
      *error = std::string(name) + " wants a number, not '" + value + "'";
      return false;
    }
  }
  if (options->output.empty()) {
    *error = "--output is missing; this program is started by 'heaptide run'";
    return false;
  }
  return true;
}

} // namespace heaptide
