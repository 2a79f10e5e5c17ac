// One HTTP/2 connection, of a server or of a client: nghttp2's session over a transport, driven by an event loop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "net/rpc/event_loop.h"
#include "net/rpc/flood_guard.h"
#include "net/rpc/out_buffer.h"
#include "net/rpc/transport.h"

namespace mark::net {

struct HeaderView {
  std::string_view name;  // lower case
  std::string_view value;
  bool is_static = false;  // both live as long as the program does: nobody copies them
  bool indexed = true;     // false: a value that hardly comes again, which would only push others out of HPACK's table
};

enum class StreamId : std::int32_t {};

// Error codes of RFC 9113, section 7.
enum class Http2Error : std::uint32_t {
  kNone = 0,
  kProtocol = 1,
  kInternal = 2,
  kFlowControl = 3,
  kRefusedStream = 7,
  kCancel = 8,
  kEnhanceYourCalm = 11,
  kInadequateSecurity = 12,
};

// Told what the peer does on one stream, in the order of this class: header blocks, data and the end, then on_closed()
// exactly once, after which the handler is destroyed. May call any method of its connection but close().
class StreamHandler {
 public:
  virtual ~StreamHandler() = default;
  virtual void on_header(std::string_view name, std::string_view value) = 0;
  virtual void on_headers_end() = 0;                 // of a header block; the second one are trailers
  virtual void on_data(std::string_view bytes) = 0;  // its flow-control window is opened again by itself, or see hold()
  virtual void on_end() = 0;                         // the peer sends no more
  virtual void on_sent(std::size_t /*bytes*/) {}     // so much of the stream's own data has left for the transport
  virtual void on_closed(Http2Error error) = 0;      // kNone: both sides ended it
};

class Http2Connection;
class Http2Session;

// Who holds a connection.
class Http2Owner {
 public:
  // Server: the peer opens a stream. Null refuses it (REFUSED_STREAM).
  virtual std::unique_ptr<StreamHandler> on_stream(Http2Connection& connection, StreamId stream) = 0;
  // Client: the peer's SETTINGS came, so it speaks HTTP/2. Every side: the peer sends GOAWAY, no new streams.
  virtual void on_settings(Http2Connection& connection) = 0;
  virtual void on_go_away(Http2Connection& connection) = 0;
  // The connection is over and all its streams have been told; it may be released now. Not called after close().
  virtual void on_connection_closed(Http2Connection& connection, std::string_view why) = 0;

 protected:
  ~Http2Owner() = default;
};

struct Http2Limits {
  std::uint32_t streams_max = 1024;             // that the peer may have open at once
  std::size_t header_bytes_max = 16 * 1024;     // of one header block, names, values and 32 bytes for each
  std::size_t headers_max = 256;                // of one header block
  std::uint32_t stream_window_bytes = 1 << 20;  // that the peer may send on a stream unasked
  std::uint32_t connection_window_bytes = 8 << 20;
  std::size_t queued_bytes_max = std::size_t{256} << 20U;  // of answers that wait for windows: beyond it no new streams
  std::size_t unsent_bytes_max = 1 << 20;  // written and not taken by the peer; beyond it a server reads nothing either
  FloodLimits flood;                       // of a client
};

// What a connection counted so far.
struct Http2Counts {
  std::uint64_t bytes_read = 0;
  std::uint64_t bytes_written = 0;
  std::uint64_t streams = 0;
  std::uint64_t resets_received = 0;
  std::uint64_t pings_received = 0;
  std::uint64_t settings_received = 0;
};

// Thread safety: none; belongs to its event loop. Held by a shared_ptr.
//
// Invariants
//   - what is sent in one turn of the loop leaves in one write, at the end of the turn;
//   - each stream's handler hears on_closed() exactly once, also when the connection breaks or is closed;
//   - no more than unsent_bytes_max and one frame wait for the peer to read.
class Http2Connection final : public FdWatcher, public std::enable_shared_from_this<Http2Connection> {
 public:
  enum class Role : std::uint8_t { kServer, kClient };

  static std::shared_ptr<Http2Connection> make(EventLoop& loop, std::unique_ptr<Transport> transport, Role role,
                                               const Http2Limits& limits, Http2Owner& owner);
  ~Http2Connection();

  // Client: opens a stream; a negative id when the connection takes none any more. `ended`: no body follows.
  StreamId open(std::span<const HeaderView> headers, std::unique_ptr<StreamHandler> handler, bool ended);

  // For a stream that is closed already nothing happens. Header views must live until the call returns.
  void send_headers(StreamId stream, std::span<const HeaderView> headers, bool ended);  // server: of the response
  void send_data(StreamId stream, Piece piece);
  void end(StreamId stream);                                             // after the data
  void end_with(StreamId stream, std::span<const HeaderView> trailers);  // after the data
  void reset(StreamId stream, Http2Error error);

  // From now on the peer may send on the stream only as far as its data is consumed: nothing more than a window waits
  // for whoever cannot take it yet.
  void hold(StreamId stream);
  void consume(StreamId stream, std::size_t bytes);

  std::size_t unsent_bytes(StreamId stream) const;  // of its data
  std::size_t unsent_bytes() const;                 // of all streams, and frames that the transport did not take
  std::size_t open_streams() const;
  std::uint32_t peer_streams_max() const;  // that this side may have open at once
  bool is_open() const { return !over_; }
  bool is_hostile() const;  // it broke the protocol or a limit

  void go_away();       // takes no new streams; the others go on, and the connection ends with them
  void announce_end();  // server: asks for no new streams, and takes those that are on their way; go_away() follows
  void ping();          // to be answered within the owner's patience; see last_read()
  TimeNs last_read() const { return last_read_; }
  void close();  // at once; the handlers are told, the owner is not
  const Http2Counts& counts() const { return counts_; }
  Transport& transport() { return *transport_; }

  void on_ready(std::uint32_t epoll_events) override;

 private:
  Http2Connection(EventLoop& loop, std::unique_ptr<Transport> transport, Role role, const Http2Limits& limits,
                  Http2Owner& owner);
  void read();
  void flush();
  void flush_soon();
  void watch_for();
  void fail(std::string_view why);
  void end_streams();

  EventLoop& loop_;
  std::unique_ptr<Transport> transport_;
  const Role role_;
  const Http2Limits limits_;
  Http2Owner& owner_;
  std::unique_ptr<Http2Session> session_;
  OutBuffer out_;
  Http2Counts counts_;
  TimeNs last_read_;
  std::uint32_t watched_ = 0;
  bool flushing_soon_ = false;
  bool over_ = false;
};

}  // namespace mark::net
