#include "net/rpc/grpc_channel.h"

#include <array>
#include <deque>
#include <utility>

#include "net/rpc/channel_connection.h"
#include "net/rpc/deadline_queue.h"
#include "net/rpc/grpc_framing.h"

namespace mark::net {

namespace {

constexpr std::string_view kUserAgent = "grpc-c++-mark";
// Pieces that are smaller are sent as one: a copy costs less than another piece.
constexpr std::size_t kJoinedMax = 4096;

using Pieces = std::vector<Piece>;

// The message as it goes on the wire: behind its prefix, in as few pieces as a small copy allows.
Pieces framed(Pieces message) {
  std::size_t bytes = 0;
  for (const Piece& piece : message) bytes += piece.bytes().size();
  const auto prefix = message_prefix(bytes);
  std::string joined(prefix.data(), prefix.size());
  Pieces out;
  out.reserve(message.size() + 1);
  for (Piece& piece : message) {
    if (joined.size() + piece.bytes().size() <= kJoinedMax) {
      joined.append(piece.bytes());
      continue;
    }
    if (!joined.empty()) out.emplace_back(std::exchange(joined, {}));
    out.push_back(std::move(piece));
  }
  if (!joined.empty()) out.emplace_back(std::move(joined));
  return out;
}

}  // namespace

// Thread safety: none; belongs to its event loop.
//
// Invariants
//   - results are given out at the end of a turn, never from within nghttp2: `done` may do what it likes;
//   - a call is in one stage at a time, and what holds its id after it has left that stage finds nothing.
class GrpcChannel::State final : public std::enable_shared_from_this<State> {
 public:
  State(EventLoop& loop, GrpcChannelParams params)
      : loop_(loop),
        params_(std::move(params)),
        connection_(loop, params_,
                    {.on_ready = [this] { serve_soon(); },
                     .on_failed = [this](const std::string& why) { fail_waiting(why); },
                     .on_end = [this](ChannelLink& link, const std::string& why) { fail_broken(link, why); }}) {}

  void begin() { connection_.begin(); }
  ChannelCallId call(std::string_view path, Pieces message, TimeNs deadline, Done done, CallMetadata metadata);
  void cancel(ChannelCallId id);
  void close();
  bool is_connected() const { return connection_.is_ready(); }
  const std::string& why_unavailable() const { return connection_.why_failed(); }
  std::size_t live() const { return calls_.size() - free_.size(); }
  void retrust(std::shared_ptr<TlsContext> tls) { connection_.retrust(std::move(tls)); }

 private:
  class Stream;
  enum class Stage : std::uint8_t { kFree, kWaiting, kOpen, kBroken, kEnded };
  struct Call {
    std::uint32_t generation = 1;
    Stage stage = Stage::kFree;
    TimeNs deadline;
    std::string path;             // while it waits
    Pieces message;               // while it waits
    ChannelLink* link = nullptr;  // while it is open, or its link broke
    StreamId stream{};
    CallMetadata metadata;
    CallResult result;  // once ended
    Done done;
  };

  Call* find(ChannelCallId id);
  ChannelCallId take_slot();
  void release(ChannelCallId id);
  void open(ChannelCallId id, Call& call, std::string_view path, Pieces message);
  StreamId open_stream(ChannelLink& link, std::span<const HeaderView> headers, ChannelCallId id);
  void end(ChannelCallId id, CallResult result);
  void fail(ChannelCallId id, StatusCode code, std::string text);
  void broke(ChannelCallId id);
  void fail_waiting(const std::string& why);
  void fail_broken(const ChannelLink& link, const std::string& why);
  void serve_soon();
  void serve();
  void send_waiting();
  void keep_deadline(ChannelCallId id, TimeNs deadline);
  void arm();
  void expire();

  EventLoop& loop_;
  const GrpcChannelParams params_;
  std::vector<Call> calls_;
  std::vector<std::uint32_t> free_;
  std::deque<ChannelCallId> waiting_;
  std::vector<ChannelCallId> broken_;
  std::vector<ChannelCallId> ended_;
  DeadlineQueue<ChannelCallId> deadlines_;
  std::optional<EventLoop::TimerId> timer_;
  bool serving_soon_ = false;
  bool closed_ = false;
  ChannelConnection connection_;  // ends first: its streams look at the calls
};

// A call's stream. What it hears of a call that is over already goes nowhere.
class GrpcChannel::State::Stream final : public StreamHandler {
 public:
  Stream(State& channel, ChannelLink& link, ChannelCallId call)
      : channel_(channel), link_(link), call_(call), reader_(channel.params_.message_bytes_max) {}

  void on_header(std::string_view name, std::string_view value) override { reader_.on_header(name, value); }

  void on_headers_end() override {
    link_.heard();
    reader_.on_headers_end();
    if (reader_.has_result()) end(/*reset=*/true);
  }

  void on_data(std::string_view bytes) override {
    link_.heard();
    reader_.on_data(bytes);
    if (reader_.has_result()) end(/*reset=*/true);
  }

