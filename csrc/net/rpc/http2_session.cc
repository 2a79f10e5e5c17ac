#include "net/rpc/http2_session.h"

#include <algorithm>
#include <array>
#include <limits>
#include <new>
#include <utility>

#include "net/rpc/nghttp2_memory.h"

namespace mark::net {

namespace {

constexpr std::size_t kFrameHeaderBytes = 9;
constexpr std::uint8_t kStaticFlags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE;
constexpr std::size_t kHeaderOverheadBytes = 32;  // RFC 9113, section 6.5.2

std::string_view view_of(const std::uint8_t* bytes, std::size_t count) {
  return {reinterpret_cast<const char*>(bytes), count};
}

nghttp2_nv entry_of(const HeaderView& header) {
  const auto flags = static_cast<std::uint8_t>((header.is_static ? kStaticFlags : 0U) |
                                               (header.indexed ? 0U : unsigned{NGHTTP2_NV_FLAG_NO_INDEX}));
  // nghttp2 copies both, or only reads them.
  return {.name = reinterpret_cast<std::uint8_t*>(const_cast<char*>(header.name.data())),
          .value = reinterpret_cast<std::uint8_t*>(const_cast<char*>(header.value.data())),
          .namelen = header.name.size(),
          .valuelen = header.value.size(),
          .flags = flags};
}

using Entries = std::vector<nghttp2_nv, BlockAllocator<nghttp2_nv>>;

Entries entries_of(std::span<const HeaderView> headers, BlockCache& memory) {
  Entries entries{BlockAllocator<nghttp2_nv>(memory)};
  entries.reserve(headers.size());
  for (const HeaderView& header : headers) entries.push_back(entry_of(header));
  return entries;
}

bool is_only_padding(const nghttp2_frame& frame) {
  return frame.hd.type == NGHTTP2_DATA && frame.hd.length > 0 && frame.data.padlen >= frame.hd.length &&
         (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) == 0;
}

// What newer ones bound by themselves the guard bounds, which knows what a client that works may do.
void relax(nghttp2_option* option, const Http2Limits& limits) {
#ifdef MARK_NGHTTP2_LIMITS_RESETS
  constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max() / 2;
  nghttp2_option_set_stream_reset_rate_limit(option, kNever, kNever);
#endif
#ifdef MARK_NGHTTP2_LIMITS_CONTINUATIONS
  nghttp2_option_set_max_continuations(option, static_cast<std::size_t>(limits.flood.continuations_max) + 1);
#endif
  // So that neither leaves a parameter without use.
  static_cast<void>(option);
  static_cast<void>(limits);
}

}  // namespace

// nghttp2 calls these from within receive() and produce(). No exception may cross it.
struct Http2Session::Callbacks {
  static Http2Session& session_of(void* user) { return *static_cast<Http2Session*>(user); }
  static Stream* stream_of(nghttp2_session* session, std::int32_t id) {
    return static_cast<Stream*>(nghttp2_session_get_stream_user_data(session, id));
  }

