// Load for a gRPC server from one thread: at instants fixed beforehand, or a number in flight for some time.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "mark/types.h"
#include "net/rpc/event_loop.h"
#include "net/rpc/grpc_channel.h"
#include "net/rpc/oip_methods.h"

namespace mark::net {

struct LoadParams {
  std::string address;
  std::string path{kModelInferMethod};
  std::shared_ptr<TlsContext> tls = nullptr;
  int connections = 1;
  std::optional<DurationNs> timeout = std::nullopt;  // of each request, sent along
  std::size_t in_flight_max = 20'000;                // beyond it a request that falls due is not sent
  std::size_t keep_every = 0;                        // keeps every so many-th answer, to be compared; 0: none
  DurationNs connect_max{5'000'000'000};             // how long connecting may hold up the beginning
};

// One entry a request, in the order in which they fell due.
struct LoadOutcome {
  // How requests ended: different ends, of which a request names one.
  struct Ending {
    enum class Kind : std::uint8_t { kAnswered, kFailed, kCancelled, kNotSent };
    Kind kind = Kind::kAnswered;
    GrpcStatus status;
  };
  std::vector<Ending> endings;
  std::vector<std::uint16_t> ending;  // index into `endings`
  std::vector<std::int64_t> due_ns;   // when it was to be sent, from the beginning
  std::vector<std::int64_t>
      latency_ns;                    // from the instant at which it was to be sent to its end; 0: not sent, or given up
  std::vector<std::int64_t> lag_ns;  // from that instant to the send
  std::vector<std::pair<std::size_t, std::string>> kept;  // request, answer
  DurationNs duration{};                                  // to the last end
};

// Thread safety: run by one thread, once; stop(), due() and ended() may be called from any.
//
// Invariants
//   - the latency of a request counts from the instant at which it was to be sent, however late it was;
//   - each request that fell due has one ending;
//   - no more than in_flight_max requests wait for their answers.
class LoadGenerator {
 public:
  // The requests are sent over and over, each connection in its turn. Throws std::invalid_argument.
  LoadGenerator(LoadParams params, std::vector<std::string> requests);
  ~LoadGenerator();
  LoadGenerator(const LoadGenerator&) = delete;
  LoadGenerator& operator=(const LoadGenerator&) = delete;

  // Open loop. Instants from the beginning, which do not decrease.
  LoadOutcome run_open(std::span<const std::int64_t> instants_ns);
  // Closed loop: as many as `in_flight` wait for answers at any time; none is sent after `duration`.
  LoadOutcome run_closed(std::size_t in_flight, DurationNs duration);

  // Sends nothing more, and gives up after `grace` what has no answer by then.
  void stop(DurationNs grace);
  std::size_t due() const { return due_.load(std::memory_order_relaxed); }
  std::size_t ended() const { return ended_.load(std::memory_order_relaxed); }

 private:
  void begin();
  LoadOutcome finish();
  void send_due();
  void send_more();
  void send(TimeNs due);
  void on_result(std::size_t request, CallResult result);
  std::uint16_t ending_of(GrpcStatus status);
  std::uint16_t add_ending(LoadOutcome::Ending ending);
  bool is_over() const;

  const LoadParams params_;
  std::vector<Piece> requests_;
  EventLoop loop_;
  std::vector<std::unique_ptr<GrpcChannel>> channels_;
  std::span<const std::int64_t> instants_ns_;
  std::size_t in_flight_wanted_ = 0;  // closed loop
  TimeNs begun_;
  TimeNs last_end_;
  TimeNs sends_until_;
  bool is_closed_loop_ = false;
  bool stopped_ = false;
  bool given_up_ = false;
  std::size_t in_flight_ = 0;
  LoadOutcome outcome_;
  std::map<std::pair<StatusCode, std::string>, std::uint16_t> known_endings_;
  std::atomic<std::size_t> due_ = 0;
  std::atomic<std::size_t> ended_ = 0;
};

}  // namespace mark::net
