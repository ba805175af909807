#include "collector/import_main.h"

#include "collector/heaptrack_log.h"
#include "collector/imported.h"
#include "collector/meta_json.h"

namespace heaptide {

ImportStatus import_log(const Options &options, int fd, std::string *error) {
  if (options.import_format != "heaptrack") {
    *error = "unknown format: " + options.import_format;
    return kImportFailed;
  }
  Imported imported;
  HeaptrackLog log(imported);
  if (!imported.create(options.output, error)) return kImportFailed;
  if (!log.read(fd, error)) return kImportMalformed;
  Options with_command = options;
  with_command.command = imported.command;
  std::string meta = make_meta(with_command, 0, 0, 0);
  Imported::Extra temporary{"heaptrack-temporary", "temporary as heaptrack counts", "allocations",
                            &log.temporary()};
  if (!imported.finish(meta, {temporary}, error)) return kImportFailed;
  return log.is_raw() ? kImportNameless : kImportDone;
}

} // namespace heaptide
