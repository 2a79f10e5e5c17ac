#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>

#include "echo_server.h"
#include "http2_client.h"
#include "net/rpc/listener.h"

namespace mark::net {

namespace {

// A folder of its own that is gone in the end.
class Folder {
 public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "mark-listener-XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string socket() const { return (path_ / "socket").string(); }

 private:
  std::filesystem::path path_;
};

int errno_of(const std::string& address) {
  try {
    const Listener listener(address);
    return 0;
  } catch (const std::system_error& error) {
    return error.code().value();
  }
}

TEST_CASE("what is no address is refused in words") {
  for (const char* const address : {"", "127.0.0.1", "127.0.0.1:", ":80", "127.0.0.1:65536", "127.0.0.1:-1",
                                    "127.0.0.1:http", "::1:80", "[::1]", "unix:"}) {
    CHECK_THROWS_AS(Listener{address}, std::invalid_argument);
  }
  CHECK_THROWS_AS(Listener{"unix:/" + std::string(200, 'x')}, std::invalid_argument);
  CHECK_THROWS_AS(Listener{"no-such-host.invalid:0"}, std::system_error);
}

TEST_CASE("a free port is taken and told, and no other server gets it") {
  for (const char* const host : {"127.0.0.1", "localhost", "[::1]"}) {
    const Listener listener(std::string(host) + ":0");
    CHECK(listener.address().starts_with(std::string(host) + ":"));
    CHECK_FALSE(listener.address().ends_with(":0"));
    CHECK(errno_of(listener.address()) == EADDRINUSE);
  }
}

TEST_CASE("a port is free again once its listener has closed") {
  std::string address;
  {
    const Listener listener("127.0.0.1:0");
    address = listener.address();
  }
  CHECK(errno_of(address) == 0);
}

TEST_CASE("a socket file goes with its listener") {
  const Folder folder;
  {
    Listener listener("unix:" + folder.socket());
    CHECK(std::filesystem::is_socket(folder.socket()));
    CHECK(listener.address() == "unix:" + folder.socket());
    const int client = connect_to(listener.address());
    const int accepted = listener.accept();
    CHECK(accepted >= 0);
    close(accepted);
    close(client);
    CHECK(listener.accept() == -1);
  }
  CHECK_FALSE(std::filesystem::exists(folder.socket()));
}

TEST_CASE("a socket file whose server is gone is replaced, one that is answered at is not, nor is any other file") {
  const Folder folder;
  const std::string address = "unix:" + folder.socket();
  const int left_behind = socket(AF_UNIX, SOCK_STREAM, 0);
  REQUIRE(left_behind >= 0);
  sockaddr_un place{};
  place.sun_family = AF_UNIX;
  folder.socket().copy(place.sun_path, sizeof place.sun_path - 1);
  REQUIRE(bind(left_behind, reinterpret_cast<const sockaddr*>(&place), sizeof place) == 0);
  close(left_behind);
  {
    const Listener listener(address);
    CHECK(errno_of(address) == EADDRINUSE);
    CHECK(std::filesystem::is_socket(folder.socket()));
  }
  std::ofstream(folder.socket()) << "precious";
  CHECK(errno_of(address) == EADDRINUSE);
  CHECK(std::filesystem::is_regular_file(folder.socket()));
}

TEST_CASE("a listener leaves a socket alone that another server put in the place of its own") {
  const Folder folder;
  auto first = std::make_unique<Listener>("unix:" + folder.socket());
  std::filesystem::rename(folder.socket(), folder.socket() + ".old");
  const Listener second("unix:" + folder.socket());
  first.reset();
  CHECK(std::filesystem::is_socket(folder.socket()));
}

TEST_CASE("a server answers at every kind of address") {
  const Folder folder;
  for (const std::string& address : {std::string("127.0.0.1:0"), std::string("[::1]:0"), "unix:" + folder.socket()}) {
    const EchoServer echo(echo_params(address));
    LoopThread loop;
    TestClient client(loop, echo.server.address());
    CHECK(client.call(kEchoPath, "hello").body == framed("hello"));
  }
}

}  // namespace

}  // namespace mark::net