  static int on_begin_headers(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    Http2Session& self = session_of(user);
    self.block_bytes_ = 0;
    self.block_headers_ = 0;
    if (frame->hd.type != NGHTTP2_HEADERS) return 0;
    if (stream_of(session, frame->hd.stream_id) != nullptr) return 0;  // trailers, or a client's response
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    const StreamId id{frame->hd.stream_id};
    ++self.counts_.streams;
    const bool is_full = self.queued_bytes_ > self.limits_.queued_bytes_max;
    auto handler = is_full ? nullptr : self.events_.on_stream(id);
    if (handler == nullptr) {
      nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_REFUSED_STREAM);
      return 0;
    }
    Stream& stream = self.add(id, std::move(handler));
    nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, &stream);
    return 0;
  }

  // NOLINTNEXTLINE(readability-function-size): nghttp2's parameters
  static int on_header(nghttp2_session* session, const nghttp2_frame* frame, const std::uint8_t* name,
                       std::size_t name_size, const std::uint8_t* value, std::size_t value_size, std::uint8_t /*flags*/,
                       void* user) {
    Http2Session& self = session_of(user);
    self.block_bytes_ += name_size + value_size + kHeaderOverheadBytes;
    if (self.block_bytes_ > self.limits_.header_bytes_max || ++self.block_headers_ > self.limits_.headers_max) {
      return self.fatal("a header block is larger than the limit");
    }
    Stream* const stream = stream_of(session, frame->hd.stream_id);
    if (stream == nullptr) return 0;
    stream->handler->on_header(view_of(name, name_size), view_of(value, value_size));
    return 0;
  }

  static int on_begin_frame(nghttp2_session* /*session*/, const nghttp2_frame_hd* header, void* user) {
    Http2Session& self = session_of(user);
    if (!self.is_server_) return 0;
    switch (header->type) {
      case NGHTTP2_HEADERS:
        self.guard_.on_header_block();
        return 0;
      case NGHTTP2_CONTINUATION:
        return self.check_cheap(self.guard_.on_continuation(), "CONTINUATION frames");
      case NGHTTP2_DATA:
        if (header->length > 0 || (header->flags & NGHTTP2_FLAG_END_STREAM) != 0) return 0;
        return self.check_cheap(self.guard_.on_cheap_frame(self.now_), "empty frames");
      case NGHTTP2_RST_STREAM:
        return 0;  // counted when it ends a stream; others are breaches of the protocol, or late
      default:
        return self.check_cheap(self.guard_.on_cheap_frame(self.now_), "frames that carry nothing");
    }
  }

  static int on_frame(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    Http2Session& self = session_of(user);
    switch (frame->hd.type) {
      case NGHTTP2_HEADERS:
      case NGHTTP2_DATA:
        if (self.is_server_ && is_only_padding(*frame) &&
            self.check_cheap(self.guard_.on_cheap_frame(self.now_), "empty frames") != 0) {
          return NGHTTP2_ERR_CALLBACK_FAILURE;
        }
        if (Stream* const stream = stream_of(session, frame->hd.stream_id)) {
          if (frame->hd.type == NGHTTP2_HEADERS) stream->handler->on_headers_end();
          if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
            stream->peer_ended = true;
            stream->handler->on_end();
          }
        }
        break;
      case NGHTTP2_SETTINGS:
        ++self.counts_.settings_received;
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) self.events_.on_settings();
        break;
      case NGHTTP2_RST_STREAM:
        ++self.counts_.resets_received;
        break;
      case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) ++self.counts_.pings_received;
        break;
      case NGHTTP2_GOAWAY:
        self.events_.on_go_away();
        break;
      default:
        break;
    }
    return 0;
  }

  static int on_data(nghttp2_session* session, std::uint8_t /*flags*/, std::int32_t id, const std::uint8_t* bytes,
                     std::size_t count, void* /*user*/) {
    Stream* const stream = stream_of(session, id);
    // A stream that is held does not hold up the others.
    if (nghttp2_session_consume_connection(session, count) != 0) return NGHTTP2_ERR_CALLBACK_FAILURE;
    if ((stream == nullptr || !stream->held) && nghttp2_session_consume_stream(session, id, count) != 0) {
      return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    if (stream != nullptr) stream->handler->on_data(view_of(bytes, count));
    return 0;
  }

  static int on_close(nghttp2_session* /*session*/, std::int32_t id, std::uint32_t error, void* user) {
    Http2Session& self = session_of(user);
    const auto found = self.streams_.find(id);
    self.count_closed(found == self.streams_.end() ? nullptr : &found->second);
    if (found == self.streams_.end()) return 0;
    // Out of the table first: the handler may open another stream.
    const auto closed = self.streams_.extract(found);
    self.queued_bytes_ -= closed.mapped().unsent_bytes;
    closed.mapped().handler->on_closed(static_cast<Http2Error>(error));
    return 0;
  }

  static int on_frame_sent(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR) {
      Http2Session& self = session_of(user);
      self.is_hostile_ = true;
      if (self.why_.empty()) {
        self.why_ = std::string("the peer broke the protocol: ") + nghttp2_http2_strerror(frame->goaway.error_code);
      }
    }
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    // Answered before the request has ended: what is left of it is not wanted (RFC 9113, section 8.1).
    Stream* const stream = stream_of(session, frame->hd.stream_id);
    if (stream == nullptr) return 0;
    stream->answered = true;
    if (stream->peer_ended || nghttp2_session_check_server_session(session) == 0) return 0;
    nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
    return 0;
  }

  static ssize_t on_send(nghttp2_session* /*session*/, const std::uint8_t* bytes, std::size_t count, int /*flags*/,
                         void* user) {
    const Http2Session& self = session_of(user);
    if (self.out_->size() >= self.out_bytes_max_) return NGHTTP2_ERR_WOULDBLOCK;
    self.out_->append(view_of(bytes, count));
    return static_cast<ssize_t>(count);
  }

  // How much of the stream's data the next frame takes; on_send_data() then moves it.
  // NOLINTNEXTLINE(readability-function-size): nghttp2's parameters
  static ssize_t on_read(nghttp2_session* session, std::int32_t id, std::uint8_t* /*buffer*/, std::size_t length,
                         std::uint32_t* flags, nghttp2_data_source* source, void* user) {
    auto& stream = *static_cast<Stream*>(source->ptr);
    if (stream.unsent_bytes == 0 && !stream.ended) {
      stream.deferred = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    const std::size_t count = std::min(length, stream.unsent_bytes);
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (stream.ended && count == stream.unsent_bytes) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      if (!stream.trailers.empty()) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        const Entries entries = entries_of(stream.trailers, session_of(user).memory_);
        if (nghttp2_submit_trailer(session, id, entries.data(), entries.size()) != 0) {
          return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        }
      }
    }
    return static_cast<ssize_t>(count);
  }

  static int on_send_data(nghttp2_session* /*session*/, nghttp2_frame* frame, const std::uint8_t* frame_header,
                          std::size_t length, nghttp2_data_source* source, void* user) {
    Http2Session& self = session_of(user);
    if (self.out_->size() >= self.out_bytes_max_) return NGHTTP2_ERR_WOULDBLOCK;
    auto& stream = *static_cast<Stream*>(source->ptr);
    self.out_->append(view_of(frame_header, kFrameHeaderBytes));
    // Without a padding callback nghttp2 pads nothing.
    if (frame->data.padlen != 0) return NGHTTP2_ERR_CALLBACK_FAILURE;
    const std::size_t sent = length;
    stream.unsent_bytes -= length;
    self.queued_bytes_ -= length;
    while (length > 0) {
      Piece& next = stream.unsent[stream.first_unsent];
      Piece piece = next.take(length);
      length -= piece.bytes().size();
      if (next.bytes().empty()) ++stream.first_unsent;
      self.out_->append(std::move(piece));
    }
    if (stream.unsent_bytes == 0) {
      stream.unsent.clear();
      stream.first_unsent = 0;
    }
    self.guard_.on_data_sent();
    stream.handler->on_sent(sent);
    return 0;
  }

  static nghttp2_session_callbacks* make() {
    nghttp2_session_callbacks* callbacks = nullptr;
    if (nghttp2_session_callbacks_new(&callbacks) != 0) throw std::bad_alloc();
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
    nghttp2_session_callbacks_set_send_callback(callbacks, on_send);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, on_send_data);
    return callbacks;
  }
};

