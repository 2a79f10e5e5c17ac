// Open-loop load for bench/peers: one request at Poisson instants that no answer delays, over HTTP/1.1 or gRPC.
//
//   open_loop PORT http1|grpc PATH REQUEST_FILE RATE SECONDS CONNECTIONS ANSWER_BYTES [NAME:VALUE ...]
//
// A latency counts from the instant at which the request was due, so that waiting for a free connection is part of it.
// Prints `due answered failed`, and then the microseconds of each answer, a line each. ANSWER_BYTES is the length of
// every right body, or 0 where lengths differ. Of gRPC the status in the trailers is looked at, too.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace {

using Ns = std::int64_t;

constexpr Ns kSecond = 1'000'000'000;
// How long answers are waited for when everything was sent.
constexpr Ns kRest = 3 * kSecond;

Ns now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

struct Header {
  std::string name, value;
};

struct Request {
  std::string path, body;
  std::vector<Header> headers;
  std::size_t answer_bytes;
  std::string authority;
};

// What became of all requests.
struct Outcome {
  std::vector<Ns> latencies;
  std::size_t failed = 0;

  void end(Ns due, bool well) {
    if (well) {
      latencies.push_back(now() - due);
    } else {
      ++failed;
    }
  }
};

class Connection {
 public:
  Connection(std::uint16_t port, const Request& request, Outcome& outcome) : request_(request), outcome_(outcome) {
    fd_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd_ < 0 || connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
      throw std::runtime_error(std::string("cannot connect: ") + std::strerror(errno));
    }
    const int on = 1;
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  }
  virtual ~Connection() { close(fd_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  int fd() const { return fd_; }
  // False when it has as many requests in flight as it may.
  virtual bool submit(Ns due) = 0;
  virtual void received(std::string_view bytes) = 0;
  // Adds to `out_` what it has to say.
  virtual void collect() {}

  // Reads what is there. Throws when the server closes: it has no reason to.
  void read() {
    char buffer[64 * 1024];
    while (true) {
      const ssize_t got = recv(fd_, buffer, sizeof(buffer), MSG_DONTWAIT);
      if (got < 0 && errno == EAGAIN) {
        return;
      }
      if (got <= 0) {
        throw std::runtime_error("the server closed a connection");
      }
      received({buffer, static_cast<std::size_t>(got)});
    }
  }

  void write() {
    collect();
    while (!out_.empty()) {
      const ssize_t sent = send(fd_, out_.data(), out_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent < 0 && errno == EAGAIN) {
        return;  // tried again in the next turn
      }
      if (sent < 0) {
        throw std::runtime_error(std::string("cannot send: ") + std::strerror(errno));
      }
      out_.erase(0, static_cast<std::size_t>(sent));
    }
  }

 protected:
  const Request& request_;
  Outcome& outcome_;
  std::string out_;

 private:
  int fd_;
};

class Http1Connection : public Connection {
 public:
  Http1Connection(std::uint16_t port, const Request& request, Outcome& outcome) : Connection(port, request, outcome) {
    bytes_ = "POST " + request.path + " HTTP/1.1\r\nHost: " + request.authority +
             "\r\nContent-Length: " + std::to_string(request.body.size()) + "\r\n";
    for (const Header& header : request.headers) {
      bytes_ += header.name + ": " + header.value + "\r\n";
    }
    bytes_ += "\r\n" + request.body;
  }

  bool submit(Ns due) override {
    if (busy_) {
      return false;
    }
    busy_ = true;
    due_ = due;
    out_ += bytes_;
    return true;
  }

  void received(std::string_view bytes) override {
    in_ += bytes;
    const std::size_t end = in_.find("\r\n\r\n");
    if (end == std::string::npos) {
      return;
    }
    const std::size_t length = content_length(in_.substr(0, end + 2));
    if (in_.size() < end + 4 + length) {
      return;
    }
    const bool status = in_.compare(0, 13, "HTTP/1.1 200 ") == 0;
    outcome_.end(due_, status && (request_.answer_bytes == 0 || request_.answer_bytes == length));
    in_.clear();
    busy_ = false;
  }

 private:
  static std::size_t content_length(std::string head) {
    for (char& letter : head) {
      letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
    }
    const std::string name = "\r\ncontent-length:";
    const std::size_t at = head.find(name);
    if (at == std::string::npos) {
      throw std::runtime_error("an answer without Content-Length: " + head);
    }
    return std::strtoull(head.c_str() + at + name.size(), nullptr, 10);
  }

  std::string bytes_, in_;
  bool busy_ = false;
  Ns due_ = 0;
};

struct Call {
  Ns due;
  std::size_t sent = 0, got = 0;
  bool http_ok = false, grpc_ok = false;
};

class GrpcConnection : public Connection {
 public:
  GrpcConnection(std::uint16_t port, const Request& request, Outcome& outcome) : Connection(port, request, outcome) {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_session_client_new(&session_, callbacks, this);
    nghttp2_session_callbacks_del(callbacks);
    const nghttp2_settings_entry window{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 20};
    nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, &window, 1);
    nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, 1 << 28);
    headers_ = {{":method", "POST"}, {":scheme", "http"}, {":path", request.path}, {":authority", request.authority}};
    headers_.insert(headers_.end(), request.headers.begin(), request.headers.end());
    for (const Header& header : headers_) {
      fields_.push_back({bytes_of(header.name), bytes_of(header.value), header.name.size(), header.value.size(),
                         NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE});
    }
  }
  ~GrpcConnection() override {
    nghttp2_session_del(session_);  // closes no streams: calls that are not answered end with the process
  }

  bool submit(Ns due) override {
    auto* call = new Call{due};
    nghttp2_data_provider body{};
    body.read_callback = read_body;
    if (nghttp2_submit_request(session_, nullptr, fields_.data(), fields_.size(), &body, call) < 0) {
      delete call;
      throw std::runtime_error("nghttp2 takes no more requests");
    }
    return true;
  }

  void received(std::string_view bytes) override {
    const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
    const ssize_t read = nghttp2_session_mem_recv(session_, data, bytes.size());
    if (read < 0) {
      throw std::runtime_error(nghttp2_strerror(static_cast<int>(read)));
    }
  }

  void collect() override {
    const std::uint8_t* data = nullptr;
    ssize_t length = 0;
    while (out_.size() < 256 * 1024 && (length = nghttp2_session_mem_send(session_, &data)) > 0) {
      out_.append(reinterpret_cast<const char*>(data), static_cast<std::size_t>(length));
    }
    if (length < 0) {
      throw std::runtime_error(nghttp2_strerror(static_cast<int>(length)));
    }
  }

 private:
  static std::uint8_t* bytes_of(const std::string& text) {
    return reinterpret_cast<std::uint8_t*>(const_cast<char*>(text.data()));
  }
  static Call* call_of(nghttp2_session* session, std::int32_t stream) {
    return static_cast<Call*>(nghttp2_session_get_stream_user_data(session, stream));
  }

  static ssize_t read_body(nghttp2_session* session, std::int32_t stream, std::uint8_t* buffer, std::size_t room,
                           std::uint32_t* flags, nghttp2_data_source* /*source*/, void* self) {
    const std::string& body = static_cast<GrpcConnection*>(self)->request_.body;
    Call* call = call_of(session, stream);
    const std::size_t length = std::min(room, body.size() - call->sent);
    std::memcpy(buffer, body.data() + call->sent, length);
    call->sent += length;
    if (call->sent == body.size()) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
    }
    return static_cast<ssize_t>(length);
  }

  static int on_header(nghttp2_session* session, const nghttp2_frame* frame, const std::uint8_t* name,
                       std::size_t name_size, const std::uint8_t* value, std::size_t value_size, std::uint8_t /*flags*/,
                       void* /*self*/) {
    const std::string_view key(reinterpret_cast<const char*>(name), name_size);
    const std::string_view text(reinterpret_cast<const char*>(value), value_size);
    if (Call* call = call_of(session, frame->hd.stream_id)) {
      call->http_ok |= key == ":status" && text == "200";
      call->grpc_ok |= key == "grpc-status" && text == "0";
    }
    return 0;
  }

  static int on_data(nghttp2_session* session, std::uint8_t /*flags*/, std::int32_t stream,
                     const std::uint8_t* /*data*/, std::size_t length, void* /*self*/) {
    if (Call* call = call_of(session, stream)) {
      call->got += length;
    }
    return 0;
  }

  static int on_close(nghttp2_session* session, std::int32_t stream, std::uint32_t error, void* self) {
    const std::unique_ptr<Call> call(call_of(session, stream));
    auto* connection = static_cast<GrpcConnection*>(self);
    const std::size_t expected = connection->request_.answer_bytes;
    const bool whole = expected == 0 || call->got == expected;
    connection->outcome_.end(call->due, error == NGHTTP2_NO_ERROR && call->http_ok && call->grpc_ok && whole);
    return 0;
  }

  nghttp2_session* session_ = nullptr;
  std::vector<Header> headers_;
  std::vector<nghttp2_nv> fields_;
};

