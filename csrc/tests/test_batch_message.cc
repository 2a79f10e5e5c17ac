// A batch as one message: whole or in pieces, and the answers cut out of a response or of the outputs themselves.
#include <doctest/doctest.h>

#include <chrono>
#include <cstdint>
#include <numeric>
#include <random>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "net/batch_message.h"
#include "net/endpoint.h"

namespace mark::net {
namespace {

using namespace std::chrono_literals;

constexpr TimeNs kStart{};
constexpr WorkerId kWorker{1};

// A batch drawn at random: a model of one to three inputs of any datatype, and requests of equal trailing dimensions.
class Drawn {
 public:
  explicit Drawn(unsigned seed) : random_(seed) {
    signature = {"model", "3", {}, {}, 8};
    const int width = draw(0, 40);
    for (int i = draw(1, 3); i > 0; --i) {
      const auto datatype = static_cast<Datatype>(draw(0, static_cast<int>(Datatype::kBytes)));
      signature.inputs.push_back({"in" + std::to_string(i), datatype, {-1, width}});
      signature.outputs.push_back({"out" + std::to_string(i), datatype, {-1, width}});
    }
    for (int i = draw(1, 5); i > 0; --i) payloads.push_back(request(width));
    size = draw(0, 1) == 0 ? 0 : rows() + draw(0, 3);
  }

  int rows() const {
    return std::accumulate(payloads.begin(), payloads.end(), 0,
                           [](int sum, const Payload& payload) { return sum + payload->rows; });
  }
  int draw(int from, int to) { return std::uniform_int_distribution<int>(from, to)(random_); }

  ModelSignature signature;
  std::vector<Payload> payloads;
  int size = 0;

 private:
  Payload request(int width) {
    InferRequest drawn{.id = "r" + std::to_string(payloads.size()), .rows = draw(1, 3), .inputs = {}, .outputs = {}};
    for (const TensorSpec& spec : signature.inputs) {
      std::string raw;
      for (int element = 0; element < drawn.rows * width; ++element) {
        if (spec.datatype == Datatype::kBytes) {
          const int length = draw(0, 9);
          raw += static_cast<char>(length) + std::string(3, '\0');
          raw.append(static_cast<std::size_t>(length), static_cast<char>(draw(0, 127)));
        } else {
          raw.append(static_cast<std::size_t>(datatype_bytes(spec.datatype)), static_cast<char>(draw(0, 127)));
        }
      }
      drawn.inputs.push_back({{drawn.rows, width}, std::move(raw)});
    }
    for (int output = static_cast<int>(signature.outputs.size()) - 1; output >= 0; --output) {
      if (draw(0, 2) > 0 || (output == 0 && drawn.outputs.empty())) drawn.outputs.push_back(output);
    }
    return std::make_shared<const InferRequest>(std::move(drawn));
  }

