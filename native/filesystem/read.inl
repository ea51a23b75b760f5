// Opening, listing, stat and reading.
#include <algorithm>
#include <cstring>
#include <vector>

#include <fcntl.h>
#ifdef __linux__
#include <sys/syscall.h>
#else
#include <dirent.h>
#endif



namespace {

napi_value openDirectory(Call& call) {
  std::string path = call.path(0);
  return call.number(openDirectoryPath(path, call.boolean(1)));
}

napi_value openDirectoryAt(Call& call) {
  Name name;
  call.name(1, name);
  int fd = openForReading(call.descriptor(0), name.text, O_DIRECTORY | O_NOFOLLOW);
  if (fd == -1) throw SystemError{errno, "openat"};
  return call.number(fd);
}

napi_value openFileAt(Call& call) {
  int directory = call.descriptor(0);
  Name name;
  call.name(1, name);
  bool isWrite = call.booleanProperty(2, "write");
  bool isCreate = call.booleanProperty(2, "create");
  bool isExclusive = call.booleanProperty(2, "exclusive");
  bool isTruncate = call.booleanProperty(2, "truncate");
  mode_t mode = static_cast<mode_t>(call.numberProperty(2, "mode", 07777, 0600));
  if (!isWrite) {
    if (isCreate || isExclusive || isTruncate) throw ArgumentError{false, "'create', 'exclusive' and 'truncate' need 'write'"};
    int fd = openForReading(directory, name.text, O_NOFOLLOW);
    if (fd == -1) throw SystemError{errno, "openat"};
    return call.number(fd);
  }
  int flags = O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW | (isCreate ? O_CREAT : 0) | (isExclusive ? O_EXCL : 0) |
              (isTruncate ? O_TRUNC : 0);
  return call.number(check("openat", [&] { return openat(directory, name.text, flags, mode); }));
}

napi_value close(Call& call) {
  // Linux has closed the descriptor even when a signal interrupted it.
  if (::close(call.descriptor(0)) == -1 && errno != EINTR) throw SystemError{errno, "close"};
  return call.none();
}

// --- names ---

// Collects names and hands them out in the order of their bytes.
class SortedNames {
 public:
  void add(const char* name) {
    size_t length = strlen(name);
    if (length == 0 || (name[0] == '.' && (length == 1 || (length == 2 && name[1] == '.')))) return;
    Item item{0, text_.size(), length};
    // The first eight bytes as one number decide most comparisons.
    for (size_t i = 0; i < 8; i++) item.prefix = item.prefix << 8 | (i < length ? static_cast<uint8_t>(name[i]) : 0);
    text_.insert(text_.end(), name, name + length + 1);
    items_.push_back(item);
  }

  napi_value pack(Call& call) {
    const char* text = text_.data();
    auto before = [text](const Item& a, const Item& b) {
      if (a.prefix != b.prefix) return a.prefix < b.prefix;
      return strcmp(text + a.start, text + b.start) < 0;
    };
    std::sort(items_.begin(), items_.end(), before);
    // A directory that changes while it is listed may show a name twice.
    auto same = [text](const Item& a, const Item& b) { return a.prefix == b.prefix && strcmp(text + a.start, text + b.start) == 0; };
    items_.erase(std::unique(items_.begin(), items_.end(), same), items_.end());
    size_t total = 0;
    for (const Item& item : items_) total += item.length + 1;
    uint8_t* to;
    napi_value array = call.newBytes(total, &to);
    for (const Item& item : items_) {
      memcpy(to, text + item.start, item.length + 1);
      to += item.length + 1;
    }
    return array;
  }

