// The addon behind src/base/native-filesystem.ts; context-aware, without state, so each thread may load it.
// One translation unit: this file is all that has to be compiled.
#include "support.h"

#include "support.inl"

#include "paths.inl"

#include "read.inl"

#include "attributes.inl"

#include "write.inl"

#ifdef __GLIBC__
#include <malloc.h>
#endif

// glibc gives each thread an arena of its own, and large freed buffers stay in the one that they came from. The threads of
// snap pass buffers on, so one arena for all keeps some 10 to 20 MB less; its lock is not felt beside the work on a buffer.
static void shareOneArena() {
#ifdef __GLIBC__
  mallopt(M_ARENA_MAX, 1);
#endif
}

// What was freed in between blocks that are in use stays with the process, until the same arena needs it again.
static napi_value returnFreeMemory(Call& call) {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
  return call.none();
}

static const napi_property_descriptor MEMORY_FUNCTIONS[] = {EXPORT(returnFreeMemory)};

template <size_t count>
static bool addFunctions(napi_env env, napi_value exports, const napi_property_descriptor (&functions)[count]) {
  return napi_define_properties(env, exports, count, functions) == napi_ok;
}

NAPI_MODULE_INIT() {
  shareOneArena();
  bool isDefined = addFunctions(env, exports, READ_FUNCTIONS) && addFunctions(env, exports, ATTRIBUTE_FUNCTIONS) &&
                   addFunctions(env, exports, WRITE_FUNCTIONS) && addFunctions(env, exports, MEMORY_FUNCTIONS);
  return isDefined ? exports : nullptr;
}
