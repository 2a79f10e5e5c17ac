// Run with libpauses.so preloaded, by ctest: without it there is nothing to see.
#include <doctest/doctest.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>

namespace mark {
namespace {

using namespace std::chrono_literals;

TEST_CASE("what is paused takes its time, and says what it did without" * doctest::skip()) {
  const auto began = std::chrono::steady_clock::now();
  errno = 0;
  CHECK(::close(-1) == -1);
  CHECK(errno == EBADF);
  CHECK(std::chrono::steady_clock::now() - began >= 20ms);
}

}  // namespace
}  // namespace mark
