// Batches that are sent in certain sizes only: what is predicted of them, how they form, and what is on the wire.
#include <doctest/doctest.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "mark/batch_limits.h"
#include "mark/batch_policy.h"
#include "mark/dispatcher.h"
#include "mark/simulation/simulation.h"
#include "net/batch_message.h"
#include "net/endpoint.h"

namespace mark {
namespace {

using namespace std::chrono_literals;

constexpr TimeNs kStart{};
constexpr WorkerId kWorker{1};

std::vector<int> sizes() { return {1, 2, 4, 8}; }
LatencyProfile proportional() { return LatencyProfile{{{1, 10ms}, {8, 80ms}}}.padded_to(sizes()); }
LatencyProfile sublinear() { return LatencyProfile{{{1, 10ms}, {2, 12ms}, {4, 16ms}, {8, 24ms}}}.padded_to(sizes()); }
BatchLimits limits_of(const LatencyProfile& profile, DurationNs rt_max) {
  return batch_limits(profile, rt_max, 8).value_or(BatchLimits{.n_batch = 0, .w_batch = {}, .n_sustained = 0});
}

BatchFront front_of(const std::vector<int>& rows, DurationNs deadline = 1s) {
  BatchFront front;
  front.arrival = kStart;
  front.deadline = kStart + deadline;
  front.whole = true;
  int sum = 0;
  for (const int count : rows) {
    front.requests.push_back(RequestId::of(static_cast<std::uint32_t>(front.requests.size()), 1));
    front.rows_through.push_back(sum += count);
  }
  return front;
}

Worker worker_with(LatencyProfile profile, DurationNs rt_max = 1s) {
  const BatchLimits limits = limits_of(profile, rt_max);
  return {.id = kWorker, .profile = std::move(profile), .limits = limits, .rows_max = 8};
}

BatchTake take_of(const std::vector<int>& rows, const Worker& worker, DurationNs deadline = 1s) {
  return BatchPolicy(0ms).take(front_of(rows, deadline), worker, kStart);
}

TEST_CASE("a padded batch is predicted to take as long as its size, above the largest as it is") {
  const LatencyProfile profile = proportional();
  const std::array<std::pair<int, DurationNs>, 6> expected{
      {{1, 10ms}, {2, 20ms}, {3, 40ms}, {5, 80ms}, {8, 80ms}, {9, 90ms}}};
  for (const auto& [rows, latency] : expected) {
    CHECK(profile.predict(rows) == latency);
    CHECK(profile.times(2).predict(rows) == 2 * latency);
  }
  CHECK(profile.size_for(3) == 4);
  CHECK(profile.size_for(4) == 4);
  CHECK(profile.size_for(9) == 0);
  CHECK(profile != profile.padded_to({}));
  CHECK(profile.padded_to({}).predict(3) == 30ms);
  CHECK(profile.padded_to({}).size_for(3) == 0);
}

TEST_CASE("sizes that do not increase from 1 are refused") {
  const LatencyProfile profile{{{1, 10ms}}};
  for (const std::vector<int>& sizes : std::vector<std::vector<int>>{{0}, {-1, 2}, {2, 2}, {4, 2}}) {
    CHECK_THROWS_AS(static_cast<void>(profile.padded_to(sizes)), std::invalid_argument);
  }
}

TEST_CASE("limits and capacity are those of full sizes") {
  // Unpadded, 6 rows take 60 ms and would be the most under 65 ms; padded they take as long as 8.
  const LatencyProfile plain{{{1, 10ms}, {8, 80ms}}};
  CHECK(limits_of(plain, 65ms).n_batch == 6);
  CHECK(limits_of(plain.padded_to(sizes()), 65ms).n_batch == 4);
  // One row alone is padded to 4, and serves a quarter of what those serve.
  const LatencyProfile coarse = plain.padded_to({4, 8});
  CHECK(coarse.predict(1) == 40ms);
  CHECK(limits_of(coarse, 100ms).n_sustained == 4);
  CHECK(capacity_rows_per_s(coarse, 100ms, 8) == doctest::Approx(100.0));
  CHECK(capacity_rows_per_s(coarse, 39ms, 8) == 0.0);
}

TEST_CASE("where no row can wait, or none is in time, as many are served as one is padded to") {
  const LatencyProfile coarse = LatencyProfile{{{1, 10ms}, {8, 80ms}}}.padded_to({4, 8});
  CHECK(limits_of(coarse, 70ms).n_sustained == 4);  // 40 ms after 40 ms are too late
  CHECK(limits_of(coarse.padded_to({}), 15ms).n_sustained == 1);
  const BatchLimits late = BatchPolicy(0ms).limits(coarse, 30ms, 8);
  CHECK(late.n_batch == 4);
  CHECK(late.n_sustained == 4);
  CHECK(BatchPolicy(0ms).limits(coarse, 30ms, 2).n_batch == 2);
  CHECK(BatchPolicy(0ms).limits(coarse.padded_to({}), 5ms, 8).n_batch == 1);
}

TEST_CASE("a take just above a size is cut where two batches are no slower than one of the next size") {
  const BatchTake cut = take_of({1, 1, 1, 1, 1}, worker_with(proportional()));
  CHECK(cut.requests == 4);
  CHECK_FALSE(cut.cut_by_time());  // it would be sooner, not late

  CHECK(take_of({1, 1, 1, 1, 1}, worker_with(sublinear())).requests == 5);  // 24 ms, not 16 ms and 10 ms
  CHECK(take_of({1, 1, 1, 1}, worker_with(proportional())).requests == 4);  // full
  CHECK(take_of({5, 1}, worker_with(proportional())).requests == 2);        // nothing ends at 4 or before
  CHECK(take_of({2, 1, 2}, worker_with(proportional())).requests == 2);     // 3 rows in 4, and 2
  CHECK(take_of({3}, worker_with(proportional())).requests == 1);
}

TEST_CASE("a take whose size would be late is cut to one that is not") {
  const BatchTake take = take_of({1, 1, 1, 1, 1}, worker_with(sublinear()), 20ms);
  CHECK(take.requests == 4);
  CHECK(take.cut_by_time());
}

TEST_CASE("a fixed batch takes what it is told, whatever that is padded to") {
  const BatchPolicy fixed(0ms, FixedBatch{.rows = 5, .wait = 1ms});
  Worker worker = worker_with(proportional());
  worker.limits = fixed.limits(worker.profile, 1s, 8);
  CHECK(fixed.take(front_of({1, 1, 1, 1, 1, 1}), worker, kStart).requests == 5);
}

TEST_CASE("rows that fit into a size without padding's cost are worth waiting for") {
  const Worker worker = worker_with(LatencyProfile{{{1, 10ms}, {8, 80ms}}}.padded_to({4, 8}));
  ArrivalGap arrivals(1s);
  for (int i = -20; i <= 0; ++i) arrivals.arrived(kStart + i * 1ms);
  const auto decide = [&](const std::vector<int>& rows) {
    const BatchFront front = front_of(rows);
    return BatchPolicy(0ms).decide(front, {&worker, take_of(rows, worker), false}, arrivals, kStart);
  };
  CHECK(std::holds_alternative<TimeNs>(decide({1, 1})));
  CHECK(decide({1, 1, 1, 1}) == BatchVerdict{DispatchReason::kIdle});  // the fifth would double it
}

struct Padded {
  Dispatcher dispatcher{{.rt_max = 200ms, .rows_max = 8}};
  TimeNs now;
  std::uint32_t next = 0;

