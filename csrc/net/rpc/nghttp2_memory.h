// nghttp2's own memory, of which each stream takes a dozen blocks, out of its loop's.
#pragma once

#include <nghttp2/nghttp2.h>

#include "net/rpc/block_cache.h"

namespace mark::net {

// What a session is made with. The cache outlives the session.
nghttp2_mem nghttp2_memory(BlockCache& cache);

}  // namespace mark::net
