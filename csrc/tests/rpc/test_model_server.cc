#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "http2_client.h"
#include "net/rpc/batch_handoff.h"
#include "net/rpc/model_server.h"

namespace mark::net {
namespace {

constexpr std::string_view kInfer = "/inference.GRPCInferenceService/ModelInfer";

ModelSignature signature() { return {"m", "1", {{"x", Datatype::kInt8, {-1}}}, {{"y", Datatype::kInt8, {-1}}}, 4}; }

std::string request(const std::string& rows) {
  return write_infer_request({"m", "", "id-" + rows},
                             {{"x", Datatype::kInt8, {static_cast<std::int64_t>(rows.size())}, rows}}, {});
}

GrpcServerParams params(int threads = 1) {
  GrpcServerParams made;
  made.address = "127.0.0.1:0";
  made.threads = threads;
  return made;
}

std::string joined(const TakenBatch& taken) {
  std::string rows;
  for (const Payload& payload : *taken.batch.payloads) rows += payload->inputs[0].raw;
  return rows;
}

void echo(ModelServer& server, const TakenBatch& taken) {
  const std::string rows = joined(taken);
  server.complete(taken, {{"y", Datatype::kInt8, {static_cast<std::int64_t>(rows.size())}, rows}});
}

std::string answered_rows(const TestResponse& response) {
  REQUIRE(response.status() == "0");
  const auto parsed = parse_infer_response(std::string_view(response.body).substr(5));
  return std::get<InferResponse>(parsed).outputs[0].raw;
}

// A model that doubles as its own thread.
class Model {
 public:
  explicit Model(ModelServer& server)
      : thread_([&server] {
          while (const auto taken = server.take()) echo(server, *taken);
        }) {}
  ~Model() { thread_.join(); }
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

 private:
  std::thread thread_;
};

}  // namespace

TEST_CASE("who is closed before it could say that it is ready says nothing") {
  EventLoop loop;
  HandoffCarrier carrier(std::make_shared<BatchHandoff>(loop), loop);
  bool told = false;

  carrier.when_ready([&told] { told = true; });
  carrier.close();
  loop.stop();
  loop.run();

  CHECK_FALSE(told);
}

TEST_CASE("a server that is stopped as soon as it starts is stopped") {
  for (int i = 0; i < 20; ++i) {
    ModelServer server(signature(), params());
    server.start();
    server.stop();
    CHECK_FALSE(server.take().has_value());
  }
}

TEST_CASE("a model behind a server answers each client its own rows") {
  for (const int threads : {1, 2}) {
    ModelServer server(signature(), params(threads));
    server.start();
    {
      LoopThread client_loop;
      TestClient one(client_loop, server.address());
      TestClient two(client_loop, server.address());
      const auto model = std::make_unique<Model>(server);
      std::vector<std::pair<std::string, TestClient::Pending>> asked;
      for (int i = 0; i < 200; ++i) {
        const std::string rows(1 + static_cast<std::size_t>(i % 4), static_cast<char>('a' + i % 26));
        asked.emplace_back(rows, (i % 2 == 0 ? one : two).start(kInfer, request(rows)));
      }
      for (auto& [rows, pending] : asked) CHECK(answered_rows(TestClient::wait(std::move(pending))) == rows);
      server.stop();
    }
    CHECK(server.counts().calls == 200);
  }
}

TEST_CASE("what waits while the model is busy is one batch, up to the signature's rows") {
  ModelServer server(signature(), params());
  server.start();
  LoopThread loop;
  TestClient client(loop, server.address());
  std::vector<TestClient::Pending> asked;
  asked.push_back(client.start(kInfer, request("a")));
  const auto first = server.take();
  REQUIRE(first);
  for (const char* rows : {"b", "cc", "d", "ee"}) asked.push_back(client.start(kInfer, request(rows)));
  while (server.statistics().submitted_rows < 7) std::this_thread::yield();
  echo(server, *first);
  const auto second = server.take();
  CHECK(joined(*second) == "bccd");
  echo(server, *second);
  const auto third = server.take();
  CHECK(joined(*third) == "ee");
  echo(server, *third);
  for (auto& pending : asked) CHECK(TestClient::wait(std::move(pending)).status() == "0");
}

TEST_CASE("a batch that fails is tried one by one, and each that fails alone is told why") {
  ModelServer server(signature(), params());
  server.start();
  LoopThread loop;
  TestClient client(loop, server.address());
  auto busy = client.start(kInfer, request("a"));
  const auto first = server.take();
  auto good = client.start(kInfer, request("b"));
  auto bad = client.start(kInfer, request("c"));
  while (server.statistics().submitted_rows < 3) std::this_thread::yield();
  echo(server, *first);
  for (int batches = 0; batches < 3; ++batches) {
    const auto taken = server.take();
    if (joined(*taken).find('c') == std::string::npos) {
      echo(server, *taken);
    } else {
      server.fail(*taken, "I do not like c");
    }
  }
  CHECK(TestClient::wait(std::move(busy)).status() == "0");
  CHECK(answered_rows(TestClient::wait(std::move(good))) == "b");
  const TestResponse failed = TestClient::wait(std::move(bad));
  CHECK(failed.status() == "13");
  CHECK(failed.message() == "I do not like c");
}

TEST_CASE("outputs that do not fit the signature are the model's error") {
  ModelServer server(signature(), params());
  server.start();
  LoopThread loop;
  TestClient client(loop, server.address());
  auto pending = client.start(kInfer, request("ab"));
  const auto taken = server.take();
  server.complete(*taken, {{"y", Datatype::kInt8, {1}, "a"}});
  CHECK(TestClient::wait(std::move(pending)).status() == "13");
}

TEST_CASE("a server that drains answers what it has, refuses the rest, and says when it is done") {
  ModelServer server(signature(), params());
  server.start();
  LoopThread loop;
  TestClient client(loop, server.address());
  auto accepted = client.start(kInfer, request("a"));
  const auto taken = server.take();
  server.drain();
  echo(server, *taken);
  CHECK(TestClient::wait(std::move(accepted)).status() == "0");
  bool all_answered = false;
  while (!all_answered) {
    for (const Notice& notice : server.notices().take()) {
      all_answered = all_answered || std::holds_alternative<AllAnswered>(notice.what);
    }
    std::this_thread::yield();
  }
  server.stop();
  CHECK_FALSE(server.take());
}

TEST_CASE("a server that stops tells who waits, and an answer that comes too late goes to nobody") {
  ModelServer server(signature(), params());
  server.start();
  LoopThread loop;
  TestClient client(loop, server.address());
  auto waiting = client.start(kInfer, request("a"));
  const auto taken = server.take();
  server.stop();
  CHECK(TestClient::wait(std::move(waiting)).status() == "14");
  echo(server, *taken);
  CHECK_FALSE(server.take());
}

TEST_CASE("a server that was never started ends as well") {
  const ModelServer server(signature(), params());
  CHECK(server.address().starts_with("127.0.0.1:"));
  CHECK_THROWS_AS(ModelServer({"m", "1", {}, {}, 0}, params()), std::invalid_argument);
}

}  // namespace mark::net
