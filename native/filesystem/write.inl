// Creating, changing and removing; nothing here follows a symlink.
#include <cmath>
#include <cstring>
#include <vector>

#include <fcntl.h>
#include <sys/statvfs.h>
#ifdef __linux__
#include <sys/sysmacros.h>
#endif



namespace {

napi_value makeDirectoryAt(Call& call) {
  int directory = call.descriptor(0);
  Name name;
  call.name(1, name);
  mode_t mode = static_cast<mode_t>(call.wholeNumber(2, 07777));
  check("mkdirat", [&] { return mkdirat(directory, name.text, mode); });
  return call.none();
}

napi_value makeSymlinkAt(Call& call) {
  std::string target = call.path(0);
  int directory = call.descriptor(1);
  Name name;
  call.name(2, name);
  check("symlinkat", [&] { return symlinkat(target.c_str(), directory, name.text); });
  return call.none();
}

napi_value makeLinkAt(Call& call) {
  int fromDirectory = call.descriptor(0);
  Name fromName;
  call.name(1, fromName);
  int directory = call.descriptor(2);
  Name name;
  call.name(3, name);
  check("linkat", [&] { return linkat(fromDirectory, fromName.text, directory, name.text, 0); });
  return call.none();
}

napi_value makeNodeAt(Call& call) {
  int directory = call.descriptor(0);
  Name name;
  call.name(1, name);
  mode_t mode = static_cast<mode_t>(call.wholeNumber(2, 0177777));
  unsigned majorNumber = static_cast<unsigned>(call.wholeNumber(3, UINT32_MAX));
  unsigned minorNumber = static_cast<unsigned>(call.wholeNumber(4, UINT32_MAX));
  if (!S_ISFIFO(mode) && !S_ISSOCK(mode) && !S_ISCHR(mode) && !S_ISBLK(mode)) {
    throw ArgumentError{false, "Argument 3 must have the type bits of a fifo, a socket or a device"};
  }
#ifdef __linux__
  dev_t device = S_ISCHR(mode) || S_ISBLK(mode) ? makedev(majorNumber, minorNumber) : 0;
  check("mknodat", [&] { return mknodat(directory, name.text, mode, device); });
#else
  (void)majorNumber;
  (void)minorNumber;
  throw SystemError{ENOTSUP, "mknodat"};  // offered from macOS 13 on only
#endif
  return call.none();
}

napi_value renameAt(Call& call) {
  int fromDirectory = call.descriptor(0);
  Name fromName;
  call.name(1, fromName);
  int directory = call.descriptor(2);
  Name name;
  call.name(3, name);
  check("renameat", [&] { return renameat(fromDirectory, fromName.text, directory, name.text); });
  return call.none();
}

napi_value unlinkAt(Call& call) {
  int directory = call.descriptor(0);
  Name name;
  call.name(1, name);
  int flags = call.boolean(2) ? AT_REMOVEDIR : 0;
  check("unlinkat", [&] { return unlinkat(directory, name.text, flags); });
  return call.none();
}

void writeAll(int fd, ByteView bytes, uint64_t position) {
  size_t done = 0;
  while (done < bytes.length) {
    done += check("pwrite", [&] { return pwrite(fd, bytes.data + done, bytes.length - done, static_cast<off_t>(position + done)); });
  }
}

napi_value write(Call& call) {
  int fd = call.descriptor(0);
  ByteView part = call.part(2, call.bytes(1));
  writeAll(fd, part, call.wholeNumber(4, MAX_SAFE_INTEGER));
  return call.number(static_cast<double>(part.length));
}

napi_value truncate(Call& call) {
  int fd = call.descriptor(0);
  off_t size = static_cast<off_t>(call.wholeNumber(1, MAX_SAFE_INTEGER));
  check("ftruncate", [&] { return ftruncate(fd, size); });
  return call.none();
}

napi_value allocate(Call& call) {
  int fd = call.descriptor(0);
  off_t size = static_cast<off_t>(call.wholeNumber(1, MAX_SAFE_INTEGER));
  if (size == 0) return call.none();
#if defined(__linux__)
  if (retry([&] { return fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, size); }) == -1 && errno != EOPNOTSUPP && errno != ENOSYS) {
    throw SystemError{errno, "fallocate"};
  }
#elif defined(F_PREALLOCATE)
  fstore_t request = {F_ALLOCATEALL, F_PEOFPOSMODE, 0, size, 0};
  if (fcntl(fd, F_PREALLOCATE, &request) == -1 && errno != ENOTSUP) throw SystemError{errno, "fcntl"};
#endif
  return call.none();
}