Http2Session::Http2Session(Http2Connection::Role role, const Http2Limits& limits, Http2Events events,
                           Http2Counts& counts, TimeNs now, BlockCache& memory)
    : limits_(limits),
      events_(std::move(events)),
      counts_(counts),
      memory_(memory),
      streams_(BlockAllocator<Streams::value_type>(memory)),
      is_server_(role == Http2Connection::Role::kServer),
      guard_(limits.flood, now),
      now_(now) {
  nghttp2_session_callbacks* const callbacks = Callbacks::make();
  nghttp2_option* option = nullptr;
  int result = nghttp2_option_new(&option);
  if (result == 0) {
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_option_set_no_auto_window_update(option, 1);
    relax(option, limits_);
    // Until its SETTINGS come, a server is taken to allow what RFC 9113 recommends.
    nghttp2_option_set_peer_max_concurrent_streams(option, 100);
    nghttp2_mem allocation = nghttp2_memory(memory);
    const auto make = is_server_ ? nghttp2_session_server_new3 : nghttp2_session_client_new3;
    result = make(&session_, callbacks, this, option, &allocation);
    nghttp2_option_del(option);
  }
  nghttp2_session_callbacks_del(callbacks);
  if (result != 0) throw std::bad_alloc();
  submit_settings(role);
}