  void on_end() override {
    reader_.on_end();
    const Call* const call = channel_.find(call_);
    // Answered before it was all sent: the rest is not wanted.
    end(call != nullptr && call->stage == Stage::kOpen && link_.connection().unsent_bytes(call->stream) > 0);
  }

  void on_closed(Http2Error error) override {
    if (ended_) return;
    if (!link_.connection().is_open()) {
      channel_.broke(call_);  // and why, the link will say
      return;
    }
    reader_.on_reset(error);
    end(/*reset=*/false);
  }

 private:
  void end(bool reset) {
    if (std::exchange(ended_, true)) return;
    const Call* const call = channel_.find(call_);
    if (call == nullptr || call->stage != Stage::kOpen) return;
    if (reset) link_.connection().reset(call->stream, Http2Error::kCancel);
    channel_.end(call_, reader_.take());
  }

  State& channel_;
  ChannelLink& link_;
  const ChannelCallId call_;
  ResponseReader reader_;
  bool ended_ = false;
};

ChannelCallId GrpcChannel::State::call(std::string_view path, Pieces message, TimeNs deadline, Done done,
                                       CallMetadata metadata) {
  if (closed_) return {};
  const ChannelCallId id = take_slot();
  Call& call = calls_[id.slot()];
  call.deadline = deadline;
  call.done = std::move(done);
  call.metadata = std::move(metadata);
  call.stage = Stage::kWaiting;
  const ChannelLink* const link = connection_.link();
  if (deadline <= steady_now()) {
    fail(id, StatusCode::kDeadlineExceeded, "Deadline Exceeded");
    return id;
  }
  if (link == nullptr && !connection_.why_failed().empty()) {
    fail(id, StatusCode::kUnavailable, "failed to connect to " + params_.address + ": " + connection_.why_failed());
    return id;
  }
  if (deadline != TimeNs::max()) keep_deadline(id, deadline);
  if (link != nullptr && waiting_.empty() && link->has_room()) {
    open(id, call, path, std::move(message));
  } else {
    call.path = path;
    call.message = std::move(message);
    waiting_.push_back(id);
  }
  return id;
}

void GrpcChannel::State::open(ChannelCallId id, Call& call, std::string_view path, Pieces message) {
  ChannelLink& link = *connection_.link();
  std::array<HeaderView, 9> headers{{{":method", "POST"},
                                     {":scheme", params_.tls ? "https" : "http"},
                                     {":path", path},
                                     {":authority", connection_.authority()},
                                     {"te", "trailers"},
                                     {"content-type", "application/grpc"},
                                     {"user-agent", kUserAgent},
                                     {"grpc-accept-encoding", "identity,deflate,gzip"}}};
  std::size_t count = headers.size() - 1;
  std::string timeout;
  if (call.deadline != TimeNs::max()) {
    timeout = grpc_timeout_of(call.deadline - steady_now());
    headers[count++] = {.name = "grpc-timeout", .value = timeout, .indexed = false};
  }
  call.stage = Stage::kOpen;
  call.link = &link;
  call.stream = open_stream(link, std::span(headers).first(count), id);
  if (call.stream < StreamId{0}) {
    // Its numbers are used up: a connection without a future.
    fail(id, StatusCode::kUnavailable, "the connection to " + params_.address + " takes no more calls");
    return;
  }
  for (Piece& piece : framed(std::move(message))) link.connection().send_data(call.stream, std::move(piece));
  link.connection().end(call.stream);
}

StreamId GrpcChannel::State::open_stream(ChannelLink& link, std::span<const HeaderView> headers, ChannelCallId id) {
  auto stream = std::make_unique<Stream>(*this, link, id);
  const CallMetadata& metadata = calls_[id.slot()].metadata;
  if (metadata.empty()) return link.open(headers, std::move(stream));
  std::vector<HeaderView> all(headers.begin(), headers.end());
  for (const auto& [name, value] : metadata) {
    all.push_back({.name = name, .value = value, .is_static = false, .indexed = false});
  }
  return link.open(all, std::move(stream));
}

void GrpcChannel::State::cancel(ChannelCallId id) {
  const Call* const call = find(id);
  if (call == nullptr) return;
  if (call->stage == Stage::kOpen) call->link->connection().reset(call->stream, Http2Error::kCancel);
  release(id);
}

void GrpcChannel::State::close() {
  closed_ = true;
  if (timer_) loop_.cancel(*timer_);
  timer_.reset();
  connection_.close();
  calls_.clear();
  free_.clear();
  waiting_.clear();
}

GrpcChannel::State::Call* GrpcChannel::State::find(ChannelCallId id) {
  if (id.slot() >= calls_.size()) return nullptr;
  Call& call = calls_[id.slot()];
  return call.generation == id.generation() && call.stage != Stage::kFree ? &call : nullptr;
}

ChannelCallId GrpcChannel::State::take_slot() {
  if (free_.empty()) {
    free_.push_back(static_cast<std::uint32_t>(calls_.size()));
    calls_.emplace_back();
  }
  const std::uint32_t slot = free_.back();
  free_.pop_back();
  return ChannelCallId::of(slot, calls_[slot].generation);
}

void GrpcChannel::State::release(ChannelCallId id) {
  Call& call = calls_[id.slot()];
  const std::uint32_t next = call.generation + 1;
  call = Call{};
  call.generation = next == 0 ? 1 : next;
  free_.push_back(id.slot());
  deadlines_.sweep(live(), [this](ChannelCallId each) { return find(each) != nullptr; });
}

void GrpcChannel::State::end(ChannelCallId id, CallResult result) {
  Call& call = calls_[id.slot()];
  call.stage = Stage::kEnded;
  call.result = std::move(result);
  call.message.clear();
  ended_.push_back(id);
  serve_soon();
}

void GrpcChannel::State::fail(ChannelCallId id, StatusCode code, std::string text) {
  end(id, {.status = {.code = code, .message = std::move(text), .metadata = {}}, .message = {}});
}

void GrpcChannel::State::broke(ChannelCallId id) {
  Call* const call = closed_ ? nullptr : find(id);
  if (call == nullptr || call->stage != Stage::kOpen) return;
  call->stage = Stage::kBroken;
  broken_.push_back(id);
}

void GrpcChannel::State::fail_broken(const ChannelLink& link, const std::string& why) {
  for (const ChannelCallId id : std::exchange(broken_, {})) {
    const Call* const call = find(id);
    if (call == nullptr || call->stage != Stage::kBroken || call->link != &link) continue;
    fail(id, StatusCode::kUnavailable, "the connection to " + params_.address + " broke: " + why);
  }
}

void GrpcChannel::State::fail_waiting(const std::string& why) {
  for (const ChannelCallId id : std::exchange(waiting_, {})) {
    const Call* const call = find(id);
    if (call == nullptr || call->stage != Stage::kWaiting) continue;
    fail(id, StatusCode::kUnavailable, "failed to connect to " + params_.address + ": " + why);
  }
}

void GrpcChannel::State::serve_soon() {
  if (std::exchange(serving_soon_, true)) return;
  loop_.defer([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->serve();
  });
}

void GrpcChannel::State::serve() {
  serving_soon_ = false;
  for (const ChannelCallId id : std::exchange(ended_, {})) {
    Call* const call = find(id);
    if (call == nullptr || call->stage != Stage::kEnded) continue;  // cancelled meanwhile
    const Done done = std::move(call->done);
    CallResult result = std::move(call->result);
    release(id);
    done(std::move(result));
    if (closed_) return;
  }
  send_waiting();
}

void GrpcChannel::State::send_waiting() {
  while (!waiting_.empty()) {
    const ChannelLink* const link = connection_.link();
    if (link == nullptr || !link->has_room()) return;
    const ChannelCallId id = waiting_.front();
    waiting_.pop_front();
    Call* const call = find(id);
    if (call == nullptr || call->stage != Stage::kWaiting) continue;
    const std::string path = std::move(call->path);
    open(id, *call, path, std::move(call->message));
  }
}

void GrpcChannel::State::keep_deadline(ChannelCallId id, TimeNs deadline) {
  deadlines_.add(deadline, id);
  if (deadlines_.earliest() == deadline && (!timer_ || timer_->first > deadline)) arm();
}

void GrpcChannel::State::arm() {
  if (timer_) loop_.cancel(*timer_);
  timer_ = loop_.call_at(deadlines_.earliest(), [this] {
    timer_.reset();
    expire();
  });
}

void GrpcChannel::State::expire() {
  while (!deadlines_.empty()) {
    const TimeNs earliest = deadlines_.earliest();
    const Call* const call = find(deadlines_.earliest_id());
    const bool is_over = call == nullptr || call->stage == Stage::kEnded;
    if (!is_over && earliest > loop_.now()) break;
    const ChannelCallId id = deadlines_.take_earliest();
    if (is_over) continue;
    if (call->stage == Stage::kOpen) call->link->connection().reset(call->stream, Http2Error::kCancel);
    fail(id, StatusCode::kDeadlineExceeded, "Deadline Exceeded");
  }
  if (!deadlines_.empty()) arm();
}

GrpcChannel::GrpcChannel(EventLoop& loop, GrpcChannelParams params)
    : state_(std::make_shared<State>(loop, std::move(params))) {
  state_->begin();
}

GrpcChannel::~GrpcChannel() { close(); }

ChannelCallId GrpcChannel::call(std::string_view path, std::vector<Piece> message, TimeNs deadline, Done done,
                                CallMetadata metadata) {
  return state_->call(path, std::move(message), deadline, std::move(done), std::move(metadata));
}

void GrpcChannel::cancel(ChannelCallId call) { state_->cancel(call); }
bool GrpcChannel::is_connected() const { return state_->is_connected(); }
const std::string& GrpcChannel::why_unavailable() const { return state_->why_unavailable(); }
std::size_t GrpcChannel::calls_in_flight() const { return state_->live(); }
void GrpcChannel::retrust(std::shared_ptr<TlsContext> tls) { state_->retrust(std::move(tls)); }
void GrpcChannel::close() { state_->close(); }

}  // namespace mark::net