  explicit Padded(LatencyProfile profile = sublinear()) {
    dispatcher.worker_up(kWorker, {.profile = std::move(profile), .rows_max = 8}, now);
  }
  Admission submit(int rows, DurationNs within = 200ms) {
    return dispatcher.submit({.id = RequestId::of(next++, 1), .rows = rows, .deadline = now + within}, now);
  }
};

TEST_CASE("a dispatch says its size, is predicted by it, and its padding is counted beside its rows") {
  Padded path;
  path.submit(3);
  const Decisions first = path.dispatcher.poll(path.now);
  REQUIRE(first.dispatches.size() == 1);
  CHECK(first.dispatches[0].rows == 3);
  CHECK(first.dispatches[0].size == 4);
  CHECK(first.dispatches[0].predicted_finish == path.now + 16ms);
  const Statistics statistics = path.dispatcher.statistics();
  CHECK(statistics.dispatched_rows == 3);
  CHECK(statistics.submitted_rows == 3);
  CHECK(statistics.padded_rows == 1);
}

TEST_CASE("without sizes a dispatch has none") {
  Padded path(LatencyProfile{{{1, 10ms}, {8, 24ms}}});
  path.submit(3);
  const Decisions decisions = path.dispatcher.poll(path.now);
  REQUIRE(decisions.dispatches.size() == 1);
  CHECK(decisions.dispatches[0].size == 0);
  CHECK(path.dispatcher.statistics().padded_rows == 0);
}

TEST_CASE("admission reckons with what padding costs") {
  CHECK(Padded().submit(5, 23ms) == Admission::kPredictedMiss);
  CHECK(Padded().submit(5, 24ms) == Admission::kAccepted);
}

TEST_CASE("no batch is larger than the largest size, and a request that is goes to no such worker") {
  Padded path(LatencyProfile{{{1, 10ms}, {8, 10ms}}}.padded_to({2, 4}));
  CHECK(path.submit(5) == Admission::kPredictedMiss);
  for (int i = 0; i < 8; ++i) CHECK(path.submit(1) == Admission::kAccepted);
  const Decisions decisions = path.dispatcher.poll(path.now);
  REQUIRE(decisions.dispatches.size() == 1);
  CHECK(decisions.dispatches[0].rows == 4);
}

TEST_CASE("a simulated batch takes as long as its size") {
  Simulation simulation({.rt_max = 200ms, .rows_max = 8}, {.seed = 1, .keeps_batches = true}, std::nullopt);
  simulation.worker_up(kWorker,
                       {.spec = {.profile = LatencyProfile{{{1, 10ms}, {8, 80ms}}}.padded_to({8})}, .credits = {}});
  simulation.arrivals().offer_instants(std::vector<std::int64_t>{0});
  CHECK(simulation.run_until(kStart + 79ms));
  CHECK(simulation.worker_busy(kWorker));
  CHECK(simulation.run_until(kStart + 81ms));
  CHECK_FALSE(simulation.worker_busy(kWorker));
}

}  // namespace
}  // namespace mark