Http2Session::~Http2Session() { nghttp2_session_del(session_); }

void Http2Session::submit_settings(Http2Connection::Role role) {
  const std::array<nghttp2_settings_entry, 4> settings{{
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits_.streams_max},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits_.stream_window_bytes},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<std::uint32_t>(limits_.header_bytes_max)},
      {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
  }};
  const std::size_t count = role == Http2Connection::Role::kClient ? settings.size() : settings.size() - 1;
  check(nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), count), "settings");
  check(nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0,
                                              static_cast<std::int32_t>(limits_.connection_window_bytes)),
        "window");
}

bool Http2Session::receive(std::string_view bytes, TimeNs now) {
  now_ = now;
  const ssize_t result =
      nghttp2_session_mem_recv(session_, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  if (result < 0) is_hostile_ = true;
  if (is_hostile_ && result >= 0) return false;  // found while it sent
  return check(result, "the peer broke the protocol");
}

bool Http2Session::produce(OutBuffer& out, std::size_t bytes_max) {
  out_ = &out;
  out_bytes_max_ = bytes_max;
  const int result = nghttp2_session_send(session_);
  out_ = nullptr;
  return check(result, "cannot write frames");
}

bool Http2Session::wants_write() const { return nghttp2_session_want_write(session_) != 0; }
bool Http2Session::is_finished() const { return !wants_write() && nghttp2_session_want_read(session_) == 0; }

StreamId Http2Session::open(std::span<const HeaderView> headers, std::unique_ptr<StreamHandler> handler, bool ended) {
  const std::uint32_t next = nghttp2_session_get_next_stream_id(session_);
  if (next > std::numeric_limits<std::int32_t>::max()) return StreamId{-1};
  const StreamId id{static_cast<std::int32_t>(next)};
  Stream& stream = add(id, std::move(handler));
  nghttp2_data_provider body{.source = {.ptr = &stream}, .read_callback = Callbacks::on_read};
  const Entries entries = entries_of(headers, memory_);
  const std::int32_t given =
      nghttp2_submit_request(session_, nullptr, entries.data(), entries.size(), ended ? nullptr : &body, &stream);
  if (given < 0) {
    streams_.erase(static_cast<std::int32_t>(id));
    return StreamId{-1};
  }
  ++counts_.streams;
  return id;
}

void Http2Session::send_headers(StreamId id, std::span<const HeaderView> headers, bool ended) {
  Stream* const stream = find(id);
  if (stream == nullptr) return;
  const nghttp2_data_provider body{.source = {.ptr = stream}, .read_callback = Callbacks::on_read};
  const Entries entries = entries_of(headers, memory_);
  check(nghttp2_submit_response(session_, static_cast<std::int32_t>(id), entries.data(), entries.size(),
                                ended ? nullptr : &body),
        "response");
}

void Http2Session::send_data(StreamId id, Piece piece) {
  Stream* const stream = find(id);
  if (stream == nullptr || stream->ended || piece.bytes().empty()) return;
  stream->unsent_bytes += piece.bytes().size();
  queued_bytes_ += piece.bytes().size();
  stream->unsent.push_back(std::move(piece));
  resume(*stream);
}

void Http2Session::end(StreamId id) { end_with(id, {}); }

void Http2Session::end_with(StreamId id, std::span<const HeaderView> trailers) {
  Stream* const stream = find(id);
  if (stream == nullptr || stream->ended) return;
  stream->ended = true;
  stream->keep_trailers(trailers);
  resume(*stream);
}

void Http2Session::Stream::keep_trailers(std::span<const HeaderView> headers) {
  trailers.assign(headers.begin(), headers.end());
  std::size_t bytes = 0;
  for (const HeaderView& header : headers) bytes += header.is_static ? 0 : header.name.size() + header.value.size();
  trailer_text.reserve(bytes);  // so that views of it stay valid
  const auto keep = [this](std::string_view& text) {
    const std::size_t begin = trailer_text.size();
    trailer_text.append(text);
    text = std::string_view(trailer_text).substr(begin);
  };
  for (HeaderView& header : trailers) {
    if (header.is_static) continue;
    keep(header.name);
    keep(header.value);
  }
}

void Http2Session::reset(StreamId id, Http2Error error) {
  if (find(id) == nullptr) return;
  check(nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, static_cast<std::int32_t>(id),
                                  static_cast<std::uint32_t>(error)),
        "reset");
}

