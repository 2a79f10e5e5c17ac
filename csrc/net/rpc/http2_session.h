// nghttp2's session and its streams: frames in and out of memory. Http2Connection adds the transport and the loop.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "net/rpc/http2_connection.h"

namespace mark::net {

// What the session tells its connection.
struct Http2Events {
  std::function<std::unique_ptr<StreamHandler>(StreamId)> on_stream;
  std::function<void()> on_settings;
  std::function<void()> on_go_away;
};

// Thread safety: none; belongs to its connection.
//
// Invariants
//   - a stream is in the table from its first header until its handler is told on_closed();
//   - data of a stream leave in order, and its end only after them.
class Http2Session {
 public:
  // `memory` outlives it.
  Http2Session(Http2Connection::Role role, const Http2Limits& limits, Http2Events events, Http2Counts& counts,
               TimeNs now, BlockCache& memory);
  ~Http2Session();
  Http2Session(const Http2Session&) = delete;
  Http2Session& operator=(const Http2Session&) = delete;

  // False when the peer broke the protocol or a limit: why() says how, and what is left to send tells the peer.
  bool receive(std::string_view bytes, TimeNs now);
  // Appends frames until there are none left or `out` has `bytes_max` bytes; false as receive().
  bool produce(OutBuffer& out, std::size_t bytes_max);
  bool wants_write() const;
  bool is_finished() const;  // neither wants to read nor to write: the connection has come to its end
  const std::string& why() const { return why_; }
  bool is_hostile() const { return is_hostile_; }

  StreamId open(std::span<const HeaderView> headers, std::unique_ptr<StreamHandler> handler, bool ended);
  void send_headers(StreamId stream, std::span<const HeaderView> headers, bool ended);
  void send_data(StreamId stream, Piece piece);
  void end(StreamId stream);
  void end_with(StreamId stream, std::span<const HeaderView> trailers);
  void reset(StreamId stream, Http2Error error);
  void hold(StreamId stream);
  void consume(StreamId stream, std::size_t bytes);
  void go_away();
  void announce_end();
  void ping();

  std::size_t unsent_bytes(StreamId stream) const;
  std::size_t queued_bytes() const { return queued_bytes_; }  // of all streams
  std::size_t open_streams() const { return streams_.size(); }
  std::uint32_t peer_streams_max() const;

  // Tells every handler that its stream is closed. Nothing may be sent afterwards.
  void close_streams(Http2Error error);

 private:
  struct Stream {
    explicit Stream(BlockCache& memory) : unsent(BlockAllocator<Piece>(memory)), trailers(unsent.get_allocator()) {}

    StreamId id{};
    std::unique_ptr<StreamHandler> handler;
    std::vector<Piece, BlockAllocator<Piece>> unsent;
    std::size_t first_unsent = 0;  // those before it have left
    std::size_t unsent_bytes = 0;
    std::vector<HeaderView, BlockAllocator<HeaderView>> trailers;
    std::string trailer_text;  // what those of them view that are not static
    TimeNs opened;
    bool ended = false;     // no data follow
    bool deferred = false;  // nghttp2 waits for more data
    bool peer_ended = false;
    bool answered = false;  // its end was sent
    bool held = false;      // its window opens only as its data is consumed

    void keep_trailers(std::span<const HeaderView> headers);
  };
  struct Callbacks;
  friend struct Callbacks;
  using Streams = std::unordered_map<std::int32_t, Stream, std::hash<std::int32_t>, std::equal_to<>,
                                     BlockAllocator<std::pair<const std::int32_t, Stream>>>;

  void submit_settings(Http2Connection::Role role);
  Stream* find(StreamId stream);
  Stream& add(StreamId id, std::unique_ptr<StreamHandler> handler);
  void resume(Stream& stream);
  int check_cheap(bool is_no_flood, const char* what);
  void count_closed(const Stream* stream);
  int fatal(std::string why);
  bool check(std::int64_t result, const char* what);

  const Http2Limits limits_;
  const Http2Events events_;
  Http2Counts& counts_;
  BlockCache& memory_;
  nghttp2_session* session_ = nullptr;
  Streams streams_;
  OutBuffer* out_ = nullptr;  // while frames are produced
  std::size_t out_bytes_max_ = 0;
  std::size_t queued_bytes_ = 0;
  const bool is_server_;
  FloodGuard guard_;
  TimeNs now_;  // of the last bytes
  std::size_t block_bytes_ = 0;
  std::size_t block_headers_ = 0;
  std::string why_;
  bool is_hostile_ = false;
};

}  // namespace mark::net
