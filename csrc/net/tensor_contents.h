// Typed tensor contents (InferTensorContents) turned into the protocol's raw form.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "net/oip_message.h"

namespace mark::net {

struct ContentsFault {
  std::string message;
};

// The typed elements of a tensor message in little-endian order, BYTES each behind a 4-byte length; all its contents
// fields together, as protobuf merges them. A fault when they are malformed, of another datatype or out of its range,
// when there are not just so many as the shape has, or when the datatype must travel raw.
std::variant<std::string, ContentsFault> raw_from_contents(std::string_view tensor, Datatype datatype,
                                                           std::int64_t elements);

// Elements in raw contents: bytes over element size, or BYTES counted by walking their lengths; -1 when malformed.
std::int64_t count_elements(std::string_view raw, Datatype datatype);

}  // namespace mark::net
