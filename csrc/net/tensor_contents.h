// Typed tensor contents (InferTensorContents) turned into the protocol's raw form.
#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "net/oip_message.h"

namespace mark::net {

struct ContentsFault {
  std::string message;
};

// Elements in little-endian order, BYTES each behind a 4-byte length. A fault when the message is malformed, holds a
// field of another datatype than `datatype`, a value out of its range, or a type that must travel raw.
std::variant<std::string, ContentsFault> raw_from_contents(std::string_view contents, Datatype datatype);

// Elements in raw contents: bytes over element size, or BYTES counted by walking their lengths; -1 when malformed.
std::int64_t count_elements(std::string_view raw, Datatype datatype);

}  // namespace mark::net