 private:
  struct Item {
    uint64_t prefix;
    size_t start;
    size_t length;
  };
  std::vector<char> text_;
  std::vector<Item> items_;
};

#ifdef __linux__
struct LinuxDirent {
  uint64_t inode;
  int64_t offset;
  uint16_t length;
  uint8_t type;
  char name[1];
};

void listDirectory(int directory, SortedNames& names) {
  if (retry([&] { return lseek(directory, 0, SEEK_SET); }) == -1) {
    // See openDirectoryPath: opened only to be searched, because the right to list it is missing.
    bool isSearchOnly = errno == EBADF && (fcntl(directory, F_GETFL) & O_PATH) == O_PATH && fcntl(directory, F_GETFD) != -1;
    throw SystemError{isSearchOnly ? EACCES : errno, "getdents64"};
  }
  alignas(8) char buffer[64 * 1024];
  for (;;) {
    long got = retry([&] { return syscall(SYS_getdents64, directory, buffer, sizeof buffer); });
    if (got == 0 || (got == -1 && errno == ENOENT)) return;  // ENOENT: the directory was removed meanwhile
    if (got == -1) throw SystemError{errno, "getdents64"};
    for (long at = 0; at < got;) {
      auto entry = reinterpret_cast<const LinuxDirent*>(buffer + at);
      names.add(entry->name);
      at += entry->length;
    }
  }
}
#else
void listDirectory(int directory, SortedNames& names) {
  int copy = check("openat", [&] { return openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  DIR* stream = fdopendir(copy);
  if (stream == nullptr) {
    int number = errno;
    ::close(copy);
    throw SystemError{number, "fdopendir"};
  }
  errno = 0;
  while (const dirent* entry = readdir(stream)) names.add(entry->d_name);
  int number = errno;
  closedir(stream);
  if (number != 0) throw SystemError{number, "readdir"};
}
#endif

napi_value names(Call& call) {
  SortedNames names;
  listDirectory(call.descriptor(0), names);
  return names.pack(call);
}

// --- stat ---

napi_value stats(Call& call) {
  int directory = call.descriptor(0);
  NameList list(call.bytes(1));
  uint8_t* record;
  size_t count = list.count();
  napi_value array = call.newBytes(count * STAT_RECORD_BYTES, &record);
  Name name;
  // The count bounds the writes even if another thread changes the names.
  for (size_t i = 0; i < count; i++, record += STAT_RECORD_BYTES) {
    list.next(name);
    struct stat stat;
    if (retry([&] { return fstatat(directory, name.text, &stat, AT_SYMLINK_NOFOLLOW); }) == 0) {
      writeStatRecord(record, stat);
    } else {
      writeFailedStatRecord(record, errno);
    }
  }
  return array;
}

napi_value newStatRecord(Call& call, const struct stat& stat) {
  uint8_t* record;
  napi_value array = call.newBytes(STAT_RECORD_BYTES, &record);
  writeStatRecord(record, stat);
  return array;
}

napi_value statDescriptor(Call& call) {
  int fd = call.descriptor(0);
  struct stat stat;
  check("fstat", [&] { return fstat(fd, &stat); });
  return newStatRecord(call, stat);
}

napi_value statPath(Call& call) {
  struct stat stat;
  statAnyPath(call.path(0), call.boolean(1), &stat);
  return newStatRecord(call, stat);
}

napi_value readLinkAt(Call& call) {
  int directory = call.descriptor(0);
  Name name;
  call.name(1, name);
  char buffer[4096];
  ssize_t length = check("readlinkat", [&] { return readlinkat(directory, name.text, buffer, sizeof buffer); });
  if (static_cast<size_t>(length) < sizeof buffer) return call.copyOf(buffer, length);
  for (std::vector<char> large(16 * sizeof buffer);; large.resize(large.size() * 4)) {
    length = check("readlinkat", [&] { return readlinkat(directory, name.text, large.data(), large.size()); });
    if (static_cast<size_t>(length) < large.size()) return call.copyOf(large.data(), length);
    if (large.size() > (size_t(1) << 24)) throw SystemError{ENAMETOOLONG, "readlinkat"};
  }
}

// --- content ---

struct FileResult {
  int number = 0;
  size_t length = 0;
  bool isChanged = false;
  bool isTooLarge = false;
  bool isFull = false;  // fits into the target, but not any more behind the files that are there
};

constexpr size_t READ_UNLIMITED_STEP = 64 * 1024;

// Reads to the end of the file. False: it does not fit into `room` bytes.
bool readToEnd(int fd, size_t expectedSize, uint8_t* to, size_t room, size_t* length) {
  size_t got = 0;
  for (;;) {
    uint8_t probe;
    size_t left = room - got;
    // One byte more than expected: a short answer then shows the end of the file without another call.
    size_t wanted = left == 0 ? 1 : std::min(left, got <= expectedSize ? expectedSize - got + 1 : READ_UNLIMITED_STEP);
    ssize_t step = check("read", [&] { return read(fd, left == 0 ? &probe : to + got, wanted); });
    if (step == 0) break;
    if (left == 0) return false;
    got += step;
    if (static_cast<size_t>(step) < wanted && got == expectedSize) break;
  }
  *length = got;
  return true;
}

FileResult readOne(int directory, const Name& name, const uint8_t* expected, uint8_t* to, size_t room, size_t targetRoom) {
  FileResult result;
  Descriptor file(openForReading(directory, name.text, O_NOFOLLOW));
  if (file.get() == -1) {
    // ELOOP: a symlink now; ENXIO: a socket now.
    result.number = errno == ELOOP || errno == ENXIO ? ESTALE : errno;
    return result;
  }
  try {
    struct stat stat;
    check("fstat", [&] { return fstat(file.get(), &stat); });
    if (!S_ISREG(stat.st_mode)) {
      result.number = ESTALE;
      return result;
    }
    result.isChanged = !matchesStatRecord(expected, stat);
    size_t size = static_cast<size_t>(stat.st_size);
    bool fits = size <= room && readToEnd(file.get(), size, to, room, &result.length);
    if (!fits) {
      (size > targetRoom || room == targetRoom ? result.isTooLarge : result.isFull) = true;
      return result;
    }
    check("fstat", [&] { return fstat(file.get(), &stat); });
    // Files of /proc and the like have a size of 0 and content nevertheless.
    result.isChanged = result.isChanged || !matchesStatRecord(expected, stat) || result.length != size;
  } catch (const SystemError& error) {
    result = FileResult{};
    result.number = error.number;
  }
  return result;
}

napi_value readFiles(Call& call) {
  int directory = call.descriptor(0);
  NameList list(call.bytes(1));
  ByteView expected = call.bytes(2);
  size_t count = list.count();
  size_t first = call.wholeNumber(3, count);
  ByteView target = call.bytes(4);
  size_t start = call.wholeNumber(5, target.length);
  NumberView results = call.numbers(6);
  if (expected.length != count * STAT_RECORD_BYTES) throw ArgumentError{false, "Argument 3 needs one stat record for each name"};
  if (results.length < count * 4) throw ArgumentError{false, "Argument 7 needs four numbers for each name"};
  for (size_t i = 0; i < first; i++) list.skip();
  size_t at = start;
  size_t i = first;
  Name name;
  for (; i < count; i++) {
    list.next(name);
    FileResult file = readOne(directory, name, expected.data + i * STAT_RECORD_BYTES, target.data + at, target.length - at,
                              target.length - start);
    if (file.isFull) break;
    double* result = results.data + 4 * i;
    result[0] = file.number;
    result[1] = static_cast<double>(file.length);
    result[2] = (file.isChanged ? 1 : 0) | (file.isTooLarge ? 2 : 0);
    result[3] = static_cast<double>(at);
    at += file.length;
  }
  return call.number(static_cast<double>(i - first));
}

napi_value read(Call& call) {
  int fd = call.descriptor(0);
  ByteView part = call.part(2, call.bytes(1));
  uint64_t position = call.wholeNumber(4, MAX_SAFE_INTEGER);
  size_t got = 0;
  while (got < part.length) {
    ssize_t step = check("pread", [&] { return pread(fd, part.data + got, part.length - got, static_cast<off_t>(position + got)); });
    if (step == 0) break;
    got += step;
  }
  return call.number(static_cast<double>(got));
}

napi_value nextData(Call& call) {
  int fd = call.descriptor(0);
  off_t position = static_cast<off_t>(call.wholeNumber(1, MAX_SAFE_INTEGER));
  struct stat stat;
  check("fstat", [&] { return fstat(fd, &stat); });
  double size = static_cast<double>(stat.st_size);
  if (position >= stat.st_size) return call.pair(size, size);
#ifdef SEEK_DATA
  off_t data = retry([&] { return lseek(fd, position, SEEK_DATA); });
  if (data == -1 && errno == ENXIO) return call.pair(size, size);
  if (data != -1) {
    off_t hole = retry([&] { return lseek(fd, data, SEEK_HOLE); });
    // The file may have shrunk since.
    if (hole == -1 && errno == ENXIO) return call.pair(size, size);
    if (hole != -1) return call.pair(static_cast<double>(data), static_cast<double>(hole));
  }
  if (errno != EINVAL && errno != ENOTSUP && errno != EOPNOTSUPP && errno != ENOSYS && errno != ENOTTY) throw SystemError{errno, "lseek"};
#endif
  return call.pair(static_cast<double>(position), size);
}

}  // namespace

const napi_property_descriptor READ_FUNCTIONS[] = {
    EXPORT(openDirectory), EXPORT(openDirectoryAt), EXPORT(openFileAt), EXPORT(close),     EXPORT(names),
    EXPORT(stats),         EXPORT(statDescriptor),  EXPORT(statPath),   EXPORT(readLinkAt), EXPORT(readFiles),
    EXPORT(read),          EXPORT(nextData),
};