std::vector<Ns> poisson_instants(double rate_per_s, double seconds) {
  std::mt19937_64 random(2019);
  std::exponential_distribution<double> gap(rate_per_s);
  std::vector<Ns> instants;
  for (double at = gap(random); at < seconds; at += gap(random)) {
    instants.push_back(static_cast<Ns>(at * kSecond));
  }
  return instants;
}

using Connections = std::vector<std::unique_ptr<Connection>>;

// Gives what waits to connections in turn; keeps what none can take.
void hand_out(std::deque<Ns>& waiting, Connections& connections, std::size_t& next) {
  for (std::size_t refused = 0; !waiting.empty() && refused < connections.size();) {
    if (connections[next]->submit(waiting.front())) {
      waiting.pop_front();
      refused = 0;
    } else {
      ++refused;
    }
    next = (next + 1) % connections.size();
  }
}

void run(Connections& connections, const std::vector<Ns>& instants, const Outcome& outcome) {
  prctl(PR_SET_TIMERSLACK, 1);  // sleeps end when they should, not up to 50 microseconds later
  const int epoll = epoll_create1(0);
  for (std::size_t at = 0; at < connections.size(); ++at) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = at;
    epoll_ctl(epoll, EPOLL_CTL_ADD, connections[at]->fd(), &event);
  }
  const Ns began = now() + kSecond / 10;
  std::deque<Ns> waiting;
  std::size_t due = 0, next = 0;
  std::vector<epoll_event> events(connections.size());
  while (outcome.latencies.size() + outcome.failed < instants.size()) {
    const Ns at = now();
    if (at > began + instants.back() + kRest) {
      break;
    }
    for (; due < instants.size() && began + instants[due] <= at; ++due) {
      waiting.push_back(began + instants[due]);
    }
    hand_out(waiting, connections, next);
    for (auto& connection : connections) {
      connection->write();
    }
    // It sleeps where it can: a program that never does loses its core to others just when a request is due.
    // Not for long: what a full socket did not take is tried again, and the end of the time is not to be missed.
    const Ns soon = at + kSecond / 1000;
    const Ns wake = due < instants.size() ? std::min(soon, began + instants[due]) : soon;
    const Ns left = std::max<Ns>(0, wake - now());
    const timespec sleep{left / kSecond, left % kSecond};
    const int ready = epoll_pwait2(epoll, events.data(), static_cast<int>(events.size()), &sleep, nullptr);
    if (ready < 0 && errno != EINTR) {
      throw std::runtime_error(std::string("cannot wait: ") + std::strerror(errno));
    }
    for (int number = 0; number < ready; ++number) {
      connections[events[static_cast<std::size_t>(number)].data.u64]->read();
    }
  }
  close(epoll);
}

