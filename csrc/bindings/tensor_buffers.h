// Tensors as Python hands them over: name, datatype, shape, and a buffer that holds the contents.
#pragma once

#include <string>
#include <tuple>
#include <vector>

#include "bindings/bindings.h"
#include "net/oip_message.h"

using BufferTuple = std::tuple<std::string, std::string, std::vector<std::int64_t>, py::buffer>;

inline mark::net::Datatype datatype_or_throw(const std::string& name) {
  const auto datatype = mark::net::datatype_of(name);
  if (!datatype) throw py::value_error("unknown datatype '" + name + "'; the protocol knows BOOL, FP32, BYTES ...");
  return *datatype;
}

// Tensors with the buffers that hold their contents, kept alive for as long as this is.
class TensorBuffers {
 public:
  explicit TensorBuffers(const std::vector<BufferTuple>& tensors) : tensors_(tensors) {
    infos_.reserve(tensors.size());
    for (const auto& [name, datatype, shape, buffer] : tensors_) {
      infos_.push_back(buffer.request());
      const py::buffer_info& info = infos_.back();
      if (PyBuffer_IsContiguous(info.view(), 'C') == 0) {
        throw py::value_error("tensor '" + name + "' must be contiguous in memory, row-major");
      }
      const auto bytes = static_cast<std::size_t>(info.size * info.itemsize);
      views_.push_back({name, datatype_or_throw(datatype), shape, {static_cast<const char*>(info.ptr), bytes}});
    }
  }
  const std::vector<mark::net::TensorView>& views() const { return views_; }

 private:
  const std::vector<BufferTuple>& tensors_;
  std::vector<py::buffer_info> infos_;
  std::vector<mark::net::TensorView> views_;
};
