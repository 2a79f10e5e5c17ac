#include "net/batch_message.h"

#include <algorithm>
#include <utility>

#include "net/oip_tensor.h"
#include "net/wire.h"

namespace mark::net {

namespace {

constexpr std::uint32_t kModelName = 1;
constexpr std::uint32_t kModelVersion = 2;
constexpr std::uint32_t kId = 3;
constexpr std::uint32_t kInputs = 5;
constexpr std::uint32_t kRawInputContents = 7;

using Requests = std::vector<const InferRequest*>;

// Bytes of so many rows like those of the tensor, all of them zero: a BYTES element of no length has four.
std::size_t padding_bytes(const Tensor& like, Datatype datatype, std::int64_t rows) {
  const std::int64_t elements = elements_of(like.shape) / like.shape[0] * rows;
  return static_cast<std::size_t>(elements * (datatype == Datatype::kBytes ? 4 : datatype_bytes(datatype)));
}

// Into one string.
class WholeMessage {
 public:
  explicit WholeMessage(std::size_t bytes) { text_.reserve(bytes); }
  std::string& text() { return text_; }
  void append_tensor(std::size_t /*request*/, std::string_view raw) { text_.append(raw); }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

// Into pieces. Text and small tensors are collected until a tensor follows that stays where it is.
class MessageInPieces {
 public:
  MessageInPieces(const std::vector<Payload>& payloads, std::size_t kept_bytes_min)
      : payloads_(payloads), kept_bytes_min_(kept_bytes_min) {}
  std::string& text() { return text_; }
  void append_tensor(std::size_t request, std::string_view raw) {
    if (raw.size() < kept_bytes_min_ || raw.empty()) {
      text_.append(raw);
      return;
    }
    flush();
    pieces_.emplace_back(payloads_[request], raw);
  }
  std::vector<Piece> take() {
    flush();
    return std::move(pieces_);
  }

 private:
  void flush() {
    if (!text_.empty()) pieces_.emplace_back(std::move(text_));
    text_.clear();
  }

  const std::vector<Payload>& payloads_;
  const std::size_t kept_bytes_min_;
  std::string text_;
  std::vector<Piece> pieces_;
};

std::vector<JoinedTensor> joined_tensors(const ModelSignature& signature, const Requests& requests, int size) {
  std::vector<JoinedTensor> joined;
  joined.reserve(signature.inputs.size());
  for (std::size_t i = 0; i < signature.inputs.size(); ++i) {
    joined.push_back(joined_tensor(signature, i, requests, size));
  }
  return joined;
}

template <class Message>
void write(const ModelSignature& signature, std::string_view batch_id, const Requests& requests,
           const std::vector<JoinedTensor>& joined, Message& message) {
  WireWriter writer(message.text());
  writer.text(kModelName, signature.name);
  writer.text(kModelVersion, signature.version);
  writer.text(kId, batch_id);
  for (std::size_t i = 0; i < joined.size(); ++i) {
    const TensorSpec& spec = signature.inputs[i];
    writer.begin(kInputs, tensor_size(spec.name, spec.datatype, joined[i].shape));
    write_tensor(writer, spec.name, spec.datatype, joined[i].shape);
  }
  for (std::size_t i = 0; i < joined.size(); ++i) {
    writer.begin(kRawInputContents, joined[i].bytes);
    for (std::size_t j = 0; j < requests.size(); ++j) message.append_tensor(j, requests[j]->inputs[i].raw);
    message.text().append(joined[i].padding, '\0');
  }
}

}  // namespace

std::vector<const InferRequest*> requests_of(const std::vector<Payload>& payloads) {
  std::vector<const InferRequest*> requests;
  requests.reserve(payloads.size());
  for (const Payload& payload : payloads) requests.push_back(payload.get());
  return requests;
}

JoinedTensor joined_tensor(const ModelSignature& signature, std::size_t index, const Requests& requests, int size) {
  const Tensor& first = requests.front()->inputs[index];
  JoinedTensor joined{.shape = first.shape};
  joined.shape[0] = 0;
  for (const InferRequest* request : requests) {
    joined.shape[0] += request->rows;
    joined.bytes += request->inputs[index].raw.size();
  }
  if (const std::int64_t missing = size - joined.shape[0]; missing > 0) {
    joined.padding = padding_bytes(first, signature.inputs[index].datatype, missing);
    joined.bytes += joined.padding;
    joined.shape[0] = size;
  }
  return joined;
}

void gather(const JoinedTensor& joined, std::size_t index, const Requests& requests, char* into) {
  for (const InferRequest* request : requests) {
    const std::string& raw = request->inputs[index].raw;
    into = std::copy(raw.begin(), raw.end(), into);
  }
  std::fill_n(into, joined.padding, '\0');
}

std::string write_batch(const ModelSignature& signature, std::string_view batch_id, const Requests& requests,
                        int size) {
  const auto joined = joined_tensors(signature, requests, size);
  std::size_t bytes = 64 + signature.name.size() + signature.version.size() + batch_id.size();
  for (std::size_t i = 0; i < joined.size(); ++i) {
    const TensorSpec& spec = signature.inputs[i];
    bytes += field_size(tensor_size(spec.name, spec.datatype, joined[i].shape)) + field_size(joined[i].bytes);
  }
  WholeMessage message(bytes);
  write(signature, batch_id, requests, joined, message);
  return message.take();
}

std::vector<Piece> write_batch_pieces(const ModelSignature& signature, std::string_view batch_id,
                                      const std::vector<Payload>& payloads, int size, std::size_t kept_bytes_min) {
  const Requests requests = requests_of(payloads);
  MessageInPieces message(payloads, kept_bytes_min);
  write(signature, batch_id, requests, joined_tensors(signature, requests, size), message);
  return message.take();
}

}  // namespace mark::net