int load(int count, char** words) {
  if (count < 9) {
    throw std::runtime_error("wrong arguments: see the head of open_loop.cc");
  }
  const auto port = static_cast<std::uint16_t>(std::strtoul(words[1], nullptr, 10));
  const bool grpc = std::string_view(words[2]) == "grpc";
  std::ifstream file(words[4], std::ios::binary);
  Request request{words[3],
                  {std::istreambuf_iterator<char>(file), {}},
                  {},
                  std::strtoull(words[8], nullptr, 10),
                  "127.0.0.1:" + std::string(words[1])};
  for (int at = 9; at < count; ++at) {
    const std::string_view word(words[at]);
    const std::size_t colon = word.find(':');
    request.headers.push_back({std::string(word.substr(0, colon)), std::string(word.substr(colon + 1))});
  }
  const std::vector<Ns> instants = poisson_instants(std::strtod(words[5], nullptr), std::strtod(words[6], nullptr));
  Outcome outcome;
  outcome.latencies.reserve(instants.size());
  Connections connections;
  for (unsigned long left = std::strtoul(words[7], nullptr, 10); left > 0; --left) {
    if (grpc) {
      connections.push_back(std::make_unique<GrpcConnection>(port, request, outcome));
    } else {
      connections.push_back(std::make_unique<Http1Connection>(port, request, outcome));
    }
  }
  if (!instants.empty() && !connections.empty()) {
    run(connections, instants, outcome);
  }
  std::printf("%zu %zu %zu\n", instants.size(), outcome.latencies.size(), outcome.failed);
  for (const Ns latency : outcome.latencies) {
    std::printf("%.1f\n", static_cast<double>(latency) / 1e3);
  }
  return 0;
}

}  // namespace

int main(int count, char** words) {
  try {
    return load(count, words);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "open_loop: %s\n", error.what());
    return 1;
  }
}
