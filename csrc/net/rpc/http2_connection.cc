#include "net/rpc/http2_connection.h"

#include <sys/epoll.h>

#include <array>
#include <utility>

#include "net/rpc/http2_session.h"

namespace mark::net {

namespace {

constexpr std::size_t kReadBytes = std::size_t{64} * 1024;
// Other connections of the loop are to have their turn, however fast this one sends.
constexpr int kReadsPerTurn = 16;

// One for each thread: nothing stays in it between two reads.
std::span<char> read_buffer() {
  thread_local std::array<char, kReadBytes> buffer;
  return buffer;
}

}  // namespace

std::shared_ptr<Http2Connection> Http2Connection::make(EventLoop& loop, std::unique_ptr<Transport> transport, Role role,
                                                       const Http2Limits& limits, Http2Owner& owner) {
  const std::shared_ptr<Http2Connection> made(new Http2Connection(loop, std::move(transport), role, limits, owner));
  Http2Connection& self = *made;
  self.session_ = std::make_unique<Http2Session>(
      role, limits,
      Http2Events{.on_stream = [&self](StreamId id) { return self.owner_.on_stream(self, id); },
                  .on_settings = [&self] { self.owner_.on_settings(self); },
                  .on_go_away = [&self] { self.owner_.on_go_away(self); }},
      self.counts_, loop.now(), loop.memory());
  self.watched_ = EPOLLIN;
  loop.watch(self.transport_->fd(), EPOLLIN, self);
  self.flush_soon();
  return made;
}

Http2Connection::Http2Connection(EventLoop& loop, std::unique_ptr<Transport> transport, Role role,
                                 const Http2Limits& limits, Http2Owner& owner)
    : loop_(loop),
      transport_(std::move(transport)),
      role_(role),
      limits_(limits),
      owner_(owner),
      last_read_(loop.now()) {}

Http2Connection::~Http2Connection() {
  if (!over_) loop_.unwatch(transport_->fd());
}

StreamId Http2Connection::open(std::span<const HeaderView> headers, std::unique_ptr<StreamHandler> handler,
                               bool ended) {
  if (over_) return StreamId{-1};
  const StreamId id = session_->open(headers, std::move(handler), ended);
  flush_soon();
  return id;
}

void Http2Connection::send_headers(StreamId stream, std::span<const HeaderView> headers, bool ended) {
  session_->send_headers(stream, headers, ended);
  flush_soon();
}

void Http2Connection::send_data(StreamId stream, Piece piece) {
  session_->send_data(stream, std::move(piece));
  flush_soon();
}

void Http2Connection::end(StreamId stream) {
  session_->end(stream);
  flush_soon();
}

void Http2Connection::end_with(StreamId stream, std::span<const HeaderView> trailers) {
  session_->end_with(stream, trailers);
  flush_soon();
}

void Http2Connection::reset(StreamId stream, Http2Error error) {
  session_->reset(stream, error);
  flush_soon();
}

void Http2Connection::hold(StreamId stream) { session_->hold(stream); }

void Http2Connection::consume(StreamId stream, std::size_t bytes) {
  session_->consume(stream, bytes);
  flush_soon();
}

std::size_t Http2Connection::unsent_bytes(StreamId stream) const { return session_->unsent_bytes(stream); }
std::size_t Http2Connection::unsent_bytes() const { return session_->queued_bytes() + out_.size(); }
bool Http2Connection::is_hostile() const { return session_->is_hostile(); }
std::size_t Http2Connection::open_streams() const { return session_->open_streams(); }
std::uint32_t Http2Connection::peer_streams_max() const { return session_->peer_streams_max(); }

void Http2Connection::go_away() {
  if (over_) return;
  session_->go_away();
  flush_soon();
}

void Http2Connection::announce_end() {
  if (over_) return;
  session_->announce_end();
  flush_soon();
}

void Http2Connection::ping() {
  if (over_) return;
  session_->ping();
  flush_soon();
}

void Http2Connection::close() {
  if (over_) return;
  end_streams();
}

void Http2Connection::on_ready(std::uint32_t epoll_events) {
  const auto self = shared_from_this();  // the owner may let go of it meanwhile
  const bool can_write = (epoll_events & EPOLLOUT) != 0;
  if (can_write) flush();
  if (!over_ && ((epoll_events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0 || transport_->wants_write())) read();
}

void Http2Connection::read() {
  for (int reads = 0; reads < kReadsPerTurn; ++reads) {
    const std::span<char> buffer = read_buffer();
    const IoResult result = transport_->read(buffer);
    if (result.status == IoStatus::kClosed) {
      fail(transport_->last_error().empty() ? "the peer ended the connection" : transport_->last_error());
      return;
    }
    if (result.status == IoStatus::kWouldBlock) break;
    counts_.bytes_read += result.bytes;
    last_read_ = loop_.now();
    if (!session_->receive({buffer.data(), result.bytes}, loop_.now())) {
      const std::string why = session_->why();
      flush();  // the peer is told why
      if (!over_) fail(why);
      return;
    }
    if (result.bytes < buffer.size() && !transport_->has_buffered()) break;
  }
  // What TLS has decrypted already, the socket does not tell.
  if (transport_->has_buffered()) {
    loop_.post([weak = weak_from_this()] {
      if (const auto self = weak.lock(); self && !self->over_) self->on_ready(EPOLLIN);
    });
  }
  flush_soon();
}

void Http2Connection::flush_soon() {
  if (flushing_soon_ || over_) return;
  flushing_soon_ = true;
  loop_.defer_last([weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self) return;
    self->flushing_soon_ = false;
    if (!self->over_) self->flush();
  });
}

void Http2Connection::flush() {
  IoStatus status = IoStatus::kDone;
  while (status == IoStatus::kDone) {
    if (!session_->produce(out_, limits_.unsent_bytes_max)) {
      fail(session_->why());
      return;
    }
    const std::size_t before = out_.size();
    if (before == 0) break;
    status = out_.write_to(*transport_);
    counts_.bytes_written += before - out_.size();
  }
  if (status == IoStatus::kClosed) {
    fail(transport_->last_error().empty() ? "the peer ended the connection" : transport_->last_error());
    return;
  }
  if (session_->is_finished() && out_.empty()) {
    fail(session_->why().empty() ? "both sides are done" : session_->why());
    return;
  }
  watch_for();
}

void Http2Connection::watch_for() {
  // A client that reads nothing is not read from either: what it asks for would pile up here. A server is always read
  // from: it only answers, and were each side to wait for the other to read, both would wait for ever.
  const bool reads = role_ == Role::kClient || out_.size() < limits_.unsent_bytes_max;
  const bool writes = (!out_.empty() && !transport_->writes_after_read()) || transport_->wants_write();
  const std::uint32_t wanted =
      (reads ? static_cast<std::uint32_t>(EPOLLIN) : 0U) | (writes ? static_cast<std::uint32_t>(EPOLLOUT) : 0U);
  if (wanted == watched_) return;
  watched_ = wanted;
  loop_.rewatch(transport_->fd(), wanted);
}

void Http2Connection::fail(std::string_view why) {
  const auto self = shared_from_this();
  const std::string reason(why);
  end_streams();
  owner_.on_connection_closed(*this, reason);
}

void Http2Connection::end_streams() {
  over_ = true;
  loop_.unwatch(transport_->fd());
  session_->close_streams(Http2Error::kCancel);
}

}  // namespace mark::net
