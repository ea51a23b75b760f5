// Extended attributes, names of users and groups.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>



#ifndef ENOATTR
#define ENOATTR ENODATA
#endif

namespace {

// One file whose attributes are read or written: an open descriptor, or a path whose last component is not followed.
constexpr ssize_t kNoListAt = -2;

struct AttributeFile {
  int fd;
  const char* path;
  // The same file as `path`, relative to an open directory; only to list names faster.
  int directory = -1;
  const char* name = nullptr;

#ifdef __APPLE__
  ssize_t list(char* to, size_t size) const {
    return path == nullptr ? flistxattr(fd, to, size, 0) : listxattr(path, to, size, XATTR_NOFOLLOW);
  }
  ssize_t get(const char* name, void* to, size_t size) const {
    return path == nullptr ? fgetxattr(fd, name, to, size, 0, 0) : getxattr(path, name, to, size, 0, XATTR_NOFOLLOW);
  }
  int set(const char* name, const void* value, size_t size) const {
    return path == nullptr ? fsetxattr(fd, name, value, size, 0, 0) : setxattr(path, name, value, size, 0, XATTR_NOFOLLOW);
  }
  int remove(const char* name) const { return removexattr(path, name, XATTR_NOFOLLOW); }
#else
  ssize_t list(char* to, size_t size) const {
    if (path == nullptr) return flistxattr(fd, to, size);
    ssize_t length = listAt(to, size);
    return length != kNoListAt ? length : llistxattr(path, to, size);
  }
  ssize_t get(const char* name, void* to, size_t size) const {
    return path == nullptr ? fgetxattr(fd, name, to, size) : lgetxattr(path, name, to, size);
  }
  int set(const char* name, const void* value, size_t size) const {
    return path == nullptr ? fsetxattr(fd, name, value, size, 0) : lsetxattr(path, name, value, size, 0);
  }
  int remove(const char* name) const { return lremovexattr(path, name); }

 private:
  // listxattrat, Linux 6.13, has no wrapper in the C library yet: 0.7 us a file where the way through /proc takes 3 us.
  // kNoListAt where the kernel does not have the call, or a container's filter forbids it.
  ssize_t listAt(char* to, size_t size) const {
    static std::atomic<bool> isMissing{false};
    if (directory == -1 || isMissing.load(std::memory_order_relaxed)) return kNoListAt;
    ssize_t length = syscall(465 /* listxattrat */, directory, name, AT_SYMLINK_NOFOLLOW, to, size);
    if (length != -1 || (errno != ENOSYS && errno != EPERM)) return length;
    isMissing.store(true, std::memory_order_relaxed);
    return kNoListAt;
  }
#endif
};

// Memory that is asked for once per thread and call chain: most files have no attributes at all.
struct Scratch {
  std::vector<char> list = std::vector<char>(4 * 1024);
  std::vector<char> value = std::vector<char>(4 * 1024);
};

// Calls `get(buffer, size)` with a buffer that grows while the answer does not fit. Returns -1 and errno.
template <typename Get>
ssize_t getGrowing(std::vector<char>& buffer, Get get) {
  for (;;) {
    ssize_t length = retry([&] { return get(buffer.data(), buffer.size()); });
    if (length != -1 || errno != ERANGE) return length;
    ssize_t needed = retry([&] { return get(nullptr, size_t(0)); });
    if (needed == -1) return -1;
    buffer.resize(std::max<size_t>(needed, buffer.size() * 2));
  }
}

bool hasPrefix(std::string_view text, std::string_view prefix) { return text.substr(0, prefix.size()) == prefix; }

// An attribute that went away, that its file system lists and cannot read, or that is kept from this user on purpose.
bool mayBeSkipped(std::string_view name, int number) {
  if (number == ENODATA || number == ENOATTR || number == ENOTSUP || number == EOPNOTSUPP) return true;
  return (number == EPERM || number == EACCES) && (hasPrefix(name, "security.") || hasPrefix(name, "trusted."));
}

class AttributePacker {
 public:
  void add(const AttributeFile& file) {
    size_t header = out_.size();
    out_.resize(header + 8);
    int number = 0;
    uint32_t count = 0;
    for (std::string_view name : listNames(file, &number)) {
      ssize_t length = getGrowing(scratch_.value, [&](char* to, size_t size) { return file.get(name.data(), to, size); });
      if (length == -1) {
        if (!mayBeSkipped(name, errno) && number == 0) number = errno;
        continue;
      }
      put(name.data(), name.size());
      put(scratch_.value.data(), static_cast<size_t>(length));
      count++;
    }
    if (file.path != nullptr) number = errnoThroughDescriptorPath(number);
    put32(header, static_cast<uint32_t>(number));
    put32(header + 4, count);
  }

  napi_value result(Call& call) const { return call.copyOf(out_.data(), out_.size()); }

 private:
  // Sorted; the views end with NUL and live until the next call.
  const std::vector<std::string_view>& listNames(const AttributeFile& file, int* number) {
    names_.clear();
    ssize_t length = getGrowing(scratch_.list, [&](char* to, size_t size) { return file.list(to, size); });
    if (length == -1) {
      if (errno != ENOTSUP && errno != EOPNOTSUPP) *number = errno;
      return names_;
    }
    const char* end = scratch_.list.data() + length;
    for (const char* at = scratch_.list.data(); at < end;) {
      size_t size = strnlen(at, end - at);
      if (at + size == end) break;  // never without its NUL
      if (size > 0) names_.emplace_back(at, size);
      at += size + 1;
    }
    std::sort(names_.begin(), names_.end());
    return names_;
  }

