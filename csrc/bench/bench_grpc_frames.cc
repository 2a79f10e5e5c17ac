// The cheapest client there can be, to see how a server grows with its threads on few cores: frames that were written
// beforehand are sent again and again, and answers are compared byte by byte, not taken apart.
//
// usage: bench_grpc_frames HOST:PORT MESSAGE_FILE IN_FLIGHT SECONDS CONNECTIONS
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "net/rpc/grpc_framing.h"
#include "net/rpc/oip_methods.h"

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kFrameHeaderBytes = 9;
constexpr std::size_t kReadBytes = std::size_t{1} << 18U;
constexpr short kBoth = POLLIN + POLLOUT;
constexpr std::uint32_t kWindowMax = 0x7fffffff;
constexpr std::uint32_t kWindowGrowth = kWindowMax - 65'535;  // of a connection, beyond what it begins with

[[noreturn]] void fail(const std::string& what) { throw std::runtime_error(what); }
[[noreturn]] void fail_errno(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

void append_number(std::string& out, std::uint32_t value) {
  for (const unsigned shift : {24U, 16U, 8U, 0U}) out.push_back(static_cast<char>(value >> shift));
}

std::uint32_t number_at(std::string_view bytes, std::size_t at, std::size_t count) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < count; ++i) value = value << 8U | static_cast<std::uint8_t>(bytes[at + i]);
  return value;
}

void append_frame(std::string& out, nghttp2_frame_type type, std::uint8_t flags, std::uint32_t stream,
                  std::string_view payload) {
  append_number(out, static_cast<std::uint32_t>(payload.size()) << 8U | static_cast<std::uint32_t>(type));
  out.push_back(static_cast<char>(flags));
  append_number(out, stream);
  out.append(payload);
}

// A header block is a number of entries of a table that both sides keep, once it has been sent in full.
class Deflater {
 public:
  Deflater() {
    if (nghttp2_hd_deflate_new(&deflater_, 4096) != 0) throw std::bad_alloc();
  }
  ~Deflater() { nghttp2_hd_deflate_del(deflater_); }
  Deflater(const Deflater&) = delete;
  Deflater& operator=(const Deflater&) = delete;

  std::string block(const std::string& authority) {
    const std::array<std::pair<std::string_view, std::string_view>, 7> headers{{{":method", "POST"},
                                                                                {":scheme", "http"},
                                                                                {":path", mark::net::kModelInferMethod},
                                                                                {":authority", authority},
                                                                                {"te", "trailers"},
                                                                                {"content-type", "application/grpc"},
                                                                                {"user-agent", "grpc-frames-mark"}}};
    std::vector<nghttp2_nv> entries;
    entries.reserve(headers.size());
    for (const auto& [name, value] : headers) {
      entries.push_back({.name = reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data())),
                         .value = reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())),
                         .namelen = name.size(),
                         .valuelen = value.size(),
                         .flags = NGHTTP2_NV_FLAG_NONE});
    }
    std::array<std::uint8_t, 1024> bytes{};
    const ssize_t size = nghttp2_hd_deflate_hd(deflater_, bytes.data(), bytes.size(), entries.data(), entries.size());
    if (size < 0) fail("cannot write headers");
    return {reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(size)};
  }

 private:
  nghttp2_hd_deflater* deflater_ = nullptr;
};

