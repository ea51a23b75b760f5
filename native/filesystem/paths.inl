// Opening by paths of any length, and stat records.
#include <climits>
#include <cstring>

#include <fcntl.h>
#ifdef __linux__
#include <sys/sysmacros.h>
#endif



#ifndef O_NOATIME
#define O_NOATIME 0
#endif
// Passing through a directory needs only the right to search it, which O_RDONLY would not be content with.
#if defined(O_PATH)
#define OPEN_TO_PASS (O_PATH | O_DIRECTORY | O_CLOEXEC)
#elif defined(O_SEARCH)
#define OPEN_TO_PASS (O_SEARCH | O_DIRECTORY | O_CLOEXEC)
#else
#define OPEN_TO_PASS (O_RDONLY | O_DIRECTORY | O_CLOEXEC)
#endif

int openForReading(int directory, const char* name, int extraFlags) {
  int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | extraFlags;
  int fd = retry([&] { return openat(directory, name, flags | O_NOATIME); });
  // Only the owner may ask for O_NOATIME.
  if (fd == -1 && errno == EPERM && O_NOATIME != 0) fd = retry([&] { return openat(directory, name, flags); });
  return fd;
}

namespace {

// A path whose remainder is short enough for one call, relative to a directory that was opened on the way.
struct ShortPath {
  Descriptor opened{-1};
  const char* rest;
  int directory() const { return opened.get() < 0 ? AT_FDCWD : opened.get(); }
};

ShortPath shorten(const std::string& path, std::string& scratch) {
  ShortPath result;
  result.rest = path.c_str();
  size_t left = path.size();
  while (left >= PATH_MAX) {
    // The longest prefix that ends before a '/' and fits; the slashes after it belong to neither side.
    size_t cut = PATH_MAX - 1;
    while (cut > 0 && result.rest[cut] != '/') cut--;
    if (cut == 0) throw SystemError{ENAMETOOLONG, "openat"};
    scratch.assign(result.rest, cut);
    size_t next = cut;
    while (result.rest[next] == '/') next++;
    if (scratch.find_first_not_of('/') == std::string::npos) scratch = "/";
    int directory = result.directory();
    result.opened = Descriptor(check("openat", [&] { return openat(directory, scratch.c_str(), OPEN_TO_PASS); }));
    result.rest += next;
    left -= next;
  }
  if (left == 0) result.rest = ".";
  return result;
}

}  // namespace

int openDirectoryPath(const std::string& path, bool follow) {
  std::string scratch;
  ShortPath at = shorten(path, scratch);
  int flags = O_DIRECTORY | (follow ? 0 : O_NOFOLLOW);
  int fd = openForReading(at.directory(), at.rest, flags);
#ifdef O_PATH
  // A directory that may be searched but not listed still serves for calls relative to it.
  if (fd == -1 && errno == EACCES) {
    fd = retry([&] { return openat(at.directory(), at.rest, flags | O_PATH | O_CLOEXEC); });
  }
#endif
  if (fd == -1) throw SystemError{errno, "openat"};
  return fd;
}

void statAnyPath(const std::string& path, bool follow, struct stat* result) {
  std::string scratch;
  ShortPath at = shorten(path, scratch);
  check("fstatat", [&] { return fstatat(at.directory(), at.rest, result, follow ? 0 : AT_SYMLINK_NOFOLLOW); });
}

std::string descriptorPath(int directory) { return "/proc/self/fd/" + std::to_string(directory) + "/"; }

int errnoThroughDescriptorPath(int number) {
  return number == ENOENT && access("/proc/self/fd", F_OK) != 0 ? ENOSYS : number;
}

#ifdef __APPLE__
#define MTIME st_mtimespec
#define CTIME st_ctimespec
#else
#define MTIME st_mtim
#define CTIME st_ctim
#endif

namespace {

void put32(uint8_t* to, uint32_t value) {
  for (int i = 0; i < 4; i++) to[i] = static_cast<uint8_t>(value >> (8 * i));
}

void put64(uint8_t* to, uint64_t value) {
  for (int i = 0; i < 8; i++) to[i] = static_cast<uint8_t>(value >> (8 * i));
}

}  // namespace

void writeStatRecord(uint8_t* record, const struct stat& stat) {
  put32(record, 0);
  put32(record + 4, stat.st_mode);
  put32(record + 8, stat.st_uid);
  put32(record + 12, stat.st_gid);
  put64(record + 16, static_cast<uint64_t>(stat.st_size));
  put64(record + 24, static_cast<uint64_t>(stat.MTIME.tv_sec));
  put32(record + 32, static_cast<uint32_t>(stat.MTIME.tv_nsec));
  put32(record + 36, 0);
  put64(record + 40, 0);
  put64(record + 48, static_cast<uint64_t>(stat.CTIME.tv_sec));
  put32(record + 56, static_cast<uint32_t>(stat.CTIME.tv_nsec));
  put32(record + 60, static_cast<uint32_t>(stat.st_nlink));
  put64(record + 64, stat.st_ino);
  put32(record + 72, major(stat.st_rdev));
  put32(record + 76, minor(stat.st_rdev));
  put64(record + 80, static_cast<uint64_t>(stat.st_blocks));
  put64(record + 88, static_cast<uint64_t>(stat.st_dev));
}

void writeFailedStatRecord(uint8_t* record, int number) {
  memset(record, 0, STAT_RECORD_BYTES);
  put32(record, static_cast<uint32_t>(number));
}

bool matchesStatRecord(const uint8_t* record, const struct stat& stat) {
  uint8_t now[STAT_RECORD_BYTES];
  writeStatRecord(now, stat);
  // Size and mtime; ctime without the link count after it; inode.
  return memcmp(record + 16, now + 16, 20) == 0 && memcmp(record + 48, now + 48, 12) == 0 && memcmp(record + 64, now + 64, 8) == 0;
}
