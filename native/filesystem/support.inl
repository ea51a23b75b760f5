#include <climits>
#include <cmath>
#include <cstring>
#include <vector>

#include "errno-names.h"

namespace {

[[noreturn]] void wrongType(const std::string& message) { throw ArgumentError{true, message}; }
[[noreturn]] void outOfRange(const std::string& message) { throw ArgumentError{false, message}; }

std::string argumentName(size_t i) { return "Argument " + std::to_string(i + 1); }

// The two signatures of strerror_r.
[[maybe_unused]] const char* errorText(int, const char* buffer) { return buffer; }
[[maybe_unused]] const char* errorText(const char* text, const char*) { return text; }

std::string describeErrno(int number) {
  char buffer[256] = "unknown error";
  std::string text = errorText(strerror_r(number, buffer, sizeof buffer), buffer);
  if (text.size() > 1 && text[0] >= 'A' && text[0] <= 'Z' && text[1] >= 'a' && text[1] <= 'z') text[0] += 'a' - 'A';
  return text;
}

void setProperty(napi_env env, napi_value object, const char* key, napi_value value) {
  napi_set_named_property(env, object, key, value);
}

napi_value makeString(napi_env env, const std::string& text) {
  napi_value value = nullptr;
  napi_create_string_utf8(env, text.data(), text.size(), &value);
  return value;
}

}  // namespace

void throwSystemError(napi_env env, const SystemError& error) {
  const char* code = errnoName(error.number);
  std::string message = std::string(code) + ": " + describeErrno(error.number) + ", " + error.syscall;
  napi_value object = nullptr;
  if (napi_create_error(env, makeString(env, code), makeString(env, message), &object) != napi_ok) return;
  napi_value number = nullptr;
  napi_create_int32(env, error.number, &number);
  setProperty(env, object, "errno", number);
  setProperty(env, object, "syscall", makeString(env, error.syscall));
  napi_throw(env, object);
}

void throwArgumentError(napi_env env, const ArgumentError& error) {
  if (error.isType) {
    napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", error.message.c_str());
  } else {
    napi_throw_range_error(env, "ERR_OUT_OF_RANGE", error.message.c_str());
  }
}

void Name::assign(const uint8_t* bytes, size_t count) {
  if (count == 0 || count > NAME_LIMIT) outOfRange("A name has 1 to 4095 bytes");
  memcpy(text, bytes, count);
  text[count] = 0;
  length = count;
  if (memchr(text, 0, count) != nullptr || memchr(text, '/', count) != nullptr) outOfRange("A name contains neither NUL nor '/'");
  if (text[0] == '.' && (count == 1 || (count == 2 && text[1] == '.'))) outOfRange("A name is neither '.' nor '..'");
}

NameList::NameList(ByteView packed) : packed_(packed) {
  if (packed.length > 0 && packed.data[packed.length - 1] != 0) outOfRange("Packed names end with NUL");
}

const uint8_t* NameList::findEnd() const {
  auto end = static_cast<const uint8_t*>(memchr(packed_.data + at_, 0, packed_.length - at_));
  if (end == nullptr) outOfRange("Packed names end with NUL");
  return end;
}

void NameList::next(Name& name) {
  size_t length = findEnd() - (packed_.data + at_);
  name.assign(packed_.data + at_, length);
  at_ += length + 1;
}

void NameList::skip() { at_ = findEnd() - packed_.data + 1; }

size_t NameList::count() const {
  NameList rest = *this;
  size_t count = 0;
  for (; !rest.atEnd(); rest.skip()) count++;
  return count;
}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (fd_ >= 0) close(fd_);
  fd_ = other.release();
  return *this;
}

Descriptor::~Descriptor() {
  if (fd_ >= 0) close(fd_);
}

int Descriptor::release() {
  int fd = fd_;
  fd_ = -1;
  return fd;
}

Call::Call(napi_env env, napi_callback_info info) : env_(env) {
  size_t count = sizeof arguments_ / sizeof *arguments_;
  ok(napi_get_cb_info(env, info, &count, arguments_, nullptr, nullptr));  // missing arguments become undefined
}

