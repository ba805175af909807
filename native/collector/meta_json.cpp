#include "collector/meta_json.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "collector/definitions.h"
#include "wire/wire.h"

#ifndef HEAPTIDE_VERSION
#define HEAPTIDE_VERSION "unversioned"
#endif

namespace heaptide {
namespace {

const char *boolean(bool value) { return value ? "true" : "false"; }

void skip_space(std::string_view *json) {
  size_t at = json->find_first_not_of(" \t\r\n");
  json->remove_prefix(at == std::string_view::npos ? json->size() : at);
}

// Takes a JSON string off the front, escapes as they are.
bool take_string(std::string_view *json, std::string *text) {
  if (json->empty() || json->front() != '"') return false;
  for (size_t i = 1; i < json->size(); i++) {
    if ((*json)[i] == '\\') {
      i++;
    } else if ((*json)[i] == '"') {
      if (text != nullptr) *text = json->substr(1, i - 1);
      json->remove_prefix(i + 1);
      return true;
    }
  }
  return false;
}

// Skips a value: up to the comma or bracket that ends it.
bool skip_value(std::string_view *json) {
  int depth = 0;
  while (!json->empty()) {
    char c = json->front();
    if (c == '"') {
      if (!take_string(json, nullptr)) return false;
      continue;
    }
    if (depth == 0 && (c == ',' || c == '}')) return true;
    if (c == '{' || c == '[') depth++;
    if (c == '}' || c == ']') depth--;
    json->remove_prefix(1);
  }
  return false;
}

} // namespace

std::string json_string(std::string_view text) {
  std::string result = "\"";
  for (char c : valid_utf8(text)) {
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned char>(c));
      result += escape;
    } else {
      result += c;
    }
  }
  return result + '"';
}

bool json_keys(std::string_view json, std::vector<std::string> *keys) {
  skip_space(&json);
  if (json.empty() || json.front() != '{') return false;
  json.remove_prefix(1);
  skip_space(&json);
  while (!json.empty() && json.front() != '}') {
    std::string key;
    if (!take_string(&json, &key)) return false;
    keys->push_back(key);
    skip_space(&json);
    if (json.empty() || json.front() != ':') return false;
    json.remove_prefix(1);
    if (!skip_value(&json)) return false;
    if (json.front() == ',') json.remove_prefix(1);
    skip_space(&json);
  }
  if (json.empty()) return false;
  json.remove_prefix(1);
  skip_space(&json);
  return json.empty();
}

std::string make_meta(const Options &options, uint32_t config, uint64_t sample_interval,
                      double start) {
  std::vector<std::string> given;
  bool is_object = json_keys(options.meta, &given);
  if (!is_object) given.clear();
  std::string added;
  auto add = [&](const char *key, const std::string &value) {
    if (std::find(given.begin(), given.end(), key) != given.end()) return;
    added += (added.empty() ? "" : ", ") + json_string(key) + ": " + value;
  };

  char number[64];
  std::snprintf(number, sizeof number, "%.6f", start);
  std::string command;
  for (const std::string &word : options.command) {
    command += (command.empty() ? "" : ", ") + json_string(word);
  }
  const char *native = (config & HT_CONFIG_NATIVE_ALL) != 0    ? "all"
                       : (config & HT_CONFIG_NATIVE_AUTO) != 0 ? "auto"
                                                               : "off";
  utsname system{};
  uname(&system);
  add("writer", json_string("heaptide-collector " HEAPTIDE_VERSION));
  add("start_time", number);
  add("command", "[" + command + "]");
  add("config", std::string("{\"python_objects\": ") +
                    boolean((config & HT_CONFIG_PYTHON_OBJECTS) != 0) + ", \"native\": \"" +
                    native + "\", \"sample_interval\": " + std::to_string(sample_interval) +
                    ", \"follow\": " + boolean((config & HT_CONFIG_FOLLOW) != 0) +
                    ", \"usable_size\": " + boolean((config & HT_CONFIG_USABLE_SIZE) != 0) + "}");
  add("hostname", json_string(system.nodename));
  add("page_size", std::to_string(sysconf(_SC_PAGESIZE)));
  add("cpu_count", std::to_string(sysconf(_SC_NPROCESSORS_ONLN)));
  add("machine", json_string(system.machine));

  if (given.empty()) return "{" + added + "}";
  size_t end = options.meta.rfind('}');
  return options.meta.substr(0, end) + (added.empty() ? "" : ", ") + added + "}";
}

} // namespace heaptide