  void put32(size_t at, uint32_t value) {
    for (int i = 0; i < 4; i++) out_[at + i] = static_cast<uint8_t>(value >> (8 * i));
  }

  void put(const char* data, size_t length) {
    size_t at = out_.size();
    out_.resize(at + 4);
    put32(at, static_cast<uint32_t>(length));
    out_.insert(out_.end(), data, data + length);
  }

  Scratch scratch_;
  std::vector<std::string_view> names_;
  std::vector<uint8_t> out_;
};

napi_value xattrs(Call& call) {
  int directory = call.descriptor(0);
  std::string path = descriptorPath(directory);
  size_t prefix = path.size();
  NameList list(call.bytes(1));
  AttributePacker packer;
  Name name;
  while (!list.atEnd()) {
    list.next(name);
    path.resize(prefix);
    path.append(name.text, name.length);
    packer.add(AttributeFile{-1, path.c_str(), directory, path.c_str() + prefix});
  }
  return packer.result(call);
}

napi_value xattrsOfDescriptor(Call& call) {
  AttributePacker packer;
  packer.add(AttributeFile{call.descriptor(0), nullptr});
  return packer.result(call);
}

[[noreturn]] void throughDescriptorPath(const SystemError& error) {
  throw SystemError{errnoThroughDescriptorPath(error.number), error.syscall};
}

std::string pathOf(Call& call) {
  Name name;
  call.name(1, name);
  return descriptorPath(call.descriptor(0)) + name.text;
}

napi_value setXattrAt(Call& call) {
  std::string path = pathOf(call);
  std::string attribute = call.path(2);
  ByteView value = call.bytes(3);
  try {
    check("lsetxattr", [&] { return AttributeFile{-1, path.c_str()}.set(attribute.c_str(), value.data, value.length); });
  } catch (const SystemError& error) {
    throughDescriptorPath(error);
  }
  return call.none();
}

napi_value removeXattrAt(Call& call) {
  std::string path = pathOf(call);
  std::string attribute = call.path(2);
  try {
    check("lremovexattr", [&] { return AttributeFile{-1, path.c_str()}.remove(attribute.c_str()); });
  } catch (const SystemError& error) {
    throughDescriptorPath(error);
  }
  return call.none();
}

napi_value setXattr(Call& call) {
  AttributeFile file{call.descriptor(0), nullptr};
  std::string attribute = call.path(1);
  ByteView value = call.bytes(2);
  check("fsetxattr", [&] { return file.set(attribute.c_str(), value.data, value.length); });
  return call.none();
}

// --- users and groups ---

// Answers that mean "there is none" (POSIX lets getpwuid_r say so with an error too).
bool isAbsent(int number) { return number == 0 || number == ENOENT || number == ESRCH || number == EBADF || number == EPERM; }

// Calls `get(record, buffer, size, &found)` with a buffer that is large enough. Returns whether there is such a record.
template <typename Record, typename Get>
bool lookUp(const char* syscall, Record& record, std::vector<char>& buffer, Get get) {
  for (buffer.resize(1024);; buffer.resize(buffer.size() * 4)) {
    Record* found = nullptr;
    int number;
    do number = get(&record, buffer.data(), buffer.size(), &found);
    while (number == EINTR);
    if (found != nullptr) return true;
    if (number == ERANGE && buffer.size() < (size_t(1) << 26)) continue;
    if (!isAbsent(number)) throw SystemError{number, syscall};
    return false;
  }
}

napi_value userName(Call& call) {
  uid_t uid = static_cast<uid_t>(call.wholeNumber(0, UINT32_MAX));
  passwd record;
  std::vector<char> buffer;
  auto get = [&](passwd* to, char* memory, size_t size, passwd** found) { return getpwuid_r(uid, to, memory, size, found); };
  return lookUp("getpwuid_r", record, buffer, get) ? call.string(record.pw_name) : call.none();
}

napi_value groupName(Call& call) {
  gid_t gid = static_cast<gid_t>(call.wholeNumber(0, UINT32_MAX));
  group record;
  std::vector<char> buffer;
  auto get = [&](group* to, char* memory, size_t size, group** found) { return getgrgid_r(gid, to, memory, size, found); };
  return lookUp("getgrgid_r", record, buffer, get) ? call.string(record.gr_name) : call.none();
}

napi_value userId(Call& call) {
  std::string name = call.text(0);
  passwd record;
  std::vector<char> buffer;
  auto get = [&](passwd* to, char* memory, size_t size, passwd** found) { return getpwnam_r(name.c_str(), to, memory, size, found); };
  return lookUp("getpwnam_r", record, buffer, get) ? call.number(record.pw_uid) : call.none();
}

napi_value groupId(Call& call) {
  std::string name = call.text(0);
  group record;
  std::vector<char> buffer;
  auto get = [&](group* to, char* memory, size_t size, group** found) { return getgrnam_r(name.c_str(), to, memory, size, found); };
  return lookUp("getgrnam_r", record, buffer, get) ? call.number(record.gr_gid) : call.none();
}

}  // namespace

const napi_property_descriptor ATTRIBUTE_FUNCTIONS[] = {
    EXPORT(xattrs),   EXPORT(xattrsOfDescriptor), EXPORT(setXattrAt), EXPORT(removeXattrAt), EXPORT(setXattr),
    EXPORT(userName), EXPORT(groupName),          EXPORT(userId),     EXPORT(groupId),
};