void Call::ok(napi_status status) const {
  if (status == napi_ok) return;
  bool isPending = false;
  napi_is_exception_pending(env_, &isPending);
  if (isPending) throw PendingException{};
  throw std::bad_alloc();  // arguments were checked before: what is left is that no memory could be had
}

double Call::checkedInteger(napi_value value, const std::string& what, double smallest, double largest) const {
  napi_valuetype type;
  ok(napi_typeof(env_, value, &type));
  if (type != napi_number) wrongType(what + " must be a number");
  double number;
  ok(napi_get_value_double(env_, value, &number));
  if (!(number >= smallest && number <= largest) || number != std::trunc(number)) outOfRange(what + " is not a whole number in range");
  return number;
}

double Call::integer(size_t i, double smallest, double largest) const {
  return checkedInteger(arguments_[i], argumentName(i), smallest, largest);
}

int Call::descriptor(size_t i) const { return static_cast<int>(integer(i, 0, INT_MAX)); }

uint64_t Call::wholeNumber(size_t i, uint64_t largest) const { return static_cast<uint64_t>(integer(i, 0, static_cast<double>(largest))); }

int64_t Call::signedNumber(size_t i) const {
  return static_cast<int64_t>(integer(i, -static_cast<double>(MAX_SAFE_INTEGER), static_cast<double>(MAX_SAFE_INTEGER)));
}

uint32_t Call::id(size_t i) const { return static_cast<uint32_t>(static_cast<int64_t>(integer(i, -1, UINT32_MAX))); }

bool Call::boolean(size_t i) const {
  napi_valuetype type;
  ok(napi_typeof(env_, arguments_[i], &type));
  if (type != napi_boolean) wrongType(argumentName(i) + " must be true or false");
  bool value;
  ok(napi_get_value_bool(env_, arguments_[i], &value));
  return value;
}

ByteView Call::bytes(size_t i) const {
  bool isArray = false;
  ok(napi_is_typedarray(env_, arguments_[i], &isArray));
  napi_typedarray_type type = napi_int8_array;
  void* data = nullptr;
  size_t length = 0;
  if (isArray) ok(napi_get_typedarray_info(env_, arguments_[i], &type, &length, &data, nullptr, nullptr));
  if (type != napi_uint8_array) wrongType(argumentName(i) + " must be a Uint8Array");
  return ByteView{static_cast<uint8_t*>(data), data == nullptr ? 0 : length};
}

NumberView Call::numbers(size_t i) const {
  bool isArray = false;
  ok(napi_is_typedarray(env_, arguments_[i], &isArray));
  napi_typedarray_type type = napi_int8_array;
  void* data = nullptr;
  size_t length = 0;
  if (isArray) ok(napi_get_typedarray_info(env_, arguments_[i], &type, &length, &data, nullptr, nullptr));
  if (type != napi_float64_array) wrongType(argumentName(i) + " must be a Float64Array");
  return NumberView{static_cast<double*>(data), data == nullptr ? 0 : length};
}

void Call::name(size_t i, Name& name) const {
  ByteView view = bytes(i);
  name.assign(view.data, view.length);
}

std::string Call::path(size_t i) const {
  ByteView view = bytes(i);
  if (view.length == 0 || view.length > PATH_LIMIT) outOfRange(argumentName(i) + " is empty or too long");
  std::string path(reinterpret_cast<const char*>(view.data), view.length);
  if (path.find('\0') != std::string::npos) outOfRange(argumentName(i) + " contains NUL");
  return path;
}

std::string Call::text(size_t i) const {
  napi_valuetype type;
  ok(napi_typeof(env_, arguments_[i], &type));
  if (type != napi_string) wrongType(argumentName(i) + " must be a string");
  size_t length = 0;
  ok(napi_get_value_string_utf8(env_, arguments_[i], nullptr, 0, &length));
  std::vector<char> buffer(length + 1);
  ok(napi_get_value_string_utf8(env_, arguments_[i], buffer.data(), buffer.size(), &length));
  std::string text(buffer.data(), length);
  if (text.find('\0') != std::string::npos) outOfRange(argumentName(i) + " contains NUL");
  return text;
}