napi_value sync(Call& call) {
  int fd = call.descriptor(0);
#ifdef F_FULLFSYNC
  if (retry([&] { return fcntl(fd, F_FULLFSYNC); }) != -1) return call.none();  // fsync alone leaves the bytes in the drive's cache
#endif
  check("fsync", [&] { return fsync(fd); });
  return call.none();
}

napi_value syncFileSystem(Call& call) {
  int fd = call.descriptor(0);
#ifdef __linux__
  check("syncfs", [&] { return syncfs(fd); });
#else
  check("fsync", [&] { return fsync(fd); });
  ::sync();
#endif
  return call.none();
}

// --- metadata ---

napi_value setOwnerAt(Call& call) {
  int directory = call.descriptor(0);
  Name name;
  call.name(1, name);
  uid_t uid = call.id(2);
  gid_t gid = call.id(3);
  check("fchownat", [&] { return fchownat(directory, name.text, uid, gid, AT_SYMLINK_NOFOLLOW); });
  return call.none();
}

napi_value setModeAt(Call& call) {
  int directory = call.descriptor(0);
  Name name;
  call.name(1, name);
  mode_t mode = static_cast<mode_t>(call.wholeNumber(2, 07777));
#ifdef __linux__
  // The kernel's fchmodat follows symlinks, and C libraries differ in how they avoid that: pin the entry, look, then change it.
  Descriptor pinned(check("openat", [&] { return openat(directory, name.text, O_PATH | O_NOFOLLOW | O_CLOEXEC); }));
  struct stat stat;
  check("fstat", [&] { return fstat(pinned.get(), &stat); });
  if (S_ISLNK(stat.st_mode)) throw SystemError{EOPNOTSUPP, "fchmodat"};
  std::string path = descriptorPath(pinned.get());
  path.pop_back();
  if (retry([&] { return chmod(path.c_str(), mode); }) == -1) throw SystemError{errnoThroughDescriptorPath(errno), "fchmodat"};
#else
  check("fchmodat", [&] { return fchmodat(directory, name.text, mode, AT_SYMLINK_NOFOLLOW); });
#endif
  return call.none();
}

// The access time stays.
void takeTimes(Call& call, size_t i, timespec times[2]) {
  times[0].tv_sec = 0;
  times[0].tv_nsec = UTIME_OMIT;
  times[1].tv_sec = static_cast<time_t>(call.signedNumber(i));
  times[1].tv_nsec = static_cast<long>(call.wholeNumber(i + 1, 999999999));
}

napi_value setTimesAt(Call& call) {
  int directory = call.descriptor(0);
  Name name;
  call.name(1, name);
  timespec times[2];
  takeTimes(call, 2, times);
  check("utimensat", [&] { return utimensat(directory, name.text, times, AT_SYMLINK_NOFOLLOW); });
  return call.none();
}

napi_value setTimes(Call& call) {
  int fd = call.descriptor(0);
  timespec times[2];
  takeTimes(call, 1, times);
  check("futimens", [&] { return futimens(fd, times); });
  return call.none();
}

// Made, written, given its mode and time, closed; removed again when anything fails.
void makeFile(int directory, const char* name, ByteView content, mode_t mode, const timespec times[2]) {
  // Nobody else reads it before its own mode is set.
  int flags = O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW | O_CREAT | O_EXCL;
  Descriptor file(check("openat", [&] { return openat(directory, name, flags, 0600); }));
  try {
    writeAll(file.get(), content, 0);
    check("fchmod", [&] { return fchmod(file.get(), mode); });
    check("futimens", [&] { return futimens(file.get(), times); });
    // Network file systems and quotas may tell only now that there is no room.
    if (::close(file.release()) == -1 && errno != EINTR) throw SystemError{errno, "close"};
  } catch (const SystemError&) {
    unlinkat(directory, name, 0);
    throw;
  }
}

constexpr size_t NEW_FILE_FIELDS = 5;

class NewFiles : public Background {
 public:
  explicit NewFiles(int directory)
      : directory_(check("fcntl", [&] { return fcntl(directory, F_DUPFD_CLOEXEC, 0); })) {}

