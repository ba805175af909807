#include <signal.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>

#include "collector/tests/check.h"

namespace heaptide::testing {
namespace {

Test *first = nullptr;
std::atomic<int> passed{0}, failed{0};

} // namespace

Test::Test(const char *its_name, void (*its_run)()) : name(its_name), run(its_run), next(first) {
  first = this;
}

void report(bool good, const char *file, int line, const std::string &what) {
  if (good) {
    passed++;
    return;
  }
  failed++;
  std::cerr << file << ":" << line << ": " << what << "\n";
}

Scratch::Scratch() {
  std::string pattern = std::filesystem::temp_directory_path() / "collector-XXXXXX";
  path_ = mkdtemp(pattern.data());
}

Scratch::~Scratch() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

} // namespace heaptide::testing

// Runs all tests, or those whose names begin with an argument.
int main(int argc, char **argv) {
  using namespace heaptide::testing;
  signal(SIGXFSZ, SIG_IGN);
  signal(SIGPIPE, SIG_IGN);
  for (Test *test = first; test != nullptr; test = test->next) {
    bool wanted = argc == 1;
    for (int i = 1; i < argc; i++) {
      wanted = wanted || std::strncmp(test->name, argv[i], std::strlen(argv[i])) == 0;
    }
    if (!wanted) continue;
    int before = failed;
    test->run();
    if (failed != before) std::cerr << "  in " << test->name << "\n";
  }
  std::cout << passed << " passed, " << failed << " failed\n";
  return failed == 0 ? 0 : 1;
}