  std::mt19937 random_;
};

std::string joined(const std::vector<Piece>& pieces) {
  std::string whole;
  for (const Piece& piece : pieces) whole += piece.bytes();
  return whole;
}

TEST_CASE("the pieces of a batch are the bytes of its message, whatever is copied") {
  for (unsigned seed = 0; seed < 300; ++seed) {
    const Drawn drawn(seed);
    const std::string whole = write_batch(drawn.signature, "7", requests_of(drawn.payloads), drawn.size);
    for (const std::size_t kept_min : {std::size_t{0}, std::size_t{16}, std::size_t{100}, kKeptBytesMin}) {
      CHECK(joined(write_batch_pieces(drawn.signature, "7", drawn.payloads, drawn.size, kept_min)) == whole);
    }
  }
}

TEST_CASE("a large tensor stays where it is, and its payload with it") {
  const ModelSignature signature{"m", "", {{"x", Datatype::kInt8, {-1, 8192}}}, {{"y", Datatype::kInt8, {-1}}}, 8};
  auto payload = std::make_shared<const InferRequest>(
      InferRequest{.id = "", .rows = 1, .inputs = {{{1, 8192}, std::string(8192, 'x')}}, .outputs = {0}});
  const char* const bytes = payload->inputs[0].raw.data();
  auto pieces = write_batch_pieces(signature, "7", {payload});
  REQUIRE(pieces.size() == 2);
  CHECK(pieces[1].bytes().data() == bytes);
  const std::weak_ptr<const InferRequest> watched = payload;
  payload.reset();
  CHECK(!watched.expired());
  pieces.clear();
  CHECK(watched.expired());
}

TEST_CASE("gathered tensors are those of the batch's message") {
  for (unsigned seed = 0; seed < 100; ++seed) {
    Drawn drawn(seed);
    const auto requests = requests_of(drawn.payloads);
    drawn.signature.rows_max = 1000;
    const auto read = parse_infer_request(write_batch(drawn.signature, "7", requests, drawn.size), drawn.signature);
    const auto& message = std::get<InferRequest>(read);
    for (std::size_t i = 0; i < drawn.signature.inputs.size(); ++i) {
      const JoinedTensor joined = joined_tensor(drawn.signature, i, requests, drawn.size);
      std::string raw(joined.bytes, '?');
      gather(joined, i, requests, raw.data());
      CHECK(joined.shape == message.inputs[i].shape);
      CHECK(raw == message.inputs[i].raw);
    }
  }
}

TEST_CASE("answers cut out of the outputs themselves are those cut out of their response") {
  for (unsigned seed = 0; seed < 200; ++seed) {
    Drawn drawn(seed);
    const auto requests = requests_of(drawn.payloads);
    std::vector<std::string> raw;
    std::vector<TensorView> outputs;  // the model echoes; its outputs come in any order
    for (std::size_t i = 0; i < drawn.signature.outputs.size(); ++i) {
      const JoinedTensor joined = joined_tensor(drawn.signature, i, requests, drawn.size);
      raw.emplace_back(joined.bytes, '?');
      gather(joined, i, requests, raw.back().data());
      outputs.push_back({drawn.signature.outputs[i].name, drawn.signature.outputs[i].datatype, joined.shape, {}});
    }
    for (std::size_t i = 0; i < outputs.size(); ++i) outputs[i].raw = raw[i];
    if (drawn.draw(0, 1) == 1) std::swap(outputs.front(), outputs.back());
    const std::string response = write_infer_response({"model", "3", ""}, outputs);
    const auto expected = split_response(response, drawn.signature, requests, drawn.size);
    REQUIRE(std::holds_alternative<std::vector<std::string>>(expected));
    CHECK(split_outputs(outputs, drawn.signature, requests, drawn.size) == expected);
  }
}

ModelSignature echo() { return {"m", "1", {{"x", Datatype::kInt8, {-1}}}, {{"y", Datatype::kInt8, {-1}}}, 1}; }

class EchoEndpoint {
 public:
  EchoEndpoint() {
    endpoint.worker_up(kWorker, {.profile = LatencyProfile{{{1, 1us}, {8, 2us}}}, .rows_max = 8}, kStart);
  }
  OutboundBatch sent(std::uint64_t caller) {
    const auto message = write_infer_request({"m", "", "id"}, {{"x", Datatype::kInt8, {1}, "\5"}}, {});
    REQUIRE(std::holds_alternative<RequestId>(endpoint.submit(message, kStart + 1s, kStart, caller)));
    auto batches = endpoint.poll(endpoint.next_wakeup().value_or(kStart)).batches;
    REQUIRE(batches.size() == 1);
    return batches[0];
  }
  Endpoint endpoint{echo(), {.rt_max = 1s, .rows_max = 8}};
};

TEST_CASE("a reply carries its caller, however the request ended") {
  EchoEndpoint answering;
  const std::vector<TensorView> outputs{{"y", Datatype::kInt8, {1}, "\5"}};
  CHECK(answering.endpoint.complete(answering.sent(7).batch, outputs, kStart).at(0).caller == 7);
  EchoEndpoint failing;
  CHECK(failing.endpoint.fail(failing.sent(8).batch, Failure::kModelError, "no", kStart).at(0).caller == 8);
  EchoEndpoint lost;
  lost.sent(9);
  CHECK(lost.endpoint.worker_down(kWorker, kStart + 2s).at(0).caller == 9);
}

TEST_CASE("outputs that do not fit the batch are a model error that names the output") {
  const std::vector<std::pair<std::vector<TensorView>, std::string>> wrong{
      {{}, "the model gave no output 'y'"},
      {{{"y", Datatype::kUint8, {1}, "\5"}}, "output 'y' is UINT8, not INT8"},
      {{{"y", Datatype::kInt8, {2}, "\5\5"}}, "output 'y' has shape [2] for a batch of 1 rows"},
      {{{"y", Datatype::kInt8, {1}, "\5\5"}}, "output 'y' does not fit its shape [1]"}};
  for (const auto& [outputs, words] : wrong) {
    EchoEndpoint echoing;
    const auto replies = echoing.endpoint.complete(echoing.sent(1).batch, outputs, kStart);
    REQUIRE(replies.size() == 1);
    CHECK(replies[0].outcome == Outcome::kModelError);
    CHECK(replies[0].detail == words);
  }
}

}  // namespace
}  // namespace mark::net
