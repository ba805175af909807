// `heaptide-collector --import heaptrack --output PATH --meta JSON`: a foreign log, from standard
// input, as a recording.
#ifndef HEAPTIDE_COLLECTOR_IMPORT_MAIN_H
#define HEAPTIDE_COLLECTOR_IMPORT_MAIN_H

#include <string>

#include "collector/options.h"

namespace heaptide {

enum ImportStatus { kImportDone = 0, kImportFailed = 2, kImportMalformed = 3, kImportNameless = 4 };

// kImportMalformed: the log is, and `*error` says where. kImportNameless: done, and frames are
// addresses whose functions are still to be found.
ImportStatus import_log(const Options &options, int fd, std::string *error);

} // namespace heaptide

#endif