namespace mark::net {
namespace {

using namespace std::chrono_literals;

ModelSignature signature() { return {"m", "1", {{"x", Datatype::kInt8, {-1, 2}}}, {{"y", Datatype::kBytes, {-1}}}, 8}; }

std::string request(int rows) {
  const std::string raw(static_cast<std::size_t>(2 * rows), '\1');
  return write_infer_request({"m", "", ""}, {{"x", Datatype::kInt8, {rows, 2}, raw}}, {});
}

// A text of one letter more for each row.
std::string answer(int rows) {
  std::string raw;
  for (int row = 1; row <= rows; ++row) {
    raw += std::string{static_cast<char>(row), 0, 0, 0};
    raw.append(static_cast<std::size_t>(row), 'a');
  }
  return write_infer_response({"m", "1", ""}, {{"y", Datatype::kBytes, {rows}, raw}});
}

struct PaddedEndpoint {
  Endpoint endpoint{signature(), {.rt_max = 1s, .rows_max = 8}};
  TimeNs now;

  PaddedEndpoint() {
    endpoint.worker_up(WorkerId{1}, {.profile = LatencyProfile{{{1, 1ms}, {8, 2ms}}}.padded_to({4, 8}), .rows_max = 8},
                       TimeNs{});
  }
  RequestId submit(int rows) { return std::get<RequestId>(endpoint.submit(request(rows), TimeNs{1s}, TimeNs{})); }
  // The one batch that all of them make, when they have waited for others.
  OutboundBatch sent() {
    EndpointDecisions decided = endpoint.poll(now);
    if (decided.batches.empty()) {
      now = endpoint.next_wakeup().value_or(TimeNs{});
      decided = endpoint.poll(now);
    }
    REQUIRE(decided.batches.size() == 1);
    return std::move(decided.batches[0]);
  }
};

TEST_CASE_FIXTURE(PaddedEndpoint, "zeros follow the rows, and what they are answered with goes to nobody") {
  submit(2);
  submit(1);
  const OutboundBatch outbound = sent();
  CHECK(outbound.rows == 3);
  CHECK(outbound.size == 4);
  const auto batch = std::get<InferRequest>(parse_infer_request(outbound.message(), signature()));
  CHECK(batch.inputs[0].shape == std::vector<std::int64_t>{4, 2});
  CHECK(batch.inputs[0].raw == std::string(6, '\1') + std::string(2, '\0'));

  const std::vector<Reply> replies = endpoint.complete(outbound.batch, answer(4), now);
  REQUIRE(replies.size() == 2);
  const auto second = std::get<InferResponse>(parse_infer_response(replies[1].message.value_or("")));
  CHECK(second.outputs[0].shape == std::vector<std::int64_t>{1});
  CHECK(second.outputs[0].raw == std::string("\3\0\0\0aaa", 7));
}

TEST_CASE_FIXTURE(PaddedEndpoint, "a worker that answers the rows alone has not answered the batch") {
  submit(3);
  const std::vector<Reply> replies = endpoint.complete(sent().batch, answer(3), now);
  REQUIRE(replies.size() == 1);
  CHECK(replies[0].outcome == Outcome::kModelError);
  CHECK(replies[0].detail.find("[3] for a batch of 4 rows") != std::string::npos);
}

TEST_CASE_FIXTURE(PaddedEndpoint, "a request that left has its rows in the padded answer all the same") {
  const RequestId leaving = submit(2);
  submit(3);
  const auto before = sent();  // 5 rows in 8
  CHECK(before.size == 8);
  CHECK(endpoint.cancel(leaving, now));
  CHECK(endpoint.complete(before.batch, answer(8), now).size() == 1);
}

TEST_CASE("rows of every datatype are padded with zeros") {
  for (int each = 0; each <= static_cast<int>(Datatype::kBytes); ++each) {
    const auto datatype = static_cast<Datatype>(each);
    const std::size_t element = datatype == Datatype::kBytes ? 4 : static_cast<std::size_t>(datatype_bytes(datatype));
    const ModelSignature model{"m", "1", {{"x", datatype, {-1, 3}}}, {{"y", datatype, {-1, 3}}}, 8};
    const std::string row =
        datatype == Datatype::kBytes ? std::string("\1\0\0\0a\0\0\0\0\2\0\0\0bc", 15) : std::string(3 * element, '\1');
    const InferRequest asked{.id = "", .rows = 1, .inputs = {{{1, 3}, row}}, .outputs = {0}};
    const std::string message = write_batch(model, "7", {&asked}, 4);
    const auto read = std::get<InferRequest>(parse_infer_request(message, model));
    CHECK(read.rows == 4);
    CHECK(read.inputs[0].raw == row + std::string(9 * element, '\0'));
    // Echoed, it is cut back to the one row.
    const std::string echo = write_infer_response({"m", "1", ""}, {{"y", datatype, {4, 3}, read.inputs[0].raw}});
    const auto cut = std::get<std::vector<std::string>>(split_response(echo, model, {&asked}, 4));
    CHECK(std::get<InferResponse>(parse_infer_response(cut.at(0))).outputs[0].raw == row);
  }
}

}  // namespace
}  // namespace mark::net