// What a peer's header block says, of one connection.
class Inflater {
 public:
  Inflater() {
    if (nghttp2_hd_inflate_new(&inflater_) != 0) throw std::bad_alloc();
  }
  ~Inflater() { nghttp2_hd_inflate_del(inflater_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  // Of all header blocks of a good answer, the last one has a grpc-status, which is 0.
  void check(std::string_view block, bool is_last) {
    std::string& known = is_last ? known_last_ : known_first_;
    // Entries of the table alone change nothing in it, and mean what they meant.
    if (block == known) return;
    const bool is_good = reads(block, is_last);
    if (!is_good) fail("a request was not answered");
    const auto is_index = [](char byte) { return (static_cast<unsigned char>(byte) & 0x80U) != 0; };
    if (std::all_of(block.begin(), block.end(), is_index)) known = block;
  }

 private:
  bool reads(std::string_view block, bool is_last) {
    const auto* in = reinterpret_cast<const std::uint8_t*>(block.data());
    std::size_t left = block.size();
    bool is_ok = !is_last;
    int flags = 0;
    const auto has = [&flags](int flag) { return (static_cast<unsigned>(flags) & static_cast<unsigned>(flag)) != 0; };
    while (!has(NGHTTP2_HD_INFLATE_FINAL)) {
      nghttp2_nv entry{};
      const ssize_t taken = nghttp2_hd_inflate_hd2(inflater_, &entry, &flags, in, left, 1);
      if (taken < 0) fail("cannot read headers");
      in += taken;
      left -= static_cast<std::size_t>(taken);
      if (!has(NGHTTP2_HD_INFLATE_EMIT)) continue;
      const std::string_view name(reinterpret_cast<const char*>(entry.name), entry.namelen);
      const std::string_view value(reinterpret_cast<const char*>(entry.value), entry.valuelen);
      if (name == "grpc-status") is_ok = is_last && value == "0";
      if (name == ":status" && value != "200") return false;
    }
    nghttp2_hd_inflate_end_headers(inflater_);
    return is_ok;
  }

  nghttp2_hd_inflater* inflater_ = nullptr;
  std::string known_first_;
  std::string known_last_;
};

class Connection {
 public:
  Connection(int fd, const std::string& authority, std::string message, std::string& answer)
      : fd_(fd), answer_(answer) {
    const auto prefix = mark::net::message_prefix(message.size());
    message_ = std::string(prefix.data(), prefix.size()) + std::move(message);
    Deflater deflater;
    first_block_ = deflater.block(authority);
    block_ = deflater.block(authority);
    out_ = NGHTTP2_CLIENT_MAGIC;
    append_frame(out_, NGHTTP2_SETTINGS, 0, 0, {});
    std::string growth;
    append_number(growth, kWindowGrowth);
    append_frame(out_, NGHTTP2_WINDOW_UPDATE, 0, 0, growth);
  }
  ~Connection() { close(fd_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  int fd() const { return fd_; }
  bool wants_write() const { return !out_.empty(); }
  std::size_t answered() const { return answered_; }

  void ask(std::size_t count) {
    for (; count > 0; --count) {
      append_frame(out_, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, next_stream_,
                   next_stream_ == 1 ? first_block_ : block_);
      append_frame(out_, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, next_stream_, message_);
      next_stream_ += 2;
    }
  }

  void write() {
    const ssize_t sent = send(fd_, out_.data(), out_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN) fail_errno("send");
    if (sent > 0) out_.erase(0, static_cast<std::size_t>(sent));
  }

  // How many answers came.
  std::size_t read() {
    static std::array<char, kReadBytes> buffer;
    const ssize_t came = recv(fd_, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (came == 0) fail("the server ended the connection");
    if (came < 0 && errno != EAGAIN) fail_errno("recv");
    if (came < 0) return 0;
    std::string_view bytes(buffer.data(), static_cast<std::size_t>(came));
    if (!rest_.empty()) bytes = rest_.append(bytes);
    const std::size_t before = answered_;
    const std::size_t used = take_frames(bytes);
    rest_ = std::string(bytes.substr(used));
    return answered_ - before;
  }

  void check_bodies() const {
    if (bodies_ != answered_) fail("answers without a message");
  }

 private:
  std::size_t take_frames(std::string_view bytes) {
    std::size_t at = 0;
    while (bytes.size() - at >= kFrameHeaderBytes) {
      const std::size_t size = number_at(bytes, at, 3);
      if (bytes.size() - at < kFrameHeaderBytes + size) break;
      take_frame(static_cast<std::uint8_t>(bytes[at + 3]), static_cast<std::uint8_t>(bytes[at + 4]),
                 bytes.substr(at + kFrameHeaderBytes, size));
      at += kFrameHeaderBytes + size;
    }
    return at;
  }

  void take_frame(std::uint8_t type, std::uint8_t flags, std::string_view payload) {
    const bool is_end = (flags & NGHTTP2_FLAG_END_STREAM) != 0;
    switch (type) {
      case NGHTTP2_DATA:
        if (answer_.empty()) answer_ = payload;
        if (payload != answer_) fail("an answer differs from the first one, or comes in several frames");
        ++bodies_;
        received_ += payload.size();
        if (received_ > kWindowGrowth) fail("more than one connection takes; use more of them, or less time");
        break;
      case NGHTTP2_HEADERS:
        inflater_.check(payload, is_end);
        break;
      case NGHTTP2_SETTINGS:
        if ((flags & NGHTTP2_FLAG_ACK) == 0) append_frame(out_, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, {});
        return;
      case NGHTTP2_WINDOW_UPDATE:
        return;
      default:
        fail("a frame of type " + std::to_string(type));
    }
    if (is_end) ++answered_;
  }

  const int fd_;
  std::string& answer_;
  std::string message_;  // behind its length
  std::string first_block_;
  std::string block_;
  std::string out_;
  std::string rest_;
  Inflater inflater_;
  std::uint32_t next_stream_ = 1;
  std::size_t answered_ = 0;
  std::size_t bodies_ = 0;
  std::size_t received_ = 0;
};

int connected(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (colon == std::string::npos ||
      getaddrinfo(address.substr(0, colon).c_str(), address.substr(colon + 1).c_str(), &hints, &found) != 0) {
    fail("no address: " + address);
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> keeper(found, freeaddrinfo);
  const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) < 0) fail_errno("connect");
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

double cpu_us() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto us_of = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_usec);
  };
  return us_of(used.ru_utime) + us_of(used.ru_stime);
}

std::string content_of(const char* path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail(std::string("cannot read ") + path);
  return {std::istreambuf_iterator<char>(file), {}};
}

void run(std::vector<std::unique_ptr<Connection>>& connections, Clock::time_point until, std::size_t in_flight) {
  std::vector<pollfd> polled;
  polled.reserve(connections.size());
  for (const auto& connection : connections) polled.push_back({.fd = connection->fd(), .events = 0, .revents = 0});
  while (in_flight > 0) {
    for (std::size_t i = 0; i < polled.size(); ++i) {
      if (connections[i]->wants_write()) connections[i]->write();
      polled[i].events = connections[i]->wants_write() ? kBoth : short{POLLIN};
    }
    if (poll(polled.data(), polled.size(), 10'000) == 0) fail("no answer within 10 s");
    const bool goes_on = Clock::now() < until;
    for (std::size_t i = 0; i < polled.size(); ++i) {
      if (polled[i].revents == 0 || polled[i].revents == POLLOUT) continue;
      const std::size_t answers = connections[i]->read();
      if (goes_on) {
        connections[i]->ask(answers);
      } else {
        in_flight -= answers;
      }
    }
  }
}

}  // namespace

int main(int count, char* const* arguments) {
  if (count != 6) {
    std::fprintf(stderr, "usage: bench_grpc_frames HOST:PORT MESSAGE_FILE IN_FLIGHT SECONDS CONNECTIONS\n");
    return 2;
  }
  try {
    const std::string message = content_of(arguments[2]);
    const std::size_t in_flight = std::stoul(arguments[3]);
    const double seconds = std::stod(arguments[4]);
    std::string answer;
    std::vector<std::unique_ptr<Connection>> connections(std::stoul(arguments[5]));
    for (auto& connection : connections) {
      connection = std::make_unique<Connection>(connected(arguments[1]), arguments[1], message, answer);
    }
    for (std::size_t i = 0; i < in_flight; ++i) connections[i % connections.size()]->ask(1);
    const Clock::time_point begun = Clock::now();
    const double cpu_before_us = cpu_us();
    run(connections, begun + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds)),
        in_flight);
    const double lasted_s = std::chrono::duration<double>(Clock::now() - begun).count();
    std::size_t answered = 0;
    for (const auto& connection : connections) {
      connection->check_bodies();
      answered += connection->answered();
    }
    std::printf("{\"answered\": %zu, \"answered_per_s\": %.0f, \"cpu_us_per_request\": %.3f, \"duration_s\": %.3f}\n",
                answered, static_cast<double>(answered) / lasted_s,
                (cpu_us() - cpu_before_us) / static_cast<double>(std::max<std::size_t>(answered, 1)), lasted_s);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