void Http2Session::hold(StreamId id) {
  if (Stream* const stream = find(id)) stream->held = true;
}

void Http2Session::consume(StreamId id, std::size_t bytes) {
  if (find(id) == nullptr) return;
  check(nghttp2_session_consume_stream(session_, static_cast<std::int32_t>(id), bytes), "consume");
}

void Http2Session::go_away() {
  const std::int32_t last = nghttp2_session_get_last_proc_stream_id(session_);
  check(nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, nullptr, 0), "go away");
}

void Http2Session::announce_end() { check(nghttp2_submit_shutdown_notice(session_), "announce the end"); }

void Http2Session::ping() { check(nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr), "ping"); }

std::size_t Http2Session::unsent_bytes(StreamId id) const {
  const auto found = streams_.find(static_cast<std::int32_t>(id));
  return found == streams_.end() ? 0 : found->second.unsent_bytes;
}

std::uint32_t Http2Session::peer_streams_max() const {
  return nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

void Http2Session::close_streams(Http2Error error) {
  // A handler may look at other streams, of which none is left then.
  const Streams streams = std::move(streams_);
  streams_.clear();
  queued_bytes_ = 0;
  for (const auto& entry : streams) entry.second.handler->on_closed(error);
}

Http2Session::Stream* Http2Session::find(StreamId id) {
  const auto found = streams_.find(static_cast<std::int32_t>(id));
  return found == streams_.end() ? nullptr : &found->second;
}

Http2Session::Stream& Http2Session::add(StreamId id, std::unique_ptr<StreamHandler> handler) {
  Stream& stream = streams_.try_emplace(static_cast<std::int32_t>(id), memory_).first->second;
  stream.id = id;
  stream.opened = now_;
  stream.handler = std::move(handler);
  return stream;
}

void Http2Session::resume(Stream& stream) {
  if (!stream.deferred) return;
  stream.deferred = false;
  check(nghttp2_session_resume_data(session_, static_cast<std::int32_t>(stream.id)), "resume");
}

int Http2Session::check_cheap(bool is_no_flood, const char* what) {
  return is_no_flood ? 0 : fatal(std::string("the peer sends too many ") + what);
}

void Http2Session::count_closed(const Stream* stream) {
  if (!is_server_) return;
  if (stream != nullptr && stream->answered) {
    guard_.on_call_served();
  } else if (!guard_.on_reset(stream == nullptr ? now_ : stream->opened, now_)) {
    fatal("the peer has too many streams reset");
  }
}

int Http2Session::fatal(std::string why) {
  if (is_hostile_) return NGHTTP2_ERR_CALLBACK_FAILURE;
  why_ = std::move(why);
  is_hostile_ = true;
  nghttp2_session_terminate_session(session_, NGHTTP2_ENHANCE_YOUR_CALM);
  return NGHTTP2_ERR_CALLBACK_FAILURE;
}

bool Http2Session::check(std::int64_t result, const char* what) {
  if (result >= 0) return true;
  if (why_.empty()) why_ = std::string(what) + ": " + nghttp2_strerror(static_cast<int>(result));
  return nghttp2_is_fatal(static_cast<int>(result)) == 0;
}

}  // namespace mark::net
