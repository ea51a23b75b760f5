// Arguments, results and errors of the addon's functions.
//
// A function is written as `napi_value name(Call& call)`. It takes its arguments from the call, which checks type and bounds,
// and throws `SystemError` or `ArgumentError`; `entry<name>` turns both into JavaScript exceptions, so nothing that JavaScript
// passes in can bring the process down. Bytes of JavaScript may lie in shared memory that another thread changes at any time:
// names and paths are copied before they are checked.
#pragma once
#define NAPI_VERSION 8
#include <node_api.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string>

#include <sys/stat.h>
#include <unistd.h>

// Longest name of an entry (repository design, section 14.3); Linux file systems with UTF-16 names have more than 255 bytes.
constexpr size_t NAME_LIMIT = 4095;
// A stored path is never longer: 65,536 levels.
constexpr size_t PATH_LIMIT = size_t(1) << 28;
constexpr size_t STAT_RECORD_BYTES = 96;
constexpr uint64_t MAX_SAFE_INTEGER = (uint64_t(1) << 53) - 1;

struct SystemError {
  int number;
  const char* syscall;
};

struct ArgumentError {
  bool isType;  // TypeError, else RangeError
  std::string message;
};

// A JavaScript exception is pending already, for example from a getter.
struct PendingException {};

// Runs a system call again when a signal interrupted it.
template <typename Operation>
auto retry(Operation operation) -> decltype(operation()) {
  for (;;) {
    auto result = operation();
    if (result != -1 || errno != EINTR) return result;
  }
}

// The same, and throws what failed.
template <typename Operation>
auto check(const char* syscall, Operation operation) -> decltype(operation()) {
  auto result = retry(operation);
  if (result == -1) throw SystemError{errno, syscall};
  return result;
}

struct ByteView {
  uint8_t* data;
  size_t length;
};

struct NumberView {
  double* data;
  size_t length;
};

// One path component, NUL-terminated.
struct Name {
  char text[NAME_LIMIT + 1];
  size_t length;
  void assign(const uint8_t* bytes, size_t count);
};

// Reads packed names one after the other.
class NameList {
 public:
  explicit NameList(ByteView packed);
  bool atEnd() const { return at_ == packed_.length; }
  void next(Name& name);
  void skip();
  size_t count() const;

 private:
  const uint8_t* findEnd() const;
  ByteView packed_;
  size_t at_ = 0;
};

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept;
  Descriptor(const Descriptor&) = delete;
  ~Descriptor();
  int get() const { return fd_; }
  int release();

 private:
  int fd_;
};

// Work for another thread. `run` must not touch JavaScript.
class Background {
 public:
  virtual ~Background() = default;
  virtual void run() noexcept = 0;
  // Back on the thread of JavaScript: the value of the promise; nullptr when there is no memory for it.
  virtual napi_value result(napi_env env) = 0;
};

class Call {
 public:
  Call(napi_env env, napi_callback_info info);

  int descriptor(size_t i) const;
  bool boolean(size_t i) const;
  uint64_t wholeNumber(size_t i, uint64_t largest) const;
  // Between -(2^53 - 1) and 2^53 - 1.
  int64_t signedNumber(size_t i) const;
  // Between -1 (leave it alone) and 2^32 - 1.
  uint32_t id(size_t i) const;
  ByteView bytes(size_t i) const;
  NumberView numbers(size_t i) const;
  void name(size_t i, Name& name) const;
  // Not empty, without NUL.
  std::string path(size_t i) const;
  // Text without NUL.
  std::string text(size_t i) const;
  bool booleanProperty(size_t i, const char* key) const;
  uint64_t numberProperty(size_t i, const char* key, uint64_t largest, uint64_t missing) const;
  // start and length arguments that must lie inside `whole`.
  ByteView part(size_t i, ByteView whole) const;

  // A promise of the result of the work. The memory of argument `kept` stays until then.
  napi_value inBackground(std::unique_ptr<Background> work, size_t kept) const;

  napi_value none() const;
  napi_value number(double value) const;
  napi_value pair(double first, double second) const;
  napi_value string(const char* value) const;
  // A new Uint8Array; `*data` is its memory.
  napi_value newBytes(size_t length, uint8_t** data) const;
  napi_value copyOf(const void* data, size_t length) const;

  void ok(napi_status status) const;

 private:
  double integer(size_t i, double smallest, double largest) const;
  double checkedInteger(napi_value value, const std::string& what, double smallest, double largest) const;
  napi_value property(size_t i, const char* key) const;
  napi_env env_;
  napi_value arguments_[8];
};

using Function = napi_value (*)(Call&);

void throwSystemError(napi_env env, const SystemError& error);
void throwArgumentError(napi_env env, const ArgumentError& error);

template <Function function>
napi_value entry(napi_env env, napi_callback_info info) {
  try {
    Call call(env, info);
    return function(call);
  } catch (const SystemError& error) {
    throwSystemError(env, error);
  } catch (const ArgumentError& error) {
    throwArgumentError(env, error);
  } catch (const PendingException&) {
  } catch (const std::bad_alloc&) {
    throwSystemError(env, SystemError{ENOMEM, "malloc"});
  }
  return nullptr;
}

#define EXPORT(name) {#name, nullptr, entry<name>, nullptr, nullptr, nullptr, napi_enumerable, nullptr}

// --- paths.inl ---

// Opens for reading without touching the access time where that is allowed. Returns -1 and errno.
int openForReading(int directory, const char* name, int extraFlags);
// A directory by a path of any length.
int openDirectoryPath(const std::string& path, bool follow);
// lstat or stat of a path of any length.
void statAnyPath(const std::string& path, bool follow, struct stat* result);
// '/proc/self/fd/N/': the way to calls that have no variant relative to a directory.
std::string descriptorPath(int directory);
// errno after a failed call through `descriptorPath`: without /proc it is ENOSYS, not ENOENT.
int errnoThroughDescriptorPath(int number);

void writeStatRecord(uint8_t* record, const struct stat& stat);
void writeFailedStatRecord(uint8_t* record, int number);
// True when size, mtime, ctime and inode are those of the record.
bool matchesStatRecord(const uint8_t* record, const struct stat& stat);
