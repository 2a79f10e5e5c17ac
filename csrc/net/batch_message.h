// Several requests as one: their tensors joined along dimension 0, for a worker's wire or for a model in this process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "net/oip_message.h"
#include "net/piece.h"

namespace mark::net {

using Payload = std::shared_ptr<const InferRequest>;

std::vector<const InferRequest*> requests_of(const std::vector<Payload>& payloads);

// One input of a batch. All its requests have equal trailing dimensions.
struct JoinedTensor {
  std::vector<std::int64_t> shape;
  std::size_t bytes = 0;    // of its raw contents
  std::size_t padding = 0;  // of these: zeros behind the requests' rows
};

// Input `index` of the requests, of `size` rows where they have fewer.
JoinedTensor joined_tensor(const ModelSignature& signature, std::size_t index,
                           const std::vector<const InferRequest*>& requests, int size = 0);
// Its raw contents into `joined.bytes` bytes of memory.
void gather(const JoinedTensor& joined, std::size_t index, const std::vector<const InferRequest*>& requests,
            char* into);

// One ModelInferRequest whose tensors are the requests' tensors, concatenated along dimension 0, as raw contents.
// All requests have equal trailing dimensions (equal `shape_class`). Where they have fewer rows than `size`, rows of
// zeros (false, empty text) follow them.
std::string write_batch(const ModelSignature& signature, std::string_view batch_id,
                        const std::vector<const InferRequest*>& requests, int size = 0);

// A tensor below it is copied: that costs less than a piece more in the write.
inline constexpr std::size_t kKeptBytesMin = 4096;

// The same bytes, in pieces: tensors of `kept_bytes_min` bytes or more stay where they are, kept by their payload.
std::vector<Piece> write_batch_pieces(const ModelSignature& signature, std::string_view batch_id,
                                      const std::vector<Payload>& payloads, int size = 0,
                                      std::size_t kept_bytes_min = kKeptBytesMin);

}  // namespace mark::net
