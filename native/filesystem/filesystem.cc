// The addon behind src/base/native-filesystem.ts; context-aware, without state, so each thread may load it.
// One translation unit: this file is all that has to be compiled.
#include "support.h"

#include "support.inl"

#include "paths.inl"

#include "read.inl"

#include "attributes.inl"

#include "write.inl"

template <size_t count>
static bool addFunctions(napi_env env, napi_value exports, const napi_property_descriptor (&functions)[count]) {
  return napi_define_properties(env, exports, count, functions) == napi_ok;
}

NAPI_MODULE_INIT() {
  bool isDefined = addFunctions(env, exports, READ_FUNCTIONS) && addFunctions(env, exports, ATTRIBUTE_FUNCTIONS) &&
                   addFunctions(env, exports, WRITE_FUNCTIONS);
  return isDefined ? exports : nullptr;
}
