// A server's connection, fed from memory: whatever a client sends, each stream is heard of in order and closed once.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <vector>

#include "net/rpc/block_cache.h"
#include "net/rpc/http2_session.h"

namespace {

using namespace mark::net;  // NOLINT(google-build-using-namespace): a program of one file

void require(bool holds) {
  if (!holds) std::abort();
}

int open_handlers = 0;

// Answers what has ended, with a body for some, and resets others.
class Stream final : public StreamHandler {
 public:
  Stream(Http2Session& session, StreamId id) : session_(session), id_(id) { ++open_handlers; }
  ~Stream() override {
    require(closed_);
    --open_handlers;
  }
  void on_header(std::string_view /*name*/, std::string_view value) override {
    require(!closed_ && !ended_);
    bytes_ += value.size();
  }
  void on_headers_end() override { require(!closed_ && !ended_); }
  void on_data(std::string_view bytes) override {
    require(!closed_ && !ended_);
    bytes_ += bytes.size();
    if (bytes_ % 7 == 3) session_.reset(id_, Http2Error::kCancel);
  }
  void on_end() override {
    require(!closed_ && !ended_);
    ended_ = true;
    const std::vector<HeaderView> headers{{":status", "200", true}, {"grpc-status", "0"}};
    if (bytes_ % 3 == 0) {
      session_.send_headers(id_, headers, true);
      return;
    }
    session_.send_headers(id_, headers, false);
    session_.send_data(id_, Piece(std::string(bytes_ % 100'000, 'x')));
    session_.end_with(id_, headers);
  }
  void on_closed(Http2Error /*error*/) override {
    require(!closed_);
    closed_ = true;
  }

 private:
  Http2Session& session_;
  StreamId id_;
  std::size_t bytes_ = 0;
  bool ended_ = false;
  bool closed_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::size_t piece = data[0] == 0 ? size : data[0];
  std::string bytes("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  bytes.append(reinterpret_cast<const char*>(data + 1), size - 1);
  Http2Counts counts;
  Http2Limits limits;
  limits.flood.frames_burst = 100;
  limits.flood.resets_burst = 20;
  BlockCache memory;
  Http2Session* self = nullptr;
  {
    Http2Session session(Http2Connection::Role::kServer, limits,
                         {.on_stream = [&self](StreamId id) { return std::make_unique<Stream>(*self, id); },
                          .on_settings = [] {},
                          .on_go_away = [] {}},
                         counts, mark::TimeNs{}, memory);
    self = &session;
    bool goes_on = true;
    for (std::size_t at = 0; at < bytes.size() && goes_on; at += piece) {
      goes_on = session.receive(std::string_view(bytes).substr(at, piece), mark::TimeNs{});
      OutBuffer out;
      goes_on = session.produce(out, 1 << 20) && goes_on && !session.is_finished();
      require(session.open_streams() <= limits.streams_max + 1);
    }
    session.close_streams(Http2Error::kCancel);
    require(session.queued_bytes() == 0);
  }
  require(open_handlers == 0);
  return 0;
}
