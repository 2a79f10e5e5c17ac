// Writes the first inputs of every fuzz target: a fuzzer that begins with what is right gets further.
//
// usage: write_seeds FOLDER
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "fuzz_signature.h"
#include "net/rpc/grpc_framing.h"
#include "rpc/raw_frames.h"

namespace {

void write(const std::filesystem::path& folder, const std::string& name, std::string_view bytes) {
  std::filesystem::create_directories(folder);
  std::ofstream(folder / name, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

}  // namespace

int main(int count, char** arguments) {
  using namespace mark::net;  // NOLINT(google-build-using-namespace): a program of one file
  if (count != 2) {
    std::fprintf(stderr, "usage: write_seeds FOLDER\n");
    return 2;
  }
  const std::filesystem::path root(arguments[1]);
  for (int rows = 1; rows <= 4; ++rows) {
    write(root / "fuzz_oip_request", std::to_string(rows), fuzz_request(rows));
    write(root / "fuzz_oip_response", std::to_string(rows), fuzz_response(rows));
  }

  const std::string choice("\0\1\5", 3);
  write(root / "fuzz_grpc_framing", "plain", choice + frames::framed("message"));
  std::string zipped = frames::framed(deflated("message message message", GrpcEncoding::kGzip));
  zipped[0] = 1;
  write(root / "fuzz_grpc_framing", "gzip", std::string("\1\1\5", 3) + zipped);
  write(root / "fuzz_grpc_framing", "timeout", choice + "100m");
  write(root / "fuzz_grpc_framing", "message", choice + "100%25");

  using namespace frames;  // NOLINT(google-build-using-namespace)
  const std::string settings = std::string(1, '\x10') + frame(kSettings, 0, 0, "");
  write(root / "fuzz_http2_server", "calls", settings + call(1, "one") + call(3, "another"));
  write(root / "fuzz_http2_server", "reset",
        settings + frame(kHeaders, kEndHeaders, 1, call_block()) + frame(kRstStream, 0, 1, number(8)));
  write(root / "fuzz_http2_server", "continued",
        settings + frame(kHeaders, 0, 1, call_block().substr(0, 9)) +
            frame(kContinuation, kEndHeaders, 1, call_block().substr(9)) +
            frame(kData, kPadded, 1, std::string("\2ab\0\0", 5)) + frame(kData, kEndStream, 1, ""));
  write(root / "fuzz_http2_server", "control",
        settings + frame(kPing, 0, 0, "12345678") + frame(kWindowUpdate, 0, 0, number(1)) +
            frame(kPriority, 0, 1, number(0) + "x") + frame(kGoAway, 0, 0, number(0) + number(0)));
  return 0;
}
