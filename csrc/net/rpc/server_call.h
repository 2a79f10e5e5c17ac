// One unary call: its request until it is handed over, its answer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>

#include "net/rpc/grpc_framing.h"
#include "net/rpc/grpc_server.h"
#include "net/rpc/passed_call.h"
#include "net/rpc/server_connection.h"

namespace mark::net {

// Thread safety: none; belongs to its loop.
//
// Invariants
//   - its handler hears of it at most once, and of its end only when it was not answered;
//   - it answers once, whatever comes afterwards.
class ServerCall final : public StreamHandler {
 public:
  ServerCall(ServerConnection& connection, StreamId stream);
  ~ServerCall() override;
  ServerCall(const ServerCall&) = delete;
  ServerCall& operator=(const ServerCall&) = delete;
  // In the loop's own memory.
  static void* operator new(std::size_t bytes, BlockCache& memory) { return memory.take(bytes); }
  static void operator delete(void* call, BlockCache& memory) { memory.give(call, sizeof(ServerCall)); }
  static void operator delete(ServerCall* call, std::destroying_delete_t);

  void on_header(std::string_view name, std::string_view value) override;
  void on_headers_end() override;
  void on_data(std::string_view bytes) override;
  void on_end() override;
  void on_sent(std::size_t bytes) override;
  void on_closed(Http2Error error) override;

  void reply(std::string message);
  void fail(const GrpcStatus& status);
  void look_around(TimeNs now);
  void expire();  // its client waits no longer: the deadline that it set has passed

  std::size_t receiving_place = 0;  // in the loop's list

 private:
  enum class State : std::uint8_t { kHeaders, kReceiving, kHandedOver, kPassedOn, kOver };

  TraceHeaders& trace_headers();
  void refuse(std::string_view http_status);
  void refuse_message(MessageReader::Result result);
  void hand_over();
  void pass_on();
  void note_receiving(std::size_t bytes);
  void forget_receiving();
  void leave();

  ServerLoop& server_;
  Http2Connection& http2_;
  const StreamId stream_;
  State state_ = State::kHeaders;
  bool is_post_ = false;
  bool is_grpc_ = false;
  bool is_timeout_broken_ = false;
  bool is_receiving_ = true;  // and in the loop's list
  UnaryHandler* handler_ = nullptr;
  CallId id_;  // from the end of its headers until it is over; not of a call that is passed on
  std::optional<TimeNs> deadline_;
  std::optional<std::string> unknown_encoding_;
  std::unique_ptr<TraceHeaders> trace_headers_;
  std::string path_;  // of a call to pass on, as all that follows
  std::string authority_;
  OwnedHeaders headers_;
  std::shared_ptr<PassedCall> passed_;
  MessageReader reader_;
  std::size_t noted_bytes_ = 0;
  TimeNs came_;  // when its last bytes came
};

}  // namespace mark::net