napi_value Call::property(size_t i, const char* key) const {
  napi_valuetype type;
  ok(napi_typeof(env_, arguments_[i], &type));
  if (type != napi_object) wrongType(argumentName(i) + " must be an object");
  napi_value value;
  ok(napi_get_named_property(env_, arguments_[i], key, &value));
  return value;
}

bool Call::booleanProperty(size_t i, const char* key) const {
  napi_value value = property(i, key);
  napi_valuetype type;
  ok(napi_typeof(env_, value, &type));
  if (type == napi_undefined) return false;
  if (type != napi_boolean) wrongType(std::string("'") + key + "' must be true or false");
  bool result;
  ok(napi_get_value_bool(env_, value, &result));
  return result;
}

uint64_t Call::numberProperty(size_t i, const char* key, uint64_t largest, uint64_t missing) const {
  napi_value value = property(i, key);
  napi_valuetype type;
  ok(napi_typeof(env_, value, &type));
  if (type == napi_undefined) return missing;
  return static_cast<uint64_t>(checkedInteger(value, std::string("'") + key + "'", 0, static_cast<double>(largest)));
}

ByteView Call::part(size_t i, ByteView whole) const {
  size_t start = wholeNumber(i, MAX_SAFE_INTEGER);
  size_t length = wholeNumber(i + 1, MAX_SAFE_INTEGER);
  if (start > whole.length || length > whole.length - start) outOfRange("The range lies outside the given bytes");
  return ByteView{whole.data + start, length};
}

namespace {

struct BackgroundJob {
  std::unique_ptr<Background> work;
  napi_deferred deferred = nullptr;
  napi_ref kept = nullptr;
  napi_async_work handle = nullptr;
};

void settle(napi_env env, napi_status status, void* data) {
  std::unique_ptr<BackgroundJob> job(static_cast<BackgroundJob*>(data));
  napi_value value = status == napi_ok ? job->work->result(env) : nullptr;
  if (value != nullptr) {
    napi_resolve_deferred(env, job->deferred, value);
  } else if (napi_get_undefined(env, &value) == napi_ok) {
    napi_reject_deferred(env, job->deferred, value);  // the thread is ending, or out of memory
  }
  napi_delete_reference(env, job->kept);
  napi_delete_async_work(env, job->handle);
}

}  // namespace

napi_value Call::inBackground(std::unique_ptr<Background> work, size_t kept) const {
  auto job = std::make_unique<BackgroundJob>();
  job->work = std::move(work);
  napi_value promise;
  napi_value name;
  ok(napi_create_string_utf8(env_, "snap", NAPI_AUTO_LENGTH, &name));
  ok(napi_create_reference(env_, arguments_[kept], 1, &job->kept));
  auto run = [](napi_env, void* data) { static_cast<BackgroundJob*>(data)->work->run(); };
  ok(napi_create_async_work(env_, nullptr, name, run, settle, job.get(), &job->handle));
  ok(napi_create_promise(env_, &job->deferred, &promise));
  ok(napi_queue_async_work(env_, job->handle));
  job.release();
  return promise;
}

napi_value Call::none() const {
  napi_value value;
  ok(napi_get_undefined(env_, &value));
  return value;
}

napi_value Call::number(double number) const {
  napi_value value;
  ok(napi_create_double(env_, number, &value));
  return value;
}

napi_value Call::pair(double first, double second) const {
  napi_value array;
  ok(napi_create_array_with_length(env_, 2, &array));
  ok(napi_set_element(env_, array, 0, number(first)));
  ok(napi_set_element(env_, array, 1, number(second)));
  return array;
}

napi_value Call::string(const char* text) const {
  napi_value value;
  ok(napi_create_string_utf8(env_, text, NAPI_AUTO_LENGTH, &value));
  return value;
}

napi_value Call::newBytes(size_t length, uint8_t** data) const {
  napi_value buffer;
  napi_value array;
  void* memory = nullptr;
  ok(napi_create_arraybuffer(env_, length, &memory, &buffer));
  ok(napi_create_typedarray(env_, napi_uint8_array, length, buffer, 0, &array));
  *data = static_cast<uint8_t*>(memory);
  return array;
}

napi_value Call::copyOf(const void* source, size_t length) const {
  uint8_t* data;
  napi_value array = newBytes(length, &data);
  if (length > 0) memcpy(data, source, length);
  return array;
}