  void add(const Name& name, ByteView content, mode_t mode, int64_t seconds, long nanoseconds) {
    files_.push_back({std::string(name.text, name.length), content, mode, {{0, UTIME_OMIT}, {static_cast<time_t>(seconds), nanoseconds}}, 0});
  }

  void run() noexcept override {
    for (File& file : files_) {
      try {
        makeFile(directory_.get(), file.name.c_str(), file.content, file.mode, file.times);
      } catch (const SystemError& error) {
        file.number = error.number;
      }
    }
    directory_ = Descriptor(-1);
  }

  napi_value result(napi_env env) override {
    napi_value buffer;
    napi_value array;
    void* memory = nullptr;
    if (napi_create_arraybuffer(env, files_.size() * sizeof(double), &memory, &buffer) != napi_ok) return nullptr;
    if (napi_create_typedarray(env, napi_float64_array, files_.size(), buffer, 0, &array) != napi_ok) return nullptr;
    for (size_t i = 0; i < files_.size(); i++) static_cast<double*>(memory)[i] = files_[i].number;
    return array;
  }

 private:
  struct File {
    std::string name;
    ByteView content;
    mode_t mode;
    timespec times[2];
    int number;
  };
  Descriptor directory_;
  std::vector<File> files_;
};

uint64_t wholeIn(double value, double largest) {
  if (!(value >= 0 && value <= largest) || value != std::trunc(value)) outOfRange("A field of a new file is not a whole number in range");
  return static_cast<uint64_t>(value);
}

napi_value writeNewFiles(Call& call) {
  auto work = std::make_unique<NewFiles>(call.descriptor(0));
  NameList names(call.bytes(1));
  ByteView content = call.bytes(2);
  NumberView fields = call.numbers(3);
  size_t count = names.count();
  if (fields.length != count * NEW_FILE_FIELDS) throw ArgumentError{false, "Argument 4 needs five numbers for each name"};
  Name name;
  for (size_t i = 0; i < count; i++) {
    names.next(name);
    const double* field = fields.data + i * NEW_FILE_FIELDS;
    size_t start = wholeIn(field[0], static_cast<double>(content.length));
    size_t length = wholeIn(field[1], static_cast<double>(content.length - start));
    mode_t mode = static_cast<mode_t>(wholeIn(field[2], 07777));
    // Before 1970 too.
    int64_t seconds = static_cast<int64_t>(std::copysign(static_cast<double>(wholeIn(std::abs(field[3]), MAX_SAFE_INTEGER)), field[3]));
    work->add(name, ByteView{content.data + start, length}, mode, seconds, static_cast<long>(wholeIn(field[4], 999999999)));
  }
  return call.inBackground(std::move(work), 2);
}

napi_value setOwner(Call& call) {
  int fd = call.descriptor(0);
  uid_t uid = call.id(1);
  gid_t gid = call.id(2);
  check("fchown", [&] { return fchown(fd, uid, gid); });
  return call.none();
}

napi_value setMode(Call& call) {
  int fd = call.descriptor(0);
  mode_t mode = static_cast<mode_t>(call.wholeNumber(1, 07777));
  check("fchmod", [&] { return fchmod(fd, mode); });
  return call.none();
}

napi_value freeSpace(Call& call) {
  int fd = call.descriptor(0);
  struct statvfs space;
  check("fstatvfs", [&] { return fstatvfs(fd, &space); });
  double unit = static_cast<double>(space.f_frsize);
  return call.pair(unit * static_cast<double>(space.f_bavail), unit * static_cast<double>(space.f_blocks));
}

}  // namespace

const napi_property_descriptor WRITE_FUNCTIONS[] = {
    EXPORT(makeDirectoryAt), EXPORT(makeSymlinkAt), EXPORT(makeLinkAt),     EXPORT(makeNodeAt), EXPORT(renameAt),
    EXPORT(unlinkAt),        EXPORT(write),         EXPORT(writeNewFiles),  EXPORT(truncate),   EXPORT(allocate),   EXPORT(sync),
    EXPORT(syncFileSystem),  EXPORT(setOwnerAt),    EXPORT(setModeAt),      EXPORT(setTimesAt), EXPORT(setOwner),
    EXPORT(setMode),         EXPORT(setTimes),      EXPORT(freeSpace),
};
