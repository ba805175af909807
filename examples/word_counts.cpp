// Counts the words of files in three ways that differ in what they do to the heap.
//
//   g++ -O2 -g -o word_counts examples/word_counts.cpp
//   heaptide run ./word_counts /usr/include/*.h
#include <algorithm>
#include <cctype>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace {

std::string read(const char *path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

template <typename Visit>
void each_word(std::string_view text, Visit visit) {
  size_t begin = 0;
  while (begin < text.size()) {
    while (begin < text.size() && !std::isalpha(static_cast<unsigned char>(text[begin]))) begin++;
    size_t end = begin;
    while (end < text.size() && std::isalpha(static_cast<unsigned char>(text[end]))) end++;
    if (end > begin) visit(text.substr(begin, end - begin));
    begin = end;
  }
}

// A list of every word, that grows by copying itself.
size_t count_by_sorting(std::string_view text) {
  std::vector<std::string> words;
  each_word(text, [&](std::string_view word) { words.emplace_back(word); });
  std::sort(words.begin(), words.end());
  return static_cast<size_t>(std::unique(words.begin(), words.end()) - words.begin());
}

// A node and, for long words, a string for each different word.
size_t count_by_map(std::string_view text) {
  std::map<std::string, size_t> counts;
  each_word(text, [&](std::string_view word) { counts[std::string(word)]++; });
  return counts.size();
}

// Views of the text: no string is copied.
size_t count_by_view(std::string_view text) {
  std::unordered_map<std::string_view, size_t> counts;
  each_word(text, [&](std::string_view word) { counts[word]++; });
  return counts.size();
}

} // namespace

int main(int argc, char **argv) {
  std::string text;
  for (int i = 1; i < argc; i++) text += read(argv[i]);
  std::cout << text.size() << " bytes, " << count_by_sorting(text) << " = " << count_by_map(text)
            << " = " << count_by_view(text) << " different words\n";
}
